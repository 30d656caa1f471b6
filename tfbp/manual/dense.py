"""The dense layer along the last axis, its backward under its forward.

B batch, I inputs, O outputs (units); x (B, I), kernel (I, O), bias (O,) or None, z (B, O). Where an example has axes
before the last, B stands for all of them: each is a row.
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


def forward(layer, weights, x, *, training, seed):
    z, residuals = dense_forward(_as_rows(x), **weights)
    return tf.reshape(z, [-1, *x.shape[1:-1], layer.units]) if x.shape.rank > 2 else z, (*residuals, x.shape), {}


def backward(layer, dz, residuals, *, input_gradient=True, weight_gradients=True):
    *rows, shape = residuals
    dx, dkernel, dbias = dense_backward(
        _as_rows(dz),
        rows,
        input_gradient=input_gradient,
        kernel_gradient=weight_gradients,
        bias_gradient=weight_gradients and layer.use_bias,
    )
    found = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    if input_gradient and shape.rank > 2:
        dx = tf.reshape(dx, [-1, *shape[1:]])
    return dx, found if weight_gradients else {}


def _as_rows(tensor):
    return tensor if tensor.shape.rank == 2 else tf.reshape(tensor, [-1, tensor.shape[-1]])
