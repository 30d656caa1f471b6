"""Dot-product attention of several heads and the layers around it, forward only: tf.GradientTape differentiates.

B batch, T queries, S keys, D features of x, N query heads that share K key heads; query (B, T, N, H), key (B, S, K, H),
value (B, S, K, V), mask (B|1, N|1, T|1, S|1), y (B, T, N, V).
"""

import tensorflow as tf

from tfbp.tape.dropout import dropout_forward


def attention_forward(query, key, value, mask=None, *, causal=False, rate=0, seed=None, zero_if_blind=False):
    groups = query.shape[2] // key.shape[2]
    z = tf.einsum("btnh,bsnh->bnts", query, tf.repeat(key, groups, axis=2))
    # the softmax in float32 or wider, as in Keras
    z = tf.cast(z, tf.float32) if z.dtype.size == 2 else z
    z /= tf.sqrt(tf.constant(query.shape[3], z.dtype))
    if causal:
        below = tf.linalg.band_part(tf.ones(tf.shape(z)[2:], tf.bool), -1, 0)
        mask = below if mask is None else mask & below
    if mask is not None:
        z = tf.where(mask, z, z.dtype.min / 2)
    p = tf.nn.softmax(z)
    if mask is not None and zero_if_blind:
        p = tf.where(mask, p, 0)
    if seed is not None:
        p = dropout_forward(p, seed, rate=rate)
    return tf.einsum("bnts,bsnv->btnv", tf.cast(p, value.dtype), tf.repeat(value, groups, axis=2))


def forward(layer, weights, x, *, training, seed):
    def projected(equation, part, x):
        z = tf.einsum(equation, x, weights[f"{part}_kernel"])
        return z + weights[f"{part}_bias"] if layer.use_bias else z

    seed = tf.stack([tf.cast(half, tf.int64) for half in seed]) if training and layer.dropout else None
    x, beside = layer.apart(x)
    made = [projected("btd,dnh->btnh", part, source) for part, source in layer.sources(x, beside).items()]
    mask = None
    for name, axis in (("query_mask", 2), ("value_mask", 1), ("key_mask", 1), ("attention_mask", None)):
        if name in beside:
            seen = beside[name] if axis is None else tf.expand_dims(beside[name], axis)
            mask = seen if mask is None else mask * tf.cast(seen, mask.dtype)
    mask = None if mask is None else mask[:, None] > 0
    # Keras's attention with dropout has another softmax, with 0 for a query that sees no key
    options = dict(causal=layer.use_causal_mask, rate=layer.dropout, zero_if_blind=layer.dropout > 0)
    y = attention_forward(*made, mask, seed=seed, **options)
    return projected("btnv,nvd->btd", "attention_output", y), {}


KINDS = {"MultiHeadAttention": forward, "GroupedQueryAttention": forward}
