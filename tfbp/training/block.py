"""A block of training steps as one program: the data stay where they are, the loop gathers its own batches.

N samples, B batch, S full batches in N samples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# On the CPU, XLA's loops that touch more than about half a MiB of data take some 4 µs a step longer (measured at 2-2-2,
# batch 4: 5.6 µs against 1.2). So small batches are gathered by the chunk, and the loop over a chunk's steps never
# touches the whole data.
CHUNK_BYTES = 256 * 1024
SMALL_BATCH_BYTES = 32 * 1024

Step = Callable[..., tuple[tf.Tensor, ...]]


def run_block(
    step: Step,
    dtypes: tuple[tf.DType, ...],
    data: Any,
    order: tf.Tensor,
    batch_size: int,
    start: Any = 0,
    stop: Any = None,
) -> tuple[tf.Tensor, ...]:
    """Call `step(*batch)` on full batches of `data` taken in `order`; to be traced inside a tf.function.

    Args:
        step: takes one batch of every array in `data`, and returns a tuple of scalars of `dtypes`.
        data: a tuple of tensors of N rows.
        order: (n,) the rows of an epoch, in the order to take them. Those of a last short batch are not touched.
        batch_size: B.
        start, stop: run the batches from number `start` to before number `stop`; tensors, so that blocks of every
            length share one program. All S of them if not given.

    Returns:
        What the steps returned: a tuple of tensors of shape (S,), 0 where no step was run.

    Example:
        >>> import tensorflow as tf
        >>> def step(x):
        ...     return (tf.reduce_sum(x),)
        >>> block = tf.function(lambda x, order: run_block(step, (tf.int32,), (x,), order, 2))
        >>> block(tf.range(5), tf.constant([4, 3, 2, 1, 0]))[0].numpy().tolist()
        [7, 3]
    """
    full = order.shape[0] // batch_size
    stop = full if stop is None else stop
    if full == 0:
        return tuple(tf.zeros([0], dtype) for dtype in dtypes)
    start = tf.convert_to_tensor(start)
    chunk = _steps_a_chunk(data, batch_size, full)
    if chunk == 1:
        return _loop(step, dtypes, data, order, batch_size, full, start, stop)

    rows = tf.pad(order[: full * batch_size], [[0, -full % chunk * batch_size]])

    def run_chunk(number: tf.Tensor, arrays: tuple[tf.TensorArray, ...]) -> Any:
        first = number * chunk
        chosen = tf.slice(rows, [first * batch_size], [chunk * batch_size])
        gathered = take(data, chosen)
        begin, end = tf.maximum(start - first, 0), tf.minimum(stop - first, chunk)
        results = _loop(step, dtypes, gathered, None, batch_size, chunk, begin, end)
        return number + 1, tuple(array.write(number, each) for array, each in zip(arrays, results, strict=True))

    chunks = -(-full // chunk)
    _, arrays = tf.while_loop(
        lambda number, _: number * chunk < stop,
        run_chunk,
        (start // chunk, _zeros(dtypes, chunks, [chunk])),
        parallel_iterations=1,
    )
    return tuple(tf.reshape(array.stack(), [-1])[:full] for array in arrays)


def _loop(
    step: Step,
    dtypes: tuple[tf.DType, ...],
    data: Any,
    order: tf.Tensor | None,
    batch_size: int,
    steps: int,
    start: Any,
    stop: Any,
) -> tuple[tf.Tensor, ...]:
    """`run_block` as one plain loop: its results of shape (steps,). Without an order the data are in order."""

    def rows(array: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        first, others = index * batch_size, array.shape[1:]
        return tf.slice(array, [first, *[0] * len(others)], [batch_size, *others])

    def body(index: tf.Tensor, arrays: tuple[tf.TensorArray, ...]) -> Any:
        batch = [rows(array, index) for array in data] if order is None else take(data, rows(order, index))
        results = step(*batch)
        return index + 1, tuple(array.write(index, result) for array, result in zip(arrays, results, strict=True))

    # one step at a time: each reads the weights that the one before has written
    _, arrays = tf.while_loop(
        lambda index, _: index < stop, body, (start, _zeros(dtypes, steps)), parallel_iterations=1
    )
    return tuple(array.stack() for array in arrays)


def _steps_a_chunk(data: Any, batch_size: int, full: int) -> int:
    bytes_a_step = batch_size * max(array.dtype.size * (array.shape.num_elements() // array.shape[0]) for array in data)
    return max(1, min(full, CHUNK_BYTES // bytes_a_step)) if bytes_a_step <= SMALL_BATCH_BYTES else 1


def _zeros(dtypes: tuple[tf.DType, ...], size: int, shape: Any = ()) -> tuple[tf.TensorArray, ...]:
    return tuple(
        tf.TensorArray(dtype, size, element_shape=shape).unstack(tf.zeros([size, *shape], dtype)) for dtype in dtypes
    )


def run_rest(step: Step, data: Any, order: tf.Tensor, batch_size: int) -> tuple[tf.Tensor, ...]:
    """The last batch of an epoch, that is not full: `step` on the rows of `order` that `run_block` leaves."""
    return step(*take(data, order[order.shape[0] // batch_size * batch_size :]))


def take(data: Any, rows: tf.Tensor) -> list[tf.Tensor]:
    """Some rows of every array."""
    return [tf.gather(array, rows) for array in data]
