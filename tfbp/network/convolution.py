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

Sizes = tuple[int, ...]
PADDINGS = ("valid", "same")
_INPUTS = {1: "sequences", 2: "images", 3: "volumes"}
# the accepted inputs, by the number of axes between the batch and the channels
WHAT_HAS_AXES = {
    1: "sequences, (steps, features)",
    2: "images, (height, width, channels)",
    3: "volumes, (depth, height, width, channels)",
}


class ImageLayer(Layer):
    """The common part of all layers of images; not a kind."""

    keras_name: ClassVar[str] = "_ImageLayer"

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("data_format", "channels_last") != "channels_last":
            raise InputError(f"data_format: got {given['data_format']!r}; accepted: 'channels_last'.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class Convolution(ImageLayer):
    """The common part of the convolutions along one axis or two; not a kind."""

    axes: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = PADDINGS
    keras_name: ClassVar[str] = "Convolution"

    filters: int
    kernel_size: Sizes
    strides: Sizes
    padding: str
    dilation_rate: Sizes
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
        strides: Any = 1,
        padding: str = "valid",
        dilation_rate: Any = 1,
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
            **checked_window(self.axes, kernel_size, strides, padding, dilation_rate, self.paddings),
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


class Conv2D(Convolution, Layer):
    """A convolution of images: z[p, q] = bias + Σ_mn x[p · stride + m · dilation, …] · kernel[m, n], y = activation(z).

    Args:
        filters: the number of outputs O.
        kernel_size, strides, dilation_rate: an integer, or two for height and width. Either strides or
            dilation_rate is 1.
        padding: "valid", or "same", which adds zeros so that there are ceil(size / stride) outputs.
        groups: the number of parts of the inputs and of the filters; part i of the filters takes part i of the inputs.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Dense`.

    Raises:
        InputError: an argument of the wrong kind, strides beside a dilation, or groups that do not divide the filters.

    Example:
        >>> layer = Conv2D(16, 3, padding="same", activation="relu")
        >>> layer.output_shape((28, 28, 1)), layer.weight_shapes((28, 28, 1))
        ((28, 28, 16), {'kernel': (3, 3, 1, 16), 'bias': (16,)})

    Reference: https://keras.io/api/layers/convolution_layers/convolution2d/
    """

    axes: ClassVar[int] = 2


@dataclass(frozen=True)
class DepthwiseConvolution(ImageLayer):
    """The common part of the depthwise convolutions along one axis or two; not a kind."""

    axes: ClassVar[int]
    keras_name: ClassVar[str] = "DepthwiseConvolution"

    kernel_size: Sizes
    strides: Sizes
    padding: str
    depth_multiplier: int
    dilation_rate: Sizes
    activation: Activation
    use_bias: bool
    depthwise_initializer: Initializer = field(hash=False)
    bias_initializer: Initializer = field(hash=False)
    depthwise_regularizer: L1L2 | None
    bias_regularizer: L1L2 | None

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        dilation_rate: Any = 1,
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
            **checked_window(self.axes, kernel_size, strides, padding, dilation_rate),
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


class DepthwiseConv2D(DepthwiseConvolution, Layer):
    """A convolution of each channel by itself, with `depth_multiplier` filters of its own.

    Args:
        kernel_size, strides, padding, dilation_rate, activation, use_bias: as in `Conv2D`.
        depth_multiplier: the number of outputs of each channel.
        depthwise_initializer, bias_initializer, depthwise_regularizer, bias_regularizer: of the kernel and the bias.

    Example:
        >>> DepthwiseConv2D(3, depth_multiplier=2).weight_shapes((8, 8, 5))
        {'kernel': (3, 3, 5, 2), 'bias': (10,)}

    Reference: https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/
    """

    axes: ClassVar[int] = 2


def sizes(argument: str, value: Any, axes: int) -> Sizes:
    """Returns an integer of at least 1 for each axis, from one for all or one for each."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(numbers) != axes:
        accepted = "an integer of at least 1" + {1: "", 2: ", or two"}.get(axes, f", or {axes}")
        raise InputError(f"{argument}: got {value!r}; accepted: {accepted}.")
    for size in numbers:
        check_count(argument, size)
    return tuple(map(int, numbers))


def checked_window(
    axes: int, kernel_size: Any, strides: Any, padding: Any, dilation_rate: Any, paddings: tuple[str, ...] = PADDINGS
) -> dict[str, Any]:
    """Returns the arguments of a window that moves along some axes, by name."""
    check_choice("padding", padding, paddings)
    window = {
        "strides": sizes("strides", strides, axes),
        "dilation_rate": sizes("dilation_rate", dilation_rate, axes),
    }
    if max(window["strides"]) > 1 and max(window["dilation_rate"]) > 1:
        raise InputError(f"dilation_rate: got {dilation_rate!r}; accepted: 1 beside strides above 1.")
    return {"kernel_size": sizes("kernel_size", kernel_size, axes), "padding": padding, **window}


def places(layer: Any, input_shape: Shape, size: Sizes, dilation_rate: Sizes | None = None) -> Sizes:
    """Returns the number of positions of a window along each axis of an input shape."""
    if len(input_shape) != len(size) + 1:
        layer._refuse(input_shape, WHAT_HAS_AXES[len(size)])
    found = []
    for at, each, rate, stride in zip(
        input_shape, size, dilation_rate or (1,) * len(size), layer.strides, strict=False
    ):
        span = (each - 1) * rate + 1
        if layer.padding == "valid" and at < span:
            window = " × ".join(map(str, size))
            layer._refuse(input_shape, f"{_INPUTS[len(size)]} that the window of {window} fits into, or padding='same'")
        found.append((at - span) // stride + 1 if layer.padding == "valid" else -(-at // stride))
    return tuple(found)


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
