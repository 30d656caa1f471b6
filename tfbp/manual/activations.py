"""Every activation by name: its forward and residuals, and its backward."""

from tfbp.manual import piecewise_activations as piecewise
from tfbp.manual import smooth_activations as smooth
from tfbp.manual import softmax

ACTIVATIONS = {**smooth.ACTIVATIONS, **piecewise.ACTIVATIONS, **softmax.ACTIVATIONS}


def activation_forward(activation, z):
    """Returns y = f(z) for z of shape (B, O), and the residuals of `activation_backward`."""
    return ACTIVATIONS[activation.name][0](z, **activation.arguments)


def activation_backward(activation, dy, residuals):
    """Returns dz for dy of shape (B, O): f'(z) · dy, or dy · Jacobian for softmax and log_softmax."""
    return ACTIVATIONS[activation.name][1](dy, residuals, **activation.arguments)
