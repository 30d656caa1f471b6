"""Correctness before speed: every contestant has to follow the float64 reference from the same weights."""

from functools import cached_property

import numpy as np

from benchmarks.problem import Task
from tfbp import reference

STEPS = 20
TOLERANCE = 1e-4  # relative, of a loss; float32 rounding, carried through an epoch of steps


class Gate:
    """The losses that the reference finds on a problem."""

    def __init__(self, problem: Task) -> None:
        self.problem, self.steps = problem, min(STEPS, problem.steps)

    def complaint(self, losses: list[float], weights: list[np.ndarray]) -> str:
        """Returns a contestant's disagreement with the reference; empty if it agrees.

        Args:
            losses: at each of the first steps on unshuffled batches.
            weights: after an unshuffled epoch, by the call that is timed.
        """
        expected, final = self._reference
        for step, (got, right) in enumerate(zip(losses, expected, strict=True)):
            if not abs(got - right) <= TOLERANCE * abs(right):
                return f"its loss at step {step} is {got:.7g}; the reference's is {right:.7g}"
        got = self._loss([w.astype(np.float64) for w in weights])
        if not abs(got - final) <= TOLERANCE * abs(final):
            return f"its loss after an epoch is {got:.7g}; the reference's is {final:.7g}"
        return ""

    @cached_property
    def _reference(self) -> tuple[list[float], float]:
        problem = self.problem
        parameters = [dict(layer) for layer in problem.parameters]
        losses = []
        for step in range(problem.steps):
            loss, gradients = reference.loss_and_gradients(problem.network, parameters, *problem.batch(step))
            losses.append(float(loss))
            parameters = [
                {name: w - problem.rate * dlayer[name] for name, w in layer.items()}
                for layer, dlayer in zip(parameters, gradients, strict=True)
            ]
        return losses[: self.steps], self._loss([w for layer in parameters for w in (layer["kernel"], layer["bias"])])

    def _loss(self, weights: list[np.ndarray]) -> float:
        """Returns the mean loss over the first samples, in float64."""
        x, labels = self.problem.x[:2048].astype(np.float64), self.problem.y[:2048]
        parameters = [{"kernel": w, "bias": b} for w, b in zip(weights[::2], weights[1::2], strict=True)]
        loss, _ = reference.loss_and_outputs(self.problem.network, parameters, x, labels)
        return float(loss)
