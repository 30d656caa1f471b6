"""The hand-written backwards of convolution, pooling, normalization and dropout, as `hand_written` has those of Dense.

Convolutions and pooling are spelled out where XLA compiles for a CPU: in its loops TensorFlow's backward kernels take
many times as long. Anywhere else, and for images of unknown size, `tfbp.manual.fused` calls these kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import custom_gradient
from tfbp.manual import convolution, fused, normalization, pooling, volumes
from tfbp.manual.compiled import has_gpu, is_compiled

Pair = tuple[int, int]
# of an image, or of a volume
Sizes = tuple[int, ...]


_SPELLED_OUT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "conv2d": (convolution.conv2d_forward, convolution.conv2d_backward),
    "depthwise_conv2d": (convolution.depthwise_conv2d_forward, convolution.depthwise_conv2d_backward),
    "conv3d": (volumes.conv3d_forward, volumes.conv3d_backward),
    "max_pool2d": (pooling.max_pool2d_forward, pooling.max_pool2d_backward),
    "average_pool2d": (pooling.average_pool2d_forward, pooling.average_pool2d_backward),
    "global_average_pool1d": (pooling.global_average_pool1d_forward, pooling.global_average_pool1d_backward),
    "global_max_pool1d": (pooling.global_max_pool1d_forward, pooling.global_max_pool1d_backward),
    "global_average_pool2d": (pooling.global_average_pool2d_forward, pooling.global_average_pool2d_backward),
    "global_max_pool2d": (pooling.global_max_pool2d_forward, pooling.global_max_pool2d_backward),
    "layer_normalization": (normalization.layer_normalization_forward, normalization.layer_normalization_backward),
    "rms_normalization": (normalization.rms_normalization_forward, normalization.rms_normalization_backward),
    "group_normalization": (normalization.group_normalization_forward, normalization.group_normalization_backward),
}
_BY_KERNEL: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "conv2d": (fused.conv2d_forward, fused.conv2d_backward),
    "dilated_conv2d": (fused.dilated_conv2d_forward, fused.dilated_conv2d_backward),
    "depthwise_conv2d": (fused.depthwise_conv2d_forward, fused.depthwise_conv2d_backward),
    "dilated_depthwise_conv2d": (fused.dilated_depthwise_conv2d_forward, fused.dilated_depthwise_conv2d_backward),
    "conv3d": (fused.conv3d_forward, fused.conv3d_backward),
    "max_pool2d": (fused.max_pool2d_forward, fused.max_pool2d_backward),
    "average_pool2d": (fused.average_pool2d_forward, fused.average_pool2d_backward),
}


def conv2d(
    x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: Pair, padding: str, dilation_rate: Pair
) -> tf.Tensor:
    """z of images (B, H, W, I); the gradient is TensorFlow's for an unknown size, in groups or with a dilation."""
    groups = x.shape[-1] // kernel.shape[2]
    return _convolved("conv2d", (x, kernel, bias), (strides, padding, dilation_rate), groups, has_kernel=groups == 1)


def depthwise_conv2d(
    x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: Pair, padding: str, dilation_rate: Pair
) -> tf.Tensor:
    """z, as `conv2d`."""
    same = strides[0] == strides[1]  # TensorFlow's kernels take no two
    return _convolved("depthwise_conv2d", (x, kernel, bias), (strides, padding, dilation_rate), None, has_kernel=same)


def conv3d(
    x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, strides: Sizes, padding: str, dilation_rate: Sizes
) -> tf.Tensor:
    """z, as `conv2d`, of volumes."""
    groups = x.shape[-1] // kernel.shape[3]
    # on a CPU TensorFlow has no kernel of groups or dilations
    has_kernel = groups == 1 and max(dilation_rate) == 1
    return _convolved("conv3d", (x, kernel, bias), (strides, padding, dilation_rate), groups, has_kernel=has_kernel)


def _convolved(
    kind: str, tensors: tuple[Any, Any, Any], window: tuple[Sizes, str, Sizes], groups: Any, *, has_kernel: bool
) -> tf.Tensor:
    (x, kernel, bias), (strides, padding, rate) = tensors, window
    options: dict[str, Any] = {"padding": padding}
    by_kernel = has_kernel and not _is_spelled_out(x)
    if by_kernel and max(rate) == 1:
        convolve = _convolution(True, kind, (("strides", strides), *options.items()))
    elif not _is_sized(x):
        return _by_keras(kind, tensors, window)
    elif by_kernel and max(strides) == 1:
        convolve = _convolution(True, f"dilated_{kind}", (("dilation_rate", rate), *options.items()))
    else:
        options |= {"strides": strides, "dilation_rate": rate} | ({} if groups is None else {"groups": groups})
        convolve = _convolution(False, kind, tuple(options.items()))
    return convolve(x, kernel, *_given(bias))


def _by_keras(kind: str, tensors: tuple[Any, Any, Any], window: tuple[Sizes, str, Sizes]) -> tf.Tensor:
    (x, kernel, bias), (strides, padding, rate) = tensors, window
    convolve = keras.ops.depthwise_conv if kind == "depthwise_conv2d" else keras.ops.conv
    some = fused.has_positions(x, kernel, strides, padding, rate)
    z = convolve(x, _with_gradient_where(some, kernel), strides, padding, "channels_last", rate)
    return z if bias is None else z + bias


@custom_gradient
def _with_gradient_where(some: tf.Tensor, kernel: tf.Tensor) -> Any:
    """The kernel, with a gradient of 0 where TensorFlow's own, of no position, is uninitialized memory."""
    return tf.identity(kernel), lambda dkernel: [None, tf.where(some, dkernel, tf.zeros([], dkernel.dtype))]


@cache
def _convolution(by_kernel: bool, kind: str, options: tuple[tuple[str, Any], ...]) -> Callable[..., tf.Tensor]:
    forward, backward = (_BY_KERNEL if by_kernel else _SPELLED_OUT)[kind]

    @custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor, *bias: tf.Tensor) -> Any:
        z, residuals = forward(x, kernel, *bias, **dict(options))

        def gradients(dz: tf.Tensor) -> list[tf.Tensor]:
            dx, dkernel, dbias = backward(dz, residuals, bias_gradient=bool(bias))
            return [dx, dkernel, *([dbias] if bias else [])]

        return z, gradients

    return convolve


def pool2d(kind: str, x: tf.Tensor, pool_size: Pair, strides: Pair, padding: str) -> tf.Tensor:
    """y of max_pool2d or average_pool2d."""
    return _pooling(_is_spelled_out(x), kind, pool_size, strides, padding)(x)


@cache
def _pooling(
    spelled_out: bool, kind: str, pool_size: Pair, strides: Pair, padding: str
) -> Callable[[tf.Tensor], tf.Tensor]:
    forward, backward = (_SPELLED_OUT if spelled_out else _BY_KERNEL)[kind]

    @custom_gradient
    def pool(x: tf.Tensor) -> Any:
        y, residuals = forward(x, pool_size=pool_size, strides=strides, padding=padding)
        return y, lambda dy: backward(dy, residuals)

    return pool


@cache
def global_pool(kind: str, keepdims: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """global_average_pool2d, global_max_pool2d, or one of their twins of sequences, as a function of x."""
    forward, backward = _SPELLED_OUT[kind]

    @custom_gradient
    def pool(x: tf.Tensor) -> Any:
        y, residuals = forward(x, keepdims=keepdims)
        return y, lambda dy: backward(dy, residuals)

    return pool


def batch_normalization(
    x: tf.Tensor, gamma: Any, beta: Any, moving_mean: tf.Tensor, moving_variance: tf.Tensor, **options: Any
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """y, and the moving statistics after it. They are constants to the gradient."""
    moved: list[Any] = []
    has_gamma, has_beta = gamma is not None, beta is not None

    @custom_gradient
    def normalize(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, *weights: tf.Tensor) -> Any:
        rest = iter(weights)
        y, residuals, now = normalization.batch_normalization_forward(
            x, next(rest) if has_gamma else None, next(rest) if has_beta else None, mean, variance, **options
        )
        moved.append(now)

        def gradients(dy: tf.Tensor) -> list[tf.Tensor | None]:
            dx, *dweights = normalization.batch_normalization_backward(dy, residuals)
            return [dx, None, None, *(dw for dw in dweights if dw is not None)]

        return y, gradients

    return normalize(x, moving_mean, moving_variance, *_given(gamma, beta)), moved[0]


def layer_normalization(x: tf.Tensor, gamma: Any, beta: Any, axes: tuple[int, ...], epsilon: float) -> tf.Tensor:
    """y, normalized over the last axes."""
    options = (("axes", axes), ("epsilon", epsilon))
    return _normalization("layer_normalization", gamma is not None, beta is not None, options)(x, *_given(gamma, beta))


def rms_normalization(x: tf.Tensor, scale: tf.Tensor, axes: tuple[int, ...], epsilon: float) -> tf.Tensor:
    """y, divided by the root mean square of the last axes."""
    return _normalization("rms_normalization", True, False, (("axes", axes), ("epsilon", epsilon)))(x, scale)


def group_normalization(x: tf.Tensor, gamma: Any, beta: Any, groups: int, epsilon: float) -> tf.Tensor:
    """y, normalized over groups of the last axis."""
    options = (("groups", groups), ("epsilon", epsilon))
    return _normalization("group_normalization", gamma is not None, beta is not None, options)(x, *_given(gamma, beta))


@cache
def _normalization(
    kind: str, has_gamma: bool, has_beta: bool, options: tuple[tuple[str, Any], ...]
) -> Callable[..., tf.Tensor]:
    forward, backward = _SPELLED_OUT[kind]
    asked = [True] if kind == "rms_normalization" else [has_gamma, has_beta]

    @custom_gradient
    def normalize(x: tf.Tensor, *weights: tf.Tensor) -> Any:
        rest = iter(weights)
        y, residuals = forward(x, *(next(rest) if each else None for each in asked), **dict(options))

        def gradients(dy: tf.Tensor) -> list[tf.Tensor]:
            return [dw for dw in backward(dy, residuals) if dw is not None]

        return y, gradients

    return normalize


@custom_gradient
def drop(x: tf.Tensor, mask: tf.Tensor, scale: tf.Tensor) -> Any:
    """x · scale where the mask is True, else 0."""
    zero = tf.zeros([], x.dtype)
    return tf.where(mask, x * scale, zero), lambda dy: (tf.where(mask, dy * scale, zero), None, None)


def _given(*weights: Any) -> list[Any]:
    return [w for w in weights if w is not None]


def _is_sized(x: tf.Tensor) -> bool:
    return None not in x.shape.as_list()[1:]


def _is_spelled_out(x: tf.Tensor) -> bool:
    """Whether XLA compiles what is traced here, for a CPU, and knows the image's size."""
    return is_compiled() and _is_sized(x) and not has_gpu()
