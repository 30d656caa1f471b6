"""The compiled programs of a model, each made once after every compile.

B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler, contract, faithful, random_numbers, twins
from tfbp.fitting.compiler import Way
from tfbp.fitting.steps import STEPS, Step, Steps, keep


class Conceded(Exception):
    """Under "auto": the program has to run without XLA."""


class Programs(Steps):
    """The programs that were traced of a model since it was compiled, for data of one structure.

    Args:
        model: any keras.Model.
        structure: packed data with a Boolean in place of every tensor, and None where there is none.
    """

    def __init__(self, model: Any, structure: Any) -> None:
        super().__init__(model, structure)
        # what XLA refused, or computed otherwise than TensorFlow
        self._conceded: set[str] = set()
        self._programs: dict[Any, Any] = {}
        self._compiled: set[Any] = set()
        # how many batches of some data were run, full and last ones
        self.ran: dict[Any, int] = {}
        # the seconds of a step, by what its batches are, and by the hooks around it
        self.learned: dict[Any, dict[tuple[str, ...], float]] = {}

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
        keep(self._programs, key, program)
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
        trained = tuple(places.get(id(variable.value.handle)) for variable in self.model.trainable_variables)
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

    def forget(self, name: str) -> None:
        """Drop the programs and steps of a name."""
        self._steps = {key: step for key, step in self._steps.items() if key[0] != name}
        self._programs = {key: program for key, program in self._programs.items() if key[3] != name}
        self._compiled = {key for key in self._compiled if key[0] != name}
        self._conceded.discard(name)

    def compiles(self, kind: str, way: Way) -> bool:
        """Whether XLA compiles a program of `loops`."""
        return way.rest if kind == "rest" else way.full or (kind == "epochs" and way.rest)


def key_of(name: str, batch_size: int, data: Sequence[Any], left: int) -> Any:
    """The key under which the full batches of some data are counted, or the last ones of `left` rows."""
    return name, batch_size, tuple((tuple(array.shape[1:]), array.dtype) for array in data), left
