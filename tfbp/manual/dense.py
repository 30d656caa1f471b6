"""The dense layer, its backward under its forward.

B batch, I inputs, O outputs (units); x (B, I), kernel (I, O), bias (O,) or None, z (B, O).
"""

import tensorflow as tf


def dense_forward(x, kernel, bias=None):
    """z = x · kernel + bias, and the residuals (x, kernel)."""
    z = tf.matmul(x, kernel)
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel)


def dense_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """dx (B, I), dkernel (I, O) and dbias (O,), given dz (B, O); None for a gradient that is not asked for."""
    x, kernel = residuals
    # z = matmul(x, kernel)                          (B, O) <- (B, I) (I, O)
    dx = tf.matmul(dz, kernel, transpose_b=True) if input_gradient else None
    dkernel = tf.matmul(x, dz, transpose_a=True) if kernel_gradient else None
    # z = bias_add(z, bias)                          (B, O) <- (O,)
    dbias = _sum_over_batch(dz) if bias_gradient else None
    return dx, dkernel, dbias


def _sum_over_batch(dz):
    # 16-bit numbers are added up in float32: in their own type the sum of a long batch loses most of its digits
    wide = tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz
    return tf.cast(tf.reduce_sum(wide, axis=0), dz.dtype)
