"""Smooth elementwise activations and their derivatives, as in a textbook: dz = f'(z) * dy.

z pre-activation, y = f(z); all arrays of shape (B, O). Formulas use only analytic operations and branch on the real
part, so that a complex z gives the complex-step derivative.
"""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def sigmoid_forward(z):
    # 1 / (1 + exp(-z)), in a form that cannot overflow
    e = np.exp(-_absolute(z))
    return np.where(z.real >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_backward(dy, z):
    y = sigmoid_forward(z)
    return dy * y * (1 - y)


def tanh_forward(z):
    return np.tanh(z)


def tanh_backward(dy, z):
    return dy * (1 - np.tanh(z) ** 2)


def softplus_forward(z):
    # log(1 + exp(z))
    return np.where(z.real > 0, z, 0) + np.log1p(np.exp(-_absolute(z)))


def softplus_backward(dy, z):
    return dy * sigmoid_forward(z)


def softsign_forward(z):
    return z / (1 + _absolute(z))


def softsign_backward(dy, z):
    return dy / (1 + _absolute(z)) ** 2


def exponential_forward(z):
    return np.exp(z)


def exponential_backward(dy, z):
    return dy * np.exp(z)


def gaussian_forward(z):
    return np.exp(-z * z)


def gaussian_backward(dy, z):
    return dy * -2 * z * np.exp(-z * z)


def silu_forward(z):
    return z * sigmoid_forward(z)


def silu_backward(dy, z):
    # (z s)' = s + z s (1 - s)
    s = sigmoid_forward(z)
    return dy * (s + z * s * (1 - s))


def gelu_forward(z, approximate):
    if approximate:
        return z / 2 * (1 + np.tanh(_gelu_inner(z)))
    return z * _normal_cdf(z)


def gelu_backward(dy, z, approximate):
    if approximate:
        t = np.tanh(_gelu_inner(z))
        inner_derivative = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
        return dy * ((1 + t) / 2 + z / 2 * (1 - t**2) * inner_derivative)
    normal_density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return dy * (_normal_cdf(z) + z * normal_density)


def mish_forward(z):
    return z * np.tanh(softplus_forward(z))


def mish_backward(dy, z):
    # (z tanh(s(z)))' = tanh(s) + z (1 - tanh(s)^2) s',  s = softplus, s' = sigmoid
    t = np.tanh(softplus_forward(z))
    return dy * (t + z * (1 - t**2) * sigmoid_forward(z))


def log_sigmoid_forward(z):
    return -softplus_forward(-z)


def log_sigmoid_backward(dy, z):
    return dy * sigmoid_forward(-z)


def tanh_shrink_forward(z):
    return z - np.tanh(z)


def tanh_shrink_backward(dy, z):
    return dy * np.tanh(z) ** 2


def squareplus_forward(z, b):
    return (z + np.sqrt(z**2 + b)) / 2


def squareplus_backward(dy, z, b):
    return dy * (1 + z / np.sqrt(z**2 + b)) / 2


def _absolute(z):
    return np.where(z.real >= 0, z, -z)


def _normal_cdf(z):
    # (1 + erf(z / √2)) / 2, in a form that does not cancel for very negative z
    return _erfc(-z / math.sqrt(2)) / 2


def _gelu_inner(z):
    return math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)


ACTIVATIONS = {
    "sigmoid": (sigmoid_forward, sigmoid_backward),
    "tanh": (tanh_forward, tanh_backward),
    "softplus": (softplus_forward, softplus_backward),
    "softsign": (softsign_forward, softsign_backward),
    "gaussian": (gaussian_forward, gaussian_backward),
    "exponential": (exponential_forward, exponential_backward),
    "silu": (silu_forward, silu_backward),
    "gelu": (gelu_forward, gelu_backward),
    "mish": (mish_forward, mish_backward),
    "log_sigmoid": (log_sigmoid_forward, log_sigmoid_backward),
    "tanh_shrink": (tanh_shrink_forward, tanh_shrink_backward),
    "squareplus": (squareplus_forward, squareplus_backward),
}
