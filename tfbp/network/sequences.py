"""Convolution and pooling of sequences. T steps, I inputs, O outputs (filters)."""

from __future__ import annotations

from typing import ClassVar

from tfbp.network.convolution import (
    PADDINGS,
    Convolution,
    DepthwiseConvolution,
)
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer
from tfbp.network.pooling import GlobalPooling, Pooling
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten


class Conv1D(Convolution, Layer):
    """A convolution of sequences: z[t] = bias + Σ_m x[t · stride + m · dilation, …] · kernel[m], y = activation(z).

    Args:
        filters: the number of outputs O.
        kernel_size, strides, dilation_rate: integers; either strides or dilation_rate is 1.
        padding: "valid"; "same", which adds zeros so that there are ceil(steps / stride) outputs; or "causal",
            which adds zeros before the first step alone, so that z[t] depends on no later step.
        groups, activation, use_bias, kernel_initializer, …: as in `Conv2D`.

    Example:
        >>> layer = Conv1D(16, 3, padding="causal", activation="relu")
        >>> layer.output_shape((28, 2)), layer.weight_shapes((28, 2))
        ((28, 16), {'kernel': (3, 2, 16), 'bias': (16,)})

    Reference: https://keras.io/api/layers/convolution_layers/convolution1d/
    """

    axes: ClassVar[int] = 1
    paddings: ClassVar[tuple[str, ...]] = (*PADDINGS, "causal")

    @property
    def before(self) -> int:
        """The number of zeros before the first step; above 0 for "causal" alone."""
        return (self.kernel_size[0] - 1) * self.dilation_rate[0] if self.padding == "causal" else 0


class DepthwiseConv1D(DepthwiseConvolution, Layer):
    """A convolution of each channel of sequences by itself, with `depth_multiplier` filters of its own.

    Args:
        kernel_size, strides, padding, …: as in `DepthwiseConv2D`.

    Example:
        >>> DepthwiseConv1D(3, depth_multiplier=2).weight_shapes((8, 5))
        {'kernel': (3, 5, 2), 'bias': (10,)}

    Reference: https://keras.io/api/layers/convolution_layers/depthwise_convolution1d/
    """

    axes: ClassVar[int] = 1


class MaxPooling1D(Pooling, Layer):
    """The maximum of each window of steps, by channel; of several equal ones the first has the gradient.

    Args:
        pool_size: an integer.
        strides: the distance between two windows; by default their size.
        padding: "valid", or "same", which pads with values that are never the maximum.

    Example:
        >>> MaxPooling1D().output_shape((7, 16)), MaxPooling1D(padding="same").output_shape((7, 16))
        ((3, 16), (4, 16))

    Reference: https://keras.io/api/layers/pooling_layers/max_pooling1d/
    """

    axes: ClassVar[int] = 1


class AveragePooling1D(Pooling, Layer):
    """The mean of each window of steps, by channel; the zeros of padding "same" do not count.

    Args:
        pool_size, strides, padding: as in `MaxPooling1D`.

    Example:
        >>> AveragePooling1D(3).output_shape((9, 4))
        (3, 4)

    Reference: https://keras.io/api/layers/pooling_layers/average_pooling1d/
    """

    axes: ClassVar[int] = 1


class GlobalMaxPooling1D(GlobalPooling, Layer):
    """The maximum of each feature over all steps; equal ones share the gradient.

    Args:
        keepdims: whether the steps' axis stays, as 1.

    Example:
        >>> GlobalMaxPooling1D(keepdims=True).output_shape((20, 64))
        (1, 64)

    Reference: https://keras.io/api/layers/pooling_layers/global_max_pooling1d/
    """

    axes: ClassVar[int] = 1


_HEAD = [Flatten(), Dense(3)]
_CAUSAL = [Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"), Conv1D(3, 2, 2, "causal")]
_PLAIN = [Conv1D(4, 3, 2, "same", groups=2, use_bias=False, kernel_regularizer=PENALTY), Conv1D(2, 2)]
_DEPTHWISE = [DepthwiseConv1D(3, 2, "same", 2, activation="tanh"), DepthwiseConv1D(2, depthwise_regularizer=PENALTY)]
_POOLED = [MaxPooling1D(3, 2, "same"), AveragePooling1D(2, 1, "same"), MaxPooling1D()]
CASES = (
    Setting("conv-causal-B5-9x2", (9, 2), [*_CAUSAL, *_HEAD], 5),
    Setting("conv-of-sequences-B5-9x4", (9, 4), [*_PLAIN, *_HEAD], 5),
    Setting("depthwise-of-sequences-B5-8x3", (8, 3), [*_DEPTHWISE, *_HEAD], 5),
    Setting("pooling-of-steps-B5-9x3", (9, 3), [Dense(4, "tanh"), *_POOLED, GlobalMaxPooling1D(), Dense(3)], 5),
)
