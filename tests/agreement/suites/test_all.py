"""The suites beside the matrix: kinks, far out, each example, the fused head, Keras's metrics: within tolerance."""

import pytest

from tfbp.agreement.matrix import MODES, first_wrong
from tfbp.agreement.problems import DTYPES
from tfbp.agreement.suites import all as beside
from tfbp.agreement.suites import keras_layers
from tfbp.agreement.suites.points import KINKS
from tfbp.vocabulary import ACTIVATIONS

EVERY_CELL = [(dtype, mode) for dtype in DTYPES for mode in MODES]
# of the parts that are not run in every dtype and mode
CELLS = {"metrics": [("float64", mode) for mode in MODES], "Keras layers": keras_layers.CELLS}


PARTS = [part for part in beside.PARTS if part != "layers"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", [part for part in PARTS if part != "Keras layers"])
@pytest.mark.sampled(17, dtype="float64", mode="eager")
def test_it_agrees_with_the_reference(part, dtype, mode, device):
    results = beside.PARTS[part](dtype, mode, device)
    is_run = (dtype, mode) in CELLS.get(part, EVERY_CELL) and (part != "metrics" or device == "cpu")
    assert bool(results) == is_run
    wrong = first_wrong(results)
    assert wrong is None, f"{wrong.cell.id}: {wrong.pair}: {wrong.comparison}"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.sampled(3, mode="eager")
def test_keras_layers_agree_with_the_reference(mode, device):
    test_it_agrees_with_the_reference("Keras layers", "float64", mode, device)


def test_every_activation_is_tried_far_out_and_every_kink_on_it():
    results = beside.PARTS["points"]("float64", "eager")
    names = {result.cell.case.name for result in results}
    assert {f"{name} far out" for name in ACTIVATIONS if name != "threshold"} <= names
    assert {f"{name} on its kinks" for name in KINKS} <= names
    assert {result.scope for result in results} == {"kinks", "far out"}


def test_both_writings_are_tried_on_each_point():
    results = beside.PARTS["points"]("float32", "eager")
    by = {pair: [r.comparison.tensor for r in results if r.pair == pair] for pair in {r.pair for r in results}}
    assert set(by) == {"manual-reference", "tape-reference"}
    assert by["manual-reference"] == by["tape-reference"]
