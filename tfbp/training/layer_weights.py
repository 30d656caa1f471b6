"""The weights of one layer of a network, as what Keras shows of a model: a layer with a name, a shape and a flag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


class LayerWeights(keras.layers.Layer):
    """Holds kernel (I, O) and bias (O,); the arithmetic is the writings'.

    Args:
        parameters: their first values.
        inputs: I.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray], inputs: int, **options: Any) -> None:
        super().__init__(**options)
        self._first = parameters
        self.parameters: dict[str, keras.Variable] = {}
        self.build((None, inputs))

    def build(self, input_shape: Any) -> None:
        for name, value in self._first.items():
            weight = self.add_weight(shape=value.shape, initializer=lambda *_, w=value, **__: w, name=name)
            self.parameters[name] = weight

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self._first["kernel"].shape[-1])
