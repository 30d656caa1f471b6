"""Normalization: over the batch, over the last axis, by the root mean square, over groups of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, Self

from tfbp.errors import InputError
from tfbp.network.beside import TakesBeside
from tfbp.network.convolution import Conv2D
from tfbp.network.dense import Dense
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag, check_last_axis
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import L1L2, Activation


class _Normalization(Layer):
    """The common part: the shape stays, and the last axis may have a gamma and a beta."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return _weights(self, input_shape[-1:])

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        check_last_axis(given)
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class BatchNormalization(TakesBeside, _Normalization, Layer):
    """y = gamma (x - mean) / √(variance + epsilon) + beta, for each channel.

    In training, mean and variance are the batch's. They update moving_mean and moving_variance, which inference uses.
    A mask leaves steps or pixels out of both, not out of y. As in Keras, their sums are then divided by n + 1e-7.

    Args:
        momentum: the share of the moving statistics that remains at each step, from 0 to 1.
        epsilon: added to the variance.
        center, scale: whether there is a beta, and a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer, beta_regularizer,
            gamma_regularizer: of the weights.
        takes: ("mask",) where a call takes one, of the inputs' shape without the channels.

    Example:
        >>> BatchNormalization(scale=False).weight_shapes((8, 8, 3))
        {'beta': (3,), 'moving_mean': (3,), 'moving_variance': (3,)}

    Reference: Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167
    """

    without_gradient: ClassVar[tuple[str, ...]] = ("moving_mean", "moving_variance")
    ties_examples: ClassVar[bool] = True

    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = field(default="zeros", hash=False)
    gamma_initializer: Initializer = field(default="ones", hash=False)
    moving_mean_initializer: Initializer = field(default="zeros", hash=False)
    moving_variance_initializer: Initializer = field(default="ones", hash=False)
    beta_regularizer: L1L2 | None = None
    gamma_regularizer: L1L2 | None = None
    takes: Any = ()

    def __post_init__(self) -> None:
        _check_number("momentum", self.momentum, at_most=1.0)
        _check_weights(self)
        self._check_takes()

    def output_shape(self, input_shape: Any) -> Shape:
        shape, beside = self._shapes_apart(input_shape)
        if beside and (beside["mask"] != shape[:-1] or len(shape) < 2):
            self._refuse(beside["mask"], f"a mask {shape[:-1]} of steps or pixels, for inputs {shape}")
        return shape

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        first, beside = self.apart(x)
        # a copy has no mask: what the layers after it take is in the network
        return ops.copy(keras_layer(first, mask=ops.cast(beside["mask"], "bool"))) if beside else keras_layer(first)

    def weight_shapes(self, input_shape: Any) -> dict[str, Shape]:
        channels = self.apart(input_shape)[0][-1:]
        return {**_weights(self, channels), "moving_mean": channels, "moving_variance": channels}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        for option in ("renorm", "synchronized"):
            if given.get(option):
                raise InputError(f"{option}: got {given[option]!r}; accepted: False.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class LayerNormalization(_Normalization, Layer):
    """y = gamma (x - mean) / √(variance + epsilon) + beta, with mean and variance over the last axis.

    Args:
        epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer: as in
            `BatchNormalization`.

    Example:
        >>> LayerNormalization().weight_shapes((8, 3))
        {'gamma': (3,), 'beta': (3,)}

    Reference: Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450
    """

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = field(default="zeros", hash=False)
    gamma_initializer: Initializer = field(default="ones", hash=False)
    beta_regularizer: L1L2 | None = None
    gamma_regularizer: L1L2 | None = None

    def __post_init__(self) -> None:
        _check_weights(self)

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        if given.get("rms_scaling"):
            raise InputError("rms_scaling: got True; accepted: False.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class RMSNormalization(_Normalization, Layer):
    """y = scale x / √(mean of x² + epsilon), with the mean over the last axis.

    Args:
        epsilon: added to the mean.

    Example:
        >>> RMSNormalization().weight_shapes((8, 3))
        {'scale': (3,)}

    Reference: Zhang and Sennrich (2019), https://arxiv.org/abs/1910.07467
    """

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        _check_number("epsilon", self.epsilon)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"scale": input_shape[-1:]}

    def initializer(self, weight: str) -> Initializer:
        return "ones"


@dataclass(frozen=True)
class GroupNormalization(_Normalization, Layer):
    """y = gamma (x - mean) / √(variance + epsilon) + beta, with mean and variance over a group of channels.

    Args:
        groups: the number of parts of the channels; -1 for one part per channel.
        epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer: as in
            `BatchNormalization`.

    Example:
        >>> GroupNormalization(4).output_shape((7, 7, 8))
        (7, 7, 8)

    Reference: Wu and He (2018), https://arxiv.org/abs/1803.08494
    """

    groups: int = 32
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = field(default="zeros", hash=False)
    gamma_initializer: Initializer = field(default="ones", hash=False)
    beta_regularizer: L1L2 | None = None
    gamma_regularizer: L1L2 | None = None

    def __post_init__(self) -> None:
        if isinstance(self.groups, bool) or not isinstance(self.groups, int) or (self.groups < 1 and self.groups != -1):
            raise InputError(f"groups: got {self.groups!r}; accepted: an integer of at least 1, or -1.")
        _check_weights(self)

    def output_shape(self, input_shape: Shape) -> Shape:
        if self.groups != -1 and input_shape[-1] % self.groups:
            self._refuse(input_shape, f"a number of channels that groups={self.groups} divides")
        return input_shape


def _weights(layer: Any, channels: Shape) -> dict[str, Shape]:
    return {**({"gamma": channels} if layer.scale else {}), **({"beta": channels} if layer.center else {})}


def _check_weights(layer: Any) -> None:
    """Sets the fields, among them center, scale and epsilon."""
    _check_number("epsilon", layer.epsilon)
    check_flag("center", layer.center)
    check_flag("scale", layer.scale)
    layer._settle(
        **{name: v for name, v in layer.arguments().items() if name.endswith(("_initializer", "_regularizer"))}
    )


def _check_number(argument: str, value: Any, at_most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= at_most or value == math.inf:
        of = "of 0 or more" if at_most == math.inf else f"from 0 to {at_most:g}"
        raise InputError(f"{argument}: got {value!r}; accepted: a number {of}.")


_HEAD = [Flatten(), Dense(3)]
_BATCH = [Conv2D(4, 3), BatchNormalization(0.75, 0.01), Activation("relu"), BatchNormalization(scale=False), *_HEAD]
_GROUPED = GroupNormalization(2, gamma_regularizer=PENALTY)
CASES = (
    Setting("batch-normalization-training-B8-5x4x2", (5, 4, 2), _BATCH, 8),
    Setting("batch-normalization-inference-B8-5x4x2", (5, 4, 2), _BATCH, 8, training=False),
    Setting("layer-normalization-B6-4x7", (4, 7), [Dense(5, "tanh"), LayerNormalization(), *_HEAD], 6),
    Setting("rms-normalization-B6-4x7", (4, 7), [Dense(5, "tanh"), RMSNormalization(), *_HEAD], 6),
    Setting("group-normalization-B6-4x3x2", (4, 3, 2), [Conv2D(6, 2), _GROUPED, *_HEAD], 6),
)
