"""Keras's Embedding with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written_sequences


@keras.saving.register_keras_serializable(package="tfbp")
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding` with its gradient written by hand: rows, each the sum over its token's places.

    As Keras's, the gradient is a list of rows, tf.IndexedSlices, but where the table has fewer rows than the batch has
    tokens: then it is the table's. Where a token occurs twice, Keras's list has its row twice, and many of its
    optimizers take these one by one: Adam, AdamW, Nadam, RMSprop, Adagrad, Adadelta, Ftrl, Adafactor, clipnorm,
    global_clipnorm and clipvalue; SGD, Adamax, Lion, Lamb and Muon (where it does not leave embeddings to AdamW, as it
    does by default) add them up. Here the first of them is the sum and the others are 0.
    Keras computes LoRA, quantization and inputs that are not dense tensors.

    Args:
        input_dim, output_dim, …: as in `keras.layers.Embedding`.

    Example:
        >>> import numpy as np
        >>> Embedding(5, 2, "ones")(np.array([[0, 4, 4]])).numpy().tolist()
        [[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]]

    Reference: https://keras.io/api/layers/core_layers/embedding/
    """

    def call(self, inputs: Any) -> Any:
        is_plain = not self.lora_enabled and self.quantization_mode is None and isinstance(inputs, tf.Tensor)
        if not is_plain:
            return super().call(inputs)
        if inputs.dtype not in (tf.int32, tf.int64):
            inputs = tf.cast(inputs, tf.int32)
        y = hand_written_sequences.look_up(inputs, tf.convert_to_tensor(self.embeddings))
        return tf.cast(y, self.compute_dtype)

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        # Keras refuses subclasses, because they may compute something else; this one does not
        super().quantize(mode, type_check=type_check and type(self) is not Embedding, config=config)
