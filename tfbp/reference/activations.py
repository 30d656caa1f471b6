"""Finds every activation by name: its forward, and its backward from dy and z."""

from tfbp.reference import piecewise_activations as piecewise
from tfbp.reference import smooth_activations as smooth
from tfbp.reference import softmax

ACTIVATIONS = {**smooth.ACTIVATIONS, **piecewise.ACTIVATIONS, **softmax.ACTIVATIONS}


def activation_forward(activation, z):
    """Returns y = f(z) and the residual z, for z of shape (B, O)."""
    y = ACTIVATIONS[activation.name][0](z, **activation.arguments)
    return y, z


def activation_backward(activation, dy, z):
    """Returns dz for dy of shape (B, O): f'(z) * dy, or dy · Jacobian for softmax and log_softmax."""
    return ACTIVATIONS[activation.name][1](dy, z, **activation.arguments)
