"""Mistakes in the layers beside Dense, planted on purpose: each is caught, and at the layer that makes it."""

import pytest
import tensorflow as tf
from float64_cell import assert_whole_passes_agree, blamed

from tfbp import network
from tfbp.agreement.cases import cases_of
from tfbp.agreement.matrix import Cell, first_wrong, run_cell
from tfbp.manual import activation, dense, kinds, residual, shapes

CASES = {case.name.split("-B")[0]: case for case in cases_of(network.shapes, network.residual)}
RIGHT = {
    "residual": residual.backward,
    "shapes": shapes.reshape_backward,
    "activation": activation.backward,
    "chain": residual.chain_backward,
    "dense": dense._as_rows,
}


def dx_not_added(layer, dz, residuals, **options):
    dx, gradients = RIGHT["residual"](layer, dz, residuals, **options)
    return (None if dx is None else dx - dz), gradients


def dx_added_twice(layer, dz, residuals, **options):
    dx, gradients = RIGHT["residual"](layer, dz, residuals, **options)
    return (None if dx is None else dx + dz), gradients


def parts_exchanged(layer, dz, residuals, **options):
    dx, gradients = RIGHT["residual"](layer, 2 * dz, residuals, **options)
    return (None if dx is None else dx / 2), gradients


# what is planted where, in which case it shows, the tensor that is named, and the cause
MISTAKES = {
    "dx of the shortcut left out": (residual, "backward", dx_not_added, "residual", "layer 0 dx", "shortcut"),
    "dx of the shortcut twice": (residual, "backward", dx_added_twice, "residual", "layer 0 dx", "shortcut"),
    "the branch subtracted": (residual, "add_forward", lambda s, b: s - b, "residual", "layer 0 z", ""),
    "the branch alone": (residual, "add_forward", lambda s, b: b, "residual", "layer 0 z", "nothing is added"),
    "dy halved at the addition": (
        residual, "add_backward", lambda dy: (dy / 2, dy / 2), "projection", "layer 0 dx", "factor",
    ),
    "flatten in another order": (
        shapes,
        "reshape_forward",
        lambda x, shape: (tf.reshape(tf.reverse(x, [-1]), [-1, *shape]), tuple(x.shape[1:])),
        "rank3", "layer 2 z", "",
    ),
    "flatten's dx in another order": (
        shapes, "reshape_backward", lambda dy, shape: tf.reverse(RIGHT["shapes"](dy, shape), [-1]),
        "rank3", "layer 2 dx", "",
    ),
    "an activation's dx negative": (
        activation, "backward", lambda layer, dz, kept, **options: (-dz, {}), "rank3", "layer 1 dx", "sign",
    ),
    "rows of a rank-3 dz mixed": (
        dense,
        "_as_rows",
        lambda a: RIGHT["dense"](tf.reverse(a, [1]) if a.shape.rank == 3 and a.shape[-1] == 5 else a),
        "rank3", "layer 0 dkernel", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named_at_its_layer(monkeypatch, mistake):
    module, function, wrong, case, tensor, cause = MISTAKES[mistake]
    if function == "backward":
        (name,) = module.KINDS
        monkeypatch.setitem(kinds.KINDS, name, (module.forward, wrong))
    else:
        monkeypatch.setattr(module, function, wrong)
    *place, said = blamed(CASES[case])
    assert place == ["manual", "local", tensor]
    assert cause in said


def test_a_wrong_part_is_named_and_not_the_layer_around_it(monkeypatch):
    right = dense.dense_backward

    def wrong(dz, residuals, **options):
        dx, dkernel, dbias = right(dz, residuals, **options)
        return dx, dkernel, None if dbias is None else dbias * (2 if dz.shape[-1] == 6 else 1)

    monkeypatch.setattr(dense, "dense_backward", wrong)
    results = run_cell(Cell(CASES["residual"], "float32", "eager"))
    names = {r.comparison.tensor for r in results if r.scope == "local" and not r.comparison.agrees}
    assert names == {"layer 0.layers.0 dbias"}
    assert first_wrong(results).comparison.cause.startswith("a factor 2 too many")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
