"""The convolution and the depthwise convolution. H, W height and width, I inputs, O outputs (filters)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_choice, check_count
from tfbp.network.dense import Dense
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import L1L2, Activation

Pair = tuple[int, int]
PADDINGS = ("valid", "same")


class ImageLayer(Layer):
    """The common part of all layers of images; not a kind."""

    keras_name: ClassVar[str] = "_ImageLayer"

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("data_format", "channels_last") != "channels_last":
            raise InputError(f"data_format: got {given['data_format']!r}; accepted: 'channels_last'.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class Conv2D(ImageLayer, Layer):
    """A convolution of images: z[p, q] = bias + Σ_mn x[p · stride + m · dilation, …] · kernel[m, n], y = activation(z).

    Args:
        filters: the number of outputs O.
        kernel_size, strides, dilation_rate: an integer, or two for height and width; only one of the last two above 1.
        padding: "valid", or "same", which adds zeros so that there are ceil(size / stride) places.
        groups: how many parts the inputs and the filters are divided into, each convolved with its own.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Dense`.

    Raises:
        InputError: an argument of the wrong kind, strides beside a dilation, or groups that do not divide the filters.

    Example:
        >>> layer = Conv2D(16, 3, padding="same", activation="relu")
        >>> layer.output_shape((28, 28, 1)), layer.weight_shapes((28, 28, 1))
        ((28, 28, 16), {'kernel': (3, 3, 1, 16), 'bias': (16,)})

    Reference: https://keras.io/api/layers/convolution_layers/convolution2d/
    """

    filters: int
    kernel_size: Pair
    strides: Pair
    padding: str
    dilation_rate: Pair
    groups: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer = field(hash=False)
    bias_initializer: Initializer = field(hash=False)
    kernel_regularizer: L1L2 | None
    bias_regularizer: L1L2 | None

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation: str | Activation | None = "linear",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: str | L1L2 | None = None,
        bias_regularizer: str | L1L2 | None = None,
    ) -> None:
        check_count("filters", filters)
        check_count("groups", groups)
        check_flag("use_bias", use_bias)
        if filters % groups:
            raise InputError(f"groups: got {groups}; accepted: a divisor of the {filters} filters.")
        self._settle(
            filters=filters,
            **checked_window(kernel_size, strides, padding, dilation_rate),
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = places(self, input_shape, self.kernel_size, self.dilation_rate)
        if input_shape[-1] % self.groups:
            self._refuse(input_shape, f"a number of channels that groups={self.groups} divides")
        return (*sizes, self.filters)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        bias = {"bias": (self.filters,)} if self.use_bias else {}
        return {"kernel": (*self.kernel_size, input_shape[-1] // self.groups, self.filters), **bias}


@dataclass(frozen=True)
class DepthwiseConv2D(ImageLayer, Layer):
    """A convolution of each channel by itself, with `depth_multiplier` filters of its own.

    Args:
        kernel_size, strides, padding, dilation_rate, activation, use_bias: as in `Conv2D`.
        depth_multiplier: how many outputs each channel has.
        depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer: of kernel and bias.

    Example:
        >>> DepthwiseConv2D(3, depth_multiplier=2).weight_shapes((8, 8, 5))
        {'kernel': (3, 3, 5, 2), 'bias': (10,)}

    Reference: https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/
    """

    kernel_size: Pair
    strides: Pair
    padding: str
    depth_multiplier: int
    dilation_rate: Pair
    activation: Activation
    use_bias: bool
    depthwise_initializer: Initializer = field(hash=False)
    bias_initializer: Initializer = field(hash=False)
    depthwise_regularizer: L1L2 | None
    bias_regularizer: L1L2 | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: Any = (1, 1),
        activation: str | Activation | None = "linear",
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: str | L1L2 | None = None,
        bias_regularizer: str | L1L2 | None = None,
    ) -> None:
        check_count("depth_multiplier", depth_multiplier)
        check_flag("use_bias", use_bias)
        self._settle(
            **checked_window(kernel_size, strides, padding, dilation_rate),
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = places(self, input_shape, self.kernel_size, self.dilation_rate)
        return (*sizes, input_shape[-1] * self.depth_multiplier)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        bias = {"bias": (input_shape[-1] * self.depth_multiplier,)} if self.use_bias else {}
        return {"kernel": (*self.kernel_size, input_shape[-1], self.depth_multiplier), **bias}

    def initializer(self, weight: str) -> Initializer:
        return self.depthwise_initializer if weight == "kernel" else self.bias_initializer

    def regularizer(self, weight: str) -> L1L2 | None:
        return self.depthwise_regularizer if weight == "kernel" else self.bias_regularizer


def pair(argument: str, value: Any) -> Pair:
    """Two integers of at least 1 for height and width, from one or two."""
    sizes = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(sizes) != 2:
        raise InputError(f"{argument}: got {value!r}; accepted: an integer of at least 1, or two.")
    for size in sizes:
        check_count(argument, size)
    return int(sizes[0]), int(sizes[1])


def checked_window(kernel_size: Any, strides: Any, padding: Any, dilation_rate: Any) -> dict[str, Any]:
    """The arguments of a window that is moved over an image, by name."""
    check_choice("padding", padding, PADDINGS)
    found = {"strides": pair("strides", strides), "dilation_rate": pair("dilation_rate", dilation_rate)}
    if max(found["strides"]) > 1 and max(found["dilation_rate"]) > 1:
        raise InputError(f"dilation_rate: got {dilation_rate!r}; accepted: 1 beside strides above 1.")
    return {"kernel_size": pair("kernel_size", kernel_size), "padding": padding, **found}


def places(layer: Any, input_shape: Shape, size: Pair, dilation_rate: Pair = (1, 1)) -> Pair:
    """At how many places a window of this size is, by rows and columns of an image of this shape."""
    if len(input_shape) != 3:
        layer._refuse(input_shape, "images, (height, width, channels)")
    found = []
    for at, each, rate, stride in zip(input_shape, size, dilation_rate, layer.strides, strict=False):
        span = (each - 1) * rate + 1
        if layer.padding == "valid" and at < span:
            layer._refuse(input_shape, f"images that the window of {size[0]} × {size[1]} fits into, or padding='same'")
        found.append(-(-at // stride) if layer.padding == "same" else (at - span) // stride + 1)
    return found[0], found[1]


_HEAD = [Flatten(), Dense(3)]
_PLAIN = Conv2D(4, (3, 2), padding="same", use_bias=False, kernel_regularizer=PENALTY)
_STRIDED = [Conv2D(3, 3, 2, "same", activation="silu"), Conv2D(4, 2, (2, 1))]
_DEPTHWISE = [DepthwiseConv2D(3, 2, "same", 2, activation="tanh"), DepthwiseConv2D(2, depthwise_regularizer=PENALTY)]
CASES = (
    Setting("conv-valid-B5-7x6x2", (7, 6, 2), [Conv2D(4, 3, activation="tanh"), *_HEAD], 5),
    Setting("conv-same-no-bias-B5-7x6x2", (7, 6, 2), [_PLAIN, *_HEAD], 5),
    Setting("conv-strides-B5-9x8x2", (9, 8, 2), [*_STRIDED, *_HEAD], 5),
    Setting("conv-dilated-B5-9x8x2", (9, 8, 2), [Conv2D(3, 3, padding="same", dilation_rate=(2, 3)), *_HEAD], 5),
    Setting("conv-groups-B5-6x5x4", (6, 5, 4), [Conv2D(6, 3, padding="same", groups=2), *_HEAD], 5),
    Setting("depthwise-B5-7x8x3", (7, 8, 3), [*_DEPTHWISE, *_HEAD], 5),
)
