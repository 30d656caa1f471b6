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
# programs, or steps, for data of one structure: a fit, its validation and predict with other batch sizes have some 20
MOST_KEPT = 64


class Unsuitable(Exception):
    """What Keras's own loop is to run, and why."""


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
        self._seen: list[list[tf.TensorSpec]] = []
        # the seconds of a step, by what its batches are, and by the hooks around it
        self.learned: dict[Any, dict[tuple[str, ...], float]] = {}
        self.traces = 0

    def step(
        self, name: str, data: Sequence[tf.TensorSpec], batch_size: int, even: bool, rows: int | None = None
    ) -> Any:
        """One step on a batch of so many rows, B by default, of such data, traced once: a function of the batch's
        tensors, and its results. As in Keras the graph is that of any number of rows unless all batches have the same
        (`even`); that of this number, too, where XLA compiles it, but for a model with several losses, whose means
        depend on it.
        """
        rows = rows or batch_size
        alike = rows if even else None
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
            traced = one.get_concrete_function(*batch)
            let_go(traced.graph)
            _keep(self._steps, (name, batch), traced)
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

    def variables(self, name: str) -> list[tf.Variable]:
        """The variables that the traced steps of a name read."""
        traced = [step for (known, _), step in self._steps.items() if known == name]
        return list({id(each): each for step in traced for each in step.graph.variables}.values())

    def call(
        self,
        make: Callable[..., Any],
        batch_size: int,
        order: tf.Tensor,
        numbers: Sequence[int],
        data: Sequence[tf.Tensor],
        **options: Any,
    ) -> Any:
        """Run the program that `make` makes, on rows in an order, some numbers and the data; `make` takes these
        programs, B, the arguments' specs and the options, the name of the step among them.

        Without XLA one program does for any number of rows, as in Keras.
        """
        arguments = [order, tf.constant(numbers), *data]
        specs = self._specs(options["name"], arguments)
        key = make.__name__, batch_size, specs, *options.values()
        if key not in self._programs:
            return self._first_call(key, make, batch_size, arguments, options)
        # calling what was traced costs a third of what calling a tf.function costs
        return self._programs[key](*arguments)[0]

    def _specs(self, name: str, arguments: Sequence[tf.Tensor]) -> tuple[tf.TensorSpec, ...]:
        if self._compiled[name]:
            return tuple(map(tf.TensorSpec.from_tensor, arguments))
        order, numbers, *data = arguments
        rows = tf.TensorSpec([None] * order.shape.rank, order.dtype)
        return rows, tf.TensorSpec.from_tensor(numbers), *self.specs_of(data)

    def specs_of(self, data: Sequence[tf.Tensor]) -> list[tf.TensorSpec]:
        """Those of any number of rows; and of rows of any size where more than two sizes were seen, as in Keras."""
        specs = [tf.TensorSpec([None, *each.shape[1:]], each.dtype) for each in data]
        if specs not in self._seen and not any(self._compiled.values()):
            if len(self._seen) >= 2:
                alike = [each for each in self._seen if _are_of_one_kind(each, specs)]
                specs = [_common(several) for several in zip(specs, *alike, strict=True)]
            if specs not in self._seen:
                self._seen.append(specs)
        return specs

    def _first_call(
        self, key: Any, make: Callable[..., Any], batch_size: int, arguments: Sequence[tf.Tensor], options: Any
    ) -> Any:
        name, specs = options["name"], key[2]
        function = make(self, batch_size, [*specs], **options)
        compiled = self._compiled[name]
        graph = self._any_graph(name)

        def whole(*given: tf.Tensor) -> Any:
            return function(*given), random_numbers.second_place(graph, batch_size, given) if compiled else []

        program = tf.function(whole, jit_compile=compiled, autograph=False).get_concrete_function(*specs)
        let_go(program.graph)
        self.traces += 1
        try:
            results, _ = program(*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError):
            # XLA refuses before a step is run
            if not (compiled and self._concedes(name)):
                raise
            key = (*key[:2], self._specs(name, arguments), *key[3:])
            return self._first_call(key, make, batch_size, arguments, options)
        _keep(self._programs, key, program)
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


def of(model: Any, data: Any, name: str = "train") -> Programs:
    """The programs of a model as it is compiled now, for data of this structure, of which one with a step is needed."""
    structure = keras.tree.map_structure(lambda leaf: None if leaf is None else True, data)
    return table_of(model, name).of(model, structure)


def table_of(model: Any, name: str = "train") -> Table:
    """All programs of a model as it is compiled now, of which one with a step of a name is needed."""
    table = getattr(model, "_tfbp_programs", None)
    if table is None or not table.holds(model):
        table = model._tfbp_programs = Table(model)
    table.follow(model, name)
    return table


class Table:
    """The programs of one compile, by the structure of the data; a model keeps it until it is compiled again, or Keras
    drops one of its functions or makes it again: `quantize` and make_train_function(force=True) do so.

    Attributes:
        streams: those of datasets, by what their elements are.
    """

    def __init__(self, model: Any) -> None:
        self._compiled = getattr(model, "_compile_config", None)
        self._functions: dict[str, Any] = {}
        self.streams: dict[str, dict[Any, Any]] = {}
        self._programs: dict[str, Programs] = {}

    def holds(self, model: Any) -> bool:
        """Whether the model is still compiled as it was, and Keras's functions are those that it had."""
        if self._compiled is not getattr(model, "_compile_config", None):
            return False
        return all(getattr(model, function) is known for function, known in self._functions.items())

    def follow(self, model: Any, name: str) -> None:
        """Have Keras make its function of this name, as its own loop does, and see from here on whether it is
        another."""
        function = f"{name}_function"
        if function not in self._functions:
            getattr(model, f"make_{function}")()
            self._functions[function] = getattr(model, function)

    def stream(self, spec: Any) -> dict[Any, Any]:
        """The programs of datasets of such elements."""
        if repr(spec) not in self.streams:
            _keep(self.streams, repr(spec), {})
        return self.streams[repr(spec)]

    def of(self, model: Any, structure: Any) -> Programs:
        return self._programs.setdefault(repr(structure), Programs(model, structure))

    @property
    def traces(self) -> int:
        """How many programs and steps were traced."""
        return sum(each.traces for each in self._programs.values())


def _keep(room: dict[Any, Any], key: Any, value: Any) -> None:
    """Put a value into a room that holds so many: the first that came goes."""
    room[key] = value
    while len(room) > MOST_KEPT:
        room.pop(next(iter(room)))


def _are_of_one_kind(some: Sequence[tf.TensorSpec], others: Sequence[tf.TensorSpec]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(a.dtype == b.dtype and a.shape.rank == b.shape.rank for a, b in pairs)


def _common(specs: Sequence[tf.TensorSpec]) -> tf.TensorSpec:
    """The narrowest that all of them are of."""
    sizes = [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*(each.shape for each in specs), strict=True)]
    return tf.TensorSpec(sizes, specs[0].dtype)


def unflattened(structure: Any, tensors: Sequence[tf.Tensor]) -> Any:
    """Data of a structure, from its tensors."""
    following = iter(tensors)
    return keras.tree.map_structure(lambda leaf: None if leaf is None else next(following), structure)
