"""Losses per sample, each backward under its forward. Cross-entropies take logits.

B batch, O outputs; y targets (B, O), or (B,) labels for the sparse loss; outputs (B, O); losses and dlosses (B,). A
sample with several tokens has one loss for each: outputs are (B, T, O), losses (B, T). The second argument of a
backward is the residuals of its forward.
"""

import math

import tensorflow as tf


def half_squared_error_forward(y, outputs):
    error = outputs - y
    return 0.5 * tf.reduce_sum(error * error, axis=-1), error


def half_squared_error_backward(dlosses, error):
    # losses = ½ Σ error²,  error = outputs - y
    return dlosses[:, None] * error


def mean_squared_error_forward(y, outputs):
    error = outputs - y
    return tf.reduce_mean(error * error, axis=-1), error


def mean_squared_error_backward(dlosses, error):
    # losses = 1/O Σ error²,  error = outputs - y
    return (dlosses * (2 / error.shape[-1]))[:, None] * error


def mean_absolute_error_forward(y, outputs):
    error = outputs - y
    return tf.reduce_mean(tf.abs(error), axis=-1), error


def mean_absolute_error_backward(dlosses, error):
    """The derivative of |o - y| at o = y is 0."""
    # losses = 1/O Σ |error|,  error = outputs - y
    return (dlosses / error.shape[-1])[:, None] * tf.sign(error)


def huber_forward(y, outputs, delta):
    error = outputs - y
    clipped = tf.clip_by_value(error, -delta, delta)
    # ½ error² inside delta, delta |error| - ½ delta² outside: both are clipped · (error - ½ clipped)
    return tf.reduce_mean(clipped * (error - 0.5 * clipped), axis=-1), clipped


def huber_backward(dlosses, clipped, delta):
    # losses = 1/O Σ clipped · (error - ½ clipped)
    return (dlosses / clipped.shape[-1])[:, None] * clipped


def binary_crossentropy_forward(y, outputs):
    # softplus(o) - y o, as max(o, 0) - y o + log(1 + exp(-|o|)), which cannot overflow
    losses = tf.nn.relu(outputs) - y * outputs + tf.math.softplus(-tf.abs(outputs))
    return tf.reduce_mean(losses, axis=-1), (y, outputs)


def binary_crossentropy_backward(dlosses, residuals):
    y, outputs = residuals
    # losses = 1/O Σ softplus(outputs) - y outputs
    return (dlosses / outputs.shape[-1])[:, None] * (tf.sigmoid(outputs) - y)


def categorical_crossentropy_forward(y, outputs):
    log_softmax, softmax = _log_softmax_and_softmax(outputs)
    return _cross_entropy(y, log_softmax), (y, softmax)


def categorical_crossentropy_backward(dlosses, residuals):
    y, softmax = residuals
    # losses = -Σ y log softmax(outputs)                      softmax Σ y - y, where targets need not sum to 1
    return dlosses[:, None] * (softmax * tf.reduce_sum(y, axis=-1, keepdims=True) - y)


def sparse_categorical_crossentropy_forward(y, outputs):
    log_softmax, softmax = _log_softmax_and_softmax(outputs)
    one_hot = tf.one_hot(y, outputs.shape[-1], dtype=outputs.dtype)
    # one_hot has a row of zeros for a label that is not a class: NaN instead of a loss of 0
    is_class = (y >= 0) & (y < outputs.shape[-1])
    one_hot += tf.where(is_class, tf.zeros([], outputs.dtype), math.nan)[:, None]
    return _cross_entropy(one_hot, log_softmax), (one_hot, softmax)


def sparse_categorical_crossentropy_backward(dlosses, residuals):
    one_hot, softmax = residuals
    # losses = -Σ one_hot(y) log softmax(outputs)
    return dlosses[:, None] * (softmax - one_hot)


def _log_softmax_and_softmax(outputs):
    # minus the maximum, so that no exponential overflows and none of their sums is below 1
    shifted = outputs - tf.reduce_max(outputs, axis=-1, keepdims=True)
    exponentials = tf.exp(shifted)
    total = tf.reduce_sum(exponentials, axis=-1, keepdims=True)
    return shifted - tf.math.log(total), exponentials / total


def _cross_entropy(y, log_softmax):
    # a class with target 0 adds 0, also where its logit is -∞
    return tf.reduce_sum(-y * tf.where(y != 0, log_softmax, 0), axis=-1)


LOSSES = {
    "half_squared_error": (half_squared_error_forward, half_squared_error_backward),
    "mean_squared_error": (mean_squared_error_forward, mean_squared_error_backward),
    "mean_absolute_error": (mean_absolute_error_forward, mean_absolute_error_backward),
    "huber": (huber_forward, huber_backward),
    "binary_crossentropy": (binary_crossentropy_forward, binary_crossentropy_backward),
    "categorical_crossentropy": (categorical_crossentropy_forward, categorical_crossentropy_backward),
    "sparse_categorical_crossentropy": (
        sparse_categorical_crossentropy_forward,
        sparse_categorical_crossentropy_backward,
    ),
}


def loss_forward(loss, y, outputs):
    """Returns the loss of every sample, (B,), or of each of its tokens, (B, T), and the residuals."""
    # tokens as rows: XLA sums these faster than the last of three axes
    rows = _as_rows(outputs)
    if loss.name.startswith("sparse_"):
        y = tf.cast(tf.reshape(y, [-1]), tf.int64)
    else:
        y = tf.reshape(tf.cast(y, outputs.dtype), tf.shape(rows))
    losses, loss_residuals = LOSSES[loss.name][0](y, rows, **loss.arguments)
    shape = outputs.shape[1:]
    return losses if shape.rank == 1 else tf.reshape(losses, [-1, *shape[:-1]]), (loss_residuals, shape)


def loss_backward(loss, dlosses, residuals):
    """Returns the gradient with respect to outputs, in their shape, from dlosses in the losses' shape."""
    loss_residuals, shape = residuals
    flat = dlosses if shape.rank == 1 else tf.reshape(dlosses, [-1])
    # losses = loss_forward(loss, y, outputs)
    doutputs = LOSSES[loss.name][1](flat, loss_residuals, **loss.arguments)
    return doutputs if shape.rank == 1 else tf.reshape(doutputs, [-1, *shape])


def _as_rows(outputs):
    return outputs if outputs.shape.rank == 2 else tf.reshape(outputs, [-1, outputs.shape[-1]])
