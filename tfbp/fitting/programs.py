"""The compiled programs of a model, each made once after every compile, and the steps in them.

B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler, random_numbers

# a step's name, and the model's method
STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}


class Unsuitable(Exception):
    """A step whose results do not fit into a loop."""


class Programs:
    """What was traced of a model since it was compiled, for data of one structure.

    Args:
        model: any keras.Model.
        structure: packed data with a Boolean in place of every tensor, and None where there is none.
    """

    def __init__(self, model: Any, structure: Any) -> None:
        self.model, self._structure = model, structure
        self._asked = compiler.is_asked_for(model)
        self._compiled: dict[str, bool | None] = {}
        # what is tried where XLA compiles: a step that does not know its rows; one that is not called but inlined
        self._hides_rows: bool | None = None
        self._inlines = False
        self._steps: dict[Any, Any] = {}
        self._programs: dict[Any, Any] = {}
        # the seconds of a step, by what its batches are, and by the hooks around it
        self.learned: dict[Any, dict[tuple[str, ...], float]] = {}
        self.traces = 0

    def step(self, name: str, data: Sequence[tf.TensorSpec], batch_size: int, rows: int | None = None) -> Any:
        """One step on a batch of so many rows, B by default, of such data, traced once: a function of the batch's
        tensors, and its results. As in Keras the graph is that of any number of rows unless all batches have the same;
        that of this number, too, where XLA compiles it, but for a model with several losses, whose means depend on it.
        """
        rows = rows or batch_size
        alike = rows if data[0].shape[0] % batch_size == 0 else None
        if name not in self._compiled:
            self._compiled[name] = self._asked
            if self._asked is None:
                self._compiled[name] = compiler.pays(self.model, self._traced(name, data, alike))
        if not self._compiled[name]:
            return self._traced(name, data, alike)
        known = self._traced(name, data, rows)
        if self._hides_rows is None:
            self._hides_rows = bool(getattr(self.model._compile_loss, "metrics", None))
        return self._traced(name, data, alike) if self._hides_rows else known

    def _traced(self, name: str, data: Sequence[tf.TensorSpec], rows: int | None) -> Any:
        batch = tuple(tf.TensorSpec([rows, *each.shape[1:]], each.dtype) for each in data)
        if (name, batch) not in self._steps:
            # as Keras traces it: what is written for XLA, or without, is chosen while it is traced
            compiled = True if self._asked else None
            one = tf.function(lambda *tensors: self._untraced(name, tensors), jit_compile=compiled, autograph=False)
            self._steps[name, batch] = one.get_concrete_function(*batch)
            let_go(self._steps[name, batch].graph)
            self.traces += 1
        return self._steps[name, batch]

    def _untraced(self, name: str, tensors: Sequence[tf.Tensor]) -> Any:
        return getattr(self.model, STEPS[name])(unflattened(self._structure, tensors))

    def run(self, name: str, one: Any, batch: Sequence[tf.Tensor]) -> Any:
        """A step's results, inside of a program: that of `one`, which `step` has made."""
        return self._untraced(name, batch) if self._inlines and self._compiled[name] else one(*batch)

    def compiles(self, name: str) -> bool | None:
        """Whether XLA compiles the steps of a name; None before any was traced."""
        return self._compiled.get(name)

    def call(self, make: Callable[..., Any], batch_size: int, arguments: Sequence[tf.Tensor], **options: Any) -> Any:
        """Run the program that `make` makes, on tensors; `make` takes these programs, B and the arguments'
        specs, and gives a function and the name of the step that is in it."""
        specs = tuple(map(tf.TensorSpec.from_tensor, arguments))
        key = make.__name__, batch_size, specs, *options.values()
        if key not in self._programs:
            return self._first_call(key, make, batch_size, arguments, options)
        # calling what was traced costs a third of what calling a tf.function costs
        return self._programs[key](*arguments)[0]

    def _first_call(
        self, key: Any, make: Any, batch_size: int, arguments: Sequence[tf.Tensor], options: dict[str, Any]
    ) -> Any:
        function, name = make(self, batch_size, [*key[2]], **options)
        compiled = self._compiled[name]
        graph = self._any_graph(name)

        def whole(*given: tf.Tensor) -> Any:
            return function(*given), random_numbers.second_place(graph, batch_size, given) if compiled else []

        program = tf.function(whole, jit_compile=compiled, autograph=False).get_concrete_function(*key[2])
        let_go(program.graph)
        self.traces += 1
        try:
            results, _ = program(*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError):
            # XLA refuses before a step is run
            if not (compiled and self._concedes(name)):
                raise
            return self._first_call(key, make, batch_size, arguments, options)
        self._programs[key] = program
        return results

    def _any_graph(self, name: str) -> tf.Graph:
        """A step's graph: all of a name draw the same random numbers."""
        return next(step.graph for (known, _), step in self._steps.items() if known == name)

    def _concedes(self, name: str) -> bool:
        """Whether there is another way to try, where XLA refuses one."""
        if self._hides_rows:
            self._hides_rows = False
        elif not self._inlines:
            # in a call XLA does not find all sizes: those of an LSTM's lists, if the layer before it has weights
            self._inlines = True
        elif self._asked is None:
            self._compiled[name] = False
        else:
            return False
        return True


def of(model: Any, data: Any) -> Programs:
    """The programs of a model as it is compiled now, for data of this structure."""
    structure = keras.tree.map_structure(lambda leaf: None if leaf is None else True, data)
    return table_of(model).of(model, structure)


def table_of(model: Any) -> Table:
    """All programs of a model as it is compiled now."""
    table = getattr(model, "_tfbp_programs", None)
    if table is None or table.compiled is not getattr(model, "_compile_config", None):
        table = model._tfbp_programs = Table(model)
    return table


class Table:
    """The programs of one compile, by the structure of the data; a model keeps it until it is compiled again.

    Attributes:
        streams: those of datasets, by what their elements are.
    """

    def __init__(self, model: Any) -> None:
        self.compiled = getattr(model, "_compile_config", None)
        self.streams: dict[str, dict[Any, Any]] = {}
        self._programs: dict[str, Programs] = {}

    def of(self, model: Any, structure: Any) -> Programs:
        return self._programs.setdefault(repr(structure), Programs(model, structure))

    @property
    def traces(self) -> int:
        """How many programs and steps were traced."""
        return sum(each.traces for each in self._programs.values())


def unflattened(structure: Any, tensors: Sequence[tf.Tensor]) -> Any:
    """Data of a structure, from its tensors."""
    following = iter(tensors)
    return keras.tree.map_structure(lambda leaf: None if leaf is None else next(following), structure)
