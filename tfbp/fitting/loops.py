"""What the programs of a model do: many steps in one loop, the rest of an epoch, whole epochs, predictions.

N samples, B batch, S full batches of an epoch, E epochs of a program at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfbp.fitting.block import run_block, take
from tfbp.fitting.programs import Programs, Unsuitable


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
            lambda number, logs, batch: programs.run(name, one, batch),
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
    one = programs.step(name, arguments[2:], batch_size, arguments[0].shape[0] % batch_size)
    is_compiled = programs.compiles(name)

    def last(order: tf.Tensor, first: tf.Tensor, *data: tf.Tensor) -> Any:
        rows = order[order.shape[0] // batch_size * batch_size if is_compiled else first :]
        logs = programs.run(name, one, take(data, rows))
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
    told = programs.step("train", data_specs, batch_size, min(rows, batch_size)).structured_outputs

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
            made = tf.nest.flatten(programs.run("predict", one, batch))
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
    finite = [tf.reduce_all(tf.math.is_finite(loss)) for loss in losses(logs) if loss.dtype.is_floating]
    return tf.reduce_all(finite) if finite else tf.constant(True)


def losses(logs: Any) -> list[Any]:
    """The losses that a step tells."""
    return [value for name, value in logs.items() if name.endswith("loss")] if isinstance(logs, dict) else []


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
