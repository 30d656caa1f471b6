"""Dot-product attention of several heads, and the layers around it: four projections, each a dense layer.

p = softmax(query · key / √H) over the keys that a query may see, and y is the mean of the values with the weights p.
N query heads share K key heads, G = N / K each. For a short sequence, p is a residual. A long one is computed in chunks
(chunks.py), and backward computes p again.

B batch, T queries, S keys, D features of x; query (B, T, N, H), key (B, S, K, H), value (B, S, K, V), y (B, T, N, V).
"""

import math

import tensorflow as tf

from tfbp.manual import chunks
from tfbp.manual.compiled import has_gpu, is_compiled
from tfbp.manual.dense import dense_backward, dense_forward, product_squares, sum_squares
from tfbp.manual.dropout import dropout_backward, dropout_mask
from tfbp.manual.sizes import size_of, with_batch_of
from tfbp.manual.softmax import softmax_backward, softmax_forward

PARTS = ("query", "key", "value", "attention_output")
# the number of scores T · S above which causal chunks are faster than Keras's attention; under XLA a smaller one
LONG, LONG_FOR_XLA = 1024 * 1024, 512 * 512
# the factor of LONG without a mask, where chunks are up to a quarter slower than Keras's attention but need less memory
LATER = 16
# the same factor on a GPU, where memory is large and every small kernel costs a launch
LATER_ON_GPU = 64
# up to so many keys, backward takes the exact sum over them, because its pass over the matrix costs little
FEW_KEYS = 32


def attention_forward(query, key, value, masks=(), *, causal=False, dropped=None, zero_if_blind=False):
    """Returns y (B, T, N, V), and the residuals.

    A query without a visible key takes the mean of all values, as in Keras's attention without dropout.

    Args:
        masks: booleans (B|1, N|1, T|1, S|1): a query sees the keys for which all masks are True.
        causal: whether query t sees the keys 0 … t only.
        dropped: None, or a pair: the mask of the kept probabilities, booleans (B, N, T, S), and the rate.
        zero_if_blind: whether a query without a visible key has y = 0, as in Keras's attention with dropout.

    Example:
        >>> query, key, value = tf.ones([1, 2, 1, 4]), tf.ones([1, 3, 1, 4]), tf.reshape([1.0, 2.0, 6.0], [1, 3, 1, 1])
        >>> attention_forward(query, key, value)[0].numpy().ravel().tolist()
        [3.0, 3.0]
        >>> attention_forward(query, key, value, causal=True)[0].numpy().ravel().tolist()
        [1.0, 1.5]
    """
    heads = key.shape[2]
    scale = tf.constant(query.shape[3] ** -0.5, query.dtype)
    q, k, v = by_group(query * scale, heads), tf.transpose(key, [0, 2, 1, 3]), tf.transpose(value, [0, 2, 1, 3])
    masks = [_grouped(mask, heads) for mask in masks]
    zero_if_blind = bool(zero_if_blind and masks)
    is_long = dropped is None and not zero_if_blind and _is_long(q, k, causal)
    if tf.is_tensor(is_long):
        y, inner_residuals = by_length_forward(is_long, q, k, v, masks, causal=causal)
    elif is_long:
        y, inner_residuals = chunks.chunks_forward(q, k, v, masks, causal=causal)
    else:
        y, inner_residuals = whole_forward(q, k, v, masks, causal=causal, dropped=dropped, zero_if_blind=zero_if_blind)
    return from_groups(y), (inner_residuals, scale, is_long)


def attention_backward(dy, residuals):
    """Returns dquery, dkey and dvalue, from dy (B, T, N, V)."""
    inner_residuals, scale, is_long = residuals
    dy = by_group(dy, inner_residuals[1].shape[1])
    if tf.is_tensor(is_long):
        dq, dk, dv = by_length_backward(is_long, dy, inner_residuals)
    else:
        dq, dk, dv = (chunks.chunks_backward if is_long else whole_backward)(dy, inner_residuals)
    # q = by_group(query * scale), k = transpose(key), v = transpose(value)
    return from_groups(dq) * scale, tf.transpose(dk, [0, 2, 1, 3]), tf.transpose(dv, [0, 2, 1, 3])


def whole_forward(q, k, v, masks, *, causal, dropped, zero_if_blind=False):
    """Returns y (B, K, G, T, V), and the residuals, with p (B, K, G, T, S); q is already scaled."""
    z = chunks.scores(q, k)
    seen = chunks.seen_by(tf.range(tf.shape(z)[3]), z, masks, causal)
    p, _ = softmax_forward(chunks.masked(z, seen))
    # a hidden key has p = 0, but with a mask a query may have no visible key at all
    p = tf.where(seen, p, 0) if zero_if_blind else p
    y = chunks.weighted(p if dropped is None else _drop(p, dropped), v)
    return y, (q, k, v, y, p, seen if masks else None, dropped)


def whole_backward(dy, residuals):
    """Returns dq, dk and dv, from dy (B, K, G, T, V)."""
    q, k, v, y, p, seen, dropped = residuals
    # y = weighted(drop(p), v)                                  (B, K, G, T, V) <- (B, K, G, T, S) (B, K, S, V)
    dp, dv = chunks.weighted_backward(dy, p if dropped is None else _drop(p, dropped), v)
    dp = dp if dropped is None else _drop(dp, dropped)
    # p = softmax(z)                                            (B, K, G, T, S)
    # Σ dp p equals dy · y, without a pass over the matrix, which XLA has for free; but y is rounded, in 16 bits much
    is_exact = is_compiled() or y.dtype.size == 2 or (p.shape[-1] or FEW_KEYS + 1) <= FEW_KEYS
    dz = softmax_backward(dp, p) if is_exact else p * (dp - chunks.dp_dot_p(dy, y))
    # z = masked(z, seen)
    dz = dz if seen is None else tf.where(seen, dz, 0)
    # z = scores(q, k)                                          (B, K, G, T, S) <- (B, K, G, T, H) (B, K, S, H)
    return *chunks.scores_backward(dz, q, k), dv


def by_length_forward(is_long, q, k, v, masks, *, causal):
    """Computes in chunks or whole, by a branch at run time, because a trace does not know the lengths."""

    def in_chunks():
        y, (*_, log_sum_exp, _, _) = chunks.chunks_forward(q, k, v, masks, causal=causal)
        return y, log_sum_exp

    def whole():
        y, (*_, p, _, _) = whole_forward(q, k, v, masks, causal=causal, dropped=None)
        return y, p

    y, log_sum_exp_or_p = tf.cond(is_long, in_chunks, whole)
    return y, (q, k, v, y, log_sum_exp_or_p, masks, causal)


def by_length_backward(is_long, dy, residuals):
    """Returns dq, dk and dv, from dy (B, K, G, T, V)."""
    q, k, v, y, p, masks, causal = residuals

    def in_chunks():
        log_sum_exp = tf.ensure_shape(p, [None, None, None, None, 1])
        return chunks.chunks_backward(dy, (q, k, v, y, log_sum_exp, masks, causal))

    def whole():
        seen = chunks.seen_by(tf.range(tf.shape(q)[3]), p, masks, causal) if masks else None
        return whole_backward(dy, (q, k, v, y, p, seen, None))

    return tf.cond(is_long, in_chunks, whole)


def by_group(a, heads):
    """(B, T, N, H) -> (B, K, G, T, H)."""
    shape = with_batch_of(a, size_of(a, 1), heads, a.shape[2] // heads, a.shape[3])
    return tf.transpose(tf.reshape(a, shape), [0, 2, 3, 1, 4])


def from_groups(a):
    """(B, K, G, T, H) -> (B, T, N, H)."""
    shape = with_batch_of(a, size_of(a, 3), a.shape[1] * a.shape[2], a.shape[4])
    return tf.reshape(tf.transpose(a, [0, 3, 1, 2, 4]), shape)


def _grouped(mask, heads):
    """(B|1, N|1, T|1, S|1) -> (B|1, K|1, G|1, T|1, S|1)."""
    if mask.shape[1] == 1:
        return mask[:, :, None]
    batch, length, keys = (size_of(mask, axis) for axis in (0, 2, 3))
    return tf.reshape(mask, [batch, heads, mask.shape[1] // heads, length, keys])


def _drop(p, dropped):
    """Returns p / (1 - rate) where the mask is True, else 0."""
    mask, rate = dropped
    return dropout_backward(p, (tf.reshape(mask, tf.shape(p)), rate))


def _is_long(q, k, causal):
    """Whether chunks are faster: a tensor where only the run knows; under XLA always a Python bool."""
    lengths = q.shape[3], k.shape[2]
    limit = (LONG_FOR_XLA if is_compiled() else LONG) * (LATER_ON_GPU if has_gpu() else 1)
    if None not in lengths:
        return lengths[0] * lengths[1] >= limit * (1 if causal else LATER)
    queries, keys = (tf.cast(tf.shape(tensor)[axis], tf.int64) for tensor, axis in ((q, 3), (k, 2)))
    # chunks skip no keys here, because the trace does not know the causal edge
    return is_compiled() or queries * keys >= limit * LATER


def projection_forward(x, kernel, bias=None):
    """Returns z (B, T, N, H) for x (B, T, D) and kernel (D, N, H), or z (B, T, D) for x (B, T, N, V) and (N, V, D)."""
    z, residuals = dense_forward(_rows(x), *_matrices(x, kernel, bias))
    summed = x.shape.rank - 2
    z = tf.reshape(z, with_batch_of(x, size_of(x, 1), *kernel.shape[summed:]))
    return z, (*residuals, x.shape, kernel.shape)


def projection_backward(dz, residuals, *, bias_gradient=True):
    """Returns dx, dkernel and dbias, from dz; None for a dbias that is off."""
    *rows, shape, kernel_shape = residuals
    # z = reshape(dense_forward(rows(x), matrix(kernel), row(bias)))
    dx, dkernel, dbias = dense_backward(tf.reshape(dz, [-1, rows[1].shape[1]]), rows, bias_gradient=bias_gradient)
    dx = tf.reshape(dx, with_batch_of(dz, size_of(dz, 1), *shape[2:]))
    dkernel = tf.reshape(dkernel, kernel_shape)
    return dx, dkernel, None if dbias is None else tf.reshape(dbias, kernel_shape[shape.rank - 2 :])


def _rows(x):
    return tf.reshape(x, [-1, math.prod(x.shape[2:])])


def _matrices(x, kernel, bias):
    """Returns kernel and bias of a dense layer on the rows of x."""
    return tf.reshape(kernel, [math.prod(x.shape[2:]), -1]), None if bias is None else tf.reshape(bias, [-1])


def forward(layer, weights, x, *, training, seed):
    given = {part: (weights[f"{part}_kernel"], weights.get(f"{part}_bias")) for part in PARTS}
    made, residuals = {}, {}
    x, beside = layer.apart(x)
    for part, source in layer.sources(x, beside).items():
        made[part], residuals[part] = projection_forward(source, *given[part])
    dropped = None
    if training and layer.dropout:
        shape = [tf.shape(x)[0], made["query"].shape[2], x.shape[1], made["key"].shape[1]]
        pair = tf.stack([tf.cast(half, tf.int64) for half in seed])
        dropped = dropout_mask(shape, pair, layer.dropout), layer.dropout
    masks = [_as_mask(name, mask) for name, mask in beside.items() if name not in ("value", "key")]
    options = dict(causal=layer.use_causal_mask, dropped=dropped, zero_if_blind=layer.dropout > 0)
    y, residuals["attention"] = attention_forward(**made, masks=masks, **options)
    z, residuals["attention_output"] = projection_forward(y, *given["attention_output"])
    return z, residuals, {}


def backward(layer, dz, residuals):
    gradients = {}
    # z = projection_forward(y)                                 (B, T, D) <- (B, T, N, V)
    dy, *gradients["attention_output"] = projection_backward(
        dz, residuals["attention_output"], bias_gradient=layer.use_bias
    )
    # y = attention_forward(query, key, value)                  (B, T, N, V) <- (B, T, N, H) (B, T, K, H) (B, T, K, V)
    dmade, dsources = attention_backward(dy, residuals["attention"]), {}
    sources = layer.sources("query", {name: name for name in layer.takes})
    for part, da in zip(("query", "key", "value"), dmade, strict=True):
        # query, key or value = projection_forward(its source)  (B, T, N, H) <- (B, T, D)
        found, *gradients[part] = projection_backward(da, residuals[part], bias_gradient=layer.use_bias)
        # the gradients of one source add up
        source = sources[part]
        dsources[source] = dsources[source] + found if source in dsources else found
    named = {
        f"{part}_{name}": dw for part in PARTS for name, dw in zip(("kernel", "bias"), gradients[part], strict=True)
    }
    dtaken = layer.in_order(dsources["query"], dsources)
    return dtaken, {name: dw for name, dw in named.items() if dw is not None}


def _as_mask(name, mask):
    """Booleans (B, 1, T|1, S|1) of a mask (B, T), (B, S) or (B, T, S) of 1 and 0."""
    axis = {"query_mask": 2, "value_mask": 1, "key_mask": 1}.get(name)
    return (mask if axis is None else tf.expand_dims(mask, axis))[:, None] != 0


def example_squares(layer, x, dz, residuals):
    """Returns each example's squared gradient norm, (B,) for each weight: a dense layer's, for each projection."""
    output = residuals["attention_output"]
    # z = projection_forward(y)                                 (B, T, D) <- (B, T, N, V)
    dy = projection_backward(tf.cast(dz, output[0].dtype), output)[0]
    # y = attention_forward(query, key, value)
    dmade = dict(zip(("query", "key", "value"), attention_backward(dy, residuals["attention"]), strict=True))
    x, beside = layer.apart(x)
    sources = layer.sources(x, beside)
    given = {
        part: (sources[part], tf.reshape(da, [-1, da.shape[1], math.prod(da.shape[2:])])) for part, da in dmade.items()
    }
    given["attention_output"] = tf.reshape(output[0], [-1, x.shape[1], output[0].shape[-1]]), dz
    squares = {}
    for part, (rows, da) in given.items():
        rows, da = tf.cast(rows, x.dtype), tf.cast(da, x.dtype)
        squares[f"{part}_kernel"] = product_squares(rows, da)
        if layer.use_bias:
            squares[f"{part}_bias"] = sum_squares(da)
    return squares


KINDS = {"MultiHeadAttention": (forward, backward), "GroupedQueryAttention": (forward, backward)}
PER_EXAMPLE = {name: {"squares_of_kept": example_squares} for name in KINDS}
