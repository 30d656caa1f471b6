"""The penalty on a weight w of any shape, l1 * Σ|w| + l2 * Σw², and its gradient."""

import numpy as np


def penalty_forward(regularizer, w):
    absolute = np.where(w.real >= 0, w, -w)
    return regularizer.l1 * absolute.sum() + regularizer.l2 * (w**2).sum(), w


def penalty_backward(regularizer, w):
    """The derivative of |w| at 0 is 0."""
    return regularizer.l1 * np.sign(w) + 2 * regularizer.l2 * w
