"""The table of embeddings, forward only.

B batch, T tokens of an example, V rows of the table, O their width; x (B, T) integers, embeddings (V, O), y (B, T, O).
"""

import math

import tensorflow as tf


def embedding_forward(x, embeddings):
    """Returns y[b, t] = embeddings[x[b, t]]; NaN for a token without a row."""
    # not gather, because its gradient is a list of rows instead of a tensor
    y = tf.gather_nd(embeddings, x[..., tf.newaxis])
    is_row = tf.logical_and(x >= 0, x < embeddings.shape[0])
    return tf.where(is_row[..., tf.newaxis], y, math.nan)


def forward(layer, weights, x, *, training, seed):
    return embedding_forward(x, weights["embeddings"]), {}


KINDS = {"Embedding": forward}
