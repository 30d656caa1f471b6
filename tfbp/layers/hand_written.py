"""The hand-written backwards of `tfbp.manual` as TensorFlow functions that any tape can differentiate, and again.

Variables come in as tensors, each read once by its layer: a second read in the backward pass would race with the
optimizer in a tf.function without XLA. B is all axes before the last; x (B, I), kernel (I, O), bias (O,).
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from tfbp.bridge.activations import activation_of
from tfbp.custom_gradient import custom_gradient
from tfbp.errors import InputError
from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.dense import dense_backward, dense_forward
from tfbp.manual.piecewise_activations import relu_backward_by_sign
from tfbp.manual.prelu import prelu_backward, prelu_forward
from tfbp.manual.softmax import softmax_backward, softmax_forward
from tfbp.vocabulary import Activation

# as a layer's activation, instances of these have a derivative by hand
KERAS_LAYERS = (
    *(keras.layers.Activation, keras.layers.ELU, keras.layers.LeakyReLU),
    *(keras.layers.PReLU, keras.layers.ReLU, keras.layers.Softmax),
)

if keras.backend.backend() != "tensorflow":
    raise InputError(f"KERAS_BACKEND: got {keras.backend.backend()!r}; accepted: 'tensorflow'.")


@custom_gradient
def dense(x: tf.Tensor, kernel: tf.Tensor, *bias: tf.Tensor) -> Any:
    """z = x · kernel + bias, of x's shape with O for I."""
    inputs, outputs = kernel.shape  # x's own last axis may be unknown while a function is traced
    z, residuals = dense_forward(_as_rows(x, inputs), kernel, *bias)

    def backward(dz: tf.Tensor) -> list[tf.Tensor]:
        # z = as_shape_of(x, dense_forward(as_rows(x), kernel, bias))
        dx, dkernel, dbias = dense_backward(_as_rows(dz, outputs), residuals, bias_gradient=bool(bias))
        return [_with_leading_axes_of(x, dx), dkernel, *([dbias] if bias else [])]

    return _with_leading_axes_of(x, z), backward


def activate(function: Any, z: Any) -> Any:
    """function(z), its derivative by hand where `tfbp.Activation` knows it, and by TensorFlow where not."""
    by_hand = _by_hand(function, z) if is_handled(z) else None
    return function(z) if by_hand is None else by_hand(z)


def _by_hand(function: Any, z: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor] | None:
    if isinstance(function, keras.layers.Layer):
        # a subclass may compute anything; and a layer's own call casts to its dtype, and adds its regularizer's loss
        if type(function) not in KERAS_LAYERS or function.compute_dtype != z.dtype or function.activity_regularizer:
            return None
        if type(function) is keras.layers.Activation:
            return _by_hand(function.activation, z)
        if type(function) is keras.layers.Softmax:
            return softmax_along(function.axis)
        if type(function) is keras.layers.PReLU:
            return lambda z: _prelu_of(function, z)
    choice = activation_of(function)
    if choice is None:
        return None
    return (lambda z: z) if choice.name == "linear" else activation(choice)


def _prelu_of(layer: keras.layers.PReLU, z: tf.Tensor) -> tf.Tensor:
    if not layer.built:
        layer.build(tuple(z.shape))
    return prelu(z, tf.cast(layer.alpha, z.dtype))


def activation(choice: Activation) -> Callable[[tf.Tensor], tf.Tensor]:
    """y = f(z) of any shape, as a function of z."""
    return _activation(choice.name, tuple(choice.arguments.items()))


@cache
def _activation(name: str, arguments: tuple[tuple[str, Any], ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    choice = Activation(name, dict(arguments))
    backward = _relu_backward if choice == Activation("relu") else activation_backward

    @custom_gradient
    def activate(z: tf.Tensor) -> Any:
        y, residuals = activation_forward(choice, z)
        return y, lambda dy: _in_rows(backward, choice, dy, residuals)

    if name == "softmax":
        return _as_keras_s(activate, axis=-1)
    return _as_keras_s(activate) if name == "sigmoid" else activate


def _in_rows(backward: Any, choice: Activation, dy: tf.Tensor, residuals: Any) -> tf.Tensor:
    """Returns dz, for images of an unknown batch by rows of channels.

    oneDNN joins a depthwise convolution and its activation. For a batch of no example that returns the sizes of its
    input, although the graph's shape is right; as rows both have none.
    """
    if dy.shape.rank != 4 or dy.shape[0] is not None or dy.shape[-1] is None:
        return backward(choice, dy, residuals)

    def rows(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [-1, tensor.shape[-1]]) if tensor.shape.rank == 4 else tensor

    return tf.reshape(backward(choice, rows(dy), tf.nest.map_structure(rows, residuals)), tf.shape(dy))


def _relu_backward(_: Activation, dy: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return relu_backward_by_sign(dy, y)


def softmax_along(axis: Any) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """`softmax` for the axis of a Keras layer, or None for one that is left to Keras."""
    axes = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if not axes or None in axes:
        return None
    axes = tuple(map(operator.index, axes))  # of NumPy, too
    return softmax(axes[0] if len(axes) == 1 else axes)


@cache
def softmax(axis: int | tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
    """softmax along an axis, or over several together, as a function of z."""

    @custom_gradient
    def activate(z: tf.Tensor) -> Any:
        y, residuals = softmax_forward(z, axis)
        return y, lambda dy: softmax_backward(dy, residuals, axis)

    return _as_keras_s(activate, axis) if isinstance(axis, int) else activate


@custom_gradient
def prelu(x: tf.Tensor, alpha: tf.Tensor) -> Any:
    """y = x where x > 0, else alpha · x."""
    y, residuals = prelu_forward(x, alpha)
    return y, lambda dy: prelu_backward(dy, residuals)


def is_handled(x: Any) -> bool:
    """Whether x is a dense tensor of floats of known rank; everything else is left to Keras."""
    return isinstance(x, tf.Tensor) and x.dtype.is_floating and x.shape.rank is not None


def kept_by(mask: Any) -> tf.Tensor:
    """Where a mask of any dtype keeps, in booleans: where it is true, or above ½ (of integers above 0), as in Keras."""
    mask = tf.convert_to_tensor(mask)
    return mask if mask.dtype == tf.bool else mask > tf.cast(0.5, mask.dtype)


def _as_keras_s(
    activate: Callable[[tf.Tensor], tf.Tensor], axis: int | None = None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """With what Keras's function does beside: its warning of a softmax along `axis`, and the logits on the output.

    Keras's cross-entropies look for that attribute, and then use the logits: one fused, stable formula."""

    def activate_as_keras_does(z: tf.Tensor) -> tf.Tensor:
        if axis is not None and -z.shape.rank <= axis < z.shape.rank and z.shape[axis] == 1:
            warnings.warn(
                f"You are using a softmax over axis {axis} of a tensor of shape {z.shape}. This axis has size 1. "
                "The softmax operation will always return the value 1, which is likely not what you intended. "
                "Did you mean to use a sigmoid instead?",
                stacklevel=2,
            )
        y = activate(z)
        y._keras_logits = z
        return y

    return activate_as_keras_does


def _as_rows(x: tf.Tensor, width: int) -> tf.Tensor:
    return x if x.shape.rank == 2 else tf.reshape(x, [-1, width])


def _with_leading_axes_of(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    if x.shape.rank == 2:
        return rows
    leading, last = x.shape.as_list()[:-1], rows.shape[-1]
    if leading.count(None) > 1 or (None in leading and 0 in leading):
        shaped = tf.reshape(rows, tf.concat([tf.shape(x)[:-1], [last]], axis=0))
        shaped.set_shape([*leading, last])
        return shaped
    return tf.reshape(rows, [*(-1 if size is None else size for size in leading), last])
