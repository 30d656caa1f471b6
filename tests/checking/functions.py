"""Hand-coded backwards, right and wrong, that the checker's tests share."""

import tensorflow as tf


def dense(mistake=""):
    """tanh(x · kernel + bias) by hand; with a mistake in its backward where one is named."""

    @tf.custom_gradient
    def dense(x, kernel, bias):
        y = tf.tanh(tf.matmul(x, kernel) + bias)

        def backward(dy):
            dz = dy * (1 - y * y)
            if mistake == "upstream":
                dz = 1 - y * y
            if mistake == "sign":
                dz = -dz
            if mistake == "derivative":
                dz = dy
            dx, dkernel, dbias = tf.matmul(dz, kernel, transpose_b=True), tf.matmul(x, dz, transpose_a=True), dz
            dbias = tf.reduce_sum(dz, axis=0)
            if mistake == "mean":
                dbias /= x.shape[0]
            if mistake == "axis":
                dbias = dz
            if mistake == "none":
                dbias = None
            if mistake == "dtype":
                dbias = tf.cast(dbias, tf.float32 if x.dtype == tf.float64 else tf.float64)
            if mistake == "float32":
                dbias = tf.cast(tf.cast(dbias, tf.float32), dbias.dtype)
            if mistake == "only float32" and x.dtype == tf.float32:
                dbias *= 1.01
            if mistake == "only graphs" and not tf.executing_eagerly():
                dbias *= 2
            if mistake == "element":
                dkernel *= 1 - tf.reshape(tf.one_hot(3, tf.size(kernel), dtype=x.dtype), kernel.shape)
            return (dx, dkernel) if mistake == "number" else (dx, dkernel, dbias)

        return y, backward

    return dense


def softmax(mistake=""):
    """A softmax over the last axis by hand."""

    @tf.custom_gradient
    def softmax(x):
        shifted = tf.exp(x - tf.reduce_max(x, axis=-1, keepdims=True))
        y = shifted / tf.reduce_sum(shifted, axis=-1, keepdims=True)

        def backward(dy):
            if mistake == "term":
                return y * dy
            return y * (dy - tf.reduce_sum(y * dy, axis=0 if mistake == "axis" else -1, keepdims=True))

        return y, backward

    return softmax
