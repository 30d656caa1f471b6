"""The parametric relu, with a learned slope alpha below 0.

x, y (B, …); alpha of x's shape without B, with 1 for every axis that shares one slope.
"""

import numpy as np


def prelu_forward(x, alpha):
    """Returns y = max(x, 0) - alpha · max(-x, 0), and the residuals (x, alpha)."""
    return np.where(x.real > 0, x, alpha * x), (x, alpha)


def prelu_backward(dy, residuals):
    """Returns dx and dalpha; the derivative at x = 0 is 0."""
    x, alpha = residuals
    dx = dy * np.where(x > 0, 1, np.where(x < 0, alpha, 0))
    dalpha_of_each = dy * np.where(x < 0, x, 0)
    dalpha = dalpha_of_each.sum(axis=0)
    for axis, size in enumerate(alpha.shape):
        if size == 1:
            dalpha = dalpha.sum(axis=axis, keepdims=True)
    return dx, dalpha
