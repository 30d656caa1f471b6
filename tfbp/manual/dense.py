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
    # On the CPU BiasAddGrad adds up bfloat16 in bfloat16, and reduce_sum float16 in float16: the sum of a long batch
    # loses most of its digits. Each is exact to rounding in the other type.
    if dz.dtype == tf.bfloat16:
        return tf.reduce_sum(dz, axis=0)
    return tf.raw_ops.BiasAddGrad(out_backprop=dz)
