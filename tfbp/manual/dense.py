"""The dense layer along the last axis, its backward under its forward.

B batch, I inputs, O outputs (units); x (B, I), kernel (I, O), bias (O,) or None, z (B, O). For an example with more
axes, B counts all axes before the last: each entry is a row.
"""

import math

import tensorflow as tf


def dense_forward(x, kernel, bias=None):
    """Returns z = x · kernel + bias, and the residuals (x, kernel)."""
    z = tf.matmul(x, kernel)
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel)


def dense_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """Returns dx (B, I), dkernel (I, O) and dbias (O,), from dz (B, O); None for a gradient that is off."""
    x, kernel = residuals
    # z = matmul(x, kernel)                          (B, O) <- (B, I) (I, O)
    dx = tf.matmul(dz, kernel, transpose_b=True) if input_gradient else None
    dkernel = tf.matmul(x, dz, transpose_a=True) if kernel_gradient else None
    # z = bias_add(z, bias)                          (B, O) <- (O,)
    dbias = _sum_over_batch(dz) if bias_gradient else None
    return dx, dkernel, dbias


def _sum_over_batch(dz):
    # 16-bit numbers are summed in float32: in 16 bits, the sum over a long batch loses most of its digits
    wide = tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz
    return tf.cast(tf.reduce_sum(wide, axis=0), dz.dtype)


def forward(layer, weights, x, *, training, seed):
    z, residuals = dense_forward(_as_rows(x), **weights)
    return tf.reshape(z, [-1, *x.shape[1:-1], layer.units]) if x.shape.rank > 2 else z, (*residuals, x.shape), {}


def backward(layer, dz, residuals):
    *rows, shape = residuals
    dx, dkernel, dbias = dense_backward(_as_rows(dz), rows, bias_gradient=layer.use_bias)
    found = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    return tf.reshape(dx, [-1, *shape[1:]]) if shape.rank > 2 else dx, found


def _as_rows(tensor):
    return tensor if tensor.shape.rank == 2 else tf.reshape(tensor, [-1, tensor.shape[-1]])


def example_squares(layer, x, dz):
    """Returns each example's squared gradient norm, (B,) of each weight: ‖x‖² ‖dz‖² where an example is one row."""
    if x.shape.rank == 2:
        of_x, of_bias = _row_squares(x), _row_squares(dz)
        lost = lost_to_underflow(of_x[:, None], of_bias[:, None], x.shape[1], dz.shape[1])
        squares = {"kernel": of_x * of_bias + lost, "bias": of_bias}
    else:
        x, dz = (tf.reshape(a, [-1, math.prod(a.shape[1:-1]), a.shape[-1]]) for a in (x, dz))
        squares = {"kernel": product_squares(x, dz), "bias": sum_squares(dz)}
    return squares if layer.use_bias else {"kernel": squares["kernel"]}


def product_squares(x, dz):
    """Returns ‖Σ_t x[b, t] ⊗ dz[b, t]‖² of each example, (B,), for x (B, T, I) and dz (B, T, O)."""
    rows, inputs, outputs = x.shape[1], x.shape[2], dz.shape[2]
    if rows * rows < inputs * outputs:
        # rounding can make a sum of products negative
        return tf.maximum(squares_by_terms(x, dz), 0)
    return tf.reduce_sum(tf.square(tf.matmul(x, dz, transpose_a=True)), axis=[1, 2])


def squares_by_terms(x, dz):
    """Returns ‖Σ_t x_t ⊗ dz_t‖², (B, …), from x (B, …, T, I) and dz (B, …, T, O): by T × T products, not I × O."""
    # ‖xᵀ dz‖² = Σ (x xᵀ) (dz dzᵀ), elementwise
    of_x, of_dz = (tf.matmul(a, a, transpose_b=True) for a in (x, dz))
    each = [tf.linalg.diag_part(gram) for gram in (of_x, of_dz)]
    lost = rounding_of(tf.sqrt(each[0] * each[1])) + lost_to_underflow(*each, x.shape[-1], dz.shape[-1])
    return tf.reduce_sum(of_x * of_dz, axis=[-2, -1]) + lost


def lost_to_underflow(of_x, of_dz, inputs, outputs):
    """Returns what ‖Σ_t x_t ⊗ dz_t‖² may lack, (…), where squares vanish in float32; from ‖x_t‖² and ‖dz_t‖², (…, T).

    Numbers below 1e-19 have a square of 0. Beside an x of 1e18 their product may still exceed a bound, and the example
    is not clipped. What is below 1e-30 is left out: no bound is so small.
    """
    if of_x.dtype == tf.float64:
        return tf.zeros([], of_x.dtype)
    least = 2.0**-126
    of_x, of_dz = (tf.square(tf.reduce_sum(tf.sqrt(squares), axis=-1)) for squares in (of_x, of_dz))
    lost = of_x * (outputs * least) + of_dz * (inputs * least)
    return tf.where(lost > 1e-30, lost, 0)


def rounding_of(sizes):
    """Returns 4 u (Σ_t ‖g_t‖)², from the norms (…, T) of terms that may cancel: as much may ‖Σ_t g_t‖² lack.

    Without it the norm of large terms that nearly cancel may round to 0, and the example is not clipped.
    """
    roundoff = 2.0**-53 if sizes.dtype == tf.float64 else 2.0**-24
    return 4 * roundoff * tf.square(tf.reduce_sum(sizes, axis=-1))


def sum_squares(dz):
    """Returns ‖Σ_t dz[b, t]‖² of each example, (B,), for dz (B, T, O)."""
    return tf.reduce_sum(tf.square(tf.reduce_sum(dz, axis=1)), axis=1)


def example_moments(layer, x, dz):
    """Returns Σ_b g_b and Σ_b g_b², elementwise, of each weight."""
    if x.shape.rank > 2:
        x, dz = (tf.reshape(a, [-1, math.prod(a.shape[1:-1]), a.shape[-1]]) for a in (x, dz))
        each = {"kernel": tf.matmul(x, dz, transpose_a=True), "bias": tf.reduce_sum(dz, axis=1)}
        moments = {name: (tf.reduce_sum(g, axis=0), tf.reduce_sum(g * g, axis=0)) for name, g in each.items()}
    else:
        kernel = tf.matmul(x, dz, transpose_a=True), tf.matmul(x * x, dz * dz, transpose_a=True)
        moments = {"kernel": kernel, "bias": (tf.reduce_sum(dz, axis=0), tf.reduce_sum(dz * dz, axis=0))}
    names = ("kernel", "bias") if layer.use_bias else ("kernel",)
    return tuple({name: moments[name][i] for name in names} for i in (0, 1))


def _row_squares(a):
    """Returns the sum of squares of each row: (B, O) -> (B,)."""
    # about √O sums of about √O terms: vectorized, and with less rounding than one chain of O additions
    width = a.shape[1]
    lanes = max(n for n in range(1, math.isqrt(width) + 1) if width % n == 0)
    partial = tf.reduce_sum(tf.reshape(a * a, [-1, width // lanes, lanes]), axis=1)
    # abs changes nothing, but keeps XLA from joining the two sums into one chain
    return tf.reduce_sum(tf.abs(partial), axis=1)


KINDS = {"Dense": (forward, backward)}
PER_EXAMPLE = {"Dense": {"squares": example_squares, "moments": example_moments}}
