"""Transposed convolutions: each input is spread over a window, as in a convolution's backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_choice, check_count
from tfbp.network.convolution import PADDINGS, WHAT_HAS_AXES, ImageLayer, Sizes, sizes
from tfbp.network.dense import Dense
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import L1L2, Activation


@dataclass(frozen=True)
class _Transposed(ImageLayer):
    """The common part; not a kind."""

    axes: ClassVar[int]
    keras_name: ClassVar[str] = "_Transposed"

    filters: int
    kernel_size: Sizes
    strides: Sizes
    padding: str
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
        activation: str | Activation | None = "linear",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: str | L1L2 | None = None,
        bias_regularizer: str | L1L2 | None = None,
    ) -> None:
        check_count("filters", filters)
        check_choice("padding", padding, PADDINGS)
        check_flag("use_bias", use_bias)
        self._settle(
            filters=filters,
            kernel_size=sizes("kernel_size", kernel_size, self.axes),
            strides=sizes("strides", strides, self.axes),
            padding=padding,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != self.axes + 1:
            self._refuse(input_shape, WHAT_HAS_AXES[self.axes])
        spread = zip(input_shape, self.kernel_size, self.strides, strict=False)
        return (
            *(n * by + (max(span - by, 0) if self.padding == "valid" else 0) for n, span, by in spread),
            self.filters,
        )

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        bias = {"bias": (self.filters,)} if self.use_bias else {}
        return {"kernel": (*self.kernel_size, self.filters, input_shape[-1]), **bias}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        rate = given.get("dilation_rate", 1)
        if any(one_rate != 1 for one_rate in (rate if isinstance(rate, list | tuple) else [rate])):
            raise InputError(f"dilation_rate: got {rate!r}; accepted: 1.")
        if given.get("output_padding") is not None:
            raise InputError(f"output_padding: got {given['output_padding']!r}; accepted: None.")
        return super().from_keras_arguments(given)


class Conv1DTranspose(_Transposed, Layer):
    """A transposed convolution of sequences: z[t · stride + m] += Σ_i x[t, i] · kernel[m, o, i], plus bias.

    Args:
        filters, kernel_size, …: as in `Conv2DTranspose`.

    Example:
        >>> Conv1DTranspose(8, 3, 2, "same").output_shape((5, 4))
        (10, 8)

    Reference: https://keras.io/api/layers/convolution_layers/convolution1d_transpose/
    """

    axes: ClassVar[int] = 1


class Conv2DTranspose(_Transposed, Layer):
    """A transposed convolution: z[p · stride + m, q · stride + n] += Σ_i x[p, q, i] · kernel[m, n, o, i], plus bias.

    It is what `Conv2D`'s backward computes from dz, so its own backward is a convolution.

    Args:
        filters: the number of outputs O.
        kernel_size, strides: an integer, or two for height and width.
        padding: "same" multiplies each size by stride; "valid" keeps every position that a window reaches.
        activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Dense`.

    Example:
        >>> layer = Conv2DTranspose(8, 3, 2)
        >>> layer.output_shape((5, 5, 4)), layer.weight_shapes((5, 5, 4))["kernel"]
        ((11, 11, 8), (3, 3, 8, 4))

    Reference: https://keras.io/api/layers/convolution_layers/convolution2d_transpose/
    """

    axes: ClassVar[int] = 2


_HEAD = [Flatten(), Dense(3)]
_IMAGES = [Conv2DTranspose(4, (3, 2), 2, "same", "tanh"), Conv2DTranspose(2, 2, (1, 3), kernel_regularizer=PENALTY)]
_STEPS = [Conv1DTranspose(4, 3, 2, activation="tanh"), Conv1DTranspose(2, 2, 1, "same", use_bias=False)]
CASES = (
    Setting("transposed-B4-3x2x3", (3, 2, 3), [*_IMAGES, *_HEAD], 4),
    Setting("transposed-of-steps-B4-4x3", (4, 3), [*_STEPS, *_HEAD], 4),
)
