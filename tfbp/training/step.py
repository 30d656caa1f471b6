"""One step of a `tfbp.Model` on one batch: forward, backward by hand, update, metrics. Everything here compiles.

B rows of the batch; x (B, I), y (B,) or (B, O), sample_weight (B,) or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tfbp import manual
from tfbp.vocabulary import Activation

if TYPE_CHECKING:
    from tfbp.training.model import Model


def train(model: Model, x: Any, y: Any, sample_weight: Any = None) -> tf.Tensor:
    """Update weights and metrics; the batch's loss, for the caller to count."""
    scale = loss_scale(model)
    loss, gradients, tensors = loss_gradients_and_tensors(model, read(model), x, y, sample_weight, scale)
    apply(model, gradients)
    update_metrics(model, y, tensors[-1]["outputs"], sample_weight)
    return loss


def evaluate(model: Model, x: Any, y: Any, sample_weight: Any = None) -> tf.Tensor:
    """Update metrics; the batch's loss, for the caller to count."""
    loss, outputs = loss_and_outputs(model, read(model), x, y, sample_weight)
    update_metrics(model, y, outputs, sample_weight)
    return loss


def read(model: Model) -> Any:
    """The weights as tensors, one dict per layer."""
    # once a step: two reads of a variable race with the optimizer's write in a graph without XLA
    return [{name: tf.convert_to_tensor(w.value) for name, w in layer.items()} for layer in model.parameter_variables]


def variables(model: Model) -> list[keras.Variable]:
    return [w for layer in model.parameter_variables for w in layer.values()]


def loss_gradients_and_tensors(
    model: Model, parameters: Any, x: Any, y: Any, sample_weight: Any = None, scale: Any = None
) -> Any:
    """The writing's; each example's gradient clipped where fit says so."""
    arguments = (model.network, parameters, tf.cast(x, model.compute_dtype), y)
    if model.clip is None:
        return model.writing.loss_gradients_and_tensors(*arguments, sample_weight, loss_scale=scale)
    return manual.per_example.loss_clipped_gradients_and_tensors(*arguments, model.clip, sample_weight, scale)


def loss_and_outputs(model: Model, parameters: Any, x: Any, y: Any, sample_weight: Any) -> Any:
    """The writing's."""
    return model.writing.loss_and_outputs(model.network, parameters, tf.cast(x, model.compute_dtype), y, sample_weight)


def loss_scale(model: Model) -> Any:
    """What the optimizer wants the loss multiplied by, and divides the gradients by again; None for nothing."""
    optimizer = model.optimizer
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor
    return optimizer.scale_loss(tf.ones([])) if scales else None


def flat(model: Model, gradients: Any) -> list[tf.Tensor]:
    """Gradients in the order of `variables`, in their dtype."""
    return [tf.cast(dw, model.variable_dtype) for layer in gradients for dw in layer.values()]


def apply(model: Model, gradients: Any) -> None:
    model.optimizer.apply(flat(model, gradients), variables(model))


def update_metrics(model: Model, y: Any, outputs: Any, sample_weight: Any) -> None:
    """Count a batch into the metrics of compile."""
    if model._compile_metrics is not None:
        if model.network.fuses_output_activation:
            link: Activation = model.network.layers[-1].activation
            outputs, _ = manual.activations.activation_forward(link, outputs)
        model._compile_metrics.update_state(y, outputs, sample_weight)


def count_loss(model: Model, loss: Any, rows: Any, anew: Any = None) -> tf.Tensor:
    """Take the mean loss of some rows into the loss that the logs tell, and forget the rows before where `anew`.

    Returns:
        The mean loss of all rows counted.
    """
    tracker = model._loss_tracker
    if anew is not None:
        for variable in tracker.variables:
            variable.assign(tf.where(anew, tf.zeros_like(variable.value), variable.value))
    tracker.update_state(loss, sample_weight=rows)
    return tracker.result()
