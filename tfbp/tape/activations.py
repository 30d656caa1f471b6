"""Every activation by name, forward only."""

from tfbp.tape import piecewise_activations as piecewise
from tfbp.tape import smooth_activations as smooth
from tfbp.tape import softmax

_FUNCTIONS = {**vars(smooth), **vars(piecewise), "softmax": softmax.softmax, "log_softmax": softmax.log_softmax}


def activation_forward(activation, z):
    """y = f(z) for z of shape (B, O)."""
    return _FUNCTIONS[activation.name](z, **activation.arguments)
