"""Every activation by name: its forward, and its backward given dy and z."""

from tfbp.reference import piecewise_activations as piecewise
from tfbp.reference import smooth_activations as smooth
from tfbp.reference import softmax

_FUNCTIONS = {**vars(smooth), **vars(piecewise), **vars(softmax)}


def activation_forward(activation, z):
    """y = f(z) and the residual z, for z of shape (B, O)."""
    y = _FUNCTIONS[f"{activation.name}_forward"](z, **activation.arguments)
    return y, z


def activation_backward(activation, dy, z):
    """dz for dy of shape (B, O): f'(z) * dy, or dy · Jacobian for softmax and log_softmax."""
    return _FUNCTIONS[f"{activation.name}_backward"](dy, z, **activation.arguments)
