"""Mistakes in recurrences both ways, planted on purpose: each is caught, and at the layer that makes it."""

import pytest
from float64_cell import assert_whole_passes_agree, blamed

from tfbp import Bidirectional, Network, SimpleRNN
from tfbp.agreement.problems import Case
from tfbp.manual import bidirectional, kinds

CASES = {
    mode: Case(mode, Network((3, 2), [Bidirectional(SimpleRNN(2, return_sequences=True), mode)], "huber"), 3)
    for mode in Bidirectional.modes
}
RIGHT = {
    "merge": bidirectional.merge_forward,
    "merge back": bidirectional.merge_backward,
    "in step": bidirectional._in_step,
    "backward": bidirectional.backward,
    "chain": bidirectional.chain_backward,
}


def of_mode(mode, wrong, right):
    """wrong for one mode of merging, right for the others."""
    return lambda *given: (wrong if given[-1] == mode else RIGHT[right])(*given)


def one_way_alone(part):
    def chain(layers, *given, **options):
        dx, gradients = RIGHT["chain"](layers, *given, **options)
        return (dx if layers[0].go_backwards == (part == "backward_layer") else 0 * dx), gradients

    return chain


def dy_not_turned(layer, dz, residuals, **options):
    """The second's gradient in the order of the steps, where the second has run from the last."""
    bidirectional._in_step = lambda layer, back: back
    try:
        return RIGHT["backward"](layer, dz, residuals, **options)
    finally:
        bidirectional._in_step = RIGHT["in step"]


# what is planted where, in which case it shows, the tensor that is named, and the cause
MISTAKES = {
    "sequences not turned around": (
        "_in_step", lambda layer, back: back, "concat", "layer 0 z", "",
    ),
    "the two exchanged": (
        "merge_forward", of_mode("concat", lambda a, b, mode: RIGHT["merge"](b, a, mode), "merge"),
        "concat", "layer 0 z", "",
    ),
    "the sum for the mean": (
        "merge_forward", of_mode("ave", lambda a, b, mode: (a + b, ()), "merge"), "ave", "layer 0 z", "factor",
    ),
    "the sum for the product": (
        "merge_forward", of_mode("mul", lambda a, b, mode: (a + b, (a, b)), "merge"),
        "mul", "layer 0 z", "",
    ),
    "dx of one way alone": (
        "chain_backward", one_way_alone("forward_layer"), "concat", "layer 0 dx", "",
    ),
    "dx of the way back alone": (
        "chain_backward", one_way_alone("backward_layer"), "concat", "layer 0 dx", "",
    ),
    "dy of the way back not turned": ("backward", dy_not_turned, "concat", "layer 0 dx", ""),
    "halves of dy exchanged": (
        "merge_backward", of_mode("concat", lambda *given: RIGHT["merge back"](*given)[::-1], "merge back"),
        "concat", "layer 0 dx", "",
    ),
    "dy of a mean not halved": (
        "merge_backward", of_mode("ave", lambda dy, *rest: (dy, dy), "merge back"), "ave", "layer 0 dx", "",
    ),
    "dy of a product without factors": (
        "merge_backward", of_mode("mul", lambda dy, *rest: (dy, dy), "merge back"),
        "mul", "layer 0 dx", "",
    ),
    "factors of a product exchanged": (
        "merge_backward", of_mode("mul", lambda *given: RIGHT["merge back"](*given)[::-1], "merge back"),
        "mul", "layer 0 dx", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named_at_its_layer(monkeypatch, mistake):
    function, wrong, case, tensor, cause = MISTAKES[mistake]
    if function == "backward":
        monkeypatch.setitem(kinds.KINDS, "Bidirectional", (bidirectional.forward, wrong))
    else:
        monkeypatch.setattr(bidirectional, function, wrong)
    *place, said = blamed(CASES[case])
    assert place == ["manual", "local", tensor]
    assert cause in said


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_float64_whole_passes_agree_to_1e_12(case):
    assert_whole_passes_agree(case)
