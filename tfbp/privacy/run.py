"""Runs private steps in the loop over epochs. N rows, B the batch's expected size."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler
from tfbp.fitting.extremes import ROOTS, checks
from tfbp.fitting.faithful import REFUSED
from tfbp.fitting.run import Run
from tfbp.fitting.shuffling import Shuffling
from tfbp.fitting.sources import inner_graphs, is_lifted, source_of
from tfbp.fitting.steps import Steps
from tfbp.privacy import program, sampling
from tfbp.privacy.budget import Budget
from tfbp.privacy.keras_internals import model_supports_jit
from tfbp.privacy.ledger import Ledger

# of so many steps XLA's program has won the time of compiling back (scripts/benchmarks/benchmark_private.py)
MANY_STEPS = 1000


class PrivateRun(Run):
    """Samples, clips, adds noise to and counts the steps.

    Args:
        budget: rejects steps beyond it, and computes ε of the steps that ran.
    """

    def __init__(
        self,
        model: Any,
        data: Any,
        ledger: Ledger,
        plan: program.Plan,
        budget: Budget,
    ) -> None:
        super().__init__(model, plan.stretch.an_epoch, Shuffling(0))
        self.data, self.ledger, self.plan = data, ledger, plan
        self._budget = budget
        self._tensors = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
        self._program: Any = None
        self._compiled: bool | None = None
        self._order: tuple[int, tf.Tensor] | None = None
        self._learned: dict[tuple[str, ...], float] = {}

    def trace(self, name: str = "train") -> Any:
        """The program of private steps, once it is traced."""
        return self._program

    @property
    def is_guarded(self) -> bool:
        return False

    def is_compiled(self) -> bool | None:
        return self._compiled

    @property
    def learned(self) -> dict[tuple[str, ...], float]:
        return self._learned

    def resumed(self, epoch: int) -> tuple[int, int]:
        """The step after the backup's last one, also within an epoch: steps that ran again would spend again."""
        known, planned = self.ledger.stretches()[-1:], self._budget.planned
        reached, within = divmod(int(self.ledger.place), self.steps)
        is_of_this = any((each.sampling, each.an_epoch) == (planned.sampling, self.steps) for each in known)
        # Keras names the epoch itself in a backup after its last step
        goes_on = is_of_this and (reached == epoch or (reached, within) == (epoch + 1, 0))
        return (reached, within) if goes_on else (epoch, 0)

    def shuffle_by(self, seed: int) -> None:
        """Nothing: the ledger has the backup's state of shuffling."""

    def _run(self, name: str, epoch: int, start: int, stop: int, guarded: bool = False) -> int:
        self._budget.check(stop - start, begins=start == 0)
        arguments = [self._order_of(epoch, start), tf.constant([start, stop]), *self._tensors]
        logs = self._first_call(arguments) if self._program is None else self._program(*arguments)
        self.ledger.place.assign(epoch * self.steps + stop)
        self._logs = logs
        self._results = dict(logs)
        if stop == self.steps:
            self._results["epsilon"] = self._budget.spent()
        return stop

    def _first_call(self, arguments: list[tf.Tensor]) -> Any:
        """Traces, chooses whether XLA compiles, and runs."""
        specs = [tf.TensorSpec.from_tensor(argument) for argument in arguments]
        steps = program.block(self.model, self.ledger, self.plan, self.data)
        asked = compiler.is_asked_for(self.model)

        def traced(jit_compile: bool | None) -> Any:
            made = tf.function(steps, jit_compile=jit_compile, autograph=False).get_concrete_function(*specs)
            let_go(made.graph)
            return made

        self._compiled, self._program = bool(asked), traced(asked)
        if asked is None and _pays(self.model, self._program, self.plan.stretch.steps) and self._is_alike():
            plain = self._program
            try:
                self._program = traced(True)
                logs = self._program(*arguments)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError):
                # XLA refuses before the first step runs
                self._program = plain
            else:
                self._compiled = True
                return logs
        return self._program(*arguments)

    def _is_alike(self) -> bool:
        """Whether XLA computes what TensorFlow does.

        XLA raises no error for a label or a token out of range. Its gradient of a root at 0 is NaN, and an example
        with a NaN counts 0. Labels and tokens are those of one forward pass and its loss, and looked up in the data;
        a computed one cannot be.
        """
        if tf.config.list_logical_devices("GPU"):
            return True
        if _takes_bare_roots(self._program.graph):
            return False
        specs = [tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype) for leaf in self._tensors]
        one = Steps(self.model, self.data).step("test", specs, self.plan.batch_size, even=False)
        computed = [
            check
            for check in checks(one.graph.get_operations())
            if check.tensor.dtype.is_integer and (check.low is None or source_of(check.tensor).op.type != "Placeholder")
        ]
        return not computed and not one.refusal and compiler.are_met(one, self._tensors)

    def _order_of(self, epoch: int, start: int) -> tf.Tensor:
        """Returns the rows in an epoch's order; none where each step draws its own."""
        if self.plan.stretch.sampling == "poisson":
            return tf.zeros([0], tf.int32)
        begun = int(self.ledger.draws) - start
        if self._order is None or self._order[0] != begun:
            key = tuple(int(word) for word in self.ledger.key.numpy()[2:])
            self._order = begun, tf.constant(sampling.order_of(key, begun, self.plan.stretch.rows))
        return self._order[1]


def _takes_bare_roots(graph: Any) -> bool:
    """Whether there is the gradient of a root of what may be 0."""
    operations = (operation for each in [graph, *inner_graphs(graph)] for operation in each.get_operations())
    return any(operation.type in ROOTS and not is_lifted(operation.inputs[0]) for operation in operations)


def _pays(model: Any, traced: Any, steps: int) -> bool:
    """Chooses the meaning of "auto" for a program of so many private steps."""
    if tf.config.list_logical_devices("GPU"):
        return bool(model.jit_compile)
    mode = compiler.check_mode()
    found = compiler.operations(traced.graph)
    if mode == "off" or not model_supports_jit(model) or found & (compiler.SLOW_ON_CPU | REFUSED):
        return False
    return mode == "on" or steps >= MANY_STEPS
