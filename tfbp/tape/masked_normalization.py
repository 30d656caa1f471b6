"""Normalization of a batch by the statistics of what a mask shows, forward only.

x, y (B, …, C), C channels; mask (B, …); gamma, beta (C,) or None. 16-bit inputs are computed in float32, as in Keras.
"""

import tensorflow as tf


def masked_batch_normalization_forward(x, mask, gamma, beta, moving_mean, moving_variance, *, momentum, epsilon):
    """Returns y, and the new moving statistics."""
    wide = tf.cast(x, tf.float32) if x.dtype.size == 2 else x
    axes, shown = list(range(x.shape.rank - 1)), tf.stop_gradient(tf.cast(mask, tf.bool))[..., tf.newaxis]
    # what Keras adds to the number of what a mask shows
    count = tf.cast(tf.math.count_nonzero(shown), wide.dtype) + 1e-7
    mean = tf.reduce_sum(tf.where(shown, wide, tf.zeros_like(wide)), axes) / count
    off = tf.where(shown, wide - mean, tf.zeros_like(wide))
    variance = tf.reduce_sum(off * off, axes) / count
    moved = tuple(
        moving * momentum + tf.cast(tf.stop_gradient(now), moving.dtype) * (1 - momentum)
        for moving, now in ((moving_mean, mean), (moving_variance, variance))
    )
    gamma, beta = (a if a is None else tf.cast(a, wide.dtype) for a in (gamma, beta))
    return tf.cast(tf.nn.batch_normalization(wide, mean, variance, beta, gamma, epsilon), x.dtype), moved
