"""The weights of one layer of a network, as what Keras shows of a model: a layer with a name, a shape and a flag."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

from tfbp.network import Node


class LayerWeights(keras.layers.Layer):
    """Holds a layer's weights, a Dense's kernel (I, O) and bias (O,); the arithmetic is the writings'.

    Args:
        parameters: their first values.
        node: the layer, and the shapes that it takes and makes.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray], node: Node, **options: Any) -> None:
        super().__init__(**options)
        self._first, self._node = parameters, node
        self.parameters: dict[str, keras.Variable] = {}
        self.build((None, *(node.input_shape[0] if node.layer.takes_several else node.input_shape)))

    def build(self, input_shape: Any) -> None:
        for name, value in self._first.items():
            weight = self.add_weight(
                shape=value.shape,
                initializer=lambda *_, w=value, **__: w,
                name=name,
                trainable=name not in self._node.layer.without_gradient,
            )
            self.parameters[name] = weight

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *self._node.output_shape)


def layer_weights(parameters: Mapping[str, np.ndarray], node: Node, **options: Any) -> LayerWeights:
    """The weights of a layer, in a class of the layer's name: `model.summary()` shows it."""
    return _class_of(node.layer.keras_name)(parameters, node, **options)


@cache
def _class_of(kind: str) -> type[LayerWeights]:
    return type(kind, (LayerWeights,), {"__module__": __name__})
