"""What may still be run: a step beyond the budget is refused before it runs."""

from __future__ import annotations

from tfbp.errors import InputError
from tfbp.privacy import accounting
from tfbp.privacy.ledger import Ledger, Stretch


class Budget:
    """The budget of a fit.

    Args:
        epsilon: None for no limit.
        planned: the steps of the fit; without their noise where a budget says it.
    """

    def __init__(self, epsilon: float | None, delta: float, accountant: str, ledger: Ledger, planned: Stretch) -> None:
        self.epsilon, self._delta, self._accountant = epsilon, delta, accountant
        self._ledger = ledger
        # what was spent when it was last looked at, and how many steps were left then
        self._seen: tuple[list[Stretch], int] | None = None
        self.planned = planned if epsilon is None or not planned.steps else self._with_noise(planned)

    def spent(self) -> float:
        """ε of all that was run."""
        return accounting.epsilon_of(self._ledger.stretches(), self._delta, self._accountant)

    def check(self, steps: int) -> None:
        """Raise `InputError` where so many steps more would go beyond the budget."""
        # a backup that was restored after the fit began has stretches of its own
        self._ledger.begin(self.planned)
        if self.epsilon is None:
            return
        left = self._left()
        if left < steps:
            raise InputError(
                f"epsilon: got {self.epsilon:g}, of which {self.spent():.4g} are spent; {left} of the next {steps} "
                "steps stay within it; accepted: fewer epochs, or a larger budget."
            )

    def _left(self) -> int:
        """How many steps more stay within the budget, no more than were planned when this was last found out."""
        spent = self._ledger.stretches()
        if self._seen is not None:
            then, left = self._seen
            run = spent[-1].steps - then[-1].steps
            if [*spent[:-1], then[-1]] == then and 0 <= run < left:
                return left - run
        left = accounting.steps_within(*self._limits, spent, self.planned)
        self._seen = spent, left
        return left

    def _with_noise(self, planned: Stretch) -> Stretch:
        spent = self._ledger.stretches()
        # what goes on with the same settings goes on with the same noise, if that is enough
        for last in spent[-1:]:
            same = planned.with_noise(last.noise)
            goes_on = last.settings == same.settings
            if goes_on and accounting.steps_within(*self._limits, spent, same) == planned.steps:
                return same
        return planned.with_noise(accounting.noise_for(*self._limits, spent, planned))

    @property
    def _limits(self) -> tuple[float, float, str]:
        return float(self.epsilon or 0), self._delta, self._accountant
