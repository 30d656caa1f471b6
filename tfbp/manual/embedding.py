"""The table of embeddings, its backward under its forward.

B batch, T tokens of an example, V rows of the table, O their width; x (B, T) integers, embeddings (V, O), y (B, T, O).
"""

import math

import tensorflow as tf

from tfbp.manual.window import wide


def embedding_forward(x, embeddings):
    """y[b, t] = embeddings[x[b, t]], and the residuals (x, V); NaN for a token without a row, which XLA would clip."""
    rows = embeddings.shape[0]
    is_row = (x >= 0) & (x < rows)
    y = tf.where(is_row[..., None], tf.gather(embeddings, x), tf.constant(math.nan, embeddings.dtype))
    return y, (x, rows)


def embedding_backward(dy, residuals):
    """dembeddings (V, O), from dy (B, T, O)."""
    x, rows = residuals
    # 16-bit numbers are added up in float32: a token may occur at many places
    # y = gather(embeddings, x): a row looked up in several places gets the sum     (V, O) <- (B, T, O) (B, T)
    return tf.cast(tf.math.unsorted_segment_sum(wide(dy), x, rows), dy.dtype)


def embedding_rows_backward(dy, residuals):
    """dembeddings as rows (B T, O) for the tokens (B T,), which need no table: a token's sum is at the first of its
    places, and 0 at the others."""
    x, rows, width = residuals
    tokens, count = tf.reshape(x, [-1]), tf.size(x)
    first = tf.gather(tf.math.unsorted_segment_min(tf.range(count), tokens, rows), tokens)
    # y = gather(embeddings, x): a row looked up in several places gets the sum     (B T, O) <- (B, T, O) (B T,)
    sums = tf.math.unsorted_segment_sum(tf.reshape(wide(dy), [count, width]), first, count)
    return tf.cast(sums, dy.dtype), tokens


def forward(layer, weights, x, *, training, seed):
    return *embedding_forward(x, weights["embeddings"]), {}


def backward(layer, dz, residuals):
    """Tokens have no gradient: dx is None."""
    return None, {"embeddings": embedding_backward(dz, residuals)}


def example_squares(layer, x, dz):
    """The squared norm of each example's own gradient, (B,): its rows are sums over the places of one token."""
    same, sums = _summed_by_token(x, dz)
    # a row's square comes once for each of its places
    squares = tf.reduce_sum(sums * sums, axis=2) / tf.reduce_sum(same, axis=2)
    return {"embeddings": tf.reduce_sum(squares, axis=1)}


def example_moments(layer, x, dz):
    """Σ_b g_b and Σ_b g_b², elementwise."""
    same, sums = _summed_by_token(x, dz)
    squares = sums * sums / tf.reduce_sum(same, axis=2, keepdims=True)
    rows = tf.cast(x, tf.int32), layer.input_dim
    return tuple({"embeddings": tf.math.unsorted_segment_sum(each, *rows)} for each in (dz, squares))


def _summed_by_token(x, dz):
    """Where two places of an example have one token, (B, T, T), and dz summed over those of each place's, (B, T, O)."""
    same = tf.cast(x[:, :, None] == x[:, None, :], dz.dtype)
    return same, tf.matmul(same, dz)


KINDS = {"Embedding": (forward, backward)}
PER_EXAMPLE = {"Embedding": {"squares": example_squares, "moments": example_moments}}
