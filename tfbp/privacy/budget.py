"""Computes the steps that the budget still allows: a step beyond it is rejected before it runs."""

from __future__ import annotations

from tfbp.errors import InputError
from tfbp.privacy import accounting
from tfbp.privacy.ledger import Ledger, Stretch


class Budget:
    """The budget of a fit.

    Args:
        epsilon: None for no limit.
        planned: the steps of the fit; without noise where the budget decides the noise.
    """

    def __init__(self, epsilon: float | None, delta: float, accountant: str, ledger: Ledger, planned: Stretch) -> None:
        self.epsilon, self._delta, self._accountant = epsilon, delta, accountant
        self._ledger = ledger
        # the ε at the last check, and the number of steps that were left then
        self._seen: tuple[list[Stretch], int] | None = None
        self.planned = planned if epsilon is None or not planned.steps else self._with_noise(planned)

    def spent(self) -> float:
        """Returns ε of all steps that ran."""
        return accounting.epsilon_of(self._ledger.stretches(), self._delta, self._accountant)

    def check(self, steps: int, begins: bool = False) -> None:
        """Raises `InputError` where so many more steps would exceed the budget; `begins` at an epoch's begin."""
        # a restored backup has its own stretches
        self._ledger.begin(self.planned)
        if begins:
            self._ledger.begin_epoch()
        if self.epsilon is None:
            return
        left = self._left()
        if left < steps:
            raise InputError(
                f"epsilon: got {self.epsilon:g}, of which {self.spent():.4g} are spent; {left} of the next {steps} "
                "steps stay within it; accepted: fewer epochs, or a larger budget."
            )

    def _left(self) -> int:
        """Returns how many more steps stay within the budget, at most as many as planned at the last check."""
        spent = self._ledger.stretches()
        if self._seen is not None:
            then, left = self._seen
            run = spent[-1].steps - then[-1].steps
            if [*spent[:-1], then[-1]] == then and 0 <= run < left:
                return left - run
        left = accounting.steps_within(*self._limits, spent[:-1], self.planned, begun=spent[-1].steps)
        self._seen = spent, left
        return left

    def _with_noise(self, planned: Stretch) -> Stretch:
        spent = self._ledger.stretches()
        # a fit that continues with the same settings keeps the same noise, if that is enough
        for last in spent[-1:]:
            same = planned.with_noise(last.noise)
            goes_on = last.settings == same.settings
            if goes_on and accounting.steps_within(*self._limits, spent, same) == planned.steps:
                return same
        return planned.with_noise(accounting.noise_for(*self._limits, spent, planned))

    @property
    def _limits(self) -> tuple[float, float, str]:
        return float(self.epsilon or 0), self._delta, self._accountant
