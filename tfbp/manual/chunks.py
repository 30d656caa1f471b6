"""Attention in chunks of queries: the whole matrix of probabilities is never in memory.

The residual of a query is log_sum_exp, one number, from which backward computes a chunk's probabilities again. Under
a causal mask, chunks are grouped in bands, and a band ignores the keys after its last query.

B batch, K key heads, G query heads of each, T queries, S keys, C queries of a chunk, n chunks, E keys that a band
reads; q (B, K, G, T, H), k (B, K, S, H), v (B, K, S, V), masks (B|1, K|1, G|1, T|1, S|1).
"""

import functools
import itertools
import math

import tensorflow as tf

from tfbp.manual.compiled import has_gpu, is_compiled
from tfbp.manual.sizes import size_of, with_batch_of

# queries of a chunk: the fewest with which products are still fast, so that its matrices stay in the cache
CHUNK, CHUNK_OF_XLA = 128, 64
# the same on a GPU, which 128 queries leave idle
CHUNK_ON_GPU = 1024
# more bands compute fewer hidden keys; XLA compiles each band separately, which takes time and memory
BANDS, BANDS_OF_XLA = 8, 5


def chunks_forward(q, k, v, masks, *, causal):
    """Returns y (B, K, G, T, V), and the residuals; log_sum_exp (B, K, G, T, 1) is infinite for a query without a key.

    q is already scaled."""
    qs = _split(q)
    ys, log_sum_exps, keys, values = _list(q, v.dtype, v), _list(q, wide(q.dtype)), k, v
    for first, last, edge in _bands(q, k, causal):
        # slice the loop's previous result, so that a band's keys are copied only when it starts
        keys, values = keys[:, :, :edge], values[:, :, :edge]

        def chunk(i, ys, log_sum_exps, keys, values):
            z = _scores_of_chunk(i, qs[i], keys, masks, causal)
            largest = tf.reduce_max(z, axis=-1, keepdims=True)
            exponentials = tf.exp(z - largest)
            total = tf.reduce_sum(exponentials, axis=-1, keepdims=True)
            y = weighted(exponentials / total, values)
            log_sum_exp = largest + tf.math.log(total)
            if masks:
                log_sum_exp = tf.where(largest > lowest(z.dtype), log_sum_exp, math.inf)
            return ys.write(i, y), log_sum_exps.write(i, log_sum_exp), keys, values

        ys, log_sum_exps, keys, values = _loop(first, last, chunk, (ys, log_sum_exps, keys, values))
    y, log_sum_exp = (_joined(array.stack(), q) for array in (ys, log_sum_exps))
    if masks:
        # without a visible key, every key has the same weight
        y = tf.where(tf.math.is_inf(log_sum_exp), tf.reduce_mean(_wide(v), axis=2)[:, :, None, None], _wide(y))
        y = tf.cast(y, v.dtype)
    return y, (q, k, v, y, log_sum_exp, masks, causal)


def chunks_backward(dy, residuals):
    """Returns dq, dk and dv, from dy (B, K, G, T, V)."""
    q, k, v, y, log_sum_exp, masks, causal = residuals
    qs, dys, log_sum_exps, dp_dot_ps = map(_split, (q, dy, log_sum_exp, dp_dot_p(dy, y)))
    dks, dvs = (tf.zeros_like(tensor, wide(tensor.dtype)) for tensor in (k, v))
    dq, keys, values, finished = _list(q, q.dtype, q), k, v, []
    for first, last, edge in _bands(q, k, causal):
        if edge is not None:
            # no later band reads beyond this band's edge
            finished.append((dks[:, :, edge:], dvs[:, :, edge:]))
            dks, dvs, keys, values = (tensor[:, :, :edge] for tensor in (dks, dvs, keys, values))

        def chunk(i, dq, dks, dvs, keys, values):
            # z = scores(q, k), masked, and p = exp(z - log_sum_exp), as in forward
            z = _scores_of_chunk(i, qs[i], keys, masks, causal)
            p = tf.exp(z - log_sum_exps[i])
            # y = weighted(p, v)                                (B, K, G, C, V) <- (B, K, G, C, E) (B, K, E, V)
            dp, dv = weighted_backward(dys[i], p, values)
            # p = softmax(z)                                    (B, K, G, C, E)
            dz = p * (dp - dp_dot_ps[i])
            # z = scores(q, k)                                  (B, K, G, C, E) <- (B, K, G, C, H) (B, K, E, H)
            dq_of_chunk, dk = scores_backward(dz, qs[i], keys)
            return dq.write(i, dq_of_chunk), dks + _wide(dk), dvs + _wide(dv), keys, values

        dq, dks, dvs, keys, values = _loop(first, last, chunk, (dq, dks, dvs, keys, values))
    dk, dv = (tf.concat(parts, axis=2) for parts in zip((dks, dvs), *reversed(finished), strict=True))
    if masks:
        # y = mean(v) where no key is visible
        unseen = tf.where(tf.math.is_inf(log_sum_exp), _wide(dy), 0)
        dv += tf.reduce_sum(unseen, axis=[2, 3])[:, :, None] / tf.cast(tf.shape(v)[2], dv.dtype)
    return _joined(dq.stack(), q), tf.cast(dk, k.dtype), tf.cast(dv, v.dtype)


def scores(q, k):
    """Returns z (B, K, G, C, E), in float32 or wider."""
    return _by_group(_wide(tf.matmul(_rows(q), k, transpose_b=True)), q)


def scores_backward(dz, q, k):
    """Returns dq and dk; dk is the sum over the query heads of its group."""
    # z = by_group(matmul(rows(q), transpose(k)))               (B, K, G C, E) <- (B, K, G C, H) (B, K, E, H)
    dz = _rows(tf.cast(dz, q.dtype))
    return _by_group(tf.matmul(dz, k), q), tf.matmul(dz, _rows(q), transpose_a=True)


def weighted(p, v):
    """Returns y (B, K, G, C, V): the sum of the values, weighted by their probabilities."""
    return _by_group(tf.matmul(_rows(tf.cast(p, v.dtype)), v), p)


def weighted_backward(dy, p, v):
    """Returns dp, in float32 or wider, and dv."""
    # y = by_group(matmul(rows(p), v))                          (B, K, G C, V) <- (B, K, G C, E) (B, K, E, V)
    dv = tf.matmul(_rows(tf.cast(p, v.dtype)), _rows(dy), transpose_a=True)
    return _by_group(_wide(tf.matmul(_rows(dy), v, transpose_b=True)), p), dv


def dp_dot_p(dy, y):
    """Returns Σ dp · p over the keys, (B, K, G, C, 1); it equals dy · y, because y = p · v."""
    return tf.reduce_sum(_wide(dy) * _wide(y), axis=-1, keepdims=True)


def wide(dtype):
    return tf.float32 if dtype.size == 2 else dtype


def lowest(dtype):
    """Returns the score of a masked pair: its exponential is 0 next to another score, 1 next to an equal one."""
    return tf.constant(0.7 * dtype.min, dtype)


def _wide(a):
    return tf.cast(a, wide(a.dtype))


def _rows(a):
    """(B, K, G, C, H) -> (B, K, G C, H): the queries of all heads of a group as rows."""
    return tf.reshape(a, with_batch_of(a, a.shape[1], a.shape[2] * size_of(a, 3), size_of(a, 4)))


def _by_group(rows, like):
    """(B, K, G C, …) -> (B, K, G, C, …)."""
    return tf.reshape(rows, with_batch_of(like, *like.shape[1:3], size_of(like, 3), size_of(rows, 3)))


def seen_by(rows, z, masks, causal):
    """Returns the visible keys of these rows, booleans broadcastable to z (B, K, G, C, E); None if all are."""
    seen = [rows[:, None] >= tf.range(size_of(z, 4))] if causal else []
    for mask in masks:
        # padding after the last query sees the same keys as the last query
        of_chunk = mask if mask.shape[3] == 1 else tf.gather(mask, tf.minimum(rows, tf.shape(mask)[3] - 1), axis=3)
        seen.append(of_chunk if mask.shape[4] == 1 else of_chunk[..., : z.shape[4]])
    return functools.reduce(tf.logical_and, seen) if seen else None


def masked(z, seen):
    return z if seen is None else tf.where(seen, z, lowest(z.dtype))


def _scores_of_chunk(i, q, keys, masks, causal):
    z = scores(q, keys)
    size = q.shape[3]
    return masked(z, seen_by(i * size + tf.range(size), z, masks, causal))


def _bands(q, k, causal):
    """Returns (first chunk, end chunk, number of keys) of each band, the last band first.

    Where a trace does not know the lengths, there is one band, which reads all keys."""
    queries, keys = q.shape[3], k.shape[2]
    if queries is None or keys is None or not causal:
        return [(0, _chunks(q), None)]
    count, size = _chunks(q), _size()
    bands = BANDS_OF_XLA if is_compiled() else BANDS
    starts = sorted({round(count * band / bands) for band in range(bands + 1)})
    return [(first, last, min(last * size, keys)) for first, last in itertools.pairwise(starts)][::-1]


def _size():
    return CHUNK_ON_GPU if has_gpu() else CHUNK_OF_XLA if is_compiled() else CHUNK


def _chunks(a):
    return -(-size_of(a, 3) // _size())


def _split(a):
    """(B, K, G, T, H) -> (n, B, K, G, C, H), padded with 0."""
    count = _chunks(a)
    a = tf.pad(a, [[0, 0], [0, 0], [0, 0], [0, count * _size() - size_of(a, 3)], [0, 0]])
    a = tf.reshape(a, with_batch_of(a, a.shape[1], a.shape[2], count, _size(), a.shape[4]))
    return tf.transpose(a, [3, 0, 1, 2, 4, 5])


def _joined(chunks, like):
    """(n, B, K, G, C, …) -> (B, K, G, T, …)."""
    chunks = tf.transpose(chunks, [1, 2, 3, 0, 4, 5])
    joined = tf.reshape(chunks, with_batch_of(like, *like.shape[1:3], _chunks(like) * _size(), chunks.shape[5]))
    return joined[:, :, :, : size_of(like, 3)]


def _list(q, dtype, of=None):
    """Returns zeros for the chunks' outputs, (B, K, G, C, V) with v's V; or with V = 1."""
    shape = [q.shape[0], q.shape[1], q.shape[2], _size(), 1 if of is None else of.shape[-1]]
    return tf.TensorArray(dtype, size=_chunks(q), element_shape=shape)


def _loop(first, last, chunk, carried):
    """Runs the chunks from `first` to `last`, one at a time: several at once would need several matrices."""
    return tf.while_loop(
        lambda i, *_: i < last,
        lambda i, *carried: (i + 1, *chunk(i, *carried)),
        (first, *carried),
        parallel_iterations=1,
        maximum_iterations=last - first,
    )[1:]
