"""Keras's Dropout with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written, hand_written_images
from tfbp.layers.keras_internals import random


@keras.saving.register_keras_serializable(package="tfbp")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with its gradient written by hand: dx = dy / (1 - rate) where x was kept, else 0.

    Keras's own draw for the seed decides which: a model with these layers drops the same numbers as with Keras's.

    Args:
        rate, noise_shape, seed: as in `keras.layers.Dropout`.

    Example:
        >>> import numpy as np
        >>> y = Dropout(0.5, seed=1)(np.ones(1000, "float32"), training=True).numpy()
        >>> sorted(set(y.tolist()))
        [0.0, 2.0]

    Reference: https://keras.io/api/layers/regularization_layers/dropout/
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or not 0 < self.rate < 1 or not hand_written.is_handled(inputs):
            return super().call(inputs, training=training)
        seed = random._cast_seed(random.draw_seed(self.seed_generator))
        shape = random._get_concrete_noise_shape(inputs, self.noise_shape)
        mask = tf.random.stateless_uniform(shape, seed, dtype=inputs.dtype) >= self.rate
        return hand_written_images.drop(inputs, mask, tf.constant(1 / (1 - self.rate), inputs.dtype))
