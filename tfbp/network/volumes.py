"""Convolution and pooling of volumes. D, H, W depth, height and width, I inputs, O outputs (filters)."""

from __future__ import annotations

from typing import ClassVar

from tfbp.network.convolution import Convolution
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer
from tfbp.network.pooling import GlobalPooling, Pooling
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten


class Conv3D(Convolution, Layer):
    """A convolution of volumes: z[r, p, q] = bias + Σ_lmn x[r · stride + l · dilation, …] · kernel[l, m, n].

    Args:
        filters: the number of outputs O.
        kernel_size, strides, dilation_rate: an integer, or three for depth, height and width. Either strides or
            dilation_rate is 1.
        padding, groups, activation, use_bias, kernel_initializer, …: as in `Conv2D`.

    Example:
        >>> layer = Conv3D(16, 3, activation="relu")
        >>> layer.output_shape((8, 9, 9, 1)), layer.weight_shapes((8, 9, 9, 1))
        ((6, 7, 7, 16), {'kernel': (3, 3, 3, 1, 16), 'bias': (16,)})

    Reference: https://keras.io/api/layers/convolution_layers/convolution3d/
    """

    axes: ClassVar[int] = 3


class MaxPooling3D(Pooling, Layer):
    """The maximum of each window, by channel; of several equal ones the first has the gradient.

    Args:
        pool_size: an integer, or three for depth, height and width.
        strides: the distance between two windows; by default their size.
        padding: "valid", or "same", which pads with values that are never the maximum.

    Example:
        >>> MaxPooling3D().output_shape((5, 7, 6, 16)), MaxPooling3D(padding="same").output_shape((5, 7, 6, 16))
        ((2, 3, 3, 16), (3, 4, 3, 16))

    Reference: https://keras.io/api/layers/pooling_layers/max_pooling3d/
    """

    axes: ClassVar[int] = 3


class AveragePooling3D(Pooling, Layer):
    """The mean of each window, by channel; the zeros of padding "same" do not count.

    Args:
        pool_size, strides, padding: as in `MaxPooling3D`.

    Example:
        >>> AveragePooling3D((3, 2, 2)).output_shape((9, 6, 6, 4))
        (3, 3, 3, 4)

    Reference: https://keras.io/api/layers/pooling_layers/average_pooling3d/
    """

    axes: ClassVar[int] = 3


class GlobalAveragePooling3D(GlobalPooling, Layer):
    """The mean of each channel over the whole volume.

    Args:
        keepdims: whether depth, height and width stay, as 1.

    Example:
        >>> GlobalAveragePooling3D().output_shape((4, 7, 7, 64))
        (64,)

    Reference: https://keras.io/api/layers/pooling_layers/global_average_pooling3d/
    """

    axes: ClassVar[int] = 3


class GlobalMaxPooling3D(GlobalPooling, Layer):
    """The maximum of each channel over the whole volume; equal ones share the gradient.

    Args:
        keepdims: whether depth, height and width stay, as 1.

    Example:
        >>> GlobalMaxPooling3D(keepdims=True).output_shape((4, 7, 7, 64))
        (1, 1, 1, 64)

    Reference: https://keras.io/api/layers/pooling_layers/global_max_pooling3d/
    """

    axes: ClassVar[int] = 3


_HEAD = [Flatten(), Dense(3)]
_PLAIN = [Conv3D(4, (2, 3, 2), (2, 1, 2), "same", activation="tanh"), Conv3D(2, 2, use_bias=False)]
_DILATED = [Conv3D(4, (2, 3, 2), dilation_rate=(2, 2, 1), groups=2, kernel_regularizer=PENALTY)]
_POOLED = [MaxPooling3D((2, 2, 1), (1, 2, 1), "same"), AveragePooling3D((2, 1, 2), 1, "same")]
CASES = (
    Setting("conv-of-volumes-B4-5x4x6x2", (5, 4, 6, 2), [*_PLAIN, *_HEAD], 4),
    Setting("conv-of-volumes-dilated-B4-4x5x3x2", (4, 5, 3, 2), [*_DILATED, GlobalAveragePooling3D(), Dense(3)], 4),
    Setting("pooling-of-volumes-B4-3x4x3x2", (3, 4, 3, 2), [Dense(5), *_POOLED, Dense(3), GlobalMaxPooling3D()], 4),
)
