"""The programs of a model: many steps in one loop, the rest of an epoch, whole epochs, predictions.

N samples, B batch, S full batches of an epoch, E epochs of a program at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfbp.fitting.block import Block, take
from tfbp.fitting.compiler import Way
from tfbp.fitting.programs import Programs
from tfbp.fitting.steps import Step, Unsuitable

# those that keep what they have drawn in the program
STATEFUL_DRAWS = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
}


def block(
    programs: Programs, batch_size: int, arguments: Any, name: str, way: Way, even: bool, guarded: bool = False
) -> Callable[..., Any]:
    """Batches from number numbers[0] to before numbers[1], of numbers[2] rows: (order, numbers, *data) to the
    number after the last that was run, its logs, and the metrics' results after it; `guarded`, to the first loss that
    is not finite; `even`, where all batches have as many rows. Without XLA and where they do not, the last one, too,
    of the numbers[3] rows of the order. Beside them, its alarms."""
    one = programs.step(name, arguments[2:], batch_size, even, compiled=way.full)
    check_suitable(one)
    # as in Keras, where the size of batches is known if they all have the same
    is_static = way.full or even

    def goes_on(left: Any) -> Any:
        logs, alarms = left
        is_finite = [losses_are_finite(logs)] if guarded else []
        return tf.reduce_all([*is_finite, *map(tf.logical_not, alarms)]) if is_finite or alarms else True

    def steps(order: tf.Tensor, numbers: tf.Tensor, *data: tf.Tensor) -> Any:
        block = Block(
            lambda number, left, batch: programs.run(name, one, batch, way.full),
            batch_size,
            goes_on,
            None if is_static else (numbers[2], numbers[3]),
        )
        # made here: a program that holds no tensor of its own can be called for a twin
        nothing = nothing_of(one.outputs), no_alarms_of(one)
        reached, (logs, alarms) = block.run(nothing, data, order, numbers[0], numbers[1])
        return (reached, logs, results(programs.model, logs)), alarms

    return steps


def rest(programs: Programs, batch_size: int, arguments: Any, name: str, way: Way, left: int) -> Callable[..., Any]:
    """The last batch, that is not full, of `left` rows: (order, numbers, *data), where the order has these rows alone,
    to its logs, and the metrics' results after it. Beside them, its alarms. For XLA, and for predictions."""
    one = programs.step(name, arguments[2:], batch_size, False, left, way.rest)

    def last(order: tf.Tensor, numbers: tf.Tensor, *data: tf.Tensor) -> Any:
        logs, alarms = programs.run(name, one, take(data, order), way.rest)
        return (logs, results(programs.model, logs)), alarms

    return last


def epochs(
    programs: Programs, batch_size: int, arguments: Any, name: str, way: Way, full: bool, left: int
) -> Callable[..., Any]:
    """Whole epochs of training, or some steps of one: (orders (E, n), numbers, *data) to the logs of each epoch, 0 from
    number numbers[0] on, and whether the weights after them are finite. Beside them, its alarms.

    Each epoch's steps are those from number numbers[1] to before numbers[2]; numbers[3] is B, and the first numbers[4]
    of the numbers[5] rows of an order are those of full batches.

    Args:
        full: whether an epoch has full batches.
        left: how many rows its last batch has, where that is not full; any number but 0 where no program knows.
    """
    (most, rows), data_specs = arguments[0].shape, arguments[2:]
    specs = [tf.TensorSpec([rows], tf.int32), None, *data_specs]
    model, compiled = programs.model, way.full or way.rest
    # without XLA the block has the last batch, too
    in_blocks = full or not compiled
    whole_batches = block(programs, batch_size, specs, name, way, even=not left) if in_blocks else None
    last = rest(programs, batch_size, specs, name, way, left) if left and compiled else None
    parts = [programs.step(name, data_specs, batch_size, not left, compiled=way.full)] if in_blocks else []
    parts += [programs.step(name, data_specs, batch_size, False, left, way.rest)] if last is not None else []
    told = parts[0].outputs

    def whole(orders: tf.Tensor, numbers: tf.Tensor, *data: tf.Tensor) -> Any:
        count, start, stop, size, of_full, of_all = (numbers[i] for i in range(6))
        steps = of_full // size if compiled else stop

        def epoch(number: tf.Tensor, arrays: Any, alarms: Any) -> Any:
            tf.cond(start == 0, lambda: _reset(model), lambda: 0)
            logs = nothing_of(told)
            if whole_batches is not None:
                between = tf.stack([start, tf.minimum(stop, steps), size, of_all])
                (_, _, logs), rung = whole_batches(orders[number], between, *data)
                alarms = either(alarms, rung)
            if last is not None:
                # no slice: XLA compiles a program again for every value of a number that one begins at
                rows_left = tf.gather(orders[number], of_full + tf.range(left))

                def run_last() -> Any:
                    (_, logs), rung = last(rows_left, numbers, *data)
                    return logs, either(alarms, rung)

                logs, alarms = tf.cond(stop > steps, run_last, lambda logs=logs, alarms=alarms: (logs, alarms))
            logs = tf.nest.flatten(logs)
            return number + 1, [array.write(number, log) for array, log in zip(arrays, logs, strict=True)], alarms

        room = tf.shape(orders)[0] if most is None else most
        arrays = [
            tf.TensorArray(log.dtype, room, element_shape=log.shape).unstack(tf.zeros([room, *log.shape], log.dtype))
            for log in tf.nest.flatten(told)
        ]

        def goes_on(number: tf.Tensor, arrays: Any, alarms: Any) -> Any:
            return tf.reduce_all([number < count, *map(tf.logical_not, alarms)]) if alarms else number < count

        quiet = max(map(no_alarms_of, parts), key=len)
        # one epoch at a time: each reads the weights that the one before has written
        _, arrays, alarms = tf.while_loop(goes_on, epoch, (0, arrays, quiet), parallel_iterations=1)
        logs = tf.nest.pack_sequence_as(told, [array.stack() for array in arrays])
        finite = [tf.reduce_all(tf.math.is_finite(w.value)) for w in model.trainable_variables]
        return (logs, tf.reduce_all(finite)), alarms

    return whole


def _reset(model: Any) -> int:
    model.reset_metrics()
    return 0


def predictions(
    programs: Programs, batch_size: int, arguments: Any, name: str, way: Way, even: bool
) -> Callable[..., Any]:
    """The outputs for the first numbers[0] full batches: (order, numbers, *data) to tensors of the batches' rows, one
    after the other, and as many rows more as a program has room for. Beside them, its alarms."""
    one = programs.step(name, arguments[2:], batch_size, even, compiled=way.full)
    outputs = [tf.TensorSpec([batch_size, *shape[1:]], dtype) for shape, dtype in batch_outputs(one, batch_size)]
    rows = arguments[0].shape[0]

    def predict(order: tf.Tensor, numbers: tf.Tensor, *data: tf.Tensor) -> Any:
        def step(number: tf.Tensor, left: Any, batch: Any) -> Any:
            (arrays, rung), (results, alarms) = left, programs.run(name, one, batch, way.full)
            made = tf.nest.flatten(results)
            written = [array.write(number, each) for array, each in zip(arrays, made, strict=True)]
            return written, either(rung, alarms)

        room = numbers[0] if rows is None else rows // batch_size
        arrays = [tf.TensorArray(output.dtype, room, element_shape=output.shape) for output in outputs]
        _, (arrays, alarms) = Block(step, batch_size).run((arrays, no_alarms_of(one)), data, order, 0, numbers[0])
        found = [
            tf.reshape(array.stack(), [room * batch_size, *output.shape[1:]])
            for array, output in zip(arrays, outputs, strict=True)
        ]
        return tf.nest.pack_sequence_as(one.outputs, found), alarms

    return predict


def results(model: Any, logs: Any) -> Any:
    """The results of the metrics, where a step's logs have the same names: Keras shows these for an epoch."""
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
    """The shape and dtype of a step's outputs for one row of a batch."""
    outputs = tf.nest.flatten(step.outputs)
    for output in outputs:
        is_tensor = isinstance(output, tf.Tensor) and output.shape.rank
        # where the step knows how many rows it gets, it knows those of its outputs, unless they depend on the numbers
        expected = rows if known_rows(step) else None
        if not is_tensor or output.shape[0] not in (rows, expected) or not output.shape[1:].is_fully_defined():
            raise Unsuitable("its outputs are not tensors with a batch's rows")
    return [(output.shape, output.dtype) for output in outputs]


def known_rows(step: Step) -> bool:
    """Whether a step was traced for a number of rows."""
    return step.function.inputs[0].shape[0] is not None


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
            raise Unsuitable("its step's results are not tensors of known shape")


def check_draws(step: Step, compiled: bool) -> None:
    """Raise `Unsuitable` unless what a step draws is the same in all programs that it is part of."""
    if not compiled and draws_by_seed(step):
        raise Unsuitable("its step draws seeded numbers by tf.random, which count on in one program")


def draws_by_seed(step: Any) -> bool:
    """Whether a step draws numbers by tf.random.normal, say, that follow a seed: each program begins with the first of
    them, and Keras has one program. Those of keras.random and of a tf.random.Generator are in variables."""
    return any(
        node.op in STATEFUL_DRAWS and any(node.attr[name].i for name in ("seed", "seed2")) for node in _nodes_of(step)
    )


def writes_summaries(step: Any) -> bool:
    """Whether a step calls tf.summary; where it was traced without a writer, the names of what it left out say so."""
    return any(node.op.startswith("WriteSummary") or "write_summary" in node.name for node in _nodes_of(step))


def _nodes_of(step: Any) -> list[Any]:
    """The nodes of a step's graph, and of its functions."""
    definition = step.graph.as_graph_def()
    return [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
