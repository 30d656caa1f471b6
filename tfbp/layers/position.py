"""Layers of positions, which Keras has not and keras-hub has, with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.errors import InputError, check_count, check_positive
from tfbp.layers import hand_written_sequences


@keras.saving.register_keras_serializable(package="tfbp")
class PositionEmbedding(keras.layers.Layer):
    """The sum of sequences and a learned row for each position: y = x + embeddings[start_index : start_index + T].

    keras-hub's layer of this name gives the rows alone, to be added by hand; arguments and weights are the same.

    Args:
        sequence_length: how many positions have a row, at least T + start_index.
        initializer: how the rows start, as Keras takes it.
        options: `keras.layers.Layer`'s.

    Raises:
        InputError: a length below 1, inputs that are no sequences (…, T, I), or longer ones.

    Example:
        >>> import numpy as np
        >>> layer = PositionEmbedding(10, "ones")
        >>> layer(np.zeros((8, 4, 16), "float32"), start_index=3).shape
        TensorShape([8, 4, 16])

    Reference: https://keras.io/keras_hub/api/modeling_layers/position_embedding/
    """

    def __init__(self, sequence_length: int, initializer: Any = "glorot_uniform", **options: Any) -> None:
        super().__init__(**options)
        check_count("sequence_length", sequence_length)
        self.sequence_length = sequence_length
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3 or input_shape[-1] is None:
            raise InputError(f"inputs: got shape {tuple(input_shape)}; accepted: (…, T, I) with a known I.")
        self.position_embeddings = self.add_weight(
            name="embeddings", shape=(self.sequence_length, input_shape[-1]), initializer=self.initializer
        )

    def call(self, inputs: Any, start_index: Any = 0) -> Any:
        steps, start = inputs.shape[-2], tf.get_static_value(start_index)
        last = None if steps is None or start is None else steps + start
        if last is not None and (start < 0 or last > self.sequence_length):
            given = f"{steps} steps from start_index={start} on"
            raise InputError(f"inputs: got {given}; accepted: positions from 0 to {self.sequence_length - 1}.")
        embeddings = tf.cast(tf.convert_to_tensor(self.position_embeddings), inputs.dtype)
        return hand_written_sequences.add_positions(inputs, embeddings, _start(start_index))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"sequence_length": self.sequence_length, "initializer": keras.initializers.serialize(self.initializer)}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="tfbp")
class RotaryEmbedding(keras.layers.Layer):
    """Each pair of features of step t turned by an angle that grows with start_index + t; see `tfbp.RotaryEmbedding`.

    As keras-hub's layer of this name with its defaults, on inputs (B, T, I) and (B, T, heads, I); but angles are
    computed in float64.

    Args:
        max_wavelength, scaling_factor: as in `tfbp.RotaryEmbedding`.
        options: `keras.layers.Layer`'s.

    Raises:
        InputError: a number that is not above 0, or an odd number of features.

    Example:
        >>> import numpy as np
        >>> RotaryEmbedding()(np.array([[[3.0, 4.0], [3.0, 4.0]]], "float32"))[0, 0].numpy().tolist()
        [3.0, 4.0]

    Reference: https://keras.io/keras_hub/api/modeling_layers/rotary_embedding/
    """

    def __init__(self, max_wavelength: float = 10000, scaling_factor: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        check_positive("max_wavelength", max_wavelength)
        check_positive("scaling_factor", scaling_factor)
        self.max_wavelength, self.scaling_factor = max_wavelength, scaling_factor
        self.supports_masking = True

    def call(self, inputs: Any, start_index: Any = 0) -> Any:
        if inputs.shape.rank not in (3, 4) or inputs.shape[-1] is None or inputs.shape[-1] % 2:
            accepted = "(B, T, I) or (B, T, heads, I) with an even I"
            raise InputError(f"inputs: got shape {tuple(inputs.shape)}; accepted: {accepted}.")
        return hand_written_sequences.rotate(inputs, _start(start_index), self.max_wavelength, self.scaling_factor)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"max_wavelength": self.max_wavelength, "scaling_factor": self.scaling_factor}
        return {**super().get_config(), **own}


def _start(index: Any) -> tf.Tensor:
    return tf.cast(index, tf.int32)
