"""A dense layer along any axes, by the letters of an equation, the backward under the forward.

B batch; x (B, …), z (B, …); kernel and bias by their letters.
"""

import tensorflow as tf

from tfbp.manual.window import wide


def einsum_dense_forward(x, kernel, bias=None, *, letters):
    """Returns z = Σ x · kernel + bias, summed over the letters that are missing in z, and the residuals."""
    z = _product(f"{letters.x},{letters.kernel}->{letters.z}", x, kernel)
    return z if bias is None else z + bias, (x, kernel, None if bias is None else bias.shape)


def einsum_dense_backward(dz, residuals, *, letters):
    """Returns dx, dkernel and dbias, of the shapes of x, kernel and bias; None for a missing bias."""
    x, kernel, of_bias = residuals
    dbias = None
    if of_bias is not None:
        # z = z + bias                                 (B, …) <- the last axes, 1 where one number is for all
        before = dz.shape.rank - len(of_bias)
        axes = [*range(before), *(before + axis for axis, size in enumerate(of_bias) if size == 1)]
        dbias = tf.cast(tf.reshape(tf.reduce_sum(wide(dz), axis=axes), of_bias), dz.dtype)
    # z = einsum(x, kernel): each letter is in two of the three
    dx = _product(f"{letters.z},{letters.kernel}->{letters.x}", dz, kernel)
    dkernel = _product(f"{letters.x},{letters.z}->{letters.kernel}", x, dz)
    return dx, dkernel, dbias


def _product(equation, a, b):
    """Returns the sum over letters, in float32 at least, rounded once."""
    return tf.cast(tf.einsum(equation, wide(a), wide(b)), a.dtype)


def forward(layer, weights, x, *, training, seed):
    letters = layer.letters(tuple(x.shape[1:]))
    z, residuals = einsum_dense_forward(x, **weights, letters=letters)
    return z, (residuals, letters), {}


def backward(layer, dz, residuals):
    residuals, letters = residuals
    dx, dkernel, dbias = einsum_dense_backward(dz, residuals, letters=letters)
    return dx, {"kernel": dkernel} if dbias is None else {"kernel": dkernel, "bias": dbias}


def _example_gradients(layer, x, dz):
    """Returns each example's gradient, (B, …) of each weight."""
    letters = layer.letters(tuple(x.shape[1:]))
    # z = einsum(x, kernel)
    each = {"kernel": tf.einsum(f"{letters.x},{letters.z}->{letters.z[0]}{letters.kernel}", x, dz)}
    of_bias = layer.weight_shapes(tuple(x.shape[1:])).get("bias")
    if of_bias is not None:
        # z = z + bias
        before = dz.shape.rank - len(of_bias)
        axes = [*range(1, before), *(before + axis for axis, size in enumerate(of_bias) if size == 1)]
        each["bias"] = tf.reshape(tf.reduce_sum(dz, axis=axes), [-1, *of_bias])
    return each


KINDS = {"EinsumDense": (forward, backward)}
PER_EXAMPLE = {"EinsumDense": {"gradients": _example_gradients}}
