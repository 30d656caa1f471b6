"""Losses to call. TensorFlow's automatic differentiation uses the gradient of `tfbp.manual`.

N tokens, I inputs, O outputs (classes); x (…, I), kernel (I, O), bias (O,), labels and sample_weight (…).
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.custom_gradient import custom_gradient
from tfbp.errors import InputError
from tfbp.manual.linear_cross_entropy import chunk_size_for, loss_and_gradients


def linear_cross_entropy(
    x: Any,
    kernel: Any,
    labels: Any,
    *,
    bias: Any = None,
    sample_weight: Any = None,
    mask: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    soft_cap: float | None = None,
    chunk_size: int | None = None,
) -> tf.Tensor:
    """Returns the mean softmax cross-entropy of a linear layer's outputs, without all outputs in memory.

        logits = x · kernel + bias,  or soft_cap · tanh((x · kernel + bias) / soft_cap)
        target = (1 - label_smoothing) · one_hot(labels) + label_smoothing / O
        losses = log Σ exp(logits) - Σ target · logits + z_loss · (log Σ exp(logits))²
        loss   = 1/N Σ sample_weight · losses

    N is the number of tokens with another label than `ignore_index` that the mask keeps. Sample weights scale a token's
    loss and do not enter N, as in Keras's losses. With every token ignored the loss is 0, and so are its gradients; the
    same holds for no token at all, where only the run knows that.

    Logits are computed for one chunk of tokens at a time, and each chunk's become the gradients at once, in the forward
    pass. Without a request for gradients, none is computed. The loss is differentiable in x, kernel and bias, not in
    sample_weight. Second derivatives, by nested tapes, are right but hold all logits, and XLA cannot compile them;
    ForwardAccumulator does not work.

    Args:
        x: (…, I), float64, float32, bfloat16 or float16. Computed in float64 for float64, else in float32.
        kernel: (I, O); bias: (O,) or None. Any float dtype; each gradient has its argument's dtype.
        labels: (…) or (…, 1), integers from 0 to O - 1, or `ignore_index`. Another label raises an error, or makes the
            loss NaN where TensorFlow cannot check it (under XLA).
        sample_weight: the labels' shape, or that of their first axes; None for ones.
        mask: of a shape as sample_weight, booleans: a token with False is ignored, for every label.
        ignore_index: a label, inside or outside 0 … O - 1, that is ignored; None for no such label.
        label_smoothing: at least 0 and below 1. z_loss: at least 0. soft_cap: above 0; None for no cap.
        chunk_size: tokens in a chunk; None for 32 MiB of logits, but no fewer than 128 tokens; on a GPU eight
            times as many.

    Returns:
        The loss, a scalar: float64 for float64, else float32.

    Raises:
        InputError: arguments that do not fit each other.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp.losses import linear_cross_entropy
        >>> x, kernel = tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.zeros((2, 4))
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(kernel)
        ...     loss = linear_cross_entropy(x, kernel, tf.constant([3, -1]), ignore_index=-1)
        >>> round(float(loss), 4), tape.gradient(loss, kernel).numpy().tolist()[0]
        (1.3863, [0.25, 0.25, 0.25, -0.75])

    Reference: Wijmans et al. (2024), Cut Your Losses in Large-Vocabulary Language Models,
    https://arxiv.org/abs/2411.09009; z-loss: de Brébisson and Vincent (2016), https://arxiv.org/abs/1604.08859
    """
    check_options(ignore_index, label_smoothing, z_loss, soft_cap, chunk_size)
    # each variable is read once, here
    x, kernel, labels = (tf.convert_to_tensor(value) for value in (x, kernel, labels))
    bias = None if bias is None else tf.convert_to_tensor(bias)
    _check_arguments(x, kernel, bias, labels)
    inputs, outputs = kernel.shape
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    weight = None if sample_weight is None else _of_tokens("sample_weight", tf.cast(sample_weight, dtype), x)
    _check_finite(weight)

    labels = tf.cast(tf.reshape(labels, [-1]), tf.int64)
    counts = tf.fill(tf.shape(labels), True) if ignore_index is None else labels != ignore_index
    if mask is not None:
        counts &= _of_tokens("mask", _booleans(mask), x)
    _check_labels(labels, counts, outputs, ignore_index)
    labels = tf.where(counts, labels, 0)
    # eagerly TensorFlow raises for a label that is not a class; compiled, loss and gradients are NaN
    is_class = (labels >= 0) & (labels < outputs)
    labels = tf.where(is_class, tf.gather(tf.range(outputs, dtype=labels.dtype), labels), labels)
    counts = tf.cast(counts, dtype)
    # loss = Σ weight · losses / N: this seeds the backward pass
    dlosses = tf.math.divide_no_nan(counts if weight is None else counts * weight, tf.reduce_sum(counts))

    if chunk_size is None:
        chunk_size = chunk_size_for(outputs, dtype)
    mean_loss = _mean_loss(inputs, outputs, dtype, chunk_size, float(label_smoothing), float(z_loss), soft_cap)
    # casts are outside the hand-coded part: a gradient is scaled by the upstream gradient before it is rounded
    parameters = [tf.cast(parameter, dtype) for parameter in (kernel, bias) if parameter is not None]
    return mean_loss(tf.reshape(tf.cast(x, dtype), [-1, inputs]), labels, tf.stop_gradient(dlosses), *parameters)


@functools.lru_cache(maxsize=64)
def _mean_loss(
    inputs: int,
    outputs: int,
    dtype: tf.DType,
    chunk_size: int,
    label_smoothing: float,
    z_loss: float,
    soft_cap: float | None,
) -> Any:
    """Computes the loss of any number of tokens, traced once.

    It is a tf.function also for eager callers. TensorFlow then decides whether gradients are needed: without a tape it
    runs a graph with the loss alone, with one a graph with both; and a tape sees one op, without the chunks' logits.
    """

    def mean_loss(x, labels, dlosses, kernel, bias=None):
        @custom_gradient
        def with_gradients(x, kernel, *bias):
            loss, dx, dkernel, dbias = loss_and_gradients(
                x,
                kernel,
                bias[0] if bias else None,
                labels,
                dlosses,
                chunk_size=chunk_size,
                label_smoothing=label_smoothing,
                z_loss=z_loss,
                soft_cap=soft_cap,
            )

            def backward(dloss):
                return [dloss * gradient for gradient in (dx, dkernel, dbias) if gradient is not None]

            return loss, backward

        return with_gradients(x, kernel, *([] if bias is None else [bias]))

    return tf.function(mean_loss, autograph=False, reduce_retracing=True)


def check_options(
    ignore_index: int | None, label_smoothing: float, z_loss: float, soft_cap: float | None, chunk_size: int | None
) -> None:
    """Raises `InputError` unless the options are those that `linear_cross_entropy` accepts."""
    if ignore_index is not None and not _is_integer(ignore_index):
        raise InputError(f"ignore_index: got {ignore_index!r}; accepted: an integer, or None.")
    if not (_is_number(label_smoothing) and 0 <= label_smoothing < 1):
        raise InputError(f"label_smoothing: got {label_smoothing!r}; accepted: a number from 0 to below 1.")
    if not (_is_number(z_loss) and 0 <= z_loss < math.inf):
        raise InputError(f"z_loss: got {z_loss!r}; accepted: a finite number of at least 0.")
    if soft_cap is not None and not (_is_number(soft_cap) and 0 < soft_cap < math.inf):
        raise InputError(f"soft_cap: got {soft_cap!r}; accepted: a finite number above 0, or None.")
    if chunk_size is not None and not (_is_integer(chunk_size) and chunk_size >= 1):
        raise InputError(f"chunk_size: got {chunk_size!r}; accepted: an integer of at least 1, or None.")


def _check_arguments(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, labels: tf.Tensor) -> None:
    for name, value in {"x": x, "kernel": kernel, "bias": bias}.items():
        if value is not None and not value.dtype.is_floating:
            raise InputError(f"{name}: got dtype {value.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    if not labels.dtype.is_integer:
        raise InputError(f"labels: got dtype {labels.dtype.name}; accepted: integers.")
    if kernel.shape.rank != 2 or not kernel.shape.is_fully_defined() or 0 in kernel.shape:
        raise InputError(f"kernel: got shape {_shape(kernel)}; accepted: (I, O), both known and at least 1.")
    inputs, outputs = kernel.shape
    shape = x.shape if x.shape.rank is not None else tf.TensorShape([None])  # only the run knows the rank
    if not shape.rank or shape[-1] not in (inputs, None) or 0 in shape:
        raise InputError(f"x: got shape {_shape(x)}; accepted: (…, {inputs}), as the kernel, with at least one token.")
    if bias is not None and bias.shape != (outputs,):
        raise InputError(f"bias: got shape {_shape(bias)}; accepted: ({outputs},), as the kernel.")
    if x.shape.rank is not None:
        tokens = x.shape[:-1]
        if not any(labels.shape.is_compatible_with(s) for s in (tokens, tf.TensorShape([*tokens, 1]))):
            raise InputError(f"labels: got shape {_shape(labels)}; accepted: {tuple(tokens)}, one for each row of x.")


def _check_labels(labels: tf.Tensor, kept: tf.Tensor, outputs: int, ignore_index: int | None) -> None:
    if not hasattr(labels, "numpy"):
        return
    values = labels.numpy()
    wrong = values[((values < 0) | (values >= outputs)) & kept.numpy()]
    if wrong.size:
        also = "" if ignore_index is None else f", or the ignore_index {ignore_index}"
        raise InputError(f"labels: got the label {wrong[0]}; accepted: integers from 0 to {outputs - 1}{also}.")


def _check_finite(weight: Any) -> None:
    if hasattr(weight, "numpy") and not np.isfinite(weight.numpy()).all():
        raise InputError("sample_weight: got a number that is not finite; accepted: finite numbers.")


def _booleans(mask: Any) -> tf.Tensor:
    mask = tf.convert_to_tensor(mask)
    if mask.dtype != tf.bool:
        raise InputError(f"mask: got dtype {mask.dtype.name}; accepted: bool.")
    return mask


def _of_tokens(name: str, value: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns the value for each token, flat."""
    rank, tokens = value.shape.rank, tf.shape(x)[:-1]
    if x.shape.rank is not None and rank is not None:
        accepted = x.shape[:-1]
        if rank > accepted.rank or not value.shape.is_compatible_with(accepted[:rank]):
            shape = tuple(accepted)
            raise InputError(f"{name}: got shape {_shape(value)}; accepted: {shape}, or the first axes of it.")
    ones = tf.ones([tf.size(tokens) - tf.rank(value)], tf.int32)
    value = tf.reshape(value, tf.concat([tf.shape(value), ones], axis=0))
    return tf.reshape(tf.broadcast_to(value, tokens), [-1])


def _shape(tensor: tf.Tensor) -> Any:
    return tuple(tensor.shape) if tensor.shape.rank is not None else "unknown"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
