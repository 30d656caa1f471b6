"""Transposed convolutions, each backward under its forward, in products.

B batch, H and W the height and width of z, P and Q of x, M and N of the kernel, I inputs, O outputs;
x (B, P, Q, I), kernel (M, N, O, I), bias (O,) or None, z (B, H, W, O). A sequence is an image of one column.
"""

import tensorflow as tf

from tfbp.manual.sizes import with_batch_of
from tfbp.manual.window import Window, sum_of, wide


def conv2d_transpose_forward(x, kernel, bias=None, *, sizes, strides, padding):
    """Returns z, the sum of the patches x · kernel, each at its position; `sizes` are H and W.

    Example:
        >>> x, kernel = tf.ones([1, 2, 1, 1]), tf.reshape(tf.constant([1.0, 2.0]), [2, 1, 1, 1])
        >>> z, _ = conv2d_transpose_forward(x, kernel, sizes=(3, 1), strides=(1, 1), padding="valid")
        >>> z.numpy().ravel()
        array([1., 3., 2.], dtype=float32)
    """
    window = Window(sizes, kernel.shape[:2], strides, padding)
    outputs, inputs = kernel.shape[2:]
    rows = tf.reshape(wide(kernel), [-1, inputs])
    patches = tf.matmul(tf.reshape(wide(x), [-1, inputs]), rows, transpose_b=True)
    patches = tf.reshape(patches, with_batch_of(x, *window.outputs, len(window.positions), outputs))

    def pixels(positions, ats):
        found = [at[..., window.positions.index(position), :] for position, at in zip(positions, ats, strict=True)]
        return sum_of(found, x.dtype)

    z = window.from_patches(patches, pixels)
    return z if bias is None else tf.nn.bias_add(z, bias), (x, kernel, window)


def conv2d_transpose_backward(dz, residuals):
    """Returns dx (B, P, Q, I), dkernel (M, N, O, I) and dbias (O,), from dz."""
    x, kernel, window = residuals
    inputs = kernel.shape[3]
    # z = bias_add(z, bias)                                 (B, H, W, O) <- (O,)
    dbias = tf.cast(tf.reduce_sum(wide(dz), axis=[0, 1, 2]), dz.dtype)
    # z = from_patches(patches)                             (B, H, W, O) <- (B, P, Q, M N O)
    dpatches = tf.concat(window.patches(wide(dz)), axis=-1)
    dpatches = tf.reshape(dpatches, [-1, len(window.positions) * kernel.shape[2]])
    # patches = x · kernelᵀ                                 (B P Q, M N O) <- (B P Q, I) (M N O, I)
    dx = tf.matmul(dpatches, tf.reshape(wide(kernel), [-1, inputs]))
    dkernel = tf.matmul(dpatches, tf.reshape(wide(x), [-1, inputs]), transpose_a=True)
    dx = tf.reshape(dx, with_batch_of(x, *x.shape[1:]))
    return tf.cast(dx, x.dtype), tf.cast(tf.reshape(dkernel, kernel.shape), kernel.dtype), dbias


def _as_images(layer, x):
    return x if layer.axes == 2 else x[:, :, None]


def _as_inputs(layer, y):
    return y if layer.axes == 2 else y[:, :, 0]


def forward(layer, weights, x, *, training, seed):
    one = () if layer.axes == 2 else (1,)
    kernel = weights["kernel"] if layer.axes == 2 else weights["kernel"][:, None]
    options = {"sizes": (*layer.output_shape(tuple(x.shape[1:]))[:-1], *one), "strides": (*layer.strides, *one)}
    given = (_as_images(layer, x), kernel, weights.get("bias"))
    z, residuals = conv2d_transpose_forward(*given, **options, padding=layer.padding)
    return _as_inputs(layer, z), residuals, {}


def backward(layer, dz, residuals):
    dx, dkernel, dbias = conv2d_transpose_backward(_as_images(layer, dz), residuals)
    dkernel = dkernel if layer.axes == 2 else dkernel[:, 0]
    return _as_inputs(layer, dx), {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


KINDS = {"Conv1DTranspose": (forward, backward), "Conv2DTranspose": (forward, backward)}
