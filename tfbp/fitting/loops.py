"""What the programs of a model do: many steps in one loop, the rest of an epoch, whole epochs, predictions.

N samples, B batch, S full batches of an epoch, E epochs of a program at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfbp.fitting.block import run_block, take
from tfbp.fitting.compiler import Way
from tfbp.fitting.programs import Programs, Step, Unsuitable


def block(
    programs: Programs, batch_size: int, arguments: Any, name: str, way: Way, guarded: bool = False
) -> Callable[..., Any]:
    """Full batches from number between[0] to before between[1], of between[2] rows: (order, between, *data) to the
    number after the last that was run, its logs, and the metrics' results after it; `guarded`, to the first loss that
    is not finite. Beside them, its alarms."""
    one = programs.step(name, arguments[2:], batch_size, compiled=way.full)
    check_suitable(one)
    # as in Keras, where the size of batches is known if they all have the same
    is_static = way.full or arguments[0].shape[0] % batch_size == 0
    nothing = nothing_of(one.outputs), no_alarms_of(one)

    def goes_on(left: Any) -> Any:
        logs, alarms = left
        is_finite = [losses_are_finite(logs)] if guarded else []
        return tf.reduce_all([*is_finite, *map(tf.logical_not, alarms)]) if is_finite or alarms else True

    def steps(order: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        reached, (logs, alarms) = run_block(
            lambda number, left, batch: programs.run(name, one, batch, way.full),
            nothing,
            data,
            order,
            batch_size,
            between[0],
            between[1],
            goes_on,
            None if is_static else between[2],
        )
        return (reached, logs, results(programs.model, logs)), alarms

    return steps


def rest(programs: Programs, batch_size: int, arguments: Any, name: str, way: Way) -> Callable[..., Any]:
    """The last batch, that is not full, from row `first` on: (order, first, *data) to its logs, and the metrics'
    results after it. Beside them, its alarms."""
    one = programs.step(name, arguments[2:], batch_size, arguments[0].shape[0] % batch_size, way.rest)

    def last(order: tf.Tensor, first: tf.Tensor, *data: tf.Tensor) -> Any:
        rows = order[order.shape[0] // batch_size * batch_size if way.rest else first :]
        logs, alarms = programs.run(name, one, take(data, rows), way.rest)
        return (logs, results(programs.model, logs)), alarms

    return last


def epochs(programs: Programs, batch_size: int, arguments: Any, name: str, way: Way) -> Callable[..., Any]:
    """Whole epochs of training, or some steps of one: (orders (E, N), count, between, *data) to the logs of each epoch,
    0 from number `count` on, and whether the weights after them are finite. Each epoch's steps are those from number
    between[0] to before between[1]. Beside them, its alarms."""
    data_specs, (most, rows) = arguments[3:], arguments[0].shape
    order = tf.TensorSpec([rows], tf.int32)
    specs = [order, None, *data_specs]
    full = block(programs, batch_size, specs, name, way) if rows >= batch_size else None
    last = rest(programs, batch_size, specs, name, way) if rows % batch_size else None
    model = programs.model
    one = programs.step(name, data_specs, batch_size, min(rows, batch_size), way.full if full else way.rest)
    last_one = programs.step(name, data_specs, batch_size, rows % batch_size, way.rest) if last else one
    told = one.outputs

    def whole(orders: tf.Tensor, count: tf.Tensor, between: tf.Tensor, *data: tf.Tensor) -> Any:
        def epoch(number: tf.Tensor, arrays: Any, alarms: Any) -> Any:
            tf.cond(between[0] == 0, lambda: _reset(model), lambda: 0)
            logs = nothing_of(told)
            if full is not None:
                until = tf.minimum(between[1], rows // batch_size)
                (_, _, logs), rung = full(orders[number], tf.stack([between[0], until, between[2]]), *data)
                alarms = either(alarms, rung)
            if last is not None:
                runs_last, first = between[1] > rows // batch_size, rows // batch_size * between[2]

                def run_last() -> Any:
                    (_, logs), rung = last(orders[number], first, *data)
                    return logs, either(alarms, rung)

                logs, alarms = tf.cond(runs_last, run_last, lambda logs=logs, alarms=alarms: (logs, alarms))
            logs = tf.nest.flatten(logs)
            return number + 1, [array.write(number, log) for array, log in zip(arrays, logs, strict=True)], alarms

        arrays = [
            tf.TensorArray(log.dtype, most, element_shape=log.shape).unstack(tf.zeros([most, *log.shape], log.dtype))
            for log in tf.nest.flatten(told)
        ]

        def goes_on(number: tf.Tensor, arrays: Any, alarms: Any) -> Any:
            return tf.reduce_all([number < count, *map(tf.logical_not, alarms)]) if alarms else number < count

        quiet = max(no_alarms_of(one), no_alarms_of(last_one), key=len)
        # one epoch at a time: each reads the weights that the one before has written
        _, arrays, alarms = tf.while_loop(goes_on, epoch, (0, arrays, quiet), parallel_iterations=1)
        logs = tf.nest.pack_sequence_as(told, [array.stack() for array in arrays])
        finite = [tf.reduce_all(tf.math.is_finite(w.value)) for w in model.trainable_variables]
        return (logs, tf.reduce_all(finite)), alarms

    return whole


def _reset(model: Any) -> int:
    model.reset_metrics()
    return 0


def predictions(programs: Programs, batch_size: int, arguments: Any, name: str, way: Way) -> Callable[..., Any]:
    """The outputs for full batches: (order, *data) to tensors of the batches' rows, one after the other. Beside them,
    its alarms."""
    one = programs.step(name, arguments[1:], batch_size, compiled=way.full)
    outputs = [tf.TensorSpec([batch_size, *shape[1:]], dtype) for shape, dtype in batch_outputs(one, batch_size)]
    full = arguments[0].shape[0] // batch_size

    def predict(order: tf.Tensor, *data: tf.Tensor) -> Any:
        def step(number: tf.Tensor, left: Any, batch: Any) -> Any:
            (arrays, rung), (results, alarms) = left, programs.run(name, one, batch, way.full)
            made = tf.nest.flatten(results)
            written = [array.write(number, each) for array, each in zip(arrays, made, strict=True)]
            return written, either(rung, alarms)

        arrays = [tf.TensorArray(each.dtype, full, element_shape=each.shape) for each in outputs]
        _, (arrays, alarms) = run_block(step, (arrays, no_alarms_of(one)), data, order, batch_size)
        rows = [
            tf.reshape(array.stack(), [full * batch_size, *each.shape[1:]])
            for array, each in zip(arrays, outputs, strict=True)
        ]
        return tf.nest.pack_sequence_as(one.outputs, rows), alarms

    return predict


def results(model: Any, logs: Any) -> Any:
    """What the metrics have counted, where a step's logs are by the same names: Keras shows these for an epoch."""
    if not isinstance(logs, dict):
        return logs
    counted = model.get_metrics_result()
    return counted if set(counted) == set(logs) else logs


def losses_are_finite(logs: Any) -> Any:
    """Whether every loss that a step tells is finite; the mean of an epoch so far stays what it is from a NaN on."""
    finite = [tf.reduce_all(tf.math.is_finite(loss)) for loss in losses(logs) if loss.dtype.is_floating]
    return tf.reduce_all(finite) if finite else tf.constant(True)


def losses(logs: Any) -> list[Any]:
    """The losses that a step tells."""
    return [value for name, value in logs.items() if name.endswith("loss")] if isinstance(logs, dict) else []


def batch_outputs(step: Step, rows: int) -> list[tuple[tf.TensorShape, tf.DType]]:
    """What a step returns for each row of a batch."""
    outputs = tf.nest.flatten(step.outputs)
    for output in outputs:
        is_tensor = isinstance(output, tf.Tensor) and output.shape.rank
        if not is_tensor or output.shape[0] not in (None, rows) or not output.shape[1:].is_fully_defined():
            raise Unsuitable
    return [(output.shape, output.dtype) for output in outputs]


def nothing_of(outputs: Any) -> Any:
    """Logs before the first step."""
    return tf.nest.map_structure(lambda output: tf.zeros(output.shape, output.dtype), outputs)


def no_alarms_of(step: Step) -> list[Any]:
    """A step's alarms, before the first."""
    return [tf.constant(False) for _ in step.function.structured_outputs[1]]


def either(alarms: list[Any], others: list[Any]) -> list[Any]:
    """Whether one of two is on, if they are there."""
    return [tf.logical_or(a, b) for a, b in zip(alarms, others, strict=True)] if others else alarms


def check_suitable(step: Step) -> None:
    """Raise `Unsuitable` unless all that a step tells are tensors of known shape."""
    for output in tf.nest.flatten(step.outputs):
        if not isinstance(output, tf.Tensor) or not output.shape.is_fully_defined():
            raise Unsuitable
