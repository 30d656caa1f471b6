"""A block of steps sees every row once and in order, in full batches and a short last one, in every mode."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.training import block
from tfbp.training.block import run_block, run_rest


@pytest.mark.parametrize("chunk_bytes", [1, 48, 10**6], ids=["no-chunks", "chunks-of-two-threes", "one-chunk"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize(("rows", "batch_size"), [(6, 3), (7, 3), (2, 3), (3, 3), (4, 1), (10, 1), (10, 3)])
def test_every_row_once_and_in_order(rows, batch_size, jit_compile, chunk_bytes, monkeypatch):
    monkeypatch.setattr(block, "CHUNK_BYTES", chunk_bytes)
    data = np.arange(100.0, 110.0)
    order = np.random.default_rng(0).permutation(10)[:rows]
    total = tf.Variable(0.0, dtype=tf.float64)

    def step(x):
        # each step reads what the one before has written
        total.assign(2 * total + tf.reduce_sum(x))
        return total.read_value(), tf.reduce_sum(x), tf.shape(x)[0]

    dtypes = (tf.float64, tf.float64, tf.int32)

    def epoch(x, order, middle):
        full = rows // batch_size
        before = run_block(step, dtypes, (x,), order, batch_size, 0, middle)
        after = run_block(step, dtypes, (x,), order, batch_size, middle, full)
        results = tuple(b + a for b, a in zip(before, after, strict=True))
        if rows % batch_size:
            rest = run_rest(step, (x,), order, batch_size)
            results = tuple(tf.concat([r, [last]], 0) for r, last in zip(results, rest, strict=True))
        return results

    run = tf.function(epoch, jit_compile=jit_compile)
    totals, sums, sizes = run(tf.constant(data), tf.constant(order), tf.constant(rows // batch_size // 2))
    batches = [data[order[start : start + batch_size]] for start in range(0, rows, batch_size)]
    np.testing.assert_array_equal(sums, [batch.sum() for batch in batches])
    np.testing.assert_array_equal(sizes, [len(batch) for batch in batches])
    expected = 0.0
    for batch, got in zip(batches, totals.numpy(), strict=True):
        expected = 2 * expected + batch.sum()
        assert got == expected
