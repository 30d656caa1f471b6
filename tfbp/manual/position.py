"""Positions: a learned row added to each step, or a rotation of each step, each backward under its forward.

B batch, T steps, P positions with a row, I features; x and y (B, T, I), embeddings (P, I), cos and sin (T, I/2).
The first step has position `start`, a number or a tensor.
"""

import tensorflow as tf

from tfbp.manual.window import wide


def position_forward(x, embeddings, start=0):
    """Returns y[…, t, :] = x[…, t, :] + embeddings[start + t], and the residuals."""
    steps = tf.shape(x)[-2] if x.shape[-2] is None else x.shape[-2]
    rows = tf.slice(embeddings, [start, 0], [steps, embeddings.shape[1]])
    return x + rows, (start, steps, embeddings.shape[0])


def position_backward(dy, residuals, *, weight_gradients=True):
    """Returns dx, which is dy, and dembeddings (P, I), None where it is not requested."""
    start, steps, positions = residuals
    if not weight_gradients:
        return dy, None
    # y = x + rows                                        (B, T, I) <- (B, T, I) (T, I)
    drows = _sum_over_batch(dy)
    # rows = embeddings[start : start + T]                (T, I) <- (P, I)
    return dy, tf.pad(drows, [[start, positions - steps - start], [0, 0]])


def _sum_over_batch(dy):
    # 16-bit numbers are summed in float32
    return tf.cast(tf.reduce_sum(wide(dy), axis=list(range(dy.shape.rank - 2))), dy.dtype)


def rotary_forward(x, *, max_wavelength=10000, scaling_factor=1.0, start=0):
    """Returns y (B, T, …, I): the pairs (x[i], x[i + I/2]) of step t rotated by (start + t) · a_i, and cos, sin."""
    half, steps = x.shape[-1] // 2, tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
    # angles in float64: the error of position · a_i in a narrower type grows with the position
    rates = tf.pow(tf.constant(max_wavelength, tf.float64), -tf.range(half, dtype=tf.float64) / half)
    positions = tf.cast(tf.range(steps) + start, tf.float64) / scaling_factor
    angles = positions[:, None] * rates
    cos, sin = (_beside(tf.cast(turn(angles), x.dtype), x) for turn in (tf.cos, tf.sin))
    first, second = tf.split(x, 2, axis=-1)
    return tf.concat([first * cos - second * sin, second * cos + first * sin], axis=-1), (cos, sin)


def rotary_backward(dy, residuals):
    """Returns dx: dy rotated back by the same angles, because a rotation's transpose is its inverse."""
    cos, sin = residuals
    dy_first, dy_second = tf.split(dy, 2, axis=-1)
    # y = concat([first · cos - second · sin, second · cos + first · sin])
    return tf.concat([dy_first * cos + dy_second * sin, dy_second * cos - dy_first * sin], axis=-1)


def _beside(table, x):
    """(T, I/2) -> (T, 1, …, I/2), with 1 for the axes of x between time and features, such as heads."""
    between = x.shape.rank - 3
    return table[(slice(None), *[None] * between, slice(None))] if between else table


def _position_forward(layer, weights, x, *, training, seed):
    return *position_forward(x, weights["embeddings"]), {}


def _position_backward(layer, dz, residuals):
    dx, dembeddings = position_backward(dz, residuals)
    return dx, {"embeddings": dembeddings}


def _rotary_forward(layer, weights, x, *, training, seed):
    return *rotary_forward(x, **layer.arguments()), {}


def _rotary_backward(layer, dz, residuals):
    return rotary_backward(dz, residuals), {}


def _position_gradients(layer, x, dz):
    """Returns g_b of the table, (B, P, I): the rows beyond x's length are 0."""
    return {"embeddings": tf.pad(dz, [[0, 0], [0, layer.sequence_length - dz.shape[1]], [0, 0]])}


KINDS = {
    "PositionEmbedding": (_position_forward, _position_backward),
    "RotaryEmbedding": (_rotary_forward, _rotary_backward),
}
PER_EXAMPLE = {"PositionEmbedding": {"gradients": _position_gradients}}
