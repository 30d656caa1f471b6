"""The residual connection: it adds a chain's input to its output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from tfbp.network.chain import as_layers, output_shape_of, weight_shapes_of
from tfbp.network.convolution import Conv2D
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.normalization import BatchNormalization
from tfbp.network.pooling import GlobalAveragePooling2D
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.vocabulary import Activation


@dataclass(frozen=True)
class Residual(Layer):
    """y = shortcut(x) + layers(x), where shortcut(x) is x, or a projection of x where the shapes differ.

    Its weights nest: `{"layers": [...], "projection": [...]}`, each list as that of a network's layers. Without a
    projection the dict has no "projection".

    Args:
        layers: one or more layers, a chain.
        projection: the shortcut's layers, also a chain. By default it is empty where the shapes are equal, and a
            `Dense` without a bias where only the last axis differs.

    Raises:
        InputError: no layers, something that is not a layer, or shapes that cannot be added.

    Example:
        >>> block = Residual([Dense(8, "relu"), Dense(4)])
        >>> block.output_shape((4,)), sorted(block.weight_shapes((4,)))
        ((4,), ['layers'])

    Reference: He et al., Deep residual learning (2015), https://arxiv.org/abs/1512.03385
    """

    layers: tuple[Layer, ...]
    projection: tuple[Layer, ...] | None

    def __init__(self, layers: Sequence[Any], projection: Sequence[Any] | None = None) -> None:
        self._settle(
            layers=as_layers("layers", layers),
            projection=as_layers("projection", projection) if projection else None,
        )

    def output_shape(self, input_shape: Shape) -> Shape:
        shape_of_layers = output_shape_of(self.layers, input_shape, "layers")
        self._projected(input_shape, shape_of_layers)
        return shape_of_layers

    def weight_shapes(self, input_shape: Shape) -> dict[str, Any]:
        return {name: weight_shapes_of(part, input_shape) for name, part in self.for_shape(input_shape).parts.items()}

    @property
    def draws(self) -> int:
        return sum(layer.draws for part in self.parts.values() for layer in part)

    @property
    def parts(self) -> dict[str, tuple[Layer, ...]]:
        return {"layers": self.layers, **({"projection": self.projection} if self.projection else {})}

    def for_shape(self, input_shape: Shape) -> Self:
        layers = chain_for_shape(self.layers, input_shape)
        projection = self._projected(input_shape, output_shape_of(layers, input_shape, "layers"))
        return replace(self, layers=layers, projection=projection and chain_for_shape(projection, input_shape))

    def without_penalties(self) -> Self:
        bare: dict[str, Any] = {
            name: [layer.without_penalties() for layer in part] for name, part in self.parts.items()
        }
        return replace(self, **bare)

    def _projected(self, shape: Shape, made: Shape) -> tuple[Layer, ...] | None:
        if self.projection:
            shortcut = output_shape_of(self.projection, shape, "projection")
            if shortcut != made:
                self._refuse(shape, f"a projection to the layers' shape {made}, where it has {shortcut}")
            return self.projection
        if shape == made:
            return None
        if shape[:-1] != made[:-1]:
            self._refuse(shape, f"layers that keep the shape, or a projection to theirs, {made}")
        return (Dense(made[-1], use_bias=False),)


def chain_for_shape(layers: Sequence[Layer], shape: Shape) -> tuple[Layer, ...]:
    """Returns the layers with the arguments that follow from their input shapes."""
    completed = []
    for layer in layers:
        completed.append(layer.for_shape(shape))
        shape = layer.output_shape(shape)
    return tuple(completed)


def _of_images(filters: int, strides: int = 1) -> Residual:
    convolution = partial(Conv2D, filters, 3, padding="same", use_bias=False)
    inner = [convolution(strides=strides), BatchNormalization(), Activation("silu"), convolution()]
    shortcut = [Conv2D(filters, 1, strides, use_bias=False), BatchNormalization()] if strides > 1 else None
    return Residual([*inner, BatchNormalization()], shortcut)


_BLOCK = [Dense(6, "tanh"), Dense(5)]
_WIDER = [Dense(9, "silu", kernel_regularizer=PENALTY), Dense(6, use_bias=False)]
_INNER = Residual([Activation("softsign"), Dense(5)], [Dense(5, "tanh", bias_regularizer=PENALTY), Dense(5)])
# smooth activations: next to a kink, chance decides which writing rounds across it
_IMAGES = [Conv2D(4, 3, padding="same"), _of_images(4), Activation("silu"), _of_images(6, 2), Activation("silu")]
CASES = (
    Setting("residual-B8-I5-O3", 5, [Residual(_BLOCK), Activation("tanh"), Dense(3)], 8),
    Setting("projection-B7-I4x5-O3", (4, 5), [Residual(_WIDER), Flatten(), Dense(3)], 7),
    Setting(
        "residual-deep-B6-I3x4-O4",
        (3, 4),
        [Dense(5), Residual([_INNER, Residual(_BLOCK)]), Residual(_BLOCK), Flatten(), Dense(4)],
        6,
    ),
    Setting("resnet-B6-7x7x2", (7, 7, 2), [*_IMAGES, GlobalAveragePooling2D(), Dense(3)], 6),
)
