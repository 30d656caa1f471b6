"""Updates the trainable weights from their clipped sums: noise, penalties, and the optimizer's rule."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.manual.compiled import is_compiled
from tfbp.privacy import noise


def update(
    model: Any, sums: list[tf.Tensor], key: tf.Tensor, step: tf.Tensor, deviation: float, divisor: float
) -> None:
    """Applies the optimizer to (Σ_b f_b g_b + deviation · normal) / divisor and the penalties' gradients.

    XLA compiles the noise in every caller: normal numbers take a third of the time there, and are the same whether the
    rest of a step is compiled or not. The rule of an optimizer of Keras is a part of that program: it reads each number
    once.
    """
    own = hasattr(model, "gradients_of_penalties")
    penalties = model.gradients_of_penalties() if own else _of_penalties(model.trainable_variables)

    def noised(key: tf.Tensor, step: tf.Tensor, *sums: tf.Tensor) -> list[tf.Tensor]:
        with tf.name_scope("noise"):
            return noise.noised(sums, key, step, deviation, divisor)

    def whole(key: tf.Tensor, step: tf.Tensor, sums: list[tf.Tensor], penalties: list[Any]) -> None:
        apply(model, noised(key, step, *sums), penalties)

    if is_compiled():
        whole(key, step, sums, penalties)
    elif is_known(model):
        tf.function(whole, jit_compile=True, autograph=False)(key, step, sums, penalties)
    else:
        gradients = tf.function(noised, jit_compile=True, autograph=False)(key, step, *sums)
        apply(model, list(gradients), penalties)


def is_known(model: Any) -> bool:
    """Whether the optimizer, its learning rate and the constraints are Keras's: XLA computes those alike."""
    optimizer = model.optimizer
    given = [optimizer, getattr(optimizer, "_learning_rate", None)]
    given += [getattr(variable, "constraint", None) for variable in model.trainable_variables]
    foreign = [part for part in given if part is not None and not type(part).__module__.startswith("keras.")]
    return not foreign and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


def apply(model: Any, gradients: list[tf.Tensor], penalties: list[Any]) -> None:
    """Updates the trainable weights, with penalties: a term that depends on weights alone needs no noise."""
    variables = model.trainable_variables
    gradients = [
        gradient if penalty is None else gradient + tf.cast(penalty, gradient.dtype)
        for gradient, penalty in zip(gradients, penalties, strict=True)
    ]
    # an optimizer that scales losses divides the gradients by that scale
    one = tf.ones([], gradients[0].dtype)
    scale = model.optimizer.scale_loss(one)
    gradients = gradients if scale is one else [gradient * scale for gradient in gradients]
    scaled = [tf.cast(gradient, variable.dtype) for gradient, variable in zip(gradients, variables, strict=True)]
    model.optimizer.apply_gradients(zip(scaled, variables, strict=True))


def _of_penalties(variables: list[Any]) -> list[Any]:
    """Returns the gradient of each weight's own penalty, None without one."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        given = [variable for variable in variables if variable.regularizer is not None]
        values = [tf.convert_to_tensor(variable.value) for variable in given]
        tape.watch(values)
        total = tf.add_n(
            [variable.regularizer(value) for variable, value in zip(given, values, strict=True)] or [tf.zeros([])]
        )
    found = dict(zip(map(id, given), tape.gradient(total, values) if values else [], strict=True))
    return [found.get(id(variable)) for variable in variables]
