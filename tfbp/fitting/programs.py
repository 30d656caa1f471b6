"""The compiled programs of a model, each made once after every compile, and the steps in them.

B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler, contract, faithful, random_numbers, twins, worthwhile
from tfbp.fitting.compiler import Way
from tfbp.fitting.state import variables_read_by

# a step's name, and the model's method
STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}
# programs, or steps, for data of one structure: a fit, its validation and predict with other batch sizes have some 20
MOST_KEPT = 64


class Unsuitable(Exception):
    """Keras's own loop has to run this; the message says why."""


class Conceded(Exception):
    """Under "auto": the program has to run without XLA."""


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


class Programs:
    """The programs that were traced of a model since it was compiled, for data of one structure.

    Args:
        model: any keras.Model.
        structure: packed data with a Boolean in place of every tensor, and None where there is none.
    """

    def __init__(self, model: Any, structure: Any) -> None:
        self.model, self._structure = model, structure
        self.asked = compiler.is_asked_for(model)
        # what XLA refused, or computed otherwise than TensorFlow
        self._conceded: set[str] = set()
        # what is tried where XLA compiles: a step that does not know its rows; one that is not called but inlined
        self._hides_rows: bool | None = None
        self._inlines = False
        self._steps: dict[Any, Step] = {}
        self._programs: dict[Any, Any] = {}
        self._seen: list[list[tf.TensorSpec]] = []
        self._compiled: set[Any] = set()
        # how many batches of some data were run, full and last ones
        self.ran: dict[Any, int] = {}
        # the seconds of a step, by what its batches are, and by the hooks around it
        self.learned: dict[Any, dict[tuple[str, ...], float]] = {}
        self.traces = 0

    def way(self, name: str, data: Sequence[tf.Tensor], rows: int, batch_size: int, passes: int | None) -> Way:
        """The batches of a call that XLA compiles.

        Args:
            rows: N, of the data.
            passes: how often the data are gone through; not known if None, and taken for as often as it takes.
        """
        if self.asked is not None:
            return Way(self.asked, self.asked)
        if name in self._conceded:
            return Way(False, False)
        specs = self.specs_of(data)
        full, left = divmod(rows, batch_size)
        passes = 10**9 if passes is None else passes
        keys = [key_of(name, batch_size, data, each) for each in (0, left)]
        counts = [
            passes * each + self.ran.get(key, 0) if each else 0
            for each, key in zip((full, left > 0), keys, strict=True)
        ]
        return compiler.way_of(
            self.model,
            self.step(name, specs, batch_size, not left),
            lambda: self.step(name, specs, batch_size, not left, compiled=True),
            data,
            batch_size,
            counts,
            [key in self._compiled for key in keys],
        )

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
        batch = tuple(tf.TensorSpec([rows, *each.shape[1:]], each.dtype) for each in data)
        if (name, batch, compiled) not in self._steps:
            # as Keras traces it: what is written for XLA, or without, is chosen while it is traced
            one = tf.function(
                lambda *tensors: self._results(name, tensors, compiled), jit_compile=compiled or None, autograph=False
            ).get_concrete_function(*batch)
            let_go(one.graph)
            _keep(self._steps, (name, batch, compiled), Step(one, one.structured_outputs[0]))
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
        return list({id(each): each for step in traced for each in variables_read_by(step.graph)}.values())

    def call(
        self,
        make: Callable[..., Any],
        batch_size: int,
        order: tf.Tensor,
        numbers: Sequence[int],
        data: Sequence[tf.Tensor],
        name: str,
        way: Way,
        **options: Any,
    ) -> Any:
        """Run the program that `make` makes, on rows in an order, some numbers and the data; `make` takes these
        programs, B, the arguments' specs, the step's name, which of its batches XLA compiles, and the options, and
        gives a function of its results and alarms. Without XLA one program does for any number of rows, as in Keras.

        Raises:
            Conceded: it cannot be compiled, or XLA computed otherwise; nothing is changed.
        """
        arguments = [order, tf.constant(numbers), *data]
        specs = self._specs(self.compiles(make.__name__, way), arguments)
        key = make.__name__, batch_size, specs, name, way, *options.values()
        if key not in self._programs:
            return self._first_call(key, make, batch_size, arguments, options)
        # calling what was traced costs a third of what calling a tf.function costs
        return self._watched(name, self._programs[key], arguments)

    def _specs(self, compiled: bool, arguments: Sequence[tf.Tensor]) -> tuple[tf.TensorSpec, ...]:
        if compiled:
            return tuple(map(tf.TensorSpec.from_tensor, arguments))
        order, numbers, *data = arguments
        rows = tf.TensorSpec([None] * order.shape.rank, order.dtype)
        return rows, tf.TensorSpec.from_tensor(numbers), *self.specs_of(data)

    def specs_of(self, data: Sequence[tf.Tensor]) -> list[tf.TensorSpec]:
        """Those of any number of rows; and of rows of any size where more than two sizes were seen, as in Keras."""
        specs = [tf.TensorSpec([None, *each.shape[1:]], each.dtype) for each in data]
        if specs not in self._seen and not self.asked:
            if len(self._seen) >= 2:
                alike = [each for each in self._seen if _are_of_one_kind(each, specs)]
                specs = [_common(several) for several in zip(specs, *alike, strict=True)]
            if specs not in self._seen:
                self._seen.append(specs)
        return specs

    def _first_call(
        self, key: Any, make: Callable[..., Any], batch_size: int, arguments: Sequence[tf.Tensor], options: Any
    ) -> Any:
        _, _, specs, name, way, *_ = key
        shared = self._shared_key(key, arguments, options)
        if shared is not None and (kept := twins.find(shared[0])) is not None:
            program = kept.of(shared[1].graph)
            results = self._watched(name, program, arguments)
            self._remember(key, program, arguments, options)
            return results
        function = make(self, batch_size, [*specs], name, way, **options)
        compiled = self.compiles(make.__name__, way)
        graph = next(step.graph for (known, *_), step in self._steps.items() if known == name)
        written = faithful.written(graph) if compiled and self.asked is None else []

        def whole(*given: tf.Tensor) -> Any:
            before = [tf.identity(variable) for variable in written]
            results, alarms = function(*given)
            drawn = random_numbers.second_place(graph, batch_size, given) if compiled else []
            return results, [*alarms, *(before if alarms else [])], drawn

        traced = tf.function(whole, jit_compile=compiled, autograph=False).get_concrete_function(*specs)
        let_go(traced.graph)
        self.traces += 1
        program = traced, written
        try:
            results = self._watched(name, program, arguments)
        except (
            tf.errors.InvalidArgumentError,
            tf.errors.UnimplementedError,
            tf.errors.NotFoundError,
            tf.errors.InternalError,
        ) as error:
            # XLA refuses before a step is run
            if not compiled:
                raise
            if self._has_another_way():
                return self._first_call(key, make, batch_size, arguments, options)
            if self.asked is not None:
                raise
            self._conceded.add(name)
            raise Conceded from error
        self._remember(key, program, arguments, options)
        if shared is not None:
            twins.keep(shared[0], traced, written, shared[1].graph)
        return results

    def _remember(self, key: Any, program: Any, arguments: Sequence[tf.Tensor], options: Any) -> None:
        """Keep a program, and that XLA has compiled it for such data."""
        _keep(self._programs, key, program)
        kind, batch_size, _, name, way, *_ = key
        if self.compiles(kind, way):
            for each, its in ((0, way.full), (options.get("left", 0), way.rest)):
                if its and (kind == "epochs" or (each > 0) == (kind == "rest")):
                    self._compiled.add(key_of(name, batch_size, arguments[2:], each))

    def _shared_key(self, key: Any, arguments: Sequence[tf.Tensor], options: Any) -> tuple[Any, Step] | None:
        """The key that a program shares with those of the model's twins, and the step that it follows from; None where
        the model has methods of its own."""
        kind, batch_size, _, name, *_ = key
        own = (STEPS[name], "get_metrics_result", "reset_metrics", "compute_loss", "compute_metrics")
        if self.asked or any(contract.is_overridden(self.model, each) for each in own):
            return None
        even = kind != "rest" and options.get("even", not options.get("left"))
        step = self.step(name, self.specs_of(arguments[2:]), batch_size, even)
        places = {id(outer): place for place, (outer, _) in enumerate(step.graph.captures)}
        trained = tuple(places.get(id(each.value.handle)) for each in self.model.trainable_variables)
        return step.twin_key and ((step.twin_key, key, trained, bool(self._hides_rows), self._inlines), step)

    def _watched(self, name: str, program: Any, arguments: Sequence[tf.Tensor]) -> Any:
        """A program's results; where it gave an alarm, what it changed is changed back."""
        traced, written = program
        results, watched, _ = traced(*arguments)
        if watched and bool(watched[0]):
            for variable, value in zip(written, watched[1:], strict=True):
                variable.assign(value)
            self._conceded.add(name)
            raise Conceded
        return results

    def compiles(self, kind: str, way: Way) -> bool:
        """Whether XLA compiles a program of `loops`."""
        return way.rest if kind == "rest" else way.full or (kind == "epochs" and way.rest)

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


def key_of(name: str, batch_size: int, data: Sequence[Any], left: int) -> Any:
    """The key under which the full batches of some data are counted, or the last ones of `left` rows."""
    return name, batch_size, tuple((tuple(each.shape[1:]), each.dtype) for each in data), left


def _has_several_losses(model: Any) -> bool:
    return bool(getattr(model._compile_loss, "metrics", None))


def of(model: Any, data: Any, name: str = "train") -> Programs:
    """The programs of a model as it is compiled now, for data of this structure, of which one with a step is needed."""
    return table_of(model, name).of(model, structure_of(data))


def structure_of(data: Any) -> Structure:
    """That of packed data."""
    value = keras.tree.map_structure(lambda leaf: None if leaf is None else True, data)
    return Structure(repr(value), value)


def table_of(model: Any, name: str = "train") -> Table:
    """All programs of a model as it is compiled now, of which one with a step of a name is needed."""
    table = getattr(model, "_tfbp_programs", None)
    if table is None or not table.holds(model):
        table = model._tfbp_programs = Table(model)
    table.follow(model, name)
    return table


class Structure(NamedTuple):
    """Packed data with True in place of every tensor, and as a text, which is made once."""

    text: str
    value: Any


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

    def stream(self, spec: str) -> dict[Any, Any]:
        """The programs of datasets whose elements are described so."""
        if spec not in self.streams:
            _keep(self.streams, spec, {})
        return self.streams[spec]

    def of(self, model: Any, structure: Structure) -> Programs:
        known = self._programs.get(structure.text)
        if known is None:
            known = self._programs[structure.text] = Programs(model, structure.value)
        return known

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
