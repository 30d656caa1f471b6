"""Activations, clipping, straight-through estimators, norms, and losses."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradient_mutants.kind import Kind


def swish() -> Kind:
    def forward(x):
        return x * tf.sigmoid(x)

    def backward(dy, x):
        s = tf.sigmoid(x)
        return (dy * (s + x * s * (1 - s)),)

    kind = Kind("swish", forward, backward, lambda r: [r.normal(size=(5, 3))], lambda r: [np.zeros((5, 3))])
    s = tf.sigmoid
    kind.mistake("a term missing", "x", "through|missing", lambda dy, x: (dy * x * s(x) * (1 - s(x)),))
    kind.mistake("the factor 1 - s missing", "x", "factor|derivative|missing", lambda dy, x: (dy * (s(x) + x * s(x)),))
    kind.mistake("sign of a term", "x", "wrong sign", lambda dy, x: (dy * (s(x) - x * s(x) * (1 - s(x))),))
    kind.mistake("upstream ignored", "x", "upstream", lambda dy, x: (s(x) + x * s(x) * (1 - s(x)),))
    kind.mistake("at y", "x", "", lambda dy, x: kind.backward(dy, x * s(x)))
    kind.mistake("factor x missing", "x", "", lambda dy, x: (dy * (s(x) + s(x) * (1 - s(x))),))
    return kind


def tanh() -> Kind:
    def forward(x):
        return tf.tanh(x)

    def backward(dy, x):
        return (dy * (1 - tf.tanh(x) ** 2),)

    kind = Kind("tanh", forward, backward, lambda r: [r.normal(size=(4, 3))], lambda r: [np.zeros((4, 3))])
    kind.mistake("1 - x²", "x", "", lambda dy, x: (dy * (1 - x * x),))
    kind.mistake("1 - y", "x", "", lambda dy, x: (dy * (1 - tf.tanh(x)),))
    kind.mistake("1 + y²", "x", "", lambda dy, x: (dy * (1 + tf.tanh(x) ** 2),))
    kind.mistake("sign", "x", "sign is flipped", lambda dy, x: (-kind.backward(dy, x)[0],))
    kind.mistake("upstream averaged", "x", "averaged", lambda dy, x: kind.backward(tf.reduce_mean(dy) + 0 * dy, x))
    kind.mistake("derivative left out", "x", "derivative of Tanh", lambda dy, x: (dy,))
    kind.mistake(
        "rounded to float32",
        "x",
        "float32|few digits|small everywhere",
        lambda dy, x: (tf.cast(tf.cast(kind.backward(dy, x)[0], tf.float32), x.dtype),),
    )
    return kind


def clip() -> Kind:
    def forward(x):
        return tf.clip_by_value(x, -1, 1)

    def backward(dy, x):
        return (tf.where(tf.abs(x) <= 1, dy, tf.zeros_like(dy)),)

    kind = Kind("clip", forward, backward, lambda r: [2 * r.normal(size=(6, 4))], lambda r: [np.full((6, 4), 0.25)])
    zero = tf.zeros_like
    kind.mistake("outside", "x", "", lambda dy, x: (tf.where(tf.abs(x) > 1, dy, zero(dy)),))
    kind.mistake("passes all", "x", "derivative|left out", lambda dy, x: (dy,))
    kind.mistake("upper bound only", "x", "", lambda dy, x: (tf.where(x <= 1, dy, zero(dy)),))
    kind.mistake("clips the gradient", "x", "", lambda dy, x: (tf.clip_by_value(dy, -1, 1),))
    kind.mistake("all zero", "x", "all zero", lambda dy, x: (zero(dy),))
    return kind


def straight_through() -> Kind:
    def forward(x):
        return tf.round(x)

    def oracle(x):
        bounded = tf.clip_by_value(x, -2, 2)
        return bounded + tf.stop_gradient(tf.round(x) - bounded)

    def backward(dy, x):
        return (tf.where(tf.abs(x) <= 2, dy, tf.zeros_like(dy)),)

    good, lazy = (lambda r: [2 * r.normal(size=(6, 4))]), (lambda r: [np.full((6, 4), 0.25)])
    kind = Kind("straight-through", forward, backward, good, lazy, oracle=oracle)
    kind.mistake("passes all", "x", "", lambda dy, x: (dy,))
    kind.mistake("other side", "x", "", lambda dy, x: (tf.where(tf.abs(x) > 2, dy, tf.zeros_like(dy)),))
    kind.mistake("times x", "x", "the factor x", lambda dy, x: (x * kind.backward(dy, x)[0],))
    kind.mistake("upstream ignored", "x", "upstream", lambda dy, x: kind.backward(tf.ones_like(dy), x))
    return kind


def normalize() -> Kind:
    def forward(x):
        return x / tf.sqrt(tf.reduce_sum(x * x, axis=-1, keepdims=True))

    def backward(dy, x):
        norm = tf.sqrt(tf.reduce_sum(x * x, axis=-1, keepdims=True))
        y = x / norm
        return ((dy - y * tf.reduce_sum(y * dy, axis=-1, keepdims=True)) / norm,)

    kind = Kind("normalize", forward, backward, lambda r: [r.normal(size=(5, 4))], lambda r: [np.ones((5, 4))])

    def norm(x):
        return tf.sqrt(tf.reduce_sum(x * x, axis=-1, keepdims=True))

    def inner(dy, x, axis=-1):
        return x / norm(x) * tf.reduce_sum(x / norm(x) * dy, axis=axis, keepdims=True)

    kind.mistake("projection missing", "x", "through|missing", lambda dy, x: (dy / norm(x),))
    kind.mistake("1/norm missing", "x", "", lambda dy, x: (dy - inner(dy, x),))
    kind.mistake("other axis", "x", "", lambda dy, x: ((dy - inner(dy, x, 0)) / norm(x),))
    kind.mistake("projection added", "x", "wrong sign", lambda dy, x: ((dy + inner(dy, x)) / norm(x),))
    return kind


def cross_entropy() -> Kind:
    def forward(logits, labels):
        return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)

    def backward(dy, logits, labels):
        total = tf.reduce_sum(labels, axis=-1, keepdims=True)
        dy = dy[:, None]
        return dy * (tf.nn.softmax(logits) * total - labels), -dy * tf.nn.log_softmax(logits)

    kind = Kind(
        "cross-entropy",
        forward,
        backward,
        lambda r: [r.normal(size=(6, 4)), r.dirichlet(np.ones(4), 6)],
        lambda r: [np.zeros((6, 4)), np.full((6, 4), 0.25)],
    )
    softmax, but = tf.nn.softmax, kind.but
    kind.mistake(
        "labels not subtracted", "logits", "missing|through", but(0, lambda g, dy, z, t: dy[:, None] * softmax(z))
    )
    kind.mistake("sign", "logits", "sign", but(0, lambda g, *_: -g))
    kind.mistake("1/B too many", "logits", r"1/\S+ too many", but(0, lambda g, dy, *_: g / 6))
    kind.mistake("upstream ignored", "logits", "upstream", but(0, lambda g, dy, z, t: softmax(z) - t))
    kind.mistake(
        "upstream averaged", "logits", "averaged", but(0, lambda g, dy, z, t: tf.reduce_mean(dy) * (softmax(z) - t))
    )
    kind.mistake("sigmoid for softmax", "logits", "", but(0, lambda g, dy, z, t: dy[:, None] * (tf.sigmoid(z) - t)))
    kind.mistake("nothing for the labels", "labels", "None|all zero", but(1, lambda g, *_: tf.zeros_like(g)))
    return kind


def masked_loss() -> Kind:
    def forward(prediction, target, mask):
        return tf.reduce_sum(mask * (prediction - target) ** 2) / tf.reduce_sum(mask)

    def backward(dy, prediction, target, mask):
        e, total = prediction - target, tf.reduce_sum(mask)
        dprediction = dy * 2 * mask * e / total
        return dprediction, -dprediction, dy * (e * e - tf.reduce_sum(mask * e * e) / total) / total

    def good(r):
        return [r.normal(size=(4, 3)), r.normal(size=(4, 3)), r.uniform(0.25, 1.5, (4, 3))]

    kind = Kind("masked loss", forward, backward, good, lambda r: [*good(r)[:2], np.ones((4, 3))])
    but = kind.but
    kind.mistake("factor 2 missing", "prediction", "2 missing", but(0, lambda g, *_: g / 2))
    kind.mistake("mask ignored", "prediction", "factor mask is missing", but(0, lambda g, dy, p, t, m: g / m))
    kind.mistake("mask twice", "prediction", "factor mask is there once", but(0, lambda g, dy, p, t, m: g * m))
    kind.mistake(
        "mean over all",
        "prediction",
        "constant",
        but(0, lambda g, dy, p, t, m: g * tf.reduce_sum(m) / tf.cast(tf.size(m), m.dtype)),
    )
    kind.mistake("sum for mean", "prediction", "RealDiv|constant", but(0, lambda g, dy, p, t, m: g * tf.reduce_sum(m)))
    kind.mistake("sign of the target's", "target", "sign", but(1, lambda g, *_: -g))
    kind.mistake(
        "mask's mean missing",
        "mask",
        "missing|through",
        but(2, lambda g, dy, p, t, m: dy * (p - t) ** 2 / tf.reduce_sum(m)),
    )
    kind.mistake("upstream ignored", "prediction", "upstream", but(0, lambda g, dy, *_: g / dy))
    return kind


def huber() -> Kind:
    def forward(e):
        a = tf.abs(e)
        return tf.where(a <= 1, e * e / 2, a - 1 / 2)

    def backward(dy, e):
        return (dy * tf.clip_by_value(e, -1, 1),)

    kind = Kind("huber", forward, backward, lambda r: [2 * r.normal(size=(5, 4))], lambda r: [np.ones((5, 4))])
    kind.mistake("not bounded", "e", "", lambda dy, e: (dy * e,))
    kind.mistake("sign alone", "e", "", lambda dy, e: (dy * tf.sign(e),))
    kind.mistake("no sign outside", "e", "", lambda dy, e: (dy * tf.minimum(e, 1),))
    kind.mistake("factor 2", "e", "factor 2", lambda dy, e: (2 * dy * tf.clip_by_value(e, -1, 1),))
    return kind


KINDS = (swish, tanh, clip, straight_through, normalize, cross_entropy, masked_loss, huber)
