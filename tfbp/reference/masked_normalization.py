"""Normalization of a batch by the statistics of what a mask shows, and its gradients.

x, y (B, …, C), C channels; mask (B, …); gamma, beta (C,) or None. Σ is over all axes but the channels.
"""

import numpy as np

# Keras adds it to the number of what a mask shows
MORE = 1e-7


def masked_batch_normalization_forward(x, mask, gamma, beta, moving_mean, moving_variance, *, momentum, epsilon):
    """Returns y = gamma (x - mean) / √(variance + epsilon) + beta, the residuals, and the new moving statistics.

    mean = Σ mask x / (n + 1e-7),  variance = Σ mask (x - mean)² / (n + 1e-7),  n = Σ mask
    """
    axes, shown = tuple(range(x.ndim - 1)), (mask != 0)[..., None]
    n = shown.sum() + MORE
    mean = np.where(shown, x, 0).sum(axis=axes) / n
    variance = np.where(shown, (x - mean) ** 2, 0).sum(axis=axes) / n
    moved = momentum * moving_mean + (1 - momentum) * mean, momentum * moving_variance + (1 - momentum) * variance
    y = (x - mean) / np.sqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta, (x, shown, gamma, beta, mean, variance, n, epsilon), moved


def masked_batch_normalization_backward(dy, residuals):
    """Returns dx (B, …, C), dgamma and dbeta (C,); None for a missing gamma or beta."""
    x, shown, gamma, beta, mean, variance, n, epsilon = residuals
    axes = tuple(range(x.ndim - 1))
    # y = normalized · gamma + beta                           (B, …, C) <- (B, …, C) (C,) (C,)
    dbeta = None if beta is None else dy.sum(axis=axes)
    dgamma = None if gamma is None else (dy * (x - mean) / np.sqrt(variance + epsilon)).sum(axis=axes)
    dnormalized = dy if gamma is None else dy * gamma
    # normalized = (x - mean) (variance + epsilon)^-½
    dvariance = (dnormalized * (x - mean)).sum(axis=axes) * -0.5 * (variance + epsilon) ** -1.5
    dmean = -dnormalized.sum(axis=axes) / np.sqrt(variance + epsilon)
    # variance = Σ mask (x - mean)² / n
    dmean = dmean - 2 * dvariance * np.where(shown, x - mean, 0).sum(axis=axes) / n
    dx_of_shown = dvariance * 2 * (x - mean) / n
    # mean = Σ mask x / n
    dx_of_shown = dx_of_shown + dmean / n
    return dnormalized / np.sqrt(variance + epsilon) + np.where(shown, dx_of_shown, 0), dgamma, dbeta
