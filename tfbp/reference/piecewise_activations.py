"""Piecewise activations and their derivatives, with a stated convention at every kink.

z pre-activation, y = f(z); all arrays of shape (B, O). At a kink the derivative is that of one side, the side of
TensorFlow's fused gradients; each backward's docstring names it. Branches compare the real part, so that a
complex z gives the complex-step derivative.
"""

import numpy as np

# Keras's constants for selu: https://arxiv.org/abs/1706.02515
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def linear_forward(z):
    return z


def linear_backward(dy, z):
    return dy


def relu_forward(z, negative_slope=0.0, max_value=None, threshold=0.0):
    above = z if max_value is None else np.where(z.real > max_value, max_value, z)
    below = np.where(z.real < threshold, negative_slope * (z - threshold), 0)
    return np.where(z.real > threshold, above, below)


def relu_backward(dy, z, negative_slope=0.0, max_value=None, threshold=0.0):
    """relu'(threshold) = 0, or negative_slope where only that is set; relu'(max_value) = 1, but 0 for a plain 6."""
    slope = np.where(z > threshold, 1.0, np.where(z < threshold, negative_slope, 0))
    if threshold == 0 and max_value is None:
        slope = np.where(z == 0, negative_slope, slope)
    if max_value is not None:
        slope = np.where((z > threshold) & (z > max_value), 0, slope)
    if threshold == 0 and max_value == 6:
        slope = np.where(z == 6, 0, slope)
    return dy * slope


def relu6_forward(z):
    return np.where(z.real > 6, 6, np.where(z.real > 0, z, 0))


def relu6_backward(dy, z):
    """relu6'(0) = relu6'(6) = 0."""
    return dy * ((z > 0) & (z < 6))


def leaky_relu_forward(z, negative_slope):
    return np.where(z.real > 0, z, negative_slope * z)


def leaky_relu_backward(dy, z, negative_slope):
    """leaky_relu'(0) = negative_slope."""
    return dy * np.where(z > 0, 1, negative_slope)


def elu_forward(z, alpha):
    return np.where(z.real > 0, z, alpha * np.expm1(_negative_part(z)))


def elu_backward(dy, z, alpha):
    """elu'(0) = alpha."""
    return dy * np.where(z > 0, 1, alpha * np.exp(_negative_part(z)))


def celu_forward(z, alpha):
    return np.where(z.real > 0, z, alpha * np.expm1(_negative_part(z) / alpha))


def celu_backward(dy, z, alpha):
    """celu'(0) = 1 from both sides."""
    return dy * np.where(z > 0, 1, np.exp(_negative_part(z) / alpha))


def selu_forward(z):
    return SELU_SCALE * elu_forward(z, SELU_ALPHA)


def selu_backward(dy, z):
    """selu'(0) = scale, the right-hand side."""
    return dy * SELU_SCALE * np.where(z >= 0, 1, SELU_ALPHA * np.exp(_negative_part(z)))


def hard_sigmoid_forward(z):
    return relu6_forward(z + 3) / 6


def hard_sigmoid_backward(dy, z):
    """hard_sigmoid'(-3) = hard_sigmoid'(3) = 0."""
    return relu6_backward(dy, z + 3) / 6


def hard_silu_forward(z):
    return z * hard_sigmoid_forward(z)


def hard_silu_backward(dy, z):
    """At z = -3 and 3 the derivative is hard_sigmoid(z): 0 and 1, the outer sides."""
    return dy * hard_sigmoid_forward(z) + hard_sigmoid_backward(dy * z, z)


def hard_tanh_forward(z):
    return np.where(z.real > 1, 1, np.where(z.real < -1, -1, z))


def hard_tanh_backward(dy, z):
    """hard_tanh'(-1) = hard_tanh'(1) = 1, the inner sides."""
    return dy * ((z >= -1) & (z <= 1))


def hard_shrink_forward(z, threshold):
    return np.where(abs(z.real) > threshold, z, 0)


def hard_shrink_backward(dy, z, threshold):
    """hard_shrink'(±threshold) = 0, though the function jumps there."""
    return dy * (abs(z) > threshold)


def soft_shrink_forward(z, threshold):
    return np.where(z.real > threshold, z - threshold, np.where(z.real < -threshold, z + threshold, 0))


def soft_shrink_backward(dy, z, threshold):
    """soft_shrink'(±threshold) = 0."""
    return dy * (abs(z) > threshold)


def sparse_plus_forward(z):
    return np.where(z.real >= 1, z, np.where(z.real <= -1, 0, (z + 1) ** 2 / 4))


def sparse_plus_backward(dy, z):
    """No kink: the derivative is sparse_sigmoid."""
    return dy * sparse_sigmoid_forward(z)


def sparse_sigmoid_forward(z):
    return np.where(z.real >= 1, 1, np.where(z.real <= -1, 0, (z + 1) / 2))


def sparse_sigmoid_backward(dy, z):
    """sparse_sigmoid'(-1) = sparse_sigmoid'(1) = 0."""
    return dy * ((z > -1) & (z < 1)) / 2


def threshold_forward(z, threshold, default_value):
    return np.where(z.real > threshold, z, default_value)


def threshold_backward(dy, z, threshold, default_value):
    """threshold'(threshold) = 0."""
    return dy * (z > threshold)


def _negative_part(z):
    return np.where(z.real > 0, 0, z)


ACTIVATIONS = {
    "linear": (linear_forward, linear_backward),
    "relu": (relu_forward, relu_backward),
    "relu6": (relu6_forward, relu6_backward),
    "leaky_relu": (leaky_relu_forward, leaky_relu_backward),
    "elu": (elu_forward, elu_backward),
    "celu": (celu_forward, celu_backward),
    "selu": (selu_forward, selu_backward),
    "hard_sigmoid": (hard_sigmoid_forward, hard_sigmoid_backward),
    "hard_silu": (hard_silu_forward, hard_silu_backward),
    "hard_tanh": (hard_tanh_forward, hard_tanh_backward),
    "hard_shrink": (hard_shrink_forward, hard_shrink_backward),
    "soft_shrink": (soft_shrink_forward, soft_shrink_backward),
    "sparse_plus": (sparse_plus_forward, sparse_plus_backward),
    "sparse_sigmoid": (sparse_sigmoid_forward, sparse_sigmoid_backward),
    "threshold": (threshold_forward, threshold_backward),
}
