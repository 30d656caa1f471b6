"""The table of embeddings, its backward under its forward.

B batch, T tokens of an example, V rows of the table, O their width; x (B, T) integers, embeddings (V, O), y (B, T, O).
"""

import math

import tensorflow as tf

from tfbp.manual.window import wide


def embedding_forward(x, embeddings):
    """Returns y[b, t] = embeddings[x[b, t]], and the residuals (x, V); NaN for a token without a row."""
    rows = embeddings.shape[0]
    is_row = (x >= 0) & (x < rows)
    y = tf.where(is_row[..., None], tf.gather(embeddings, x), tf.constant(math.nan, embeddings.dtype))
    return y, (x, rows)


def embedding_backward(dy, residuals):
    """Returns dembeddings (V, O), from dy (B, T, O)."""
    x, rows = residuals
    # 16-bit numbers are summed in float32: a token may occur many times
    # y = gather(embeddings, x): a row that is looked up several times has the sum     (V, O) <- (B, T, O) (B, T)
    return tf.cast(tf.math.unsorted_segment_sum(wide(dy), x, rows), dy.dtype)


def embedding_rows_backward(dy, residuals):
    """Returns dembeddings as rows (B T, O) for the tokens (B T,), without a table: a token's sum is at its first
    occurrence, and 0 at the others."""
    x, rows, width = residuals
    tokens, count = tf.reshape(x, [-1]), tf.size(x)
    first = tf.gather(tf.math.unsorted_segment_min(tf.range(count), tokens, rows), tokens)
    # y = gather(embeddings, x): a row that is looked up several times has the sum     (B T, O) <- (B, T, O) (B T,)
    sums = tf.math.unsorted_segment_sum(tf.reshape(wide(dy), [count, width]), first, count)
    return tf.cast(sums, dy.dtype), tokens


def forward(layer, weights, x, *, training, seed):
    return *embedding_forward(x, weights["embeddings"]), {}


def backward(layer, dz, residuals):
    """Returns dx = None, because tokens have no gradient, and the table's gradient."""
    return None, {"embeddings": embedding_backward(dz, residuals)}


def example_squares(layer, x, dz):
    """Returns each example's squared gradient norm, (B,): a row of its gradient sums one token's occurrences."""
    same, sums = _summed_by_token(x, dz)
    # a row's square is counted once for each occurrence
    squares = tf.reduce_sum(sums * sums, axis=2) / tf.reduce_sum(same, axis=2)
    return {"embeddings": tf.reduce_sum(squares, axis=1)}


def example_moments(layer, x, dz):
    """Returns Σ_b g_b and Σ_b g_b², elementwise."""
    same, sums = _summed_by_token(x, dz)
    squares = sums * sums / tf.reduce_sum(same, axis=2, keepdims=True)
    rows = tf.cast(x, tf.int32), layer.input_dim
    return tuple({"embeddings": tf.math.unsorted_segment_sum(each, *rows)} for each in (dz, squares))


def _summed_by_token(x, dz):
    """Returns where two positions have one token, (B, T, T), and dz summed over equal tokens, (B, T, O)."""
    same = tf.cast(x[:, :, None] == x[:, None, :], dz.dtype)
    return same, tf.matmul(same, dz)


KINDS = {"Embedding": (forward, backward)}
PER_EXAMPLE = {"Embedding": {"squares": example_squares, "moments": example_moments}}
