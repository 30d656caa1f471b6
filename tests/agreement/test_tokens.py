"""Networks of tokens in the matrix: mistakes planted in their losses and layers are caught, each where it is made."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.agreement.cases import token_cases
from tfbp.agreement.matrix import Cell, at_fault, first_wrong, run_cell
from tfbp.manual import backprop, losses

CASES = {case.name.split("-B")[0]: case for case in token_cases()}
RIGHT = {"forward": losses.loss_forward, "backward": losses.loss_backward, "weights": backprop._of_each_loss}


def weights_of_the_batch(network, x, weight):
    """The first token's weight for all tokens of an example."""
    return RIGHT["weights"](network, x, weight[:, 0])


def tokens_reversed(loss, dlosses, residuals):
    return RIGHT["backward"](loss, tf.reverse(dlosses, [1]), residuals)


# what is planted where, in which case it shows, the scope, the tensor that is named, and the cause
MISTAKES = {
    "the first token's weight for all": (
        backprop, "_of_each_loss", weights_of_the_batch, "tokens-sparse", "end to end", "loss", "",
    ),
    "sample weights left out": (
        backprop, "_of_each_loss", lambda network, x, weight: tf.ones_like(weight),
        "tokens-huber", "end to end", "loss", "sample weights are ignored",
    ),
    "1/B in place of 1/N": (
        backprop, "loss_backward",
        lambda loss, dlosses, kept: RIGHT["backward"](loss, 6 * dlosses, kept),
        "tokens-sparse", "end to end", "doutputs", "factor",
    ),
    "losses of tokens added up": (
        losses, "loss_forward",
        lambda loss, y, outputs: (RIGHT["forward"](loss, y, outputs)[0] * 6, RIGHT["forward"](loss, y, outputs)[1]),
        "tokens-sparse", "local", "losses", "factor",
    ),
    "labels of tokens in another order": (
        losses, "loss_forward", lambda loss, y, outputs: RIGHT["forward"](loss, tf.reverse(y, [1]), outputs),
        "tokens-sparse", "local", "losses", "",
    ),
    "dlosses of tokens in another order": (
        losses, "loss_backward", tokens_reversed, "tokens-sparse", "local", "doutputs", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named(monkeypatch, mistake):
    module, function, wrong, case, scope, tensor, cause = MISTAKES[mistake]
    monkeypatch.setattr(module, function, wrong)
    found = first_wrong(run_cell(Cell(CASES[case], "float64", "eager")))
    assert found is not None
    writing, said = at_fault([found], found)
    assert (writing, found.scope, said.tensor) == ("manual", scope, tensor)
    assert cause in said.cause


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    for result in run_cell(Cell(case, "float64", "eager")):
        if result.scope == "end to end":
            assert result.comparison.relative_error < 1e-12, result.comparison.tensor
            assert np.isfinite(result.comparison.ratio)
