"""Keras's Softmax with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written


@keras.saving.register_keras_serializable(package="tfbp")
class Softmax(keras.layers.Softmax):
    """`keras.layers.Softmax` with its gradient written by hand: y = exp(x) / Σ exp(x), dx = y · (dy - Σ dy · y).

    Args:
        axis: as in `keras.layers.Softmax`: the axis of the sum, or several.

    Example:
        >>> import numpy as np
        >>> Softmax()(np.array([[0.0, 0.0]], "float32")).numpy()
        array([[0.5, 0.5]], dtype=float32)

    Reference: https://keras.io/api/layers/activation_layers/softmax/
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        softmax = hand_written.softmax_along(self.axis)
        if mask is not None:
            mask = tf.convert_to_tensor(mask)
        # Keras checks the mask, and refuses one that does not fit
        if softmax is None or not hand_written.is_handled(inputs) or (mask is not None and not _fits(mask, inputs)):
            return super().call(inputs, mask=mask)
        if mask is None:
            return softmax(inputs)
        visible = hand_written.kept_by(mask)
        # a row that is masked as a whole gives 0, as in Keras; these are Keras's large negative numbers
        lowest = tf.constant(-3e4 if inputs.dtype == tf.float16 else -1e9, inputs.dtype)
        return tf.where(visible, softmax(tf.where(visible, inputs, lowest)), 0)


def _fits(mask: tf.Tensor, inputs: tf.Tensor) -> bool:
    if mask.shape.rank is None:
        return True  # seen as it runs
    pairs = zip(mask.shape[::-1], inputs.shape[::-1], strict=False)
    return mask.shape.rank <= inputs.shape.rank and all(m in (1, None, i) or i is None for m, i in pairs)
