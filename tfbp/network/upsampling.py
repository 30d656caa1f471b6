"""Upsampling: repeats each step, pixel or voxel, or interpolates between the pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tfbp.errors import check_choice
from tfbp.network.convolution import WHAT_HAS_AXES, Conv2D, ImageLayer, sizes
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten

INTERPOLATIONS = ("nearest", "bilinear")


class _UpSampling(ImageLayer):
    """The common part; not a kind."""

    axes: ClassVar[int]
    keras_name: ClassVar[str] = "_UpSampling"
    size: Any
    interpolation: Any = "nearest"

    def _check(self) -> None:
        self._settle(size=sizes("size", self.size, self.axes))

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != self.axes + 1:
            self._refuse(input_shape, WHAT_HAS_AXES[self.axes])
        return (*(n * times for n, times in zip(input_shape, self.size, strict=False)), input_shape[-1])


@dataclass(frozen=True)
class UpSampling1D(_UpSampling, Layer):
    """Repeats each step of a sequence `size` times.

    Args:
        size: an integer.

    Example:
        >>> UpSampling1D(3).output_shape((4, 2))
        (12, 2)

    Reference: https://keras.io/api/layers/reshaping_layers/up_sampling1d/
    """

    axes: ClassVar[int] = 1

    size: Any = (2,)

    def __post_init__(self) -> None:
        self._check()

    def keras_arguments(self) -> dict[str, Any]:
        return {"size": self.size[0]}


@dataclass(frozen=True)
class UpSampling2D(_UpSampling, Layer):
    """Repeats each pixel of an image `size` times along each axis, or interpolates between the pixels.

        bilinear, along each axis: y[i] = (1 - f) · x[n] + f · x[n + 1],   n + f = (i + 1/2) / size - 1/2

    where the first and the last pixel are repeated beyond their centers.

    Args:
        size: an integer, or two for height and width.
        interpolation: "nearest" or "bilinear".

    Raises:
        InputError: another interpolation, or sizes that are not integers.

    Example:
        >>> UpSampling2D((2, 3)).output_shape((4, 4, 2))
        (8, 12, 2)

    Reference: https://keras.io/api/layers/reshaping_layers/up_sampling2d/
    """

    axes: ClassVar[int] = 2

    size: Any = (2, 2)
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        self._check()


@dataclass(frozen=True)
class UpSampling3D(_UpSampling, Layer):
    """Repeats each voxel of a volume `size` times along each axis.

    Args:
        size: an integer, or three for depth, height and width.

    Example:
        >>> UpSampling3D((1, 2, 3)).output_shape((4, 4, 4, 2))
        (4, 8, 12, 2)

    Reference: https://keras.io/api/layers/reshaping_layers/up_sampling3d/
    """

    axes: ClassVar[int] = 3

    size: Any = (2, 2, 2)

    def __post_init__(self) -> None:
        self._check()


_BOTH = [Conv2D(3, 2, activation="tanh"), UpSampling2D((2, 3)), Conv2D(2, 3), UpSampling2D((3, 2), "bilinear")]
CASES = (
    Setting("upsampling-B4-4x3x2", (4, 3, 2), [*_BOTH, Conv2D(2, 3, 2), Flatten(), Dense(3)], 4),
    Setting("upsampling-of-steps-B5-4x3", (4, 3), [Dense(4, "tanh"), UpSampling1D(3), Flatten(), Dense(3)], 5),
    Setting(
        "upsampling-of-volumes-B4-2x2x3x2",
        (2, 2, 3, 2),
        [Dense(3, "tanh"), UpSampling3D((2, 1, 2)), Flatten(), Dense(3)],
        4,
    ),
)
