"""The hand-written backwards of `tfbp.manual` as TensorFlow functions that any tape can differentiate, and again.

Variables come in as tensors, each read once by its layer: a second read in the backward pass would race with the
optimizer in a tf.function without XLA. B stands for all axes before the last; x (B, I), kernel (I, O), bias (O,).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from tfbp.checks import InputError
from tfbp.custom_gradient import custom_gradient
from tfbp.keras_activations import activation_of
from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.dense import dense_backward, dense_forward
from tfbp.manual.prelu import prelu_backward, prelu_forward
from tfbp.manual.softmax import softmax_backward, softmax_forward
from tfbp.vocabulary import Activation

if keras.backend.backend() != "tensorflow":
    raise InputError(f"KERAS_BACKEND: got {keras.backend.backend()!r}; accepted: 'tensorflow'.")


@custom_gradient
def dense(x: tf.Tensor, kernel: tf.Tensor, *bias: tf.Tensor) -> Any:
    """z = x · kernel + bias, of x's shape with O for I."""
    z, residuals = dense_forward(_as_rows(x), kernel, *bias)

    def backward(dz: tf.Tensor) -> list[tf.Tensor]:
        # z = as_shape_of(x, dense_forward(as_rows(x), kernel, bias))
        dx, dkernel, dbias = dense_backward(_as_rows(dz), residuals, bias_gradient=bool(bias))
        return [_with_leading_axes_of(x, dx), dkernel, *([dbias] if bias else [])]

    return _with_leading_axes_of(x, z), backward


def activate(function: Any, z: Any) -> Any:
    """function(z), its derivative by hand where `tfbp.Activation` knows it, and by TensorFlow where not."""
    choice = None if isinstance(function, keras.layers.Layer) else activation_of(function)
    if choice is None or not is_handled(z):
        return function(z)
    return z if choice.name == "linear" else activation(choice)(z)


def activation(choice: Activation) -> Callable[[tf.Tensor], tf.Tensor]:
    """y = f(z) of any shape, as a function of z."""
    return _activation(choice.name, tuple(choice.arguments.items()))


@cache
def _activation(name: str, arguments: tuple[tuple[str, Any], ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    choice = Activation(name, dict(arguments))

    @custom_gradient
    def activate(z: tf.Tensor) -> Any:
        y, residuals = activation_forward(choice, z)
        return y, lambda dy: activation_backward(choice, dy, residuals)

    return _keeping_logits(activate) if name in ("softmax", "sigmoid") else activate


@cache
def softmax(axis: int | tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """softmax along an axis, or over several together, as a function of z."""

    @custom_gradient
    def activate(z: tf.Tensor) -> Any:
        y, residuals = softmax_forward(z, axis)
        return y, lambda dy: softmax_backward(dy, residuals, axis)

    return _keeping_logits(activate) if isinstance(axis, int) else activate


@custom_gradient
def prelu(x: tf.Tensor, alpha: tf.Tensor) -> Any:
    """y = x where x > 0, else alpha · x."""
    y, residuals = prelu_forward(x, alpha)
    return y, lambda dy: prelu_backward(dy, residuals)


def is_handled(x: Any) -> bool:
    """Whether x is a dense tensor of floats of known rank; everything else is left to Keras."""
    return isinstance(x, tf.Tensor) and x.dtype.is_floating and x.shape.rank is not None


def _keeping_logits(activate: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Keras's cross-entropies look for this attribute, and then use the logits: one fused, stable formula."""

    def activate_and_keep(z: tf.Tensor) -> tf.Tensor:
        y = activate(z)
        y._keras_logits = z
        return y

    return activate_and_keep


def _as_rows(x: tf.Tensor) -> tf.Tensor:
    return x if x.shape.rank == 2 else tf.reshape(x, [-1, x.shape[-1]])


def _with_leading_axes_of(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    if x.shape.rank == 2:
        return rows
    leading, last = x.shape.as_list()[:-1], rows.shape[-1]
    if leading.count(None) > 1 or (None in leading and 0 in leading):
        shaped = tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [last]], axis=0))
        shaped.set_shape([*leading, last])
        return shaped
    return tf.reshape(rows, [*(-1 if size is None else size for size in leading), last])
