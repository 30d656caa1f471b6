"""network: the worked example's 2-2-1 network with every number of its first step, forward and backward."""

import style

from tfbp import reference
from tfbp.commands import worked_example


def drawings():
    """The picture on light paper and on dark."""
    parameters = worked_example.parameters()
    _, gradients, tensors = reference.loss_gradients_and_tensors(
        worked_example.NETWORK, parameters, worked_example.X, worked_example.TARGET
    )
    for suffix in style.STYLES:
        yield suffix, worked_example.NETWORK.draw(parameters, tensors, gradients, dark=bool(suffix))


if __name__ == "__main__":
    for suffix, drawing in drawings():
        drawing.save(style.PICTURES / f"network{suffix}.svg")
