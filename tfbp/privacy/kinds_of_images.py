"""Records calls of layers of images, and of normalizations: see `kinds`.

B batch, H and W height and width, C channels, P positions of a window, K pixels in it, G groups, I = C / G, O.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfbp.manual.compiled import has_gpu, is_compiled
from tfbp.manual.window import Window
from tfbp.privacy.convolved import Convolved
from tfbp.privacy.parts import Each, Part
from tfbp.privacy.recording import Recorder, constant
from tfbp.privacy.sums import gradient_of_broadcast
from tfbp.privacy.unfolding import Unfolding


def convolution(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    x = tf.convert_to_tensor(inputs)
    if layer.padding == "causal":
        options = {"data_format": layer.data_format, "dilation_rate": layer.dilation_rate}
        z = ops.conv(_padded(layer, x), constant(layer.kernel), list(layer.strides), "valid", **options)
    else:
        z = layer.convolution_op(x, constant(layer.kernel))

    def find(dz: tf.Tensor) -> Any:
        parts: list[Any] = [(layer.kernel, _of_kernel(layer, x, dz, recorder.most))]
        return parts if layer.bias is None else [*parts, _of_bias(layer, dz)]

    z = z if layer.bias is None else ops.add(z, constant(layer.bias))
    z = recorder.kept(layer, z, find)
    return z if layer.activation is None else layer.activation(z)


def depthwise_convolution(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    x = tf.convert_to_tensor(inputs)
    z = ops.depthwise_conv(
        x,
        constant(layer.kernel),
        strides=layer.strides,
        padding=layer.padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )

    def find(dz: tf.Tensor) -> Any:
        window, images = _window(layer, x)
        pixels = [tf.reshape(at, [-1, math.prod(window.outputs), x.shape[-1]]) for at in window.patches(images)]
        dz_of = tf.reshape(dz, [-1, math.prod(window.outputs), x.shape[-1], layer.depth_multiplier])
        # dkernel[m, n, i, d] = Σ pixels[m, n, i] · dz[i, d] over the positions
        each = [tf.einsum("bpi,bpid->bid", at, dz_of) for at in pixels]
        gradient = tf.reshape(tf.stack(each, axis=1), [-1, *layer.kernel.shape])
        parts: list[Any] = [(layer.kernel, Each(gradient))]
        return parts if layer.bias is None else [*parts, _of_bias(layer, dz)]

    z = z if layer.bias is None else ops.add(z, constant(layer.bias))
    z = recorder.kept(layer, z, find)
    return z if layer.activation is None else layer.activation(z)


def _of_kernel(layer: Any, x: tf.Tensor, dz: tf.Tensor, most: int | None) -> Part:
    """Returns the part of a kernel's gradient: a product with the pixels under the window."""
    window, images = _window(layer, x)
    groups, places = layer.groups, math.prod(window.outputs)
    # in an XLA loop on a CPU, the backward kernels of a convolution take many times as long
    by_products = is_compiled() and not has_gpu()
    unfold = Unfolding(window, layer, not is_compiled())
    inputs = images.shape[-1] // groups

    def patches(images: tf.Tensor) -> tf.Tensor:
        rows = unfold.patches(images)
        # (b, G, P, K I) <- (b, P, K C)
        if groups == 1:
            return rows[:, None]
        rows = tf.reshape(rows, [-1, places, rows.shape[-1] // (groups * inputs), groups, inputs])
        return tf.reshape(tf.transpose(rows, [0, 3, 1, 2, 4]), [-1, groups, places, unfold.positions * inputs])

    def restore(matrix: tf.Tensor) -> tf.Tensor:
        # (G, K I, O) -> (K, I, G O)
        matrix = tf.reshape(matrix, [groups, unfold.positions, inputs, -1])
        matrix = tf.reshape(tf.transpose(matrix, [1, 2, 0, 3]), [unfold.positions, inputs, layer.filters])
        return tf.reshape(unfold.restore(matrix), layer.kernel.shape)

    def backward(images: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
        dz = tf.reshape(tf.transpose(dz, [0, 2, 1, 3]), [-1, *z_shape])
        kernel = tf.zeros([*unfold.sizes, inputs, layer.filters], dz.dtype)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            options = {"data_format": "channels_last", "dilation_rate": unfold.rates}
            z = ops.conv(images, kernel, unfold.strides, window.padding, **options)
        return tape.gradient(z, kernel, output_gradients=dz)

    z_shape = [*window.outputs, layer.filters]
    dz = tf.reshape(dz, [-1, places, groups, layer.filters // groups])
    dz = tf.reshape(dz, [-1, 1, places, layer.filters]) if groups == 1 else tf.transpose(dz, [0, 2, 1, 3])
    width = unfold.positions * images.shape[-1]
    return Convolved(images, dz, patches, width, restore, None if by_products else backward, most)


def _window(layer: Any, x: tf.Tensor) -> tuple[Window, tf.Tensor]:
    """Returns the window of a convolution along one or two axes, and its images, (B, H, W, C)."""
    flat = x.shape.rank == 3
    padding = "valid" if layer.padding == "causal" else layer.padding
    x = _padded(layer, x)
    images = x[:, None] if flat else x
    sizes, strides, rates = layer.kernel_size, layer.strides, layer.dilation_rate
    if flat:
        sizes, strides, rates = (1, *sizes), (1, *strides), (1, *rates)
    return Window(images.shape[1:3], sizes, strides, padding, rates), images


def _padded(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """Returns x with the padding of "causal" before it."""
    if layer.padding != "causal":
        return x
    return tf.pad(x, [[0, 0], [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0], [0, 0]])


def _of_bias(layer: Any, dz: tf.Tensor) -> tuple[Any, Part]:
    return layer.bias, Each(gradient_of_broadcast(dz, layer.bias.shape))


def layer_normalization(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    normalized = ops.layer_normalization(inputs, None, None, layer.axis, layer.epsilon)
    return ops.cast(_scaled(recorder, layer, normalized, layer.axis, layer.gamma, layer.beta), layer.compute_dtype)


def rms_normalization(recorder: Recorder, layer: Any, x: Any) -> Any:
    normalized = ops.rms_normalization(x, scale=None, axis=layer.axis, epsilon=layer.epsilon)
    return _scaled(recorder, layer, normalized, layer.axis, layer.scale, None)


def group_normalization(recorder: Recorder, layer: Any, inputs: Any) -> Any:
    asked = layer.scale, layer.center
    try:
        vars(layer).update(scale=False, center=False)
        normalized = keras.layers.GroupNormalization.call(layer, inputs)
    finally:
        vars(layer).update(scale=asked[0], center=asked[1])
    gamma, beta = layer.gamma if asked[0] else None, layer.beta if asked[1] else None
    return _scaled(recorder, layer, normalized, layer.axis, gamma, beta)


def _scaled(recorder: Recorder, layer: Any, normalized: tf.Tensor, axis: Any, gamma: Any, beta: Any) -> Any:
    """Computes gamma · normalized + beta along the axes of a normalization."""
    rank = normalized.shape.rank
    axes = sorted(number % rank for number in ([axis] if isinstance(axis, int) else axis))
    shape = [normalized.shape[index] if index in axes else 1 for index in range(1, rank)]
    z = normalized
    if gamma is not None:
        z = z * tf.reshape(constant(gamma), shape)
    if beta is not None:
        z = z + tf.reshape(constant(beta), shape)

    def find(dz: tf.Tensor) -> Any:
        given = [(gamma, lambda: dz * normalized), (beta, lambda: dz)]
        return [
            (weight, Each(tf.reshape(gradient_of_broadcast(terms(), shape), [-1, *weight.shape])))
            for weight, terms in given
            if weight is not None
        ]

    return recorder.kept(layer, z, find)


def _channels_last(layer: Any) -> bool:
    return layer.data_format == "channels_last"


KINDS: dict[str, tuple[str, Callable[[Any], bool], Callable[..., Any]]] = {
    "Conv1D": ("call", _channels_last, convolution),
    "Conv2D": ("call", _channels_last, convolution),
    "DepthwiseConv2D": ("call", _channels_last, depthwise_convolution),
    "LayerNormalization": ("call", lambda layer: not layer.rms_scaling, layer_normalization),
    "RMSNormalization": ("call", lambda layer: True, rms_normalization),
    "GroupNormalization": ("call", lambda layer: True, group_normalization),
}
