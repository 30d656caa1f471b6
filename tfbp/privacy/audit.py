"""Computes a lower bound of ε from one run, with canaries: artificial examples, half of them left out at random.

Each canary is in the training data with probability ½. After training, a score guesses which canaries were in. Of r
guesses, an (ε, δ)-private mechanism lets at most a Binomial(r, e^ε / (1 + e^ε)) be right, plus a term for δ. The bound
is the smallest ε at which the number of right guesses is likely enough.

m canaries, r guesses, v of them right.
Reference: Steinke, Nasr and Jagielski, Privacy auditing with one (1) training run (2023),
https://arxiv.org/abs/2305.08846

"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import scipy.stats

from tfbp.errors import InputError


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        lower_bound: ε is at least this, with the confidence.
        epsilon: the ε that the run itself reports.
        guesses, right: the numbers of guesses, and of right ones.
    """

    lower_bound: float
    confidence: float
    epsilon: float
    delta: float
    guesses: int
    right: int

    @property
    def contradicts(self) -> bool:
        """Whether the bound is above the ε that the run reports."""
        return self.lower_bound > self.epsilon


def lower_bound(canaries: int, guesses: int, right: int, delta: float, confidence: float = 0.95) -> float:
    """Returns the largest refuted ε: at a smaller one, so many right guesses are less likely than 1 - confidence.

    Example:
        >>> round(lower_bound(100, 20, 20, 0.0), 2), lower_bound(100, 20, 10, 0.0)
        (1.82, 0.0)
    """
    low, high = 0.0, 50.0
    if _likelihood(canaries, guesses, right, 0.0, delta) > 1 - confidence:
        return 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        refuted = _likelihood(canaries, guesses, right, middle, delta) <= 1 - confidence
        low, high = (middle, high) if refuted else (low, middle)
    return low


def _likelihood(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Returns an upper bound of the probability of so many right guesses: theorem 5.2 of the paper."""
    if guesses == 0:
        return 1.0
    binomial = scipy.stats.binom(guesses, 1 / (1 + np.exp(-epsilon)))
    # β = P(V >= v), and α = max over i of P(v > V >= v - i) / i
    beta = float(binomial.sf(right - 1))
    steps = np.arange(1, right + 1)
    between = binomial.cdf(right - 1) - binomial.cdf(right - steps - 1)
    alpha = float(np.max(between / steps)) if right else 0.0
    return min(beta + alpha * delta * 2 * canaries, 1.0)


def audit(
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    privacy: Any,
    *,
    canaries: int = 200,
    share: float = 0.25,
    confidence: float = 0.95,
    seed: int = 0,
    **options: Any,
) -> Audit:
    """Trains with canaries, half of them left out at random, and bounds ε from below by the right guesses.

    A canary is an example of noise with a random label, unlike the data, so that its gradient is unusual. Its score is
    the decrease of its loss: the largest are guessed to be in, the smallest to be out.

    Args:
        model: compiled; its loss is computed for single examples before and after.
        x, y: arrays of N samples.
        privacy: a `tfbp.Privacy`.
        canaries: the number of canaries; about half of them are trained on.
        share: the share of the canaries that is guessed at either end.
        options: of `tfbp.fit`.

    Raises:
        InputError: too few canaries for a result, or a confidence outside of 0 to 1.

    Reference: Steinke, Nasr and Jagielski (2023), https://arxiv.org/abs/2305.08846
    """
    from tfbp.fitting.api import fit

    if not 0 < confidence < 1:
        raise InputError(f"confidence: got {confidence!r}; accepted: a number between 0 and 1.")
    guesses_an_end = int(canaries * share)
    if guesses_an_end < 1:
        raise InputError(
            f"canaries: got {canaries} with a share of {share:g}; accepted: at least {int(1 / share) + 1}."
        )
    rng = np.random.default_rng(seed)
    made_x, made_y = canaries_like(x, y, canaries, rng)
    is_in = rng.random(canaries) < 0.5
    before = scores_of(model, made_x, made_y)
    history = fit(
        model,
        np.concatenate([x, made_x[is_in]]),
        np.concatenate([y, made_y[is_in]]),
        privacy=privacy,
        **options,
    )
    fallen = before - scores_of(model, made_x, made_y)
    order = np.argsort(fallen)
    right = int(np.sum(is_in[order[-guesses_an_end:]]) + np.sum(~is_in[order[:guesses_an_end]]))
    account = history.privacy
    bound = lower_bound(canaries, 2 * guesses_an_end, right, account["delta"], confidence)
    return Audit(bound, confidence, account["epsilon"], account["delta"], 2 * guesses_an_end, right)


def canaries_like(x: np.ndarray, y: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns examples of noise with the data's scale, and labels drawn from the data's labels."""
    if x.dtype.kind in "iu":
        canaries = rng.integers(x.min(), x.max() + 1, (count, *x.shape[1:])).astype(x.dtype)
    else:
        canaries = (x.mean() + 2 * x.std() * rng.normal(size=(count, *x.shape[1:]))).astype(x.dtype)
    return canaries, y[rng.integers(0, len(y), count)]


def scores_of(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the loss of each single example."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def losses(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        def one(row: Any) -> tf.Tensor:
            x, y = (item[None] for item in row)
            return model._compute_loss(x=x, y=y, y_pred=model(x, training=False), training=False)

        return tf.map_fn(one, (x, y), fn_output_signature=tf.as_dtype(keras.config.floatx()))

    return losses(tf.convert_to_tensor(x), tf.convert_to_tensor(y)).numpy()
