"""A block of steps as one program: the data stay where they are, the loop gathers its own batches.

N samples, B batch, S full batches in N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# On the CPU, XLA's loops that touch more than about half a MiB of data take some 4 µs a step longer (measured at 2-2-2,
# batch 4: 5.6 µs against 1.2). So small batches are gathered by the chunk, and the loop over a chunk's steps never
# touches the whole data.
CHUNK_BYTES = 256 * 1024
SMALL_BATCH_BYTES = 32 * 1024

# takes the batch's number, what the step before left, and a batch of every array; returns what it leaves
Step = Callable[[tf.Tensor, Any, list[tf.Tensor]], Any]


@dataclass(frozen=True)
class Block:
    """Runs `left = step(number, left, batch)` on full batches; to be traced in a tf.function.

    Args:
        step: one step; what it returns has the structure, shapes and dtypes of `left`.
        batch_size: B.
        goes_on: of what a step left, whether there is to be another.
        sizes: B again and N, as tensors, where the last batch is to be run, too, with the rows that are left. There
            TensorFlow does not know the size of a batch while it optimizes the graph: it would divide by multiplying
            with the reciprocal, and round otherwise than in Keras's own loop.

    Example:
        >>> import tensorflow as tf
        >>> def step(number, total, batch):
        ...     return total + tf.reduce_sum(batch[0])
        >>> block = tf.function(lambda x, order: Block(step, 2).run(0, [x], order))
        >>> [each.numpy().tolist() for each in block(tf.range(5), tf.constant([4, 3, 2, 1, 0]))]
        [2, 10]
    """

    step: Step
    batch_size: int
    goes_on: Callable[[Any], Any] = lambda left: True
    sizes: tuple[Any, Any] | None = None

    def run(
        self, left: Any, data: Sequence[tf.Tensor], order: tf.Tensor, start: Any = 0, stop: Any = None
    ) -> tuple[tf.Tensor, Any]:
        """The number of the batch after the last that was run, and what that left.

        Args:
            left: the input of the first step.
            data: tensors of N rows.
            order: (n,) the rows of an epoch, in the order to take them. Those of a last short batch are not touched
                without `sizes`. Where n is not known, there is at least one batch.
            start, stop: run the batches from number `start` to before number `stop`; tensors, so that blocks of every
                length share one program. All of them by default.
        """
        known, batch_size = order.shape[0] if self.sizes is None else None, self.batch_size
        if self.sizes is not None:
            batch_size, rows_in_all = self.sizes
            number = -(-rows_in_all // batch_size)
        else:
            number = (tf.shape(order)[0] if known is None else known) // batch_size
        start, stop = tf.convert_to_tensor(start), tf.convert_to_tensor(number if stop is None else stop)
        if known is not None and number == 0:
            return start, left
        most = _steps_a_chunk(data, self.batch_size)
        chunk = tf.minimum(most, number) if known is None else min(most, number)
        if most == 1 or (known is not None and chunk == 1):
            return self._loop(left, data, order, start, stop, 0)
        order = order[: number * batch_size]
        missing = -number % chunk * batch_size if self.sizes is None else -tf.shape(order)[0] % (chunk * batch_size)
        rows = tf.pad(order, [[0, missing]])

        def run_chunk(number: tf.Tensor, left: Any) -> Any:
            first = number // chunk * chunk
            gathered = take(data, tf.slice(rows, [first * batch_size], [chunk * batch_size]))
            return self._loop(left, gathered, None, number, tf.minimum(stop, first + chunk), first)

        return self._while(stop, run_chunk, start, left)

    def _loop(
        self,
        left: Any,
        data: Sequence[tf.Tensor],
        order: tf.Tensor | None,
        start: tf.Tensor,
        stop: tf.Tensor,
        first: Any,
    ) -> tuple[tf.Tensor, Any]:
        """One plain loop. Without an order the data are in order, from the batch number `first` on."""
        size, in_all = self.sizes or (self.batch_size, None)

        def rows(array: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            others = [-1 if each is None else each for each in array.shape[1:]]
            its = size if in_all is None else tf.minimum(size, in_all - number * size)
            return tf.slice(array, [(number - first) * size, *[0] * len(others)], [its, *others])

        def body(number: tf.Tensor, left: Any) -> Any:
            batch = [rows(array, number) for array in data] if order is None else take(data, rows(order, number))
            return number + 1, self.step(number, left, batch)

        return self._while(stop, body, start, left)

    def _while(self, stop: tf.Tensor, body: Callable[..., Any], start: tf.Tensor, left: Any) -> tuple[tf.Tensor, Any]:
        """One step at a time: each reads the weights that the one before has written."""
        return tf.while_loop(
            lambda number, left: tf.logical_and(number < stop, self.goes_on(left)),
            body,
            (start, left),
            parallel_iterations=1,
        )


def take(data: Sequence[tf.Tensor], rows: tf.Tensor) -> list[tf.Tensor]:
    """Some rows of every array.

    Where how many is not known, TensorFlow is not to know either that they are as many of each: it would add up in
    another order than in Keras's own loop.
    """
    batch = [tf.gather(array, rows) for array in data]
    if rows.shape[0] is not None:
        return batch
    return [tf.raw_ops.PlaceholderWithDefault(input=each, shape=each.shape) for each in batch]


def _steps_a_chunk(data: Sequence[tf.Tensor], batch_size: int) -> int:
    """How many steps are gathered at a time; one where the size of a row is not known."""
    elements = [array.shape[1:].num_elements() for array in data]
    if None in elements:
        return 1
    bytes_a_step = batch_size * max(array.dtype.size * n for array, n in zip(data, elements, strict=True))
    return max(1, CHUNK_BYTES // max(bytes_a_step, 1)) if bytes_a_step <= SMALL_BATCH_BYTES else 1
