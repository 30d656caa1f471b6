"""The compiled programs of a model, each made once after every compile: one step of its own, or many in one program.

N samples, B batch, S full batches of an epoch, E epochs of a program at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import let_go
from tfbp.fitting import compiler
from tfbp.fitting.block import run_block, take

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
        self._compiled: dict[str, bool] = {}
        self._steps: dict[Any, Any] = {}
        self._programs: dict[Any, Any] = {}
        self.traces = 0

    def step(self, name: str, data: Sequence[tf.TensorSpec], rows: int) -> Any:
        """One step on a batch of so many rows of such data, traced once: a function of the batch's tensors, and its
        results. As in Keras the graph is that of any number of rows unless all batches have the same; that of this
        number, too, where XLA compiles it."""
        if name not in self._compiled:
            asked = self._asked
            self._compiled[name] = compiler.pays(self.model, self._traced(name, data, None)) if asked is None else asked
        is_static = self._compiled[name] or data[0].shape[0] % rows == 0
        return self._traced(name, data, rows if is_static else None)

    def _traced(self, name: str, data: Sequence[tf.TensorSpec], rows: int | None) -> Any:
        batch = tuple(tf.TensorSpec([rows, *each.shape[1:]], each.dtype) for each in data)
        if (name, batch) not in self._steps:
            method = getattr(self.model, STEPS[name])
            structure = self._structure

            def one(*tensors: tf.Tensor) -> Any:
                return method(unflattened(structure, tensors))

            self._steps[name, batch] = tf.function(one, autograph=False).get_concrete_function(*batch)
            let_go(self._steps[name, batch].graph)
            self.traces += 1
        return self._steps[name, batch]

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
        return self._programs[key](*arguments)

    def _first_call(
        self, key: Any, make: Any, batch_size: int, arguments: Sequence[tf.Tensor], options: dict[str, Any]
    ) -> Any:
        function, name = make(self, batch_size, [*key[2]], **options)
        compiled = self._compiled[name]
        program = tf.function(function, jit_compile=compiled, autograph=False).get_concrete_function(*key[2])
        self.traces += 1
        try:
            results = program(*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError):
            if self._asked is not None or not compiled:
                raise
            # XLA refuses before a step is run
            self._compiled[name] = False
            return self._first_call(key, make, batch_size, arguments, options)
        self._programs[key] = program
        return results


def of(model: Any, data: Any) -> Programs:
    """The programs of a model as it is compiled now, for data of this structure."""
    structure = keras.tree.map_structure(lambda leaf: None if leaf is None else True, data)
    table = getattr(model, "_tfbp_programs", None)
    if table is None or table.compiled is not getattr(model, "_compile_config", None):
        table = model._tfbp_programs = Table(model)
    return table.of(model, structure)


class Table:
    """The programs of one compile, by the structure of the data; a model keeps it until it is compiled again."""

    def __init__(self, model: Any) -> None:
        self.compiled = getattr(model, "_compile_config", None)
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


def block(
    programs: Programs, batch_size: int, arguments: Any, name: str, guarded: bool = False
) -> tuple[Callable[..., Any], str]:
    """Full batches from number between[0] to before between[1], of between[2] rows: (order, between, *data) to the
    number after the last that was run, its logs, and the metrics' results after it; `guarded`, to the first loss that
    is not finite."""
    one = programs.step(name, arguments[2:], batch_size)
    check_suitable(one)
    # as in Keras, where the size of batches is known if they all have the same
    is_static = programs.compiles(name) or arguments[0].shape[0] % batch_size == 0

    def steps(order: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        reached, logs = run_block(
            lambda number, logs, batch: one(*batch),
            nothing_of(one.structured_outputs),
            data,
            order,
            batch_size,
            between[0],
            between[1],
            losses_are_finite if guarded else lambda logs: True,
            None if is_static else between[2],
        )
        return reached, logs, results(programs.model, logs)

    return steps, name


def rest(programs: Programs, batch_size: int, arguments: Any, name: str) -> tuple[Callable[..., Any], str]:
    """The last batch, that is not full, from row `first` on: (order, first, *data) to its logs, and the metrics'
    results after it."""
    one = programs.step(name, arguments[2:], arguments[0].shape[0] % batch_size)
    is_compiled = programs.compiles(name)

    def last(order: tf.Tensor, first: tf.Tensor, *data: tf.Tensor) -> Any:
        rows = order[order.shape[0] // batch_size * batch_size if is_compiled else first :]
        logs = one(*take(data, rows))
        return logs, results(programs.model, logs)

    return last, name


def epochs(programs: Programs, batch_size: int, arguments: Any) -> tuple[Callable[..., Any], str]:
    """Whole epochs of training, or some steps of one: (orders (E, N), count, between, *data) to the logs of each epoch,
    0 from number `count` on, and whether the weights after them are finite. Each epoch's steps are those from number
    between[0] to before between[1]."""
    data_specs, (most, rows) = arguments[3:], arguments[0].shape
    order = tf.TensorSpec([rows], tf.int32)
    specs = [order, None, *data_specs]
    full = block(programs, batch_size, specs, "train")[0] if rows >= batch_size else None
    last = rest(programs, batch_size, specs, "train")[0] if rows % batch_size else None
    model = programs.model
    told = programs.step("train", data_specs, min(rows, batch_size)).structured_outputs

    def whole(orders: tf.Tensor, count: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        def epoch(number: tf.Tensor, arrays: Any) -> Any:
            tf.cond(between[0] == 0, lambda: _reset(model), lambda: 0)
            logs = nothing_of(told)
            if full is not None:
                until = tf.minimum(between[1], rows // batch_size)
                _, _, logs = full(orders[number], tf.stack([between[0], until, between[2]]), *data)
            if last is not None:
                runs_last, first = between[1] > rows // batch_size, rows // batch_size * between[2]
                logs = tf.cond(runs_last, lambda: last(orders[number], first, *data)[1], lambda logs=logs: logs)
            logs = tf.nest.flatten(logs)
            return number + 1, [array.write(number, log) for array, log in zip(arrays, logs, strict=True)]

        arrays = [
            tf.TensorArray(log.dtype, most, element_shape=log.shape).unstack(tf.zeros([most, *log.shape], log.dtype))
            for log in tf.nest.flatten(told)
        ]
        # one epoch at a time: each reads the weights that the one before has written
        _, arrays = tf.while_loop(lambda number, _: number < count, epoch, (0, arrays), parallel_iterations=1)
        logs = tf.nest.pack_sequence_as(told, [array.stack() for array in arrays])
        finite = [tf.reduce_all(tf.math.is_finite(w.value)) for w in model.trainable_variables]
        return logs, tf.reduce_all(finite)

    return whole, "train"


def _reset(model: Any) -> int:
    model.reset_metrics()
    return 0


def predictions(programs: Programs, batch_size: int, arguments: Any) -> tuple[Callable[..., Any], str]:
    """The outputs for full batches: (order, *data) to tensors of the batches' rows, one after the other."""
    one = programs.step("predict", arguments[1:], batch_size)
    outputs = [tf.TensorSpec([batch_size, *shape[1:]], dtype) for shape, dtype in batch_outputs(one, batch_size)]
    full = arguments[0].shape[0] // batch_size

    def predict(order: tf.Tensor, *data: tf.Tensor) -> Any:
        def step(number: tf.Tensor, arrays: Any, batch: Any) -> Any:
            made = tf.nest.flatten(one(*batch))
            return [array.write(number, each) for array, each in zip(arrays, made, strict=True)]

        arrays = [tf.TensorArray(each.dtype, full, element_shape=each.shape) for each in outputs]
        _, arrays = run_block(step, arrays, data, order, batch_size)
        rows = [
            tf.reshape(array.stack(), [full * batch_size, *each.shape[1:]])
            for array, each in zip(arrays, outputs, strict=True)
        ]
        return tf.nest.pack_sequence_as(one.structured_outputs, rows)

    return predict, "predict"


def results(model: Any, logs: Any) -> Any:
    """What the metrics have counted, where a step's logs are by the same names: Keras shows these for an epoch."""
    if not isinstance(logs, dict):
        return logs
    counted = model.get_metrics_result()
    return counted if set(counted) == set(logs) else logs


def losses_are_finite(logs: Any) -> Any:
    """Whether every loss that a step tells is finite; the mean of an epoch so far stays what it is from a NaN on."""
    losses = [value for name, value in logs.items() if name.endswith("loss")] if isinstance(logs, dict) else []
    finite = [tf.reduce_all(tf.math.is_finite(loss)) for loss in losses if loss.dtype.is_floating]
    return tf.reduce_all(finite) if finite else tf.constant(True)


def batch_outputs(step: Any, rows: int) -> list[tuple[tf.TensorShape, tf.DType]]:
    """What a step returns for each row of a batch."""
    outputs = tf.nest.flatten(step.structured_outputs)
    for output in outputs:
        is_tensor = isinstance(output, tf.Tensor) and output.shape.rank
        if not is_tensor or output.shape[0] not in (None, rows) or not output.shape[1:].is_fully_defined():
            raise Unsuitable
    return [(output.shape, output.dtype) for output in outputs]


def nothing_of(outputs: Any) -> Any:
    """Logs before the first step."""
    return tf.nest.map_structure(lambda output: tf.zeros(output.shape, output.dtype), outputs)


def check_suitable(step: Any) -> None:
    """Raise `Unsuitable` unless all that a step tells are tensors of known shape."""
    for output in tf.nest.flatten(step.structured_outputs):
        if not isinstance(output, tf.Tensor) or not output.shape.is_fully_defined():
            raise Unsuitable
