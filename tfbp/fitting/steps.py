"""The steps of a model, each traced once after every compile.

B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler, faithful, twins, worthwhile
from tfbp.fitting.state import variables_read_by

# a step's name, and the model's method
STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}
# programs, or steps, for data of one structure: a fit, its validation and predict with other batch sizes have some 20
MOST_KEPT = 64


class Unsuitable(Exception):
    """Keras's own loop has to run this; the message says why."""


class Step:
    """One step, traced.

    Attributes:
        function: of a batch's tensors, to the results and the alarms.
        outputs: the results, as the graph's tensors. graph: the step's.
    """

    def __init__(self, function: Any, outputs: Any) -> None:
        self.function, self.outputs, self.graph = function, outputs, function.graph
        self._sizes: dict[int, worthwhile.Size] = {}

    @cached_property
    def refusal(self) -> str | None:
        """As `faithful.refusal`."""
        return faithful.refusal(self.graph)

    @cached_property
    def demands(self) -> list[faithful.Demand]:
        """As `faithful.demands`."""
        return faithful.demands(self.graph)

    @cached_property
    def twin_key(self) -> Any:
        """As `twins.key_of`, with the results by name; None where there is none."""
        key = twins.key_of(self.graph)
        results = tf.nest.map_structure(lambda output: (output.shape.as_list(), output.dtype.name), self.outputs)
        return key and (key, repr(results))

    def size(self, rows: int) -> worthwhile.Size:
        """As `worthwhile.size_of`."""
        if rows not in self._sizes:
            self._sizes[rows] = worthwhile.size_of(self.graph, rows)
        return self._sizes[rows]


class Steps:
    """The steps that were traced of a model since it was compiled, for data of one structure.

    Args:
        model: any keras.Model.
        structure: packed data with a Boolean in place of every tensor, and None where there is none.
    """

    def __init__(self, model: Any, structure: Any) -> None:
        self.model, self._structure = model, structure
        self.asked = compiler.is_asked_for(model)
        # what is tried where XLA compiles: a step that does not know its rows; one that is not called but inlined
        self._hides_rows: bool | None = None
        self._inlines = False
        self._steps: dict[Any, Step] = {}
        self._seen: list[list[tf.TensorSpec]] = []
        self.traces = 0

    def step(
        self,
        name: str,
        data: Sequence[tf.TensorSpec],
        batch_size: int,
        even: bool,
        rows: int | None = None,
        compiled: bool = False,
    ) -> Step:
        """One step on a batch of so many rows, B by default, of such data, traced once. As in Keras the graph is that
        of any number of rows unless all batches have the same (`even`); that of this number where XLA compiles it, and
        the model has one loss: the means of several depend on the number.
        """
        alike = batch_size if even else None
        if not compiled:
            return self._traced(name, data, alike, False)
        if self._hides_rows is None and self.asked is None:  # the model is built
            self._hides_rows = _has_several_losses(self.model)
        if self._hides_rows:
            return self._traced(name, data, alike, True)
        known = self._traced(name, data, rows or batch_size, True)
        if self._hides_rows is None:
            self._hides_rows = _has_several_losses(self.model)
        return self._traced(name, data, alike, True) if self._hides_rows else known

    def _traced(self, name: str, data: Sequence[tf.TensorSpec], rows: int | None, compiled: bool) -> Step:
        batch = tuple(tf.TensorSpec([rows, *array.shape[1:]], array.dtype) for array in data)
        if (name, batch, compiled) not in self._steps:
            # as Keras traces it: what is written for XLA, or without, is chosen while it is traced
            one = tf.function(
                lambda *tensors: self._results(name, tensors, compiled), jit_compile=compiled or None, autograph=False
            ).get_concrete_function(*batch)
            let_go(one.graph)
            keep(self._steps, (name, batch, compiled), Step(one, one.structured_outputs[0]))
            self.traces += 1
        return self._steps[name, batch, compiled]

    def _results(self, name: str, tensors: Sequence[tf.Tensor], compiled: bool) -> tuple[Any, list[Any]]:
        """A step's results and, for a program that XLA compiles under "auto", its alarms."""
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        results = getattr(self.model, STEPS[name])(unflattened(self._structure, tensors))
        if not compiled or self.asked or tf.config.list_logical_devices("GPU"):
            return results, []
        optimizer = getattr(getattr(self.model, "optimizer", None), "name", None)
        found = faithful.alarms(graph.get_operations()[before:], (f"{optimizer}/",) if optimizer else ())
        return results, [tf.reduce_any(tf.stack(found))] if found else []

    def run(self, name: str, one: Step, batch: Sequence[tf.Tensor], compiled: bool) -> tuple[Any, list[Any]]:
        """A step's results and alarms, inside of a program: that of `one`, which `step` has made."""
        return self._results(name, batch, True) if self._inlines and compiled else one.function(*batch)

    def variables(self, name: str) -> list[tf.Variable]:
        """The variables that the traced steps of a name read."""
        traced = [step for (known, *_), step in self._steps.items() if known == name]
        return list({id(variable): variable for step in traced for variable in variables_read_by(step.graph)}.values())

    def specs_of(self, data: Sequence[tf.Tensor]) -> list[tf.TensorSpec]:
        """Those of any number of rows; and of rows of any size where more than two sizes were seen, as in Keras."""
        specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in data]
        if specs not in self._seen and not self.asked:
            if len(self._seen) >= 2:
                alike = [seen for seen in self._seen if _are_of_one_kind(seen, specs)]
                specs = [_common(several) for several in zip(specs, *alike, strict=True)]
            if specs not in self._seen:
                self._seen.append(specs)
        return specs

    def _has_another_way(self) -> bool:
        """Whether there is another way to try, where XLA refuses one."""
        if self._hides_rows:
            self._hides_rows = False
        elif not self._inlines:
            # in a call XLA does not find all sizes: those of an LSTM's lists, if the layer before it has weights
            self._inlines = True
        else:
            return False
        return True


def _has_several_losses(model: Any) -> bool:
    return bool(getattr(model._compile_loss, "metrics", None))


def keep(room: dict[Any, Any], key: Any, value: Any) -> None:
    """Put a value into a room that holds so many: the first that came goes."""
    room[key] = value
    while len(room) > MOST_KEPT:
        room.pop(next(iter(room)))


def _are_of_one_kind(some: Sequence[tf.TensorSpec], others: Sequence[tf.TensorSpec]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(a.dtype == b.dtype and a.shape.rank == b.shape.rank for a, b in pairs)


def _common(specs: Sequence[tf.TensorSpec]) -> tf.TensorSpec:
    """The narrowest that all of them are of."""
    sizes = [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*(spec.shape for spec in specs), strict=True)]
    return tf.TensorSpec(sizes, specs[0].dtype)


def unflattened(structure: Any, tensors: Sequence[tf.Tensor]) -> Any:
    """Data of a structure, from its tensors."""
    following = iter(tensors)
    return keras.tree.map_structure(lambda leaf: None if leaf is None else next(following), structure)
