"""Normalization of a batch, a layer, by the root mean square and of groups of channels, with their gradients.

x, y (B, …, C), C channels; gamma, beta (C,) or None. N numbers share a mean and a variance: all of a channel (batch),
the `axes` of one sample (layer), or a group of channels of one sample (group).
"""

from functools import partial

import numpy as np

from tfbp.reference.masked_normalization import (
    masked_batch_normalization_backward,
    masked_batch_normalization_forward,
)


def batch_normalization_forward(x, gamma, beta, moving_mean, moving_variance, *, training, momentum=0.99, epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, the residuals, and the new moving statistics.

    In training, mean and variance (over N, not N - 1) are the batch's; else they are the moving statistics, constants.
    """
    axes = tuple(range(x.ndim - 1))
    if training:
        mean = x.mean(axis=axes)
        variance = ((x - mean) ** 2).mean(axis=axes)
        moving_mean = momentum * moving_mean + (1 - momentum) * mean
        moving_variance = momentum * moving_variance + (1 - momentum) * variance
    else:
        mean, variance = moving_mean, moving_variance
    y = _scaled((x - mean) / np.sqrt(variance + epsilon), gamma, beta)
    return y, (x, gamma, beta, mean, variance, epsilon, training), (moving_mean, moving_variance)


def batch_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    x, gamma, beta, mean, variance, epsilon, training = residuals
    axes = tuple(range(x.ndim - 1))
    dnormalized, dgamma, dbeta = _scaled_backward(dy, (x - mean) / np.sqrt(variance + epsilon), gamma, beta)
    if not training:
        # normalized = (x - mean) / √(variance + epsilon)   (B, …, C) <- (B, …, C), constants
        return dnormalized / np.sqrt(variance + epsilon), dgamma, dbeta
    return _normalized_backward(dnormalized, x, axes, epsilon), dgamma, dbeta


def layer_normalization_forward(x, gamma=None, beta=None, *, axes=(-1,), epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, with statistics over `axes`, the last ones of x."""
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    return _scaled((x - mean) / np.sqrt(variance + epsilon), gamma, beta), (x, gamma, beta, axes, epsilon)


def layer_normalization_backward(dy, residuals):
    """Returns dx, dgamma and dbeta, of the shapes of x, gamma and beta; None for a missing gamma or beta."""
    x, gamma, beta, axes, epsilon = residuals
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    dnormalized, dgamma, dbeta = _scaled_backward(dy, (x - mean) / np.sqrt(variance + epsilon), gamma, beta)
    return _normalized_backward(dnormalized, x, axes, epsilon), dgamma, dbeta


def rms_normalization_forward(x, scale=None, *, axes=(-1,), epsilon=1e-6):
    """Returns y = scale x / √(mean of x² + epsilon), with the mean over `axes`, the last ones of x."""
    square = (x**2).mean(axis=axes, keepdims=True)
    return _scaled(x / np.sqrt(square + epsilon), scale, None), (x, scale, axes, epsilon)


def rms_normalization_backward(dy, residuals):
    """Returns dx and dscale, of the shapes of x and scale; None for a missing scale."""
    x, scale, axes, epsilon = residuals
    square = (x**2).mean(axis=axes, keepdims=True)
    dnormalized, dscale, _ = _scaled_backward(dy, x / np.sqrt(square + epsilon), scale, None)
    # normalized = x (square + epsilon)^-½
    dsquare = (dnormalized * x).sum(axis=axes, keepdims=True) * -0.5 * (square + epsilon) ** -1.5
    # square = Σ x² / N
    return dnormalized * (square + epsilon) ** -0.5 + dsquare * 2 * x / (x.size / square.size), dscale


def group_normalization_forward(x, gamma=None, beta=None, *, groups=32, epsilon=1e-3):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, with statistics over `groups` groups of channels."""
    parts = x.reshape(*x.shape[:-1], groups, -1)
    normalized, residuals = layer_normalization_forward(parts, axes=_axes_of_a_group(parts), epsilon=epsilon)
    return _scaled(normalized.reshape(x.shape), gamma, beta), (normalized, gamma, beta, residuals)


def group_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    normalized, gamma, beta, inner = residuals
    dnormalized, dgamma, dbeta = _scaled_backward(dy, normalized.reshape(dy.shape), gamma, beta)
    dparts, _, _ = layer_normalization_backward(dnormalized.reshape(normalized.shape), inner)
    # parts = x.reshape(…)                                  (B, …, G, C/G) <- (B, …, C)
    return dparts.reshape(dy.shape), dgamma, dbeta


def _axes_of_a_group(parts):
    return (*range(1, parts.ndim - 2), parts.ndim - 1)


def _normalized_backward(dnormalized, x, axes, epsilon):
    """Returns dx through variance and mean, one after the other, as in https://arxiv.org/abs/1502.03167."""
    mean = x.mean(axis=axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axes, keepdims=True)
    n = x.size / mean.size
    # normalized = (x - mean) (variance + epsilon)^-½
    dvariance = (dnormalized * (x - mean)).sum(axis=axes, keepdims=True) * -0.5 * (variance + epsilon) ** -1.5
    dmean = -dnormalized.sum(axis=axes, keepdims=True) / np.sqrt(variance + epsilon)
    # variance = Σ (x - mean)² / N, with dmean 0 because Σ (x - mean) = 0;  mean = Σ x / N
    return dnormalized / np.sqrt(variance + epsilon) + dvariance * 2 * (x - mean) / n + dmean / n


def _scaled(normalized, gamma, beta):
    y = normalized if gamma is None else normalized * gamma
    return y if beta is None else y + beta


def _scaled_backward(dy, normalized, gamma, beta):
    # y = normalized · gamma + beta                         (B, …, C) <- (B, …, C) (C,) (C,)
    dbeta = None if beta is None else _sum_to(beta, dy)
    dgamma = None if gamma is None else _sum_to(gamma, dy * normalized)
    return dy if gamma is None else dy * gamma, dgamma, dbeta


def _sum_to(weight, terms):
    return terms.sum(axis=tuple(range(terms.ndim - weight.ndim)))


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


_NAMES = ("gamma", "beta")
KINDS = {
    "BatchNormalization": (_batch, _batch_backward),
    "LayerNormalization": (_layer, partial(_backward, layer_normalization_backward, _NAMES)),
    "RMSNormalization": (_rms, partial(_backward, rms_normalization_backward, ("scale",))),
    "GroupNormalization": (_group, partial(_backward, group_normalization_backward, _NAMES)),
}
