"""How fit and evaluate check and pack the data of a model, and run its steps.

`Rules` are those of any keras.Model; a class of models that has others names them as `fitting_rules`.
"""

from __future__ import annotations

from typing import Any

from tfbp.fitting import arrays, contract
from tfbp.fitting.pace import Pace
from tfbp.fitting.run import ArrayRun, Run
from tfbp.fitting.shuffling import shuffling_of


class Rules:
    """Those of any keras.Model.

    Args:
        model: the model.
    """

    # whether batches of a tf.data.Dataset are taken in blocks
    takes_datasets = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def why_keras(self, data: Any, **steps: Any) -> str | None:
        """Why Keras's own loop is taken for (x, y, sample_weight); None where it is not."""
        return contract.why_keras(self.model, data, **steps)

    def check_keras(self, argument: str, given: Any) -> None:
        """Raise `InputError` where Keras's own loop cannot take an argument."""

    def batch_size(self, given: int | None, trains: bool) -> int:
        """B, checked."""
        (size,) = contract.sizes(batch_size=given)
        # the program's numbers are of 32 bits
        return min(size or 32, 2**30)

    def checked(self, data: Any, batch_size: int) -> Any:
        """(x, y, sample_weight), refused where they do not fit each other or the model."""
        x, y, sample_weight = data
        contract.check_targets(self.model, y)
        arrays.check_lengths(x=x, y=y, sample_weight=sample_weight)
        contract.warn_of_weights(self.model, y, sample_weight, batch_size)
        return data

    def packed(self, data: Any, class_weight: Any = None, own: bool = False) -> Any:
        """The result of `checked`, or some rows of it, as tensors; `own`, not in the caller's memory."""
        x, y, sample_weight = data
        return arrays.packed(x, y, sample_weight, class_weight, own)

    def run(self, data: Any, batch_size: int, passes: int | None, shuffle: Any = None) -> ArrayRun:
        """The steps on packed data, that are gone through so often; shuffled in training, where `shuffle` is not
        None."""
        shuffling = None if shuffle is None else shuffling_of(self.model)
        return ArrayRun(self.model, data, batch_size, shuffle or False, shuffling, passes)

    def trace(self, run: Run, name: str) -> Any:
        """The traced step of a run, with all variables of the model built."""
        return run.trace(name)

    def verbose(self, given: Any) -> Any:
        return given

    def block_steps(self, run: Run) -> int | None:
        """The steps of every block; None to leave it to the pace."""
        return self.model.steps_per_execution if self.model.steps_per_execution > 1 else None

    def check_run(self, run: Run, validation: Any, given: dict[str, Any], first: int, pace: Pace) -> None:
        """Before the first step, with the packed validation data: raise where fit cannot begin."""


def rules_of(model: Any) -> Rules:
    """Those that a model's class has, or any model's."""
    return getattr(type(model), "fitting_rules", Rules)(model)
