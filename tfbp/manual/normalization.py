"""Normalization of a batch, of a layer, by the root mean square and of groups of channels, backward under forward.

x, y (B, …, C), C channels; gamma, beta (C,) or None. N numbers share a mean and a variance: all of a channel (batch),
the `axes` of one sample (layer), or a group of channels of one sample (group). The residuals are x̂, the normalized x,
and 1/σ; dx is one expression. 16-bit inputs are computed in float32, and x̂ stays in float32.
"""

from functools import partial

import tensorflow as tf

from tfbp.manual.masked_normalization import masked_batch_normalization_backward, masked_batch_normalization_forward
from tfbp.manual.window import wide


def batch_normalization_forward(x, gamma, beta, moving_mean, moving_variance, *, training, momentum=0.99, epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, the residuals, and the new moving statistics.

    In training, mean and variance (over N, not N - 1) are the batch's; else they are the moving statistics, constants.

    Example:
        >>> x, one, zero = tf.constant([[1.0], [3.0]]), tf.ones(1), tf.zeros(1)
        >>> y, _, moved = batch_normalization_forward(x, one, zero, zero, one, training=True, momentum=0.5, epsilon=0.0)
        >>> y[:, 0].numpy().tolist(), [float(a[0]) for a in moved]
        ([-1.0, 1.0], [1.0, 1.0])
    """
    wide_x, axes = wide(x), list(range(x.shape.rank - 1))
    if training:
        normalized, inverse, mean, variance = _normalize(wide_x, axes, epsilon)
        moving_mean = _moved(moving_mean, mean, momentum)
        moving_variance = _moved(moving_variance, variance, momentum)
        y = _scaled(normalized, gamma, beta, x.dtype)
    else:
        mean, inverse = tf.cast(moving_mean, wide_x.dtype), tf.math.rsqrt(_as(moving_variance, wide_x) + epsilon)
        normalized = (wide_x - mean) * inverse
        # one product and one sum for each number: converters merge them into the convolution before
        factor = inverse if gamma is None else inverse * _as(gamma, inverse)
        shift = -mean * factor if beta is None else _as(beta, inverse) - mean * factor
        y = tf.cast(wide_x * factor + shift, x.dtype)
    return y, (normalized, inverse, gamma, beta, training), (moving_mean, moving_variance)


def batch_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    normalized, inverse, gamma, beta, training = residuals
    wide_dy, axes = wide(dy), list(range(dy.shape.rank - 1))
    # y = x̂ · gamma + beta                                  (B, …, C) <- (B, …, C) (C,) (C,)
    sum_dy, sum_dy_x = tf.reduce_sum(wide_dy, axes), tf.reduce_sum(wide_dy * normalized, axes)
    factor = inverse if gamma is None else inverse * _as(gamma, inverse)
    if training:
        # x̂ = (x - mean) / σ, of all N of a channel           (B, …, C) <- (B, …, C) (C,) (C,)
        n = tf.cast(tf.size(dy) // dy.shape[-1], inverse.dtype)
        dx = factor * (wide_dy - (sum_dy + normalized * sum_dy_x) / n)
    else:
        # x̂ = (x - mean) / σ, both constants
        dx = factor * wide_dy
    return tf.cast(dx, dy.dtype), *(None if w is None else _as(s, w) for w, s in ((gamma, sum_dy_x), (beta, sum_dy)))


def layer_normalization_forward(x, gamma=None, beta=None, *, axes=(-1,), epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, with statistics over `axes`, the last ones of x.

    Example:
        >>> layer_normalization_forward(tf.constant([[1.0, 3.0]]), epsilon=0.0)[0].numpy().tolist()
        [[-1.0, 1.0]]
    """
    normalized, inverse, _, _ = _normalize(wide(x), list(axes), epsilon)
    return _scaled(normalized, gamma, beta, x.dtype), (normalized, inverse, gamma, beta, axes)


def layer_normalization_backward(dy, residuals):
    """Returns dx, dgamma and dbeta, of the shapes of x, gamma and beta; None for a missing gamma or beta."""
    normalized, inverse, gamma, beta, axes = residuals
    wide_dy = wide(dy)
    # y = x̂ · gamma + beta                                  (B, …, C) <- (B, …, C) (C,) (C,)
    dnormalized, dgamma, dbeta = _scaled_backward(wide_dy, normalized, gamma, beta)
    # x̂ = (x - mean) / σ                                    (B, …, C) <- (B, …, C) (B, 1, …) (B, 1, …)
    dx = _normalize_backward(dnormalized, normalized, inverse, list(axes))
    return tf.cast(dx, dy.dtype), dgamma, dbeta


def rms_normalization_forward(x, scale=None, *, axes=(-1,), epsilon=1e-6):
    """Returns y = scale x / √(mean of x² + epsilon), with the mean over `axes`, the last ones of x.

    Example:
        >>> rms_normalization_forward(tf.constant([[1.0, -7.0]]))[0].numpy().round(3).tolist()
        [[0.20000000298023224, -1.399999976158142]]
    """
    wide_x = wide(x)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(wide_x), list(axes), keepdims=True) + epsilon)
    normalized = wide_x * inverse
    return _scaled(normalized, scale, None, x.dtype), (normalized, inverse, scale, axes)


def rms_normalization_backward(dy, residuals):
    """Returns dx and dscale, of the shapes of x and scale; None for a missing scale."""
    normalized, inverse, scale, axes = residuals
    # y = x̂ · scale                                         (B, …, C) <- (B, …, C) (C,)
    dnormalized, dscale, _ = _scaled_backward(wide(dy), normalized, scale, None)
    # x̂ = x / √(mean of x² + epsilon)                       (B, …, C) <- (B, …, C) (B, …, 1)
    along = tf.reduce_mean(dnormalized * normalized, list(axes), keepdims=True)
    dx = inverse * (dnormalized - normalized * along)
    return tf.cast(dx, dy.dtype), dscale


def group_normalization_forward(x, gamma=None, beta=None, *, groups=32, epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, with statistics over groups of C/G channels.

    Example:
        >>> x = tf.constant([[1.0, 3.0, 5.0, 5.0]])
        >>> group_normalization_forward(x, groups=2, epsilon=1e-9)[0].numpy().round(3).tolist()
        [[-1.0, 1.0, 0.0, 0.0]]
    """
    wide_x, pixels = wide(x), list(range(1, x.shape.rank - 1))
    # first over the pixels, then over a group's channels: the second sum has few terms
    mean = _mean_of_groups(tf.reduce_mean(wide_x, pixels, keepdims=True), groups)
    centred = wide_x - mean
    variance = _mean_of_groups(tf.reduce_mean(tf.square(centred), pixels, keepdims=True), groups)
    inverse = tf.math.rsqrt(variance + epsilon)
    normalized = centred * inverse
    return _scaled(normalized, gamma, beta, x.dtype), (normalized, inverse, gamma, beta, groups)


def group_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    normalized, inverse, gamma, beta, groups = residuals
    wide_dy, pixels = wide(dy), list(range(1, dy.shape.rank - 1))
    # y = x̂ · gamma + beta                                  (B, …, C) <- (B, …, C) (C,) (C,)
    # the sums over an image's pixels are used in dgamma and dbeta, and in dx's means over a group
    sum_dy = tf.reduce_sum(wide_dy, pixels, keepdims=True)
    sum_dy_x = tf.reduce_sum(wide_dy * normalized, pixels, keepdims=True)
    dgamma = None if gamma is None else _sum_to(gamma, sum_dy_x)
    dbeta = None if beta is None else _sum_to(beta, sum_dy)
    # x̂ = (x - mean) / σ, both of a group                    (B, …, C) <- (B, …, C) (B, 1, …, C) (B, 1, …, C)
    weight = tf.ones([], wide_dy.dtype) if gamma is None else _as(gamma, wide_dy)
    count = tf.cast(tf.reduce_prod(tf.shape(dy)[1:-1]), wide_dy.dtype)
    along_one = _mean_of_groups(weight * sum_dy / count, groups)
    along_x = _mean_of_groups(weight * sum_dy_x / count, groups)
    dx = inverse * (weight * wide_dy - along_one - normalized * along_x)
    return tf.cast(dx, dy.dtype), dgamma, dbeta


def _mean_of_groups(a, groups):
    """(B, 1, …, C) -> (B, 1, …, C): each channel has its group's mean."""
    channels = a.shape[-1]
    parts = tf.reshape(a, [-1, groups, channels // groups])
    mean = tf.reduce_mean(parts, axis=-1, keepdims=True)
    return tf.reshape(tf.broadcast_to(mean, tf.shape(parts)), [-1, *[1] * (a.shape.rank - 2), channels])


def _normalize(x, axes, epsilon):
    """Returns x̂, 1/σ, mean and variance; the last three have size 1 along `axes`, or lack the shared axes."""
    keepdims = 0 not in axes
    mean = tf.reduce_mean(x, axes, keepdims=keepdims)
    centred = x - mean
    # the variance of x - mean, not Σ x² / N - mean², which cancels
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=keepdims)
    inverse = tf.math.rsqrt(variance + epsilon)
    return centred * inverse, inverse, mean, variance


def _normalize_backward(dnormalized, normalized, inverse, axes):
    # x̂ = (x - mean(x)) / σ(x): the parts of dx̂ along 1 and along x̂ are 0, because x̂ cannot move there
    along_one = tf.reduce_mean(dnormalized, axes, keepdims=True)
    along_x = tf.reduce_mean(dnormalized * normalized, axes, keepdims=True)
    return inverse * (dnormalized - along_one - normalized * along_x)


def _scaled(normalized, gamma, beta, dtype):
    y = normalized if gamma is None else normalized * _as(gamma, normalized)
    return tf.cast(y if beta is None else y + _as(beta, normalized), dtype)


def _scaled_backward(dy, normalized, gamma, beta):
    # y = x̂ · gamma + beta                                  (B, …, C) <- (B, …, C) (C,) (C,)
    dgamma = None if gamma is None else _sum_to(gamma, dy * normalized)
    dbeta = None if beta is None else _sum_to(beta, dy)
    return dy if gamma is None else dy * _as(gamma, dy), dgamma, dbeta


def _sum_to(weight, terms):
    return _as(tf.reduce_sum(terms, list(range(terms.shape.rank - weight.shape.rank))), weight)


def _moved(moving, now, momentum):
    return moving * momentum + _as(now, moving) * (1 - momentum)


def _as(a, like):
    return tf.cast(a, like.dtype)


def _batch(layer, weights, x, *, training, seed):
    x, beside = layer.apart(x)
    options = dict(momentum=layer.momentum, epsilon=layer.epsilon)
    given = (weights.get("gamma"), weights.get("beta"), weights["moving_mean"], weights["moving_variance"])
    if beside and training:
        y, residuals, moved = masked_batch_normalization_forward(x, beside["mask"], *given, **options)
    else:
        y, residuals, moved = batch_normalization_forward(x, *given, training=training, **options)
    residuals = bool(beside and training), residuals
    return y, residuals, dict(zip(layer.without_gradient, moved, strict=True)) if training else {}


def _batch_backward(layer, dz, residuals):
    is_masked, inner = residuals
    backward = masked_batch_normalization_backward if is_masked else batch_normalization_backward
    dx, dweights = _backward(backward, _NAMES, layer, dz, inner)
    return layer.in_order(dx, {}), dweights


def _layer(layer, weights, x, *, training, seed):
    return *layer_normalization_forward(x, weights.get("gamma"), weights.get("beta"), epsilon=layer.epsilon), {}


def _rms(layer, weights, x, *, training, seed):
    return *rms_normalization_forward(x, weights["scale"], epsilon=layer.epsilon), {}


def _group(layer, weights, x, *, training, seed):
    options = dict(groups=_groups(layer, x), epsilon=layer.epsilon)
    return *group_normalization_forward(x, weights.get("gamma"), weights.get("beta"), **options), {}


def _groups(layer, x):
    return x.shape[-1] if layer.groups == -1 else layer.groups


def _backward(function, names, layer, dz, residuals):
    dx, *dweights = function(dz, residuals)
    return dx, {name: dw for name, dw in zip(names, dweights, strict=True) if dw is not None}


def _layer_gradients(layer, x, dz):
    return _own_terms(layer, layer_normalization_forward(x, epsilon=layer.epsilon)[0], dz)


def _rms_gradients(layer, x, dz):
    return _own_terms(layer, rms_normalization_forward(x, epsilon=layer.epsilon)[0], dz)


def _group_gradients(layer, x, dz):
    normalized = group_normalization_forward(x, groups=_groups(layer, x), epsilon=layer.epsilon)[0]
    return _own_terms(layer, normalized, dz)


def _own_terms(layer, normalized, dz):
    """Returns each example's gradient, (B, C) of each weight: its own terms of Σ dy x̂ and Σ dy."""
    places, found = list(range(1, dz.shape.rank - 1)), {}
    for name in layer.weight_shapes(dz.shape[1:]):
        found[name] = tf.reduce_sum(dz if name == "beta" else dz * normalized, places)
    return found


_NAMES = ("gamma", "beta")
KINDS = {
    "BatchNormalization": (_batch, _batch_backward),
    "LayerNormalization": (_layer, partial(_backward, layer_normalization_backward, _NAMES)),
    "RMSNormalization": (_rms, partial(_backward, rms_normalization_backward, ("scale",))),
    "GroupNormalization": (_group, partial(_backward, group_normalization_backward, _NAMES)),
}
PER_EXAMPLE = {
    "LayerNormalization": {"gradients": _layer_gradients},
    "RMSNormalization": {"gradients": _rms_gradients},
    "GroupNormalization": {"gradients": _group_gradients},
}
