"""Attention in chunks of queries: the whole matrix of probabilities is never held.

Forward keeps log_sum_exp, a number for each query, by which backward makes a chunk's probabilities again. Under a
causal mask the chunks go in bands, each with no key beyond its last query.

B batch, K key heads, G query heads of each, T queries, S keys, C queries of a chunk, n chunks, E keys that a band looks
at; q (B, K, G, T, H), k (B, K, S, H), v (B, K, S, V), masks (B|1, K|1, G|1, T|1, S|1).
"""

import functools
import itertools
import math

import tensorflow as tf

from tfbp.manual.compiled import has_gpu, is_compiled
from tfbp.manual.sizes import size_of, with_batch_of

# queries of a chunk: as few as products are still fast with, so that its matrices stay in a cache
CHUNK, CHUNK_OF_XLA = 128, 64
# a GPU is idle with those
CHUNK_ON_GPU = 1024
# the more there are the less is computed for nothing; XLA compiles each for itself, in time and memory
BANDS, BANDS_OF_XLA = 8, 5


def chunks_forward(q, k, v, masks, *, causal):
    """y (B, K, G, T, V), and the residuals: log_sum_exp (B, K, G, T, 1) is infinite where a query sees no key.

    q comes scaled."""
    qs = _split(q)
    ys, log_sum_exps, keys, values = _list(q, v.dtype, v), _list(q, wide(q.dtype)), k, v
    for first, last, edge in _bands(q, k, causal):
        # cut off what came out of the loop before, so that a band's keys are not made long before it
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
    y, log_sum_exp = (_joined(each.stack(), q) for each in (ys, log_sum_exps))
    if masks:
        # where nothing is seen, every key counts alike
        y = tf.where(tf.math.is_inf(log_sum_exp), tf.reduce_mean(_wide(v), axis=2)[:, :, None, None], _wide(y))
        y = tf.cast(y, v.dtype)
    return y, (q, k, v, y, log_sum_exp, masks, causal)


def chunks_backward(dy, residuals):
    """dq, dk and dv, from dy (B, K, G, T, V)."""
    q, k, v, y, log_sum_exp, masks, causal = residuals
    qs, dys, log_sum_exps, dp_dot_ps = map(_split, (q, dy, log_sum_exp, dp_dot_p(dy, y)))
    dks, dvs = (tf.zeros_like(each, wide(each.dtype)) for each in (k, v))
    dq, keys, values, finished = _list(q, q.dtype, q), k, v, []
    for first, last, edge in _bands(q, k, causal):
        if edge is not None:
            # no band after this one looks beyond its edge
            finished.append((dks[:, :, edge:], dvs[:, :, edge:]))
            dks, dvs, keys, values = (each[:, :, :edge] for each in (dks, dvs, keys, values))

        def chunk(i, dq, dks, dvs, keys, values):
            # z = scores(q, k), masked, and p = exp(z - log_sum_exp), as forward made them
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
        # y = mean(v) where nothing is seen
        unseen = tf.where(tf.math.is_inf(log_sum_exp), _wide(dy), 0)
        dv += tf.reduce_sum(unseen, axis=[2, 3])[:, :, None] / tf.cast(tf.shape(v)[2], dv.dtype)
    return _joined(dq.stack(), q), tf.cast(dk, k.dtype), tf.cast(dv, v.dtype)


def scores(q, k):
    """z (B, K, G, C, E), in float32 or wider."""
    return _by_group(_wide(tf.matmul(_rows(q), k, transpose_b=True)), q)


def scores_backward(dz, q, k):
    """dq and dk: of k, every query head of its group counts."""
    # z = by_group(matmul(rows(q), transpose(k)))               (B, K, G C, E) <- (B, K, G C, H) (B, K, E, H)
    dz = _rows(tf.cast(dz, q.dtype))
    return _by_group(tf.matmul(dz, k), q), tf.matmul(dz, _rows(q), transpose_a=True)


def weighted(p, v):
    """y (B, K, G, C, V): the values' sum by their probabilities."""
    return _by_group(tf.matmul(_rows(tf.cast(p, v.dtype)), v), p)


def weighted_backward(dy, p, v):
    """dp, in float32 or wider, and dv."""
    # y = by_group(matmul(rows(p), v))                          (B, K, G C, V) <- (B, K, G C, E) (B, K, E, V)
    dv = tf.matmul(_rows(tf.cast(p, v.dtype)), _rows(dy), transpose_a=True)
    return _by_group(_wide(tf.matmul(_rows(dy), v, transpose_b=True)), p), dv


def dp_dot_p(dy, y):
    """Σ dp · p over the keys, which the softmax's backward takes off dp: (B, K, G, C, 1), dy · y, as y = p · v."""
    return tf.reduce_sum(_wide(dy) * _wide(y), axis=-1, keepdims=True)


def wide(dtype):
    return tf.float32 if dtype.size == 2 else dtype


def lowest(dtype):
    """The score of a masked pair: its exponential is 0 beside any other score, and 1 beside the same."""
    return tf.constant(0.7 * dtype.min, dtype)


def _wide(a):
    return tf.cast(a, wide(a.dtype))


def _rows(a):
    """The queries of all heads of a group as rows: (B, K, G C, H) of (B, K, G, C, H)."""
    return tf.reshape(a, with_batch_of(a, a.shape[1], a.shape[2] * size_of(a, 3), size_of(a, 4)))


def _by_group(rows, like):
    """(B, K, G, C, …) of (B, K, G C, …)."""
    return tf.reshape(rows, with_batch_of(like, *like.shape[1:3], size_of(like, 3), size_of(rows, 3)))


def seen_by(rows, z, masks, causal):
    """The keys that the queries of these rows see, booleans broadcastable to z (B, K, G, C, E), or None: all."""
    seen = [rows[:, None] >= tf.range(size_of(z, 4))] if causal else []
    for mask in masks:
        # what fills a chunk after the last query looks as that one does
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
    """(first chunk, the one after the last, keys that they look at) of each band, the last first; where lengths are
    unknown, one that looks at all."""
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
    """(n, B, K, G, C, H) of (B, K, G, T, H), filled up with 0."""
    count = _chunks(a)
    a = tf.pad(a, [[0, 0], [0, 0], [0, 0], [0, count * _size() - size_of(a, 3)], [0, 0]])
    a = tf.reshape(a, with_batch_of(a, a.shape[1], a.shape[2], count, _size(), a.shape[4]))
    return tf.transpose(a, [3, 0, 1, 2, 4, 5])


def _joined(chunks, like):
    """(B, K, G, T, …) of (n, B, K, G, C, …)."""
    chunks = tf.transpose(chunks, [1, 2, 3, 0, 4, 5])
    joined = tf.reshape(chunks, with_batch_of(like, *like.shape[1:3], _chunks(like) * _size(), chunks.shape[5]))
    return joined[:, :, :, : size_of(like, 3)]


def _list(q, dtype, of=None):
    """Room for what each chunk makes, (B, K, G, C, V), V that of v; or 1."""
    shape = [q.shape[0], q.shape[1], q.shape[2], _size(), 1 if of is None else of.shape[-1]]
    return tf.TensorArray(dtype, size=_chunks(q), element_shape=shape)


def _loop(first, last, chunk, carried):
    """The carried values after the chunks from `first` to `last`: one at a time, or several matrices would be held."""
    return tf.while_loop(
        lambda i, *_: i < last,
        lambda i, *carried: (i + 1, *chunk(i, *carried)),
        (first, *carried),
        parallel_iterations=1,
        maximum_iterations=last - first,
    )[1:]
