"""Masks: 1 and 0 for each step. They have no gradient. x of any shape, tokens or numbers."""

import numpy as np


def not_equal_forward(layer, weights, x, *, training, seed):
    return np.asarray(x != layer.value, float), None, {}


def any_forward(layer, weights, x, *, training, seed):
    return np.asarray((x != 0).any(axis=layer.axis, keepdims=layer.keepdims), float), None, {}


def or_forward(layer, weights, x, *, training, seed):
    return np.asarray((x[0] != 0) | (x[1] != 0), float), None, {}


def backward(layer, dz, residuals):
    return (None, None) if layer.takes_several else None, {}


def masked_weights(weight, mask):
    """Returns the weights of a masked loss, (B, …), so that 1/N Σ weights · losses is the mean over the shown rows.

        Σ weight · mask · losses / Σ mask, and 0 without a shown row

    Args:
        weight: the sample weights, or None. mask: 1 and 0, (B, …)."""
    shown = mask != 0
    of_shown = mask.size / shown.sum() if shown.any() else 0.0
    weights = np.where(shown, of_shown, 0.0)
    return weights if weight is None else weight * weights


KINDS = {"NotEqual": (not_equal_forward, backward), "Any": (any_forward, backward), "LogicalOr": (or_forward, backward)}
