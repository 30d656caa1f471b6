"""Steps on a tf.data.Dataset: every epoch iterates it again, and a block takes its next batches in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import contract, loops, tables
from tfbp.fitting.run import Run
from tfbp.fitting.shuffling import Shuffling
from tfbp.fitting.state import variables_read_by
from tfbp.fitting.steps import STEPS, Step


class DatasetRun(Run):
    """Steps on the batches of a dataset that knows how many it has, in its own order: nothing follows from `shuffling`.

    The step is compiled by XLA or not as Keras's own loop would compile it, and so the results are Keras's.
    """

    def __init__(self, model: Any, dataset: tf.data.Dataset) -> None:
        super().__init__(model, int(dataset.cardinality()), Shuffling(0))
        self._dataset = dataset
        self._batches: Any = None
        self._name, self._spec = "train", repr(dataset.element_spec)

    def is_compiled(self) -> bool:
        """Whether XLA compiles the steps."""
        return bool(self.model.jit_compile)

    def trace(self, name: str = "train") -> Any:
        """As `Run.trace`."""
        self._name = name
        return self._step(name)

    def variables(self) -> list[tf.Variable]:
        """As `Run.variables`."""
        traced = self._known("train").get("train")
        return [] if traced is None else variables_read_by(traced.graph)

    def shuffle_by(self, seed: int) -> None:
        """The dataset's order is its own."""

    @property
    def learned(self) -> dict[tuple[str, ...], float]:
        """The seconds of a step on such batches, for `Pace`."""
        return self._known(self._name).setdefault("learned", {})

    def _known(self, name: str) -> dict[Any, Any]:
        # looked up at every block: a callback may compile the model again
        return tables.table_of(self.model, name).stream(self._spec)

    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        if start == 0:
            self._batches = iter(self._dataset)
        count = tf.constant(stop - start)
        done, self._logs, self._results = self._block(name, guarded)(self._batches, count)
        reached = start + int(done)
        if reached == self.steps:
            # as Keras does: a dataset that shuffles again counts how often it was iterated
            self._batches = iter(self._dataset)
        return reached

    def _step(self, name: str) -> Any:
        known = self._known(name)
        if name not in known:
            method = getattr(self.model, STEPS[name])
            step = tf.function(lambda batch: method(batch), jit_compile=self.is_compiled(), autograph=False)
            traced = step.get_concrete_function(self._dataset.element_spec)
            let_go(traced.graph)
            known_step = Step(traced, traced.structured_outputs)
            loops.check_suitable(known_step)
            loops.check_draws(known_step, self.is_compiled())
            known[name] = known_step
        return known[name]

    def _block(self, name: str, guarded: bool) -> Callable[..., Any]:
        known = self._known(name)
        if (name, guarded) not in known:
            known[name, guarded] = self._traced(name, guarded)
        return known[name, guarded]

    def _traced(self, name: str, guarded: bool) -> Callable[..., Any]:
        """So many next batches in one program: (batches, count) to the number of those that were run, the last one's
        logs, and the metrics' results after it."""
        one, model = self._step(name), self.model

        def steps(batches: Any, count: tf.Tensor) -> Any:
            def goes_on(number: tf.Tensor, logs: Any) -> tf.Tensor:
                is_finite = loops.losses_are_finite(logs) if guarded else True
                return tf.logical_and(number < count, is_finite)

            def step(number: tf.Tensor, logs: Any) -> Any:
                return number + 1, one.function(next(batches))

            nothing = loops.nothing_of(one.outputs)
            # one step at a time: each reads the weights that the one before has written
            number, logs = tf.while_loop(goes_on, step, (tf.constant(0), nothing), parallel_iterations=1)
            return number, logs, loops.results(model, logs)

        return tf.function(steps, autograph=False)


def alone(*others: Any) -> bool:
    """Whether all arguments are ones that Keras takes beside a dataset, and the fit begins at its first batch."""
    return all(other is None for other in others)


def run_of(model: Any, dataset: Any) -> DatasetRun | None:
    """The steps on a dataset; None where Keras's own loop is to have them: of anything else, and of a dataset that does
    not know how many batches it has, or has others than dense ones."""
    if not isinstance(dataset, tf.data.Dataset) or contract.why_driven_by_keras(model):
        return None
    leaves = tf.nest.flatten(dataset.element_spec)
    if dataset.cardinality() <= 0 or not all(isinstance(leaf, tf.TensorSpec) for leaf in leaves):
        return None
    return DatasetRun(model, dataset)
