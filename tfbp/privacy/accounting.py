"""From what was run to ε, by dp-accounting; and from ε to the noise that it takes.

Poisson sampling at rate q with noise σ is the subsampled Gaussian mechanism, composed a step at a time. A shuffled
epoch shows each example once: its steps together are one Gaussian mechanism, without any amplification by sampling.
The central limit of Gaussian DP is not offered: it underestimates.

Reference: https://github.com/google/differential-privacy/tree/main/python/dp_accounting
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from tfbp.errors import InputError
from tfbp.privacy.ledger import Stretch

ACCOUNTANTS = ("pld", "rdp")
# the noise is found to this share of itself, rounded up
TOLERANCE = 1e-4
MOST_NOISE = 1e6


def check_installed() -> None:
    """Raise `InputError` unless dp-accounting is there."""
    if importlib.util.find_spec("dp_accounting") is None:
        raise InputError("privacy: got no dp-accounting; accepted: it installed, by pip install dp-accounting.")


def epsilon_of(stretches: Sequence[Stretch], delta: float, accountant: str) -> float:
    """ε at δ of all steps in these stretches together."""
    return _epsilon(tuple(_event(each) for each in stretches if each.steps), delta, accountant)


def noise_for(epsilon: float, delta: float, accountant: str, spent: Sequence[Stretch], planned: Stretch) -> float:
    """The smallest σ, to a share of TOLERANCE and rounded up, with which the planned steps stay within ε.

    Raises:
        InputError: no σ does, for what was spent before or for δ.
    """

    def needed(noise: float) -> float:
        return epsilon_of([*spent, planned.with_noise(noise)], delta, accountant)

    before = epsilon_of(spent, delta, accountant) if any(each.steps for each in spent) else 0.0
    # what is left of a budget that was meant to be spent would take a noise that leaves nothing to learn
    if before >= epsilon * (1 - 10 * TOLERANCE):
        raise InputError(
            f"epsilon: got {epsilon:g}, of which {before:.4g} are spent already; accepted: a budget above that, for a "
            "step more would go beyond it."
        )
    # RDP takes a hundredth of the time, and says a little more: an upper bound of the noise to begin with
    high = 1.0
    while epsilon_of([*spent, planned.with_noise(high)], delta, "rdp") > epsilon and high <= MOST_NOISE:
        high *= 1.5
    while (above := needed(high)) > epsilon:
        high *= 2
        if high > MOST_NOISE:
            raise InputError(
                f"epsilon: got {epsilon:g}, which would take a noise above σ = {MOST_NOISE:g} in {planned.steps} steps "
                f"at a rate of {planned.rate:.4g}; accepted: a larger epsilon, or fewer steps."
            )
    low = high / 1.5
    while (below := needed(low)) <= epsilon and low > 1e-3:
        low, high, above = low / 1.5, low, below
    return _smallest(needed, epsilon, (low, below), (high, above))


def _smallest(
    needed: Callable[[float], float], epsilon: float, low: tuple[float, float], high: tuple[float, float]
) -> float:
    """The smallest σ with needed(σ) <= ε to a share of TOLERANCE, from (σ, needed(σ)) below and above it.

    A straight line between the logarithms says where it is, and a look just beside that ends the search."""
    while high[0] - low[0] > TOLERANCE * high[0]:
        lines = [math.log(value) for value in (*low, *high)]
        share = (math.log(epsilon) - lines[1]) / (lines[3] - lines[1]) if lines[3] != lines[1] else 0.5
        guess = math.exp(lines[0] + min(max(share, 0.01), 0.99) * (lines[2] - lines[0]))
        for noise in (guess, guess * (1 + 0.8 * TOLERANCE), guess * (1 - 0.8 * TOLERANCE)):
            if low[0] < noise < high[0]:
                found = needed(noise)
                low, high = (low, (noise, found)) if found <= epsilon else ((noise, found), high)
    return high[0]


def steps_within(epsilon: float, delta: float, accountant: str, spent: Sequence[Stretch], planned: Stretch) -> int:
    """How many of the planned steps stay within ε, from the first on."""

    def fits(steps: int) -> bool:
        return epsilon_of([*spent, planned.with_steps(steps)], delta, accountant) <= epsilon

    if fits(planned.steps):
        return planned.steps
    low, high = 0, planned.steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _event(stretch: Stretch) -> tuple[str, float, float, int]:
    """What a stretch is to an accountant: its kind, rate, noise, and how often it is composed."""
    if stretch.sampling == "shuffle":
        # an example is in one step of each epoch that was begun
        return "gaussian", 1.0, stretch.noise, math.ceil(stretch.steps / stretch.an_epoch)
    if stretch.rate == 1:
        return "gaussian", 1.0, stretch.noise, stretch.steps
    return "poisson", stretch.rate, stretch.noise, stretch.steps


@functools.lru_cache(maxsize=4096)
def _epsilon(events: tuple[tuple[str, float, float, int], ...], delta: float, accountant: str) -> float:
    import dp_accounting
    from dp_accounting import pld, rdp

    if not events:
        return 0.0
    used: Any = pld.PLDAccountant() if accountant == "pld" else rdp.RdpAccountant()
    for kind, rate, noise, count in events:
        event: Any = dp_accounting.GaussianDpEvent(noise)
        if kind == "poisson":
            event = dp_accounting.PoissonSampledDpEvent(rate, event)
        with _quiet():
            used.compose(event, count)
    with _quiet():
        return float(used.get_epsilon(delta))


class _quiet:
    """dp-accounting's RDP warns of orders that it leaves out, which are not the ones that count."""

    def __enter__(self) -> None:
        self.log = logging.getLogger("absl")
        self.level = self.log.level
        self.log.setLevel(logging.ERROR)

    def __exit__(self, *_: Any) -> None:
        self.log.setLevel(self.level)
