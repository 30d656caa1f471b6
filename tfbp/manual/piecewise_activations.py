"""Piecewise activations, each backward under its forward.

z pre-activation, y = f(z), dy and dz their gradients; all tensors of shape (B, O). The second argument of a backward
is the residuals of its forward. At a kink the derivative is that of one side; the docstring names it.
"""

import tensorflow as tf

# selu's constants, with mean 0 and variance 1 as fixed point: https://arxiv.org/abs/1706.02515
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def linear_forward(z):
    return z, None


def linear_backward(dy, _):
    # y = z
    return dy


def relu_forward(z, negative_slope=0.0, max_value=None, threshold=0.0):
    if threshold == 0 and max_value is None:
        if negative_slope:
            return leaky_relu_forward(z, negative_slope)
        y = tf.nn.relu(z)
        return y, y
    if threshold == 0 and max_value == 6 and not negative_slope:
        return relu6_forward(z)
    if threshold == 0 and not negative_slope:
        return tf.minimum(tf.nn.relu(z), max_value), z
    above = z if max_value is None else tf.minimum(z, max_value)
    below = negative_slope * (z - threshold) if negative_slope else 0
    return tf.where(z > threshold, above, below), z


def relu_backward(dy, residual, negative_slope=0.0, max_value=None, threshold=0.0):
    """relu'(threshold) = 0, or negative_slope where only that is set; relu'(max_value) = 1, but 0 for a plain 6.

    These are the sides that Keras takes."""
    if threshold == 0 and max_value is None:
        if negative_slope:
            return leaky_relu_backward(dy, residual, negative_slope)
        # y = max(z, 0)                                       dz = dy where y > 0, else 0
        return tf.where(residual > 0, dy, 0)
    if threshold == 0 and max_value == 6 and not negative_slope:
        return relu6_backward(dy, residual)
    z = residual
    # y = min(z, max_value) where z > threshold, else negative_slope (z - threshold)
    if max_value is not None:
        inside = z < 6 if threshold == 0 and max_value == 6 else z <= max_value
        above = tf.where(inside, dy, 0)
    else:
        above = dy
    below = tf.where(z < threshold, negative_slope * dy, 0) if negative_slope else 0
    return tf.where(z > threshold, above, below)


def relu_backward_by_sign(dy, y):
    """Computes `relu_backward` of a plain relu as a product: without XLA, a select takes 1.5 times as long.

    XLA compiles the select to the same code as a tape's relu."""
    # y = max(z, 0)                                           dz = dy · 1 where y > 0, dy · 0 where y = 0
    return dy * tf.sign(y)


def relu6_forward(z):
    y = tf.nn.relu6(z)
    return y, y


def relu6_backward(dy, y):
    """relu6'(0) = relu6'(6) = 0."""
    # y = min(max(z, 0), 6)                                   dz = dy · 1 where 0 < y < 6, else dy · 0
    return dy * tf.sign(y * (6 - y))


def leaky_relu_forward(z, negative_slope):
    # the fused op keeps its slope in float32: too inexact for float64
    if z.dtype == tf.float64:
        return tf.where(z > 0, z, negative_slope * z), z
    return tf.nn.leaky_relu(z, negative_slope), z


def leaky_relu_backward(dy, z, negative_slope):
    """leaky_relu'(0) = negative_slope."""
    # y = z where z > 0, else negative_slope z                dz = dy · 1, or dy · negative_slope
    if 0 <= negative_slope <= 1:
        return dy * tf.maximum(tf.sign(z), negative_slope)
    return tf.where(z > 0, dy, negative_slope * dy)


def elu_forward(z, alpha):
    unit = tf.nn.elu(z)
    y = unit if alpha == 1 else tf.where(z > 0, unit, alpha * unit)
    return y, unit


def elu_backward(dy, unit, alpha):
    """elu'(0) = alpha."""
    # y = unit where z > 0, else alpha unit;  unit = z where z > 0, else exp(z) - 1
    dunit = dy if alpha == 1 else tf.where(unit > 0, dy, alpha * dy)
    return dunit * (1 + tf.minimum(unit, 0))


def celu_forward(z, alpha):
    e = tf.math.expm1(tf.minimum(z, 0) / alpha)
    return tf.nn.relu(z) + alpha * e, e


def celu_backward(dy, e, alpha):
    """celu'(0) = 1 from both sides."""
    # y = max(z, 0) + alpha e,  e = expm1(min(z, 0) / alpha)  dz = dy · (e + 1), for e = 0 where z > 0
    return dy * (e + 1)


def selu_forward(z):
    if z.dtype == tf.float64:
        # TensorFlow's kernel for this has float32's constants on a GPU
        y = tf.nn.elu(z) * tf.where(z > 0, tf.constant(SELU_SCALE, z.dtype), SELU_SCALE * SELU_ALPHA)
    else:
        y = tf.nn.selu(z)
    return y, y


def selu_backward(dy, y):
    """selu'(0) = scale, the right-hand side."""
    # y = scale z where z > 0, else scale alpha (exp(z) - 1)  dz = dy · scale, or dy · (y + scale alpha) where y < 0
    # where y < 0, y + scale alpha is below scale alpha = 1.76, and so below scale + 1: the minimum selects it
    return dy * tf.minimum(y + SELU_SCALE * SELU_ALPHA, SELU_SCALE - tf.minimum(tf.sign(y), 0))


def hard_sigmoid_forward(z):
    clipped = tf.nn.relu6(z + 3)
    return clipped / 6, clipped


def hard_sigmoid_backward(dy, clipped):
    """hard_sigmoid'(-3) = hard_sigmoid'(3) = 0."""
    # y = relu6(z + 3) / 6                                    dz = dy / 6 where 0 < clipped < 6, else 0
    return dy / 6 * tf.sign(clipped * (6 - clipped))


def hard_silu_forward(z):
    clipped = tf.nn.relu6(z + 3)
    return z * (clipped / 6), (z, clipped)


def hard_silu_backward(dy, residuals):
    """At z = -3 and 3 the derivative is hard_sigmoid(z): 0 and 1, the outer sides."""
    z, clipped = residuals
    # y = z h,  h = relu6(z + 3) / 6                          dz = dy · h + dy · z · dh/dz
    return dy * (clipped / 6) + hard_sigmoid_backward(dy * z, clipped)


def hard_tanh_forward(z):
    return tf.clip_by_value(z, -1, 1), z


def hard_tanh_backward(dy, z):
    """hard_tanh'(-1) = hard_tanh'(1) = 1, the inner sides."""
    # y = min(max(z, -1), 1)
    return tf.where(tf.abs(z) <= 1, dy, 0)


def hard_shrink_forward(z, threshold):
    beyond = tf.abs(z) > threshold
    return tf.where(beyond, z, 0), beyond


def hard_shrink_backward(dy, beyond, threshold):
    """hard_shrink'(±threshold) = 0, though the function jumps there."""
    # y = z where |z| > threshold, else 0
    return tf.where(beyond, dy, 0)


def soft_shrink_forward(z, threshold):
    y = tf.where(z > threshold, z - threshold, tf.where(z < -threshold, z + threshold, 0))
    return y, tf.abs(z) > threshold


def soft_shrink_backward(dy, beyond, threshold):
    """soft_shrink'(±threshold) = 0."""
    # y = z ∓ threshold where |z| > threshold, else 0
    return tf.where(beyond, dy, 0)


def sparse_plus_forward(z):
    slope = tf.clip_by_value(0.5 * (z + 1), 0, 1)
    return tf.where(z < 1, slope * slope, z), slope


def sparse_plus_backward(dy, slope):
    """No kink: the derivative is sparse_sigmoid."""
    # y = slope² where z < 1, else z;  slope = min(max(½ (z + 1), 0), 1)
    return dy * slope


def sparse_sigmoid_forward(z):
    y = tf.clip_by_value(0.5 * (z + 1), 0, 1)
    return y, y


def sparse_sigmoid_backward(dy, y):
    """sparse_sigmoid'(-1) = sparse_sigmoid'(1) = 0."""
    # y = min(max(½ (z + 1), 0), 1)
    return tf.where((y > 0) & (y < 1), 0.5 * dy, 0)


def threshold_forward(z, threshold, default_value):
    above = z > threshold
    return tf.where(above, z, default_value), above


def threshold_backward(dy, above, threshold, default_value):
    """threshold'(threshold) = 0."""
    # y = z where z > threshold, else default_value
    return tf.where(above, dy, 0)


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
