"""The last dense layer and the softmax cross-entropy of its outputs, forward only, with the full logits.

N tokens, I inputs, O outputs (classes); x (N, I), kernel (I, O), bias (O,) or None, labels and sample_weight (N,).
"""

import tensorflow as tf

# as a network's last layer it is a dense layer
from tfbp.tape.dense import dense_forward, forward
from tfbp.tape.losses import sparse_categorical_crossentropy


def linear_cross_entropy(
    x,
    kernel,
    labels,
    *,
    bias=None,
    sample_weight=None,
    ignore_index=None,
    label_smoothing=0.0,
    z_loss=0.0,
    soft_cap=None,
):
    """Returns Σ sample_weight · losses over the tokens that count, divided by their number; at least float32."""
    logits = dense_forward(x, kernel, bias)
    logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
    if soft_cap is not None:
        logits = soft_cap * tf.tanh(logits / soft_cap)
    counted = tf.ones_like(labels, tf.bool) if ignore_index is None else labels != ignore_index
    labels = tf.where(counted, labels, 0)
    if label_smoothing:
        one_hot = tf.one_hot(labels, logits.shape[1], dtype=logits.dtype)
        target = (1 - label_smoothing) * one_hot + label_smoothing / logits.shape[1]
        losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
    else:
        losses = sparse_categorical_crossentropy(labels, logits)
    if z_loss:
        losses += z_loss * tf.square(tf.reduce_logsumexp(logits, axis=-1))
    weight = tf.cast(counted, logits.dtype)
    count = tf.reduce_sum(weight)
    if sample_weight is not None:
        weight *= tf.cast(sample_weight, logits.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weight * losses), count)


KINDS = {"LinearCrossEntropy": forward}
