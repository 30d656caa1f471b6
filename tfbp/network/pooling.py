"""Pooling: over windows of an image, over the whole image, over a whole sequence. It has no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_choice
from tfbp.network.beside import TakesBeside
from tfbp.network.convolution import PADDINGS, WHAT_HAS_AXES, Conv2D, ImageLayer, Sizes, places, sizes
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.setting import Setting
from tfbp.network.shapes import Flatten


@dataclass(frozen=True)
class Pooling(ImageLayer):
    """The common part of all kinds of pooling of windows; not a kind."""

    axes: ClassVar[int] = 2
    keras_name: ClassVar[str] = "_Pooling"

    pool_size: Sizes
    strides: Sizes
    padding: str

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid") -> None:
        check_choice("padding", padding, PADDINGS)
        size = sizes("pool_size", pool_size, self.axes)
        moved = size if strides is None else sizes("strides", strides, self.axes)
        self._settle(pool_size=size, strides=moved, padding=padding)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*places(self, input_shape, self.pool_size), input_shape[-1])


@dataclass(frozen=True)
class GlobalPooling(ImageLayer):
    """The common part of all kinds of pooling of everything but the channels; not a kind."""

    axes: ClassVar[int] = 2
    keras_name: ClassVar[str] = "_GlobalPooling"

    keepdims: bool = False

    def __post_init__(self) -> None:
        check_flag("keepdims", self.keepdims)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != self.axes + 1:
            self._refuse(input_shape, WHAT_HAS_AXES[self.axes])
        return (*(1,) * self.axes, input_shape[-1]) if self.keepdims else input_shape[-1:]


class MaxPooling2D(Pooling, Layer):
    """The maximum of each window, by channel; of several equal ones the first by rows has the gradient.

    Args:
        pool_size: an integer, or two for height and width.
        strides: the distance between two windows; by default their size.
        padding: "valid", or "same", which pads with values that are never the maximum.

    Example:
        >>> MaxPooling2D().output_shape((7, 6, 16)), MaxPooling2D(padding="same").output_shape((7, 6, 16))
        ((3, 3, 16), (4, 3, 16))

    Reference: https://keras.io/api/layers/pooling_layers/max_pooling2d/
    """


class AveragePooling2D(Pooling, Layer):
    """The mean of each window, by channel; the zeros of padding "same" do not count.

    Args:
        pool_size, strides, padding: as in `MaxPooling2D`.

    Example:
        >>> AveragePooling2D((3, 2)).output_shape((9, 6, 4))
        (3, 3, 4)

    Reference: https://keras.io/api/layers/pooling_layers/average_pooling2d/
    """


class GlobalAveragePooling2D(GlobalPooling, Layer):
    """The mean of each channel over the whole image.

    Args:
        keepdims: whether height and width stay, as 1.

    Example:
        >>> GlobalAveragePooling2D().output_shape((7, 7, 64))
        (64,)

    Reference: https://keras.io/api/layers/pooling_layers/global_average_pooling2d/
    """


class GlobalMaxPooling2D(GlobalPooling, Layer):
    """The maximum of each channel over the whole image; equal ones share the gradient.

    Args:
        keepdims: whether height and width stay, as 1.

    Example:
        >>> GlobalMaxPooling2D(keepdims=True).output_shape((7, 7, 64))
        (1, 1, 64)

    Reference: https://keras.io/api/layers/pooling_layers/global_max_pooling2d/
    """


@dataclass(frozen=True)
class GlobalAveragePooling1D(TakesBeside, Layer):
    """The mean of each feature over all steps of a sequence, or over those that a mask shows.

    Args:
        keepdims: whether the steps' axis stays, as 1.
        takes: ("mask",) where a call takes one, (T,), 0 where a step is left out.

    Example:
        >>> GlobalAveragePooling1D().output_shape((20, 64))
        (64,)

    Reference: https://keras.io/api/layers/pooling_layers/global_average_pooling1d/
    """

    keepdims: bool = False
    takes: Any = ()

    def __post_init__(self) -> None:
        check_flag("keepdims", self.keepdims)
        self._check_takes()

    def output_shape(self, input_shape: Any) -> Shape:
        shape, beside = self._shapes_apart(input_shape)
        if len(shape) != 2:
            self._refuse(shape, "sequences, (steps, features)")
        if beside.get("mask", shape[:1]) != shape[:1]:
            self._refuse(beside["mask"], f"a mask {shape[:1]} for sequences {shape}")
        return (1, shape[-1]) if self.keepdims else shape[-1:]

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        first, beside = self.apart(x)
        return keras_layer(first, **{name: ops.cast(mask, "bool") for name, mask in beside.items()})

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("data_format", "channels_last") != "channels_last":
            raise InputError(f"data_format: got {given['data_format']!r}; accepted: 'channels_last'.")
        return super().from_keras_arguments(given)


_HEAD = [Flatten(), Dense(3)]
CASES = (
    Setting("max-pooling-B5-9x8x3", (9, 8, 3), [MaxPooling2D(3, 2, "same"), MaxPooling2D(), *_HEAD], 5),
    Setting("average-pooling-B5-9x8x3", (9, 8, 3), [AveragePooling2D((3, 2), 2, "same"), *_HEAD], 5),
    Setting("global-pooling-B5-5x4x3", (5, 4, 3), [Conv2D(4, 2), GlobalAveragePooling2D(), Dense(3)], 5),
    Setting("global-max-pooling-B5-5x4x3", (5, 4, 3), [Conv2D(4, 2), GlobalMaxPooling2D(True), *_HEAD], 5),
    Setting("pooling-of-sequences-B5-6x3", (6, 3), [Dense(4, "tanh"), GlobalAveragePooling1D(), Dense(3)], 5),
)
