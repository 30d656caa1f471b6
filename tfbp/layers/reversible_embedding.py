"""Keras's ReversibleEmbedding with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written, hand_written_sequences
from tfbp.layers.embedding import Embedding


@keras.saving.register_keras_serializable(package="tfbp")
class ReversibleEmbedding(keras.layers.ReversibleEmbedding, Embedding):
    """`keras.layers.ReversibleEmbedding` with its gradients written by hand, of the lookup and of the way back.

    Called with reverse=True it gives logits, x · embeddingsᵀ. LoRA, quantization and inputs that are no dense tensors
    are left to Keras.

    Args:
        input_dim, output_dim, …: as in `keras.layers.ReversibleEmbedding`.

    Example:
        >>> import numpy as np
        >>> layer = ReversibleEmbedding(3, 2, embeddings_initializer="ones")
        >>> layer(layer(np.array([[0, 2]])), reverse=True).numpy().tolist()
        [[[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]]

    Reference: Press and Wolf, Using the output embedding to improve language models (2016),
    https://arxiv.org/abs/1608.05859
    """

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        is_plain = not self.lora_enabled and self.quantization_mode is None and hand_written.is_handled(inputs)
        if not reverse or not is_plain:
            # Keras's call looks rows up by the next class: Embedding, by hand
            return super().call(inputs, reverse=reverse)  # type: ignore[call-arg]
        weights = tf.convert_to_tensor(self.embeddings if self.tie_weights else self.reverse_embeddings)
        dtype = self.reverse_dtype or keras.backend.result_type(inputs.dtype.name, weights.dtype.name)
        kernel = hand_written_sequences.transposed(weights) if self.tie_weights else weights
        z = hand_written.dense(tf.cast(inputs, dtype), tf.cast(kernel, dtype))
        return z if self.logit_soft_cap is None else hand_written_sequences.capped(self.logit_soft_cap)(z)

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        # Keras refuses subclasses, because they may compute something else; this one does not
        super().quantize(mode, type_check=type_check and type(self) is not ReversibleEmbedding, config=config)
