"""Finds every activation by name, forward only."""

from tfbp.tape import piecewise_activations as piecewise
from tfbp.tape import smooth_activations as smooth
from tfbp.tape import softmax

ACTIVATIONS = {**smooth.ACTIVATIONS, **piecewise.ACTIVATIONS, **softmax.ACTIVATIONS}


def activation_forward(activation, z):
    """Returns y = f(z) for z of shape (B, O)."""
    return ACTIVATIONS[activation.name](z, **activation.arguments)
