"""Computes ε of the steps that ran, by dp-accounting; and the noise for an ε.

Poisson sampling at rate q with noise σ is the subsampled Gaussian mechanism, composed step by step. A shuffled epoch
shows each example once: its steps together are one Gaussian mechanism, without amplification by sampling. The central
limit of Gaussian DP is not available, because it underestimates ε.

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
# the relative precision of σ, rounded up
TOLERANCE = 1e-4
LEAST_NOISE, MOST_NOISE = 1e-3, 1e6
# the distribution of larger privacy losses fills the memory; RDP's ε, an upper bound as well, takes its place there
MOST_BY_PLD = 100.0


def check_installed() -> None:
    """Raises `InputError` unless dp-accounting is installed."""
    if importlib.util.find_spec("dp_accounting") is None:
        raise InputError("privacy: got no dp-accounting; accepted: it installed, by pip install dp-accounting.")


def epsilon_of(stretches: Sequence[Stretch], delta: float, accountant: str) -> float:
    """Returns ε at δ of all steps in these stretches together; above MOST_BY_PLD it is RDP's."""
    return _epsilon(tuple(_event(stretch) for stretch in stretches if stretch.steps), delta, accountant)


def noise_for(epsilon: float, delta: float, accountant: str, spent: Sequence[Stretch], planned: Stretch) -> float:
    """Returns the smallest σ, to a relative TOLERANCE and rounded up, that keeps the planned steps within ε.

    Raises:
        InputError: no σ does, after the ε already spent, or at this δ.
    """

    def needed(noise: float) -> float:
        return epsilon_of([*spent, planned.with_noise(noise)], delta, accountant)

    before = epsilon_of(spent, delta, accountant) if any(stretch.steps for stretch in spent) else 0.0
    # a nearly spent budget would need a noise that leaves nothing to learn
    if before >= epsilon * (1 - 10 * TOLERANCE):
        raise InputError(
            f"epsilon: got {epsilon:g}, of which {before:.4g} are spent already; accepted: a budget above that, for a "
            "step more would go beyond it."
        )
    # RDP takes a hundredth of the time and overestimates ε a little: an upper bound of the noise to start from
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
    while (below := needed(low)) <= epsilon:
        if low < LEAST_NOISE:
            return low
        low, high, above = low / 1.5, low, below
    return _smallest(needed, epsilon, (low, below), (high, above))


def _smallest(
    needed: Callable[[float], float], epsilon: float, low: tuple[float, float], high: tuple[float, float]
) -> float:
    """Returns the smallest σ with needed(σ) <= ε to a relative TOLERANCE, from (σ, needed(σ)) below and above it.

    It interpolates the logarithms linearly; a value just beside the result ends the search."""
    while high[0] - low[0] > TOLERANCE * high[0]:
        # ε is 0 where the noise hides everything but a chance below δ
        lines = [math.log(max(value, 1e-300)) for value in (*low, *high)]
        share = (math.log(epsilon) - lines[1]) / (lines[3] - lines[1]) if lines[3] != lines[1] else 0.5
        guess = math.exp(lines[0] + min(max(share, 0.01), 0.99) * (lines[2] - lines[0]))
        for noise in (guess, guess * (1 + 0.8 * TOLERANCE), guess * (1 - 0.8 * TOLERANCE)):
            if low[0] < noise < high[0]:
                found = needed(noise)
                low, high = (low, (noise, found)) if found <= epsilon else ((noise, found), high)
    return high[0]


def steps_within(
    epsilon: float, delta: float, accountant: str, spent: Sequence[Stretch], planned: Stretch, begun: int = 0
) -> int:
    """Returns how many of the planned steps stay within ε, counted from the first; so many of that stretch ran before:
    the rest of a shuffled epoch shows no example again."""

    def fits(steps: int) -> bool:
        return epsilon_of([*spent, planned.with_steps(begun + steps)], delta, accountant) <= epsilon

    if fits(planned.steps):
        return planned.steps
    low, high = 0, planned.steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _event(stretch: Stretch) -> tuple[str, float, float, int]:
    """A stretch for an accountant: its kind, rate, noise, and number of compositions."""
    if stretch.sampling == "shuffle":
        # an example is in one step of each started epoch
        return "gaussian", 1.0, stretch.noise, math.ceil(stretch.steps / stretch.an_epoch)
    if stretch.rate == 1:
        return "gaussian", 1.0, stretch.noise, stretch.steps
    return "poisson", stretch.rate, stretch.noise, stretch.steps


@functools.lru_cache(maxsize=4096)
def _epsilon(events: tuple[tuple[str, float, float, int], ...], delta: float, accountant: str) -> float:
    if not events:
        return 0.0
    with _quiet():
        if accountant == "rdp":
            from dp_accounting.rdp import rdp_privacy_accountant as rdp

            orders, total = rdp.RdpAccountant().orders, 0.0
            for *mechanism, count in events:
                total = total + count * _renyi_of_a_step(*mechanism)
            return float(rdp.compute_epsilon(orders, total, delta)[0])
        if (most := _epsilon(events, delta, "rdp")) > MOST_BY_PLD:
            return most
        composed: Any = None
        for kind, rate, noise, count in events:
            # several Gaussian mechanisms are one with less noise
            gaussian = kind == "gaussian"
            part = _losses_of_a_step(kind, rate, noise / math.sqrt(count) if gaussian else noise)
            part = part if gaussian else part.self_compose(count)
            composed = part if composed is None else composed.compose(part)
        return float(composed.get_epsilon_for_delta(delta))


@functools.lru_cache(maxsize=64)
def _renyi_of_a_step(kind: str, rate: float, noise: float) -> Any:
    """Returns the Rényi divergences of one step, at the accountant's own orders: they add up over steps."""
    import dp_accounting
    from dp_accounting import rdp

    event: Any = dp_accounting.GaussianDpEvent(noise)
    event = dp_accounting.PoissonSampledDpEvent(rate, event) if kind == "poisson" else event
    return rdp.RdpAccountant().compose(event).rdp


@functools.lru_cache(maxsize=8)
def _losses_of_a_step(kind: str, rate: float, noise: float) -> Any:
    """Returns the distribution of one step's privacy loss, as in dp-accounting's PLDAccountant (most of its time)."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    # the interval of that accountant
    options = {"sampling_prob": rate} if kind == "poisson" else {}
    return pld.from_gaussian_mechanism(noise, value_discretization_interval=1e-4, **options)


class _quiet:
    """Silences dp-accounting's RDP warning about skipped orders, which are not the ones that count."""

    def __enter__(self) -> None:
        self.log = logging.getLogger("absl")
        self.level = self.log.level
        self.log.setLevel(logging.ERROR)

    def __exit__(self, *_: Any) -> None:
        self.log.setLevel(self.level)
