"""Keras's normalizations with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written, hand_written_images


@keras.saving.register_keras_serializable(package="tfbp")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with its gradient written by hand.

        dx = gamma / σ · (dy - mean(dy) - x̂ · mean(dy · x̂)) in training, gamma / σ · dy at inference

    Left to Keras: an axis that is not the last, a mask, renorm and synchronized.

    Args:
        axis, momentum, …: as in `keras.layers.BatchNormalization`.

    Example:
        >>> import numpy as np
        >>> BatchNormalization(epsilon=0.0)(np.array([[1.0], [3.0]], "float32"), training=True).numpy().ravel()
        array([-1.,  1.], dtype=float32)

    Reference: https://keras.io/api/layers/normalization_layers/batch_normalization/
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        # Keras 3.13 has no renorm
        renorm = getattr(self, "renorm", False)
        if mask is not None or renorm or self.synchronized or not _last_axis_alone(self.axis, inputs):
            return super().call(inputs, training=training, mask=mask)
        wide = keras.backend.result_type(inputs.dtype, "float32")
        # each variable is read here, once
        mean, variance = (tf.cast(w, wide) for w in (self.moving_mean, self.moving_variance))
        gamma, beta = _read(self.gamma, self.beta)
        by_batch = bool(training and self.trainable)
        y, moved = hand_written_images.batch_normalization(
            inputs,
            gamma,
            beta,
            mean,
            variance,
            training=by_batch,
            momentum=self.momentum,
            epsilon=self.epsilon,
        )
        if by_batch:
            self.moving_mean.assign(moved[0])
            self.moving_variance.assign(moved[1])
        return tf.cast(y, self.compute_dtype)


@keras.saving.register_keras_serializable(package="tfbp")
class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` with its gradient written by hand: dx̂ = gamma · dy,

        dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ

    Only x̂ and 1/σ are kept. Left to Keras: axes that are not the last ones, and rms_scaling.

    Args:
        axis, epsilon, …: as in `keras.layers.LayerNormalization`.

    Example:
        >>> import numpy as np
        >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]], "float32")).numpy()
        array([[-1.,  1.]], dtype=float32)

    Reference: https://keras.io/api/layers/normalization_layers/layer_normalization/
    """

    def call(self, inputs: Any) -> Any:
        axes = _last_axes(self.axis, inputs)
        if axes is None or self.rms_scaling:
            return super().call(inputs)
        gamma, beta = _read(self.gamma, self.beta)
        y = hand_written_images.layer_normalization(inputs, gamma, beta, axes, self.epsilon)
        return tf.cast(y, self.compute_dtype)


@keras.saving.register_keras_serializable(package="tfbp")
class RMSNormalization(keras.layers.RMSNormalization):
    """`keras.layers.RMSNormalization` with its gradient written by hand: dx̂ = scale · dy,

        dx = (dx̂ - x̂ · mean(dx̂ · x̂)) / rms

    Left to Keras: axes that are not the last ones.

    Args:
        axis, epsilon: as in `keras.layers.RMSNormalization`.

    Example:
        >>> import numpy as np
        >>> RMSNormalization(epsilon=0.0)(np.array([[3.0, -3.0]], "float32")).numpy()
        array([[ 1., -1.]], dtype=float32)

    Reference: https://keras.io/api/layers/normalization_layers/rms_normalization/
    """

    def call(self, x: Any) -> Any:
        axes = _last_axes(self.axis, x)
        if axes is None:
            return super().call(x)
        return hand_written_images.rms_normalization(x, tf.convert_to_tensor(self.scale), axes, self.epsilon)


@keras.saving.register_keras_serializable(package="tfbp")
class GroupNormalization(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` with its gradient written by hand, as `LayerNormalization`, group by group.

    Left to Keras: an axis that is not the last.

    Args:
        groups, axis, …: as in `keras.layers.GroupNormalization`.

    Example:
        >>> import numpy as np
        >>> GroupNormalization(1, epsilon=0.0)(np.array([[1.0, 3.0]], "float32")).numpy()
        array([[-1.,  1.]], dtype=float32)

    Reference: https://keras.io/api/layers/normalization_layers/group_normalization/
    """

    def call(self, inputs: Any) -> Any:
        if not _last_axis_alone(self.axis, inputs):
            return super().call(inputs)
        gamma, beta = _read(self.gamma, self.beta)
        y = hand_written_images.group_normalization(inputs, gamma, beta, self.groups, self.epsilon)
        return tf.cast(y, self.compute_dtype)


def _read(*weights: Any) -> list[Any]:
    """Each variable's value, read once, or None for none."""
    return [None if w is None else tf.convert_to_tensor(w) for w in weights]


def _last_axes(axis: Any, x: Any) -> tuple[int, ...] | None:
    """The axes, where they are the last ones of a tensor of floats, in order."""
    if not hand_written.is_handled(x):
        return None
    rank = x.shape.rank
    axes = tuple(a % rank for a in (axis if isinstance(axis, list | tuple) else [axis]))
    return axes if axes == tuple(range(rank - len(axes), rank)) and None not in x.shape[rank - len(axes) :] else None


def _last_axis_alone(axis: Any, x: Any) -> bool:
    axes = _last_axes(axis, x)
    return axes is not None and len(axes) == 1 and x.shape.rank > 1
