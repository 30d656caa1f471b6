"""Central differences and complex steps, which know no chain rule, agree with every gradient; and would notice."""

import pytest

from tfbp import manual
from tfbp.agreement.third_opinion import opinions, ops
from tfbp.vocabulary import ACTIVATIONS, LOSSES

OPS = list(ops())


def test_every_op_is_asked():
    names = {op.name.split()[0] for op in OPS}
    assert set(ACTIVATIONS) | set(LOSSES) | {"dense", "regularized-B8-I5-O4"} <= names


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.sampled(5)
def test_the_gradients_agree_with_both_methods(op):
    found = list(opinions(op))
    assert {(opinion.writing, opinion.method) for opinion in found} == {
        (writing, method) for writing in ("reference", "manual") for method in ("central differences", "complex step")
    }
    for opinion in found:
        assert opinion.comparison.agrees, opinion
        # the tolerance of a difference is its own error estimate: here it may not hide anything
        assert opinion.comparison.relative_error < (1e-8 if opinion.method == "central differences" else 1e-13), opinion


@pytest.mark.parametrize("method", ["central differences", "complex step"])
def test_a_derivative_off_by_a_millionth_is_noticed(monkeypatch, method):
    forward, right = manual.activations.ACTIVATIONS["mish"]
    monkeypatch.setitem(manual.activations.ACTIVATIONS, "mish", (forward, lambda *a: right(*a) * (1 + 1e-6)))
    mish = next(op for op in ops() if op.name == "mish")
    found = {o.writing: o.comparison for o in opinions(mish) if o.method == method}
    assert found["reference"].agrees
    assert not found["manual"].agrees
