"""Attention, recurrent steps, convolution, bilinear forms."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradient_mutants.kind import Kind


def attention() -> Kind:
    def probabilities(q, k):
        return tf.nn.softmax(tf.matmul(q, k, transpose_b=True) / 2)  # 2 is the root of 4 features

    def forward(q, k, v):
        return tf.matmul(probabilities(q, k), v)

    def of_scores(dy, q, k, v, term=1.0):
        p = probabilities(q, k)
        dp = tf.matmul(dy, v, transpose_b=True)
        return p * (dp - term * tf.reduce_sum(dp * p, axis=-1, keepdims=True)) / 2

    def backward(dy, q, k, v):
        ds = of_scores(dy, q, k, v)
        dv = tf.matmul(probabilities(q, k), dy, transpose_a=True)
        return tf.matmul(ds, k), tf.matmul(ds, q, transpose_a=True), dv

    def point(r, rows):
        return [r.normal(size=(rows, 4)), r.normal(size=(5, 4)), r.normal(size=(5, 3))]

    kind = Kind("attention", forward, backward, lambda r: point(r, 6), lambda r: [0 * a for a in point(r, 6)])
    but = kind.but
    kind.mistake("dq without scale", "q", "2", but(0, lambda g, *_: 2 * g))
    kind.mistake(
        "softmax's sum",
        "q k",
        "through|missing",
        lambda dy, q, k, v: (
            tf.matmul(of_scores(dy, q, k, v, 0.0), k),
            tf.matmul(of_scores(dy, q, k, v, 0.0), q, transpose_a=True),
            kind.backward(dy, q, k, v)[2],
        ),
    )
    kind.mistake(
        "dv by scores",
        "v",
        "",
        but(2, lambda g, dy, q, k, v: tf.matmul(tf.matmul(q, k, transpose_b=True) / 2, dy, transpose_a=True)),
    )
    kind.mistake(
        "no softmax's derivative",
        "q",
        "",
        but(0, lambda g, dy, q, k, v: tf.matmul(tf.matmul(dy, v, transpose_b=True) / 2, k)),
    )
    kind.mistake(
        "dk by k",
        "k",
        "",
        but(1, lambda g, dy, q, k, v: tf.matmul(of_scores(dy, q, k, v), tf.concat([k, k[:1]], 0), transpose_a=True)),
    )
    kind.mistake("dv None", "v", "None", but(2, lambda g, *_: None))
    kind.mistake("dv sign", "v", "sign", but(2, lambda g, *_: -g))
    return kind


def recurrent() -> Kind:
    steps = 3

    def states(x, kernel, recurrent):
        hidden = [tf.zeros([x.shape[0], recurrent.shape[0]], x.dtype)]
        for t in range(steps):
            hidden.append(tf.tanh(tf.matmul(x[:, t], kernel) + tf.matmul(hidden[-1], recurrent)))
        return hidden

    def forward(x, kernel, recurrent):
        return states(x, kernel, recurrent)[-1]

    def through_time(dy, x, kernel, recurrent, carry=True, late=0, upto=steps):
        h = states(x, kernel, recurrent)
        dx, dkernel, drecurrent = [], 0 * kernel, 0 * recurrent
        for t in reversed(range(steps)):
            dz = dy * (1 - h[t + 1] ** 2)
            if t < upto:
                dkernel += tf.matmul(x[:, t], dz, transpose_a=True)
            drecurrent += tf.matmul(h[t + late], dz, transpose_a=True)
            dx.insert(0, tf.matmul(dz, kernel, transpose_b=True))
            dy = tf.matmul(dz, recurrent, transpose_b=True) if carry else 0 * dy
        return tf.stack(dx, axis=1), dkernel, drecurrent

    def backward(dy, x, kernel, recurrent):
        return through_time(dy, x, kernel, recurrent)

    kind = Kind(
        "recurrent",
        forward,
        backward,
        lambda r: [r.normal(size=(4, 3, 5)), r.normal(size=(5, 2)) / 2, r.normal(size=(2, 2)) / 2],
        lambda r: [np.zeros((4, 3, 5)), np.zeros((5, 2)), np.eye(2)],
    )
    but = kind.but
    kind.mistake("one step alone", "x kernel recurrent", "", lambda dy, *a: through_time(dy, *a, carry=False))
    kind.mistake("new state for old", "recurrent", "", lambda dy, *a: through_time(dy, *a, late=1))
    kind.mistake("last step left out", "kernel", "through|missing", lambda dy, *a: through_time(dy, *a, upto=steps - 1))
    kind.mistake("recurrent transposed", "recurrent", "transposed", but(2, lambda g, *_: tf.transpose(g)))
    kind.mistake("dx in reverse", "x", "reverse", but(0, lambda g, *_: tf.reverse(g, [1])))
    kind.mistake(
        "derivative left out",
        "x kernel recurrent",
        "",
        lambda dy, x, k, u: kind.backward(dy / (1 - states(x, k, u)[-1] ** 2), x, k, u),
    )
    return kind


def gate() -> Kind:
    def forward(x, h, z):
        s = tf.sigmoid(z)
        return s * h + (1 - s) * tf.tanh(x)

    def backward(dy, x, h, z):
        s, c = tf.sigmoid(z), tf.tanh(x)
        return dy * (1 - s) * (1 - c * c), dy * s, dy * (h - c) * s * (1 - s)

    kind = Kind(
        "gate",
        forward,
        backward,
        lambda r: [r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.normal(size=(4, 3))],
        lambda r: [np.zeros((4, 3)), np.zeros((4, 3)), np.zeros((4, 3))],
    )
    but, s = kind.but, tf.sigmoid
    kind.mistake("s for 1 - s", "x", "", but(0, lambda g, dy, x, h, z: dy * s(z) * (1 - tf.tanh(x) ** 2)))
    kind.mistake("candidate's path", "z", "through|missing", but(2, lambda g, dy, x, h, z: dy * h * s(z) * (1 - s(z))))
    kind.mistake(
        "sum for difference",
        "z",
        "wrong sign",
        but(2, lambda g, dy, x, h, z: dy * (h + tf.tanh(x)) * s(z) * (1 - s(z))),
    )
    kind.mistake(
        "gradients swapped",
        "x h",
        "gradient of",
        lambda dy, *a: (kind.backward(dy, *a)[1], kind.backward(dy, *a)[0], kind.backward(dy, *a)[2]),
    )
    kind.mistake("sigmoid's derivative", "z", "derivative", but(2, lambda g, dy, x, h, z: dy * (h - tf.tanh(x))))
    return kind


def convolution() -> Kind:
    width = 3

    def forward(x, kernel):
        return sum(x[:, i : x.shape[1] - width + 1 + i] * kernel[i] for i in range(width))

    def backward(dy, x, kernel):
        length = x.shape[1] - width + 1
        dx = sum(tf.pad(dy * kernel[i], [[0, 0], [i, width - 1 - i]]) for i in range(width))
        return dx, tf.stack([tf.reduce_sum(dy * x[:, i : length + i]) for i in range(width)])

    kind = Kind(
        "convolution",
        forward,
        backward,
        lambda r: [r.normal(size=(4, 7)), r.normal(size=3)],
        lambda r: [np.ones((4, 7)), np.ones(3)],
    )
    but = kind.but
    kind.mistake("kernel not flipped", "x", "", but(0, lambda g, dy, x, k: kind.backward(dy, x, k[::-1])[0]))
    kind.mistake("dkernel flipped", "kernel", "reverse", but(1, lambda g, *_: g[::-1]))
    kind.mistake("dkernel by mean", "kernel", r"1/\S+ too many", but(1, lambda g, dy, x, k: g / x.shape[0]))
    kind.mistake("border left out", "x", "last", but(0, lambda g, *_: tf.concat([g[:, :-1], 0 * g[:, :1]], 1)))
    kind.mistake(
        "not summed over the batch",
        "kernel",
        "not summed",
        but(
            1,
            lambda g, dy, x, k: tf.stack(
                [tf.reduce_sum(dy * x[:, i : x.shape[1] - width + 1 + i], axis=1) for i in range(width)], axis=1
            ),
        ),
    )
    return kind


def bilinear() -> Kind:
    def forward(x, a):
        return tf.reduce_sum(tf.matmul(x, a) * x, axis=-1)

    def backward(dy, x, a):
        dy = dy[:, None]
        return dy * (tf.matmul(x, a) + tf.matmul(x, a, transpose_b=True)), tf.matmul(x, dy * x, transpose_a=True)

    kind = Kind(
        "bilinear",
        forward,
        backward,
        lambda r: [r.normal(size=(5, 3)), r.normal(size=(3, 3))],
        lambda r: [r.normal(size=(5, 3)), np.eye(3)],
    )
    but = kind.but
    kind.mistake("as if symmetric", "x", "", but(0, lambda g, dy, x, a: 2 * dy[:, None] * tf.matmul(x, a)))
    kind.mistake(
        "half of it", "x", "through|missing|transposed", but(0, lambda g, dy, x, a: dy[:, None] * tf.matmul(x, a))
    )
    kind.mistake("upstream left out", "a", "upstream", but(1, lambda g, dy, x, a: tf.matmul(x, x, transpose_a=True)))
    kind.mistake("as a matrix of one row", "a", "shape|broadcast", but(1, lambda g, *_: g[:1]))
    return kind


KINDS = (attention, recurrent, gate, convolution, bilinear)
