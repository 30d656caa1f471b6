"""What a pass is told besides its data."""

from typing import Any, NamedTuple


class Options(NamedTuple):
    """How a pass runs.

    Attributes:
        training: whether layers such as Dropout work in training mode.
        seed: an integer, for layers that draw in training.
        loss_scale: the gradients are those of loss_scale · loss, so that small ones survive in float16; None for 1.
    """

    training: bool = True
    seed: Any = None
    loss_scale: Any = None


class Private(NamedTuple):
    """What makes a sum of gradients private.

    Attributes:
        clip: the bound of each example's norm.
        noise: σ · clip · normal, in the shape of the parameters.
        expected: q · N, the expected batch size, by which clipped sum and noise are divided.
    """

    clip: float
    noise: Any
    expected: Any
