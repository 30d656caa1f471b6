"""Normalization of a batch, a layer, by the root mean square and of groups of channels, forward only.

x, y (B, …, C), C channels; gamma, beta (C,) or None. tf.GradientTape differentiates. 16-bit inputs are computed in
float32, as in Keras.
"""

import tensorflow as tf

from tfbp.tape.masked_normalization import masked_batch_normalization_forward


def batch_normalization_forward(x, gamma, beta, moving_mean, moving_variance, *, training, momentum=0.99, epsilon=1e-3):
    """Returns y, and the new moving statistics."""
    wide = _wide(x)
    if training:
        mean, variance = tf.nn.moments(wide, list(range(x.shape.rank - 1)))
        moving_mean = _moved(moving_mean, mean, momentum)
        moving_variance = _moved(moving_variance, variance, momentum)
    else:
        mean, variance = (tf.stop_gradient(tf.cast(a, wide.dtype)) for a in (moving_mean, moving_variance))
    return _normalized(wide, mean, variance, gamma, beta, epsilon, x.dtype), (moving_mean, moving_variance)


def layer_normalization_forward(x, gamma=None, beta=None, *, axes=(-1,), epsilon=1e-3):
    wide = _wide(x)
    mean, variance = tf.nn.moments(wide, list(axes), keepdims=True)
    return _normalized(wide, mean, variance, gamma, beta, epsilon, x.dtype)


def rms_normalization_forward(x, scale=None, *, axes=(-1,), epsilon=1e-6):
    wide = _wide(x)
    y = wide * tf.math.rsqrt(tf.reduce_mean(tf.square(wide), list(axes), keepdims=True) + epsilon)
    return tf.cast(y if scale is None else y * tf.cast(scale, y.dtype), x.dtype)


def group_normalization_forward(x, gamma=None, beta=None, *, groups=32, epsilon=1e-3):
    shape = tf.shape(x)
    parts = tf.reshape(x, tf.concat([shape[:-1], [groups, x.shape[-1] // groups]], axis=0))
    rank = x.shape.rank + 1
    wide = _wide(parts)
    mean, variance = tf.nn.moments(wide, [*range(1, rank - 2), rank - 1], keepdims=True)
    y = tf.reshape((wide - mean) * tf.math.rsqrt(variance + epsilon), shape)
    y = y if gamma is None else y * tf.cast(gamma, y.dtype)
    return tf.cast(y if beta is None else y + tf.cast(beta, y.dtype), x.dtype)


def _normalized(x, mean, variance, gamma, beta, epsilon, dtype):
    gamma, beta = (a if a is None else tf.cast(a, x.dtype) for a in (gamma, beta))
    return tf.cast(tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon), dtype)


def _moved(moving, now, momentum):
    return moving * momentum + tf.cast(tf.stop_gradient(now), moving.dtype) * (1 - momentum)


def _wide(x):
    return tf.cast(x, tf.float32) if x.dtype.size == 2 else x


def _batch(layer, weights, x, *, training, seed):
    x, beside = layer.apart(x)
    options = dict(momentum=layer.momentum, epsilon=layer.epsilon)
    given = (weights.get("gamma"), weights.get("beta"), weights["moving_mean"], weights["moving_variance"])
    if beside and training:
        y, moved = masked_batch_normalization_forward(x, beside["mask"], *given, **options)
    else:
        y, moved = batch_normalization_forward(x, *given, training=training, **options)
    return y, dict(zip(layer.without_gradient, moved, strict=True)) if training else {}


def _layer(layer, weights, x, *, training, seed):
    return layer_normalization_forward(x, weights.get("gamma"), weights.get("beta"), epsilon=layer.epsilon), {}


def _rms(layer, weights, x, *, training, seed):
    return rms_normalization_forward(x, weights["scale"], epsilon=layer.epsilon), {}


def _group(layer, weights, x, *, training, seed):
    options = dict(groups=_groups(layer, x), epsilon=layer.epsilon)
    return group_normalization_forward(x, weights.get("gamma"), weights.get("beta"), **options), {}


def _groups(layer, x):
    return x.shape[-1] if layer.groups == -1 else layer.groups


KINDS = {
    "BatchNormalization": _batch,
    "LayerNormalization": _layer,
    "RMSNormalization": _rms,
    "GroupNormalization": _group,
}
