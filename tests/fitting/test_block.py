"""A block of steps sees every row once and in order, in full batches, in every mode; and ends at the right step."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.fitting import block
from tfbp.fitting.block import Block, take


@pytest.mark.parametrize("chunk_bytes", [1, 48, 10**6], ids=["no-chunks", "chunks-of-two-threes", "one-chunk"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(("rows", "batch_size"), [(6, 3), (7, 3), (2, 3), (3, 3), (4, 1), (10, 1), (10, 3)])
@pytest.mark.sampled(5, jit_compile=False)
def test_every_row_once_and_in_order(rows, batch_size, jit_compile, chunk_bytes, monkeypatch):
    monkeypatch.setattr(block, "CHUNK_BYTES", chunk_bytes)
    data = np.arange(100.0, 110.0)
    order = np.random.default_rng(0).permutation(10)[:rows]
    total = tf.Variable(0.0, dtype=tf.float64)
    full = rows // batch_size

    def step(number, left, batch):
        # each step reads what the one before has written
        total.assign(2 * total + tf.reduce_sum(batch[0]))
        return total.read_value(), number, tf.shape(batch[0])[0]

    def epoch(x, order, middle):
        nothing = tf.constant(0.0, tf.float64), tf.constant(-1), tf.constant(0)
        reached, left = Block(step, batch_size).run(nothing, [x], order, 0, middle)
        return reached, *Block(step, batch_size).run(left, [x], order, reached, full)

    middle = full // 2
    reached, end, (last, number, size) = tf.function(epoch, jit_compile=jit_compile)(
        tf.constant(data), tf.constant(order), tf.constant(middle)
    )
    expected = 0.0
    for start in range(0, full * batch_size, batch_size):
        expected = 2 * expected + data[order[start : start + batch_size]].sum()
    assert (int(reached), int(end)) == (middle, full)
    assert float(total) == float(last) == expected
    assert (int(number), int(size)) == ((full - 1, batch_size) if full else (-1, 0))


@pytest.mark.parametrize("chunk_bytes", [1, 48, 10**6], ids=["no-chunks", "chunks", "one-chunk"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("last", [0, 4, 5, 9])
def test_it_ends_after_the_step_that_says_so(last, jit_compile, chunk_bytes, monkeypatch):
    monkeypatch.setattr(block, "CHUNK_BYTES", chunk_bytes)

    def run(x, order):
        return Block(lambda number, left, batch: batch[0][0], 1, lambda left: left < last).run(0.0, [x], order)

    x = tf.range(10, dtype=tf.float32)
    reached, left = tf.function(run, jit_compile=jit_compile)(x, tf.range(10))
    assert (int(reached), float(left)) == ((0, 0.0) if last == 0 else (last + 1, last))


@pytest.mark.parametrize(("rows", "expected"), [(3, set()), (None, {"PlaceholderWithDefault"})], ids=["3", "unknown"])
def test_the_compiler_does_not_see_that_x_and_y_have_as_many_rows(rows, expected):
    """Where it did, it added up in another order than in Keras's own loop, in 3 of 500 random fits."""
    data = [tf.TensorSpec([6, 2]), tf.TensorSpec([6])]
    program = tf.function(lambda order, *data: take(data, order))
    graph = program.get_concrete_function(tf.TensorSpec([rows], tf.int32), *data).graph
    found = {each.op.inputs[0].op.type for each in graph.outputs}
    assert found & {"PlaceholderWithDefault"} == expected
