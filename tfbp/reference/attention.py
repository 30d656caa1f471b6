"""Dot-product attention of several heads, with its whole matrix of probabilities, and the layers around it.

B batch, T queries, S keys, D features of x, N query heads that share K key heads; query (B, T, N, H), key (B, S, K, H),
value (B, S, K, V), mask (B|1, N|1, T|1, S|1); p (B, N, T, S), the weight of each key for each query; y (B, T, N, V).
"""

import numpy as np

from tfbp.reference.dropout import dropout_backward, dropout_forward

PARTS = ("query", "key", "value", "attention_output")


def attention_forward(query, key, value, mask=None, *, causal=False, rate=0, seed=None, zero_if_blind=False):
    """Returns y = dropout(softmax(query · key / √H)) · value over the visible keys; without one the mean, or 0."""
    groups = query.shape[2] // key.shape[2]
    # every query head of a group uses the same key head
    keys, values = np.repeat(key, groups, axis=2), np.repeat(value, groups, axis=2)
    z = np.einsum("btnh,bsnh->bnts", query, keys) / np.sqrt(query.shape[3])
    seen = np.ones(z.shape, bool) if mask is None else np.broadcast_to(mask, z.shape)
    if causal:
        seen = seen & np.tri(*z.shape[2:], dtype=bool)
    blind = ~seen.any(axis=-1, keepdims=True)
    largest = np.where(blind, 0, np.where(seen, z.real, -np.inf).max(axis=-1, keepdims=True))
    e = np.where(seen, np.exp(np.where(seen, z - largest, 0)), 0) + blind
    p = e / e.sum(axis=-1, keepdims=True)
    p = np.where(blind, 0, p) if zero_if_blind else p
    dropped, dropout_residuals = (p, None) if seed is None else dropout_forward(p, seed, rate=rate)
    y = np.einsum("bnts,bsnv->btnv", dropped, values)
    return y, (query, keys, values, p, dropped, y, dropout_residuals, seen, groups)


def attention_backward(dy, residuals):
    """Returns dquery, dkey and dvalue, from dy (B, T, N, V)."""
    query, keys, values, p, dropped, y, dropout_residuals, seen, groups = residuals
    # y = einsum(dropped, values)                     (B, T, N, V) <- (B, N, T, S) (B, S, N, V)
    dp = np.einsum("btnv,bsnv->bnts", dy, values)
    dvalues = np.einsum("bnts,btnv->bsnv", dropped, dy)
    # dropped = dropout_forward(p)                    (B, N, T, S)
    dp = dp if dropout_residuals is None else dropout_backward(dp, dropout_residuals)
    # p = softmax(z) where visible, J = diag(p) - p pᵀ   (B, N, T, S)
    # Σ dp p over the keys is dy · y: both are dyᵀ · the sum of the values with the kept part of p
    dp_dot_p = (dy * y).sum(axis=-1).transpose(0, 2, 1)[..., None]
    dz = np.where(seen, p * (dp - dp_dot_p), 0)
    # z = einsum(query, keys) / √H                    (B, N, T, S) <- (B, T, N, H) (B, S, N, H)
    dquery = np.einsum("bnts,bsnh->btnh", dz, keys) / np.sqrt(query.shape[3])
    dkeys = np.einsum("bnts,btnh->bsnh", dz, query) / np.sqrt(query.shape[3])
    # keys, values = repeat(key), repeat(value)       (B, S, N, H) <- (B, S, K, H)
    return dquery, _sum_of_groups(dkeys, groups), _sum_of_groups(dvalues, groups)


def _sum_of_groups(dkeys, groups):
    batch, length, heads, width = dkeys.shape
    return dkeys.reshape(batch, length, heads // groups, groups, width).sum(axis=3)


def projection_forward(x, kernel, bias=None):
    """Returns z (B, T, N, H) for x (B, T, D), kernel (D, N, H)."""
    z = np.tensordot(x, kernel, 1)
    return z if bias is None else z + bias, (x, kernel)


def projection_backward(dz, residuals):
    x, kernel = residuals
    # z = z + bias                                    (B, T, N, H) <- (N, H)
    dbias = dz.sum(axis=(0, 1))
    # z = tensordot(x, kernel, 1)                     (B, T, N, H) <- (B, T, D) (D, N, H)
    return np.einsum("btnh,dnh->btd", dz, kernel), np.einsum("btd,btnh->dnh", x, dz), dbias


def output_forward(y, kernel, bias=None):
    """Returns z (B, T, D) for y (B, T, N, V), kernel (N, V, D)."""
    z = np.tensordot(y, kernel, 2)
    return z if bias is None else z + bias, (y, kernel)


def output_backward(dz, residuals):
    y, kernel = residuals
    # z = z + bias                                    (B, T, D) <- (D,)
    dbias = dz.sum(axis=(0, 1))
    # z = tensordot(y, kernel, 2)                     (B, T, D) <- (B, T, N, V) (N, V, D)
    return np.einsum("btd,nvd->btnv", dz, kernel), np.einsum("btnv,btd->nvd", y, dz), dbias


def mask_of(query_mask=None, value_mask=None, key_mask=None, attention_mask=None):
    """(B, 1, T|1, S|1), where a query sees a key by all masks; None without any."""
    seen = None
    for mask, shape in (
        (query_mask, (..., None)),
        (value_mask, (slice(None), None)),
        (key_mask, (slice(None), None)),
        (attention_mask, ...),
    ):
        if mask is not None:
            one = np.asarray(mask != 0)[shape][:, None]
            seen = one if seen is None else seen & one
    return seen


def forward(layer, weights, x, *, training, seed):
    given = [(weights[f"{part}_kernel"], weights.get(f"{part}_bias")) for part in PARTS]
    x, beside = layer.apart(x)
    sources = layer.sources(x, beside)
    made, projection_residuals = zip(
        *(
            projection_forward(sources[part], *weights_of_part)
            for part, weights_of_part in zip(PARTS[:3], given, strict=False)
        ),
        strict=True,
    )
    masks = {name: mask for name, mask in beside.items() if name not in ("value", "key")}
    drops = training and layer.dropout > 0
    options = dict(causal=layer.use_causal_mask, rate=layer.dropout, zero_if_blind=layer.dropout > 0)
    y, attention_residuals = attention_forward(*made, mask_of(**masks), seed=seed if drops else None, **options)
    z, output_residuals = output_forward(y, *given[3])
    return z, (projection_residuals, attention_residuals, output_residuals), {}


def backward(layer, dz, residuals):
    projection_residuals, attention_residuals, output_residuals = residuals
    # z = output_forward(y)
    dy, *found = output_backward(dz, output_residuals)
    gradients = {"attention_output": found}
    # y = attention_forward(query, key, value)
    dmade = attention_backward(dy, attention_residuals)
    # query, key, value = projection_forward(its source): the gradients of one source add up
    dsources = {}
    for part, da, residuals in zip(PARTS, dmade, projection_residuals, strict=False):
        dsource, *gradients[part] = projection_backward(da, residuals)
        source = layer.sources("query", {name: name for name in layer.takes})[part]
        dsources[source] = dsources[source] + dsource if source in dsources else dsource
    names = ("kernel", "bias") if layer.use_bias else ("kernel",)
    dtaken = layer.in_order(dsources["query"], dsources)
    return dtaken, {f"{part}_{name}": dw for part in PARTS for name, dw in zip(names, gradients[part], strict=False)}


KINDS = {"MultiHeadAttention": (forward, backward), "GroupedQueryAttention": (forward, backward)}
