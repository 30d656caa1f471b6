"""The steps that evaluate a model: once, and between the epochs of a fit."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import keras

from tfbp.fitting import contract, datasets, generators, loops, tables
from tfbp.fitting import epochs as loop
from tfbp.fitting.contract import KERAS
from tfbp.fitting.hooks import writes_batches
from tfbp.fitting.rules import Rules
from tfbp.fitting.run import ArrayRun, Run
from tfbp.fitting.steps import Unsuitable

LOG = logging.getLogger("tfbp")


def validation_of(rules: Rules, data: Any, batch_size: int | None, given: dict[str, Any]) -> Any:
    """The function that evaluates between epochs, called with the callbacks; None without data."""
    if data is None:
        return None
    contract.check_frequency(given["validation_freq"])
    model, steps = rules.model, given["validation_steps"]
    own = contract.own_evaluate(model)
    if generators.is_generator(data) and not own:
        rules.check_keras("validation_data", data)
        return lambda callbacks: generators.evaluate(model, data, steps, callbacks)
    x, y, sample_weight = unpacked = keras.utils.unpack_x_y_sample_weight(data)
    if not own:
        try:
            run = run_of(rules, unpacked, batch_size, steps, given["callbacks"], passes=_times(given))
            return _OfArrays(rules, run, unpacked) if isinstance(run, ArrayRun) else _Evaluation(rules, run)
        except Unsuitable as reason:
            rules.check_keras("validation_data", data)
            LOG.info("%s: evaluated by Keras's own loop, because %s", model.name, reason)
    by = own or KERAS["evaluate"].__get__(model)
    options = {"batch_size": batch_size, "steps": steps, "return_dict": True}
    return lambda callbacks: by(x=x, y=y, sample_weight=sample_weight, callbacks=callbacks, **options)


def trace(rules: Rules, run: Run, name: str, callbacks: Any) -> None:
    """Trace a step.

    Raises:
        Unsuitable: one that Keras's own loop is to run.
    """
    step = rules.trace(run, name)
    if step is not None and writes_batches(callbacks) and loops.writes_summaries(step):
        # Keras's loop has a step's number for these
        raise Unsuitable("its step writes summaries")
    if step is not None:
        tables.note(rules.model, name)


def run_of(
    rules: Rules, data: Any, batch_size: int | None, steps: Any, callbacks: Any, own: bool = False, passes: int = 1
) -> Run:
    """The steps that evaluate a model so often; `own`, on data that nobody can change meanwhile.

    Raises:
        Unsuitable: Keras's own loop is to do it.
    """
    run: Run | None = None
    if data[1] is None and data[2] is None and steps is None:
        run = dataset_run(rules, data[0])
    if run is None:
        if why := rules.why_keras(data, steps=steps):
            raise Unsuitable(why)
        size = rules.batch_size(batch_size, trains=False)
        run = rules.run(rules.packed(rules.checked(data, size), own=own), size, passes)
    trace(rules, run, "test", callbacks)
    return run


def _times(given: dict[str, Any]) -> int:
    """After how many of a fit's epochs the model is evaluated."""
    freq, first, stop = given["validation_freq"], given["initial_epoch"], given["epochs"]
    if isinstance(freq, int):
        return max(0, stop // max(1, freq) - first // max(1, freq))
    return sum(first < epoch <= stop for epoch in freq)


def dataset_run(rules: Rules, data: Any) -> Run | None:
    return datasets.run_of(rules.model, data) if rules.takes_datasets else None


class _Evaluation:
    """Evaluates on what a run's steps take."""

    def __init__(self, rules: Rules, run: Run) -> None:
        self._rules, self._run = rules, run

    def __call__(self, callbacks: Any) -> dict[str, Any]:
        return loop.evaluate(self._rules.model, self._run, callbacks, 0, self._rules.block_steps(self._run))


class _OfArrays(_Evaluation):
    """Evaluates on what arrays hold at the first time, as in Keras.

    Args:
        run: on the arrays as they are, which has shown that they can be evaluated on. given: the arrays.
    """

    def __init__(self, rules: Rules, run: ArrayRun, given: Any) -> None:
        super().__init__(rules, run)
        self._given, self._size, self._passes = given, run.batch_size, run.passes

    @property
    def data(self) -> Any:
        """The packed data."""
        return getattr(self._run, "data", None)

    def __call__(self, callbacks: Any) -> dict[str, Any]:
        if self._given is not None:
            # before the copy: both take memory
            del self._run
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what these warn of they have warned of at the start
                data = self._rules.checked(self._given, self._size)
            self._run = self._rules.run(self._rules.packed(data, own=True), self._size, self._passes)
            self._given = None
        return super().__call__(callbacks)
