"""Dense, softmax, normalization, dropout, embedding, pooling, segments."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradient_mutants.kind import Kind


def dense() -> Kind:
    def forward(x, kernel, bias):
        return tf.tanh(tf.matmul(x, kernel) + bias)

    def backward(dy, x, kernel, bias):
        dz = dy * (1 - tf.tanh(tf.matmul(x, kernel) + bias) ** 2)
        return tf.matmul(dz, kernel, transpose_b=True), tf.matmul(x, dz, transpose_a=True), tf.reduce_sum(dz, axis=0)

    kind = Kind(
        "dense",
        forward,
        backward,
        lambda r: [r.normal(size=(6, 4)), r.normal(size=(4, 3)), r.normal(size=3)],
        lambda r: [np.ones((1, 3)), np.zeros((3, 3)), np.zeros(3)],
    )
    but = kind.but
    kind.mistake("bias by mean", "bias", r"1/\S+ too many", but(2, lambda g, dy, x, *_: g / x.shape[0]))
    kind.mistake("bias not summed", "bias", "not summed|size 1", but(2, lambda g, dy, *_: dy))
    kind.mistake("kernel transposed", "kernel", "transposed", but(1, lambda g, *_: tf.transpose(g)))
    kind.mistake("kernel by mean", "kernel", r"1/\S+ too many", but(1, lambda g, dy, x, *_: g / x.shape[0]))
    kind.mistake(
        "no derivative",
        "x kernel bias",
        "derivative of Tanh",
        lambda dy, x, k, b: (
            tf.matmul(dy, k, transpose_b=True),
            tf.matmul(x, dy, transpose_a=True),
            tf.reduce_sum(dy, axis=0),
        ),
    )
    kind.mistake("bias None", "bias", "None", but(2, lambda g, *_: None))
    kind.mistake("too few", "every", "number of gradients", lambda dy, *a: kind.backward(dy, *a)[:2])
    kind.mistake("too many", "every", "number of gradients", lambda dy, *a: (*kind.backward(dy, *a), dy))
    kind.mistake("bias keeps an axis", "bias", "size 1", but(2, lambda g, *_: g[None]))
    kind.mistake(
        "last row of x left out",
        "kernel",
        "",
        but(
            1,
            lambda g, dy, x, k, b: tf.matmul(
                x[:-1], (dy * (1 - tf.tanh(tf.matmul(x, k) + b) ** 2))[:-1], transpose_a=True
            ),
        ),
    )
    kind.mistake(
        "one element",
        "kernel",
        "",
        but(1, lambda g, *_: g * (1 - tf.reshape(tf.one_hot(1, tf.size(g), dtype=g.dtype), g.shape))),
    )
    kind.mistake(
        "float32's dtype",
        "bias",
        "dtype",
        but(2, lambda g, *_: tf.cast(g, tf.float64 if g.dtype == tf.float32 else tf.float32)),
    )
    return kind


def softmax() -> Kind:
    def forward(x):
        shifted = tf.exp(x - tf.reduce_max(x, axis=-1, keepdims=True))
        return shifted / tf.reduce_sum(shifted, axis=-1, keepdims=True)

    def backward(dy, x):
        y = forward(x)
        return (y * (dy - tf.reduce_sum(y * dy, axis=-1, keepdims=True)),)

    kind = Kind("softmax", forward, backward, lambda r: [r.normal(size=(5, 4))], lambda r: [np.zeros((4, 4))])
    y = forward
    kind.mistake("the sum missing", "x", "through Sum", lambda dy, x: (y(x) * dy,))
    kind.mistake("diagonal alone", "x", "", lambda dy, x: (y(x) * (1 - y(x)) * dy,))
    kind.mistake("other axis", "x", "", lambda dy, x: (y(x) * (dy - tf.reduce_sum(y(x) * dy, 0, keepdims=True)),))
    kind.mistake("sum without y", "x", "", lambda dy, x: (y(x) * (dy - tf.reduce_sum(dy, -1, keepdims=True)),))
    kind.mistake(
        "mean for sum",
        "x",
        r"1/\S+ too many|through",
        lambda dy, x: (y(x) * (dy - tf.reduce_mean(y(x) * dy, -1, keepdims=True)),),
    )
    return kind


def layer_normalization() -> Kind:
    def parts(x):
        mean = tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
        return mean, variance, (x - mean) / tf.sqrt(variance + 1e-3)

    def forward(x, gamma, beta):
        return gamma * parts(x)[2] + beta

    def mean(a):
        return tf.reduce_mean(a, axis=-1, keepdims=True)

    def backward(dy, x, gamma, beta):
        _, variance, xhat = parts(x)
        dxhat = dy * gamma
        dx = (dxhat - mean(dxhat) - xhat * mean(dxhat * xhat)) / tf.sqrt(variance + 1e-3)
        return dx, tf.reduce_sum(dy * xhat, axis=0), tf.reduce_sum(dy, axis=0)

    kind = Kind(
        "layer normalization",
        forward,
        backward,
        lambda r: [r.normal(size=(6, 4)), r.uniform(0.5, 1.5, 4), r.normal(size=4)],
        lambda r: [r.normal(size=(6, 4)), np.ones(4), np.zeros(4)],
    )
    but = kind.but

    def dx(dy, x, gamma, of_mean=1.0, of_variance=1.0, epsilon=1e-3):
        _, variance, xhat = parts(x)
        dxhat = dy * gamma
        return (dxhat - of_mean * mean(dxhat) - of_variance * xhat * mean(dxhat * xhat)) / tf.sqrt(variance + epsilon)

    kind.mistake("mean's term", "x", "through|missing", but(0, lambda g, dy, x, w, b: dx(dy, x, w, of_mean=0.0)))
    kind.mistake(
        "variance's term", "x", "through|missing", but(0, lambda g, dy, x, w, b: dx(dy, x, w, of_variance=0.0))
    )
    kind.mistake("both terms", "x", "", but(0, lambda g, dy, x, w, b: dx(dy, x, w, 0.0, 0.0)))
    kind.mistake("N - 1", "x", "", but(0, lambda g, dy, x, w, b: dx(dy, x, w, of_variance=4 / 3)))
    kind.mistake("epsilon left out", "x", "", but(0, lambda g, dy, x, w, b: dx(dy, x, w, epsilon=0.0)))
    kind.mistake("gamma left out", "x", "", but(0, lambda g, dy, x, w, b: dx(dy, x, tf.ones_like(w))))
    kind.mistake("gamma's by x", "gamma", "", but(1, lambda g, dy, x, w, b: tf.reduce_sum(dy * x, axis=0)))
    kind.mistake("gamma's by mean", "gamma", r"1/\S+ too many", but(1, lambda g, dy, *_: g / 6))
    kind.mistake("beta's by gamma", "beta", "factor gamma|gradient of", but(2, lambda g, dy, x, w, b: g * w))
    kind.mistake("beta None", "beta", "None", but(2, lambda g, *_: None))
    return kind


def batch_normalization() -> Kind:
    def statistics(x):
        mean = tf.reduce_mean(x, axis=0)
        return mean, tf.sqrt(tf.reduce_mean((x - mean) ** 2, axis=0) + 1e-3)

    def forward(x):
        mean, deviation = statistics(x)
        return (x - mean) / deviation

    def backward(dy, x):
        mean, deviation = statistics(x)
        y = (x - mean) / deviation
        return ((dy - tf.reduce_mean(dy, axis=0) - y * tf.reduce_mean(dy * y, axis=0)) / deviation,)

    kind = Kind(
        "batch normalization", forward, backward, lambda r: [r.normal(size=(6, 4))], lambda r: [r.normal(size=(1, 4))]
    )

    def y(x):
        return forward(x)

    def over(x):
        return statistics(x)[1]

    kind.mistake("statistics as constants", "x", "", lambda dy, x: (dy / over(x),))
    kind.mistake(
        "mean's term",
        "x",
        "through|missing",
        lambda dy, x: ((dy - y(x) * tf.reduce_mean(dy * y(x), axis=0)) / over(x),),
    )
    kind.mistake(
        "sums for means",
        "x",
        "",
        lambda dy, x: ((dy - tf.reduce_sum(dy, axis=0) - y(x) * tf.reduce_sum(dy * y(x), axis=0)) / over(x),),
    )
    kind.mistake(
        "sign of a term",
        "x",
        "wrong sign",
        lambda dy, x: ((dy - tf.reduce_mean(dy, axis=0) + y(x) * tf.reduce_mean(dy * y(x), axis=0)) / over(x),),
    )
    return kind


def dropout() -> Kind:
    def forward(x, mask):
        return x * tf.cast(mask, x.dtype) / 0.75

    def backward(dy, x, mask):
        return dy * tf.cast(mask, dy.dtype) / 0.75, None

    kind = Kind(
        "dropout",
        forward,
        backward,
        lambda r: [r.normal(size=(5, 4)), (np.arange(20).reshape(5, 4) % 4 != 1).astype(int)],
        lambda r: [r.normal(size=(5, 4)), np.ones((5, 4), int)],
    )
    but = kind.but
    kind.mistake("mask left out", "x", "", but(0, lambda g, dy, *_: dy / 0.75))
    kind.mistake("scale left out", "x", "too small|constant|RealDiv", but(0, lambda g, *_: g * 0.75))
    kind.mistake("scale twice", "x", "too large|constant", but(0, lambda g, *_: g / 0.75))
    kind.mistake("mask inverted", "x", "", but(0, lambda g, dy, x, m: dy * (1 - tf.cast(m, dy.dtype)) / 0.75))
    return kind


def embedding() -> Kind:
    def forward(table, ids):
        return tf.gather(table, ids)

    def backward(dy, table, ids):
        return tf.math.unsorted_segment_sum(dy, ids, table.shape[0]), None

    kind = Kind(
        "embedding",
        forward,
        backward,
        lambda r: [r.normal(size=(5, 3)), np.array([4, 1, 0, 1, 3, 2, 1])],
        lambda r: [np.ones((5, 3)), np.array([2])],
    )
    but = kind.but
    kind.mistake(
        "a repeated row overwritten",
        "table",
        "",
        but(0, lambda g, dy, t, i: tf.tensor_scatter_nd_update(tf.zeros_like(t), i[:, None], dy)),
    )
    kind.mistake(
        "mean of repeated rows",
        "table",
        "",
        but(0, lambda g, dy, t, i: tf.math.unsorted_segment_mean(dy, i, t.shape[0])),
    )
    kind.mistake(
        "last row left out", "table", "last|row", but(0, lambda g, dy, t, i: tf.concat([g[:-1], 0 * g[:1]], 0))
    )
    kind.mistake("shifted by one", "table", "shifted", but(0, lambda g, *_: tf.roll(g, 1, 0)))
    kind.mistake("first row as padding", "table", "row 0|first", but(0, lambda g, *_: tf.concat([0 * g[:1], g[1:]], 0)))
    return kind


def max_pooling() -> Kind:
    def windows(x):
        return tf.reshape(x, [x.shape[0], -1, 3])

    def forward(x):
        return tf.reduce_max(windows(x), axis=-1)

    def chosen(dy, x, hot):
        return tf.reshape(tf.cast(hot, dy.dtype) * dy[..., None], x.shape)

    def backward(dy, x):
        return (chosen(dy, x, tf.one_hot(tf.argmax(windows(x), -1), 3)),)

    kind = Kind("max pooling", forward, backward, lambda r: [r.normal(size=(4, 6))], lambda r: [np.zeros((4, 6))])
    kind.mistake("to all", "x", "", lambda dy, x: (chosen(dy, x, tf.ones_like(windows(x))),))
    kind.mistake(
        "to the first", "x", "", lambda dy, x: (chosen(dy, x, [1, 0, 0] + 0 * tf.argmax(windows(x), -1)[..., None]),)
    )
    kind.mistake("as a mean", "x", "", lambda dy, x: (chosen(dy / 3, x, tf.ones_like(windows(x))),))
    kind.mistake("to the smallest", "x", "", lambda dy, x: (chosen(dy, x, tf.one_hot(tf.argmin(windows(x), -1), 3)),))
    kind.mistake(
        "last window left out", "x", "", lambda dy, x: kind.backward(tf.concat([dy[:, :-1], 0 * dy[:, -1:]], 1), x)
    )
    return kind


def segment_mean() -> Kind:
    def forward(x, ids):
        return tf.math.unsorted_segment_mean(x, ids, 3)

    def count(dy, ids):
        return tf.cast(tf.gather(tf.math.bincount(ids, minlength=3, maxlength=3), ids), dy.dtype)[:, None]

    def backward(dy, x, ids):
        return tf.gather(dy, ids) / count(dy, ids), None

    kind = Kind(
        "segment mean",
        forward,
        backward,
        lambda r: [r.normal(size=(7, 2)), np.array([0, 2, 1, 2, 2, 0, 0], np.int32)],
        lambda r: [np.ones((3, 2)), np.array([0, 1, 2], np.int32)],
    )
    but = kind.but
    kind.mistake("count left out", "x", "", but(0, lambda g, dy, x, i: tf.gather(dy, i)))
    kind.mistake("by all rows", "x", "", but(0, lambda g, dy, x, i: tf.gather(dy, i) / x.shape[0]))
    kind.mistake("wrong rows", "x", "", but(0, lambda g, dy, x, i: tf.gather(dy, (i + 1) % 3) / count(dy, i)))
    kind.mistake("by number of segments", "x", "", but(0, lambda g, dy, x, i: tf.gather(dy, i) / 3))
    return kind


KINDS = (
    dense, softmax, layer_normalization, batch_normalization, dropout, embedding, max_pooling, segment_mean,
)  # fmt: skip
