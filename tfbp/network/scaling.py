"""Layers that scale and shift: by fixed numbers, by statistics of the data, or by one weight per channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, Self

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.graph import OPERATORS
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_last_axis
from tfbp.network.setting import PENALTY, Setting
from tfbp.vocabulary import L1L2


@dataclass(frozen=True)
class Rescaling(Layer):
    """y = scale · x + offset. In a graph, `x * 2.0` and `x + 1.0` are this layer.

    Args:
        scale, offset: numbers.

    Raises:
        InputError: something that is not a number.

    Example:
        >>> Rescaling(1 / 255).output_shape((28, 28, 1))
        (28, 28, 1)

    Reference: https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real):
                raise InputError(f"{name}: got {value!r}; accepted: a number.")
        self._settle(scale=float(self.scale), offset=float(self.offset))

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@dataclass(frozen=True)
class Normalization(Layer):
    """y = (x - mean) / max(√variance, 1e-7), along the last axis; mean and variance are fixed weights.

    In Keras, `adapt` sets them; the first values are 0 and 1.

    Example:
        >>> Normalization().weight_shapes((7, 4))
        {'mean': (4,), 'variance': (4,)}

    Reference: https://keras.io/api/layers/preprocessing_layers/numerical/normalization/
    """

    without_gradient: ClassVar[tuple[str, ...]] = ("mean", "variance")

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"mean": input_shape[-1:], "variance": input_shape[-1:]}

    def initializer(self, weight: str) -> Initializer:
        return "zeros" if weight == "mean" else "ones"

    def keras_arguments(self) -> dict[str, Any]:
        return {"axis": -1}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("invert"):
            raise InputError("invert: got True; accepted: False.")
        check_last_axis(given)
        return cls()


@dataclass(frozen=True)
class LayerScale(Layer):
    """y = gamma · x, with one number for each channel of the last axis: the last layer in ConvNeXt's and ViT's blocks.

    Args:
        gamma_initializer: gamma's first values; these models start with small numbers.
        gamma_regularizer: a penalty on gamma.

    Example:
        >>> LayerScale().weight_shapes((7, 4))
        {'gamma': (4,)}

    Reference: Touvron et al. (2021), https://arxiv.org/abs/2103.17239
    """

    gamma_initializer: Initializer = field(default="ones", hash=False)
    gamma_regularizer: L1L2 | None = None

    def __post_init__(self) -> None:
        self._settle(gamma_initializer=self.gamma_initializer, gamma_regularizer=self.gamma_regularizer)

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"gamma": input_shape[-1:]}


OPERATORS["scaled"] = Rescaling
CASES = (
    Setting("rescaling-B5-2x3", (2, 3), [Dense(4, "tanh"), Rescaling(1.7, -0.3), Dense(3)], 5),
    Setting("normalization-of-data-B5-2x3", (2, 3), [Dense(4, "tanh"), Normalization(), Dense(3)], 5),
    Setting("layer-scale-B5-2x3", (2, 3), [Dense(4, "tanh"), LayerScale("ones", PENALTY), Dense(3), LayerScale()], 5),
)
