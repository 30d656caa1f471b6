"""Normalization of a batch by the statistics of what a mask shows, backward under forward.

x, y (B, …, C), C channels; mask (B, …); gamma, beta (C,) or None. Σ is over all axes but the channels. The residuals
are x̂, the normalized x, and 1/σ; dx is one expression. 16-bit inputs are computed in float32.
"""

import tensorflow as tf

from tfbp.manual.window import wide

# Keras adds it to the number of what a mask shows
MORE = 1e-7


def masked_batch_normalization_forward(x, mask, gamma, beta, moving_mean, moving_variance, *, momentum, epsilon):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, the residuals, and the new moving statistics.

        mean = Σ mask x / (n + 1e-7),  variance = Σ mask (x - mean)² / (n + 1e-7),  n = Σ mask

    Example:
        >>> x, mask, zero, one = tf.constant([[[1.0], [3.0], [9.0]]]), tf.constant([[1, 1, 0]]), tf.zeros(1), tf.ones(1)
        >>> options = {"momentum": 0.5, "epsilon": 0.0}
        >>> masked_batch_normalization_forward(x, mask, None, None, zero, one, **options)[0].numpy().ravel().tolist()
        [-1.0, 1.0, 7.0]
    """
    wide_x, axes, shown = wide(x), list(range(x.shape.rank - 1)), (mask != 0)[..., None]
    n = tf.reduce_sum(tf.cast(shown, wide_x.dtype)) + MORE
    mean = tf.reduce_sum(tf.where(shown, wide_x, 0), axes) / n
    centered = wide_x - mean
    variance = tf.reduce_sum(tf.where(shown, tf.square(centered), 0), axes) / n
    inverse = tf.math.rsqrt(variance + epsilon)
    normalized = centered * inverse
    moved = tuple(
        old * momentum + tf.cast(new, old.dtype) * (1 - momentum)
        for old, new in ((moving_mean, mean), (moving_variance, variance))
    )
    y = normalized if gamma is None else normalized * tf.cast(gamma, normalized.dtype)
    y = y if beta is None else y + tf.cast(beta, y.dtype)
    return tf.cast(y, x.dtype), (normalized, inverse, mean, gamma, beta, shown, n), moved


def masked_batch_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    normalized, inverse, mean, gamma, beta, shown, n = residuals
    wide_dy, axes = wide(dy), list(range(dy.shape.rank - 1))
    # y = x̂ · gamma + beta                                  (B, …, C) <- (B, …, C) (C,) (C,)
    sum_dy, sum_dy_x = tf.reduce_sum(wide_dy, axes), tf.reduce_sum(wide_dy * normalized, axes)
    factor = inverse if gamma is None else inverse * tf.cast(gamma, inverse.dtype)
    # x̂ = (x - mean) / σ; mean and variance are of the n that are shown, whose Σ x̂ is 1e-7 mean / σ
    of_mean = sum_dy - sum_dy_x * MORE * mean * inverse / n
    dx = factor * (wide_dy - tf.where(shown, (of_mean + normalized * sum_dy_x) / n, 0))
    dgamma = None if gamma is None else tf.cast(sum_dy_x, gamma.dtype)
    return tf.cast(dx, dy.dtype), dgamma, None if beta is None else tf.cast(sum_dy, beta.dtype)
