"""One step of a `tfbp.Model` on one batch: forward, backward by hand, update, metrics. Everything here compiles.

B rows of the batch; x (B, I), y (B,) or (B, O), sample_weight (B,) or none; or (B, T, …) of T tokens each. Of several
inputs or outputs x, y and sample_weight are tuples.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp import manual
from tfbp.network import Options, at, map_weights, named_weights
from tfbp.training.structures import rows_of


def train(model: Any, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Any]:
    """Update weights and metrics: the logs so far."""
    scale = loss_scale(model)
    loss, gradients, tensors = loss_gradients_and_tensors(model, read(model), x, y, sample_weight, scale)
    apply(model, gradients)
    renew(model, tensors)
    count_loss(model, loss, rows_of(x), tensors[-1]["loss"])
    return metrics(model, x, y, tensors[-1], sample_weight)


def evaluate(model: Any, x: Any, y: Any, sample_weight: Any = None) -> dict[str, Any]:
    """Update metrics: the logs so far."""
    loss, last = loss_and_last_tensors(model, read(model), x, y, sample_weight)
    count_loss(model, loss, rows_of(x), last["loss"])
    return metrics(model, x, y, last, sample_weight)


def read(model: Any) -> Any:
    """The weights as tensors, one dict per layer."""
    # once a step: two reads of a variable race with the optimizer's write in a graph without XLA
    return map_weights(lambda w: tf.convert_to_tensor(w.value), model.parameter_variables)


def variables(model: Any) -> list[keras.Variable]:
    return [w for _, _, w in named_weights(model.parameter_variables)]


def trained_variables(model: Any) -> list[keras.Variable]:
    """Those that are not frozen."""
    return [w for w in variables(model) if w.trainable]


def loss_gradients_and_tensors(
    model: Any, parameters: Any, x: Any, y: Any, sample_weight: Any = None, scale: Any = None
) -> Any:
    """The writing's; each example's gradient clipped where fit says so."""
    network, (weights, x) = model.weighted_network, fed(model.network, model.compute_dtype, parameters, x)
    sample_weight = weight_of(model, x, sample_weight)
    options = Options(seed=seed_of(model), loss_scale=scale)
    if model.clip is None:
        # spelled out where XLA compiles, by kernels elsewhere
        with manual.kernels.by_kernels():
            return model.writing.scaled_pass(network, weights, x, y, sample_weight, options)
    x, y, sample_weight = of_finite(x, y, sample_weight)
    factors = manual.per_example.clipping(model.clip, model.clip_rows)
    reweight = manual.per_example.reweighting(network, factors, scale, _trained(model))
    return manual.scaled_pass(network, weights, x, y, sample_weight, options, reweight)


def _trained(model: Any) -> Any:
    """True for a trained weight, in the shape of its parameters."""
    return map_weights(lambda w: w.trainable, model.parameter_variables)


def clipped_examples(model: Any, data: Any, factors_of: Any) -> tuple[Any, Any, list[Any], Any]:
    """ℓ_b, the outputs, Σ_b f_b g_b of each trained weight, and which examples are good, for `tfbp.Privacy`.

    Args:
        data: x, y and sample_weight of a batch.
        factors_of: makes of ‖g_b‖², (B,), the factors f_b and which examples are good.
    """
    x, y, sample_weight = of_finite(*keras.utils.unpack_x_y_sample_weight(data))
    weights, fed_x = fed(model.network, model.compute_dtype, read(model), x)
    sample_weight = weight_of(model, x, sample_weight)
    found: list[Any] = []

    def factors(squares: Any) -> Any:
        made, good = factors_of(squares)
        found.append(good)
        # dz comes with 1/B in it
        return tf.cast(tf.shape(squares)[0], made.dtype) * made

    network, options = model.network.without_penalties(), Options(seed=seed_of(model))
    reweight = manual.per_example.reweighting(network, factors, trained=_trained(model))
    _, gradients, tensors = manual.scaled_pass(network, weights, fed_x, y, sample_weight, options, reweight)
    renew(model, tensors)
    losses, outputs = tensors[-1]["losses"], tensors[-1]["outputs"]
    losses = losses if sample_weight is None else losses * tf.cast(sample_weight, losses.dtype)
    of_each = tf.reduce_mean(tf.reshape(losses, [tf.shape(losses)[0], -1]), axis=1)
    sums = {id(w): g for w, g in zip(trained_variables(model), flat(model, gradients), strict=True)}
    return of_each, predicted(model, outputs), [sums[id(w)] for w in model.trainable_variables], found[-1]


def penalties_of(model: Any) -> list[Any]:
    """The gradient of the penalties by each trainable weight; None where it has none."""
    weights, found = read(model), {}
    for place, name, regularizer in model.network.penalties:
        variable = at(model.parameter_variables, place)[name]
        found[id(variable)] = manual.regularizers.penalty_backward(regularizer, at(weights, place)[name])
    return [found.get(id(w)) for w in model.trainable_variables]


def of_finite(x: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any, Any]:
    """The examples, those with a number that is not finite counting 0: no bound would hold for them."""
    given = [tf.convert_to_tensor(array) for array in (x, y, sample_weight) if array is not None]
    finite = [
        tf.reduce_all(tf.reshape(tf.math.is_finite(array), [tf.shape(array)[0], -1]), axis=1)
        for array in given
        if array.dtype.is_floating
    ]
    if not finite:
        return x, y, sample_weight
    good = tf.reduce_all(tf.stack(finite), axis=0)

    def cleaned(array: Any) -> Any:
        return tf.where(tf.reshape(good, [-1] + [1] * (array.shape.rank - 1)), array, tf.zeros_like(array))

    x, y, *weights = (cleaned(array) for array in given)
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    return x, y, weights[0] if weights else tf.cast(good, dtype)


def fed(network: Any, dtype: Any, parameters: Any, x: Any) -> tuple[Any, Any]:
    """Weights and x, by which a writing computes in that dtype: tokens are integers, and the embeddings say it."""
    several = isinstance(x, tuple)
    given = zip(x if several else (x,), network.input_tokens, strict=True)
    inputs = tuple(tf.cast(one, dtype) if tokens is None else one for one, tokens in given)
    if all(network.input_tokens):
        first = next(index for index, weights in enumerate(parameters) if "embeddings" in weights)
        (table,) = map_weights(lambda w: tf.cast(w, dtype), [parameters[first]])
        parameters = [*parameters[:first], table, *parameters[first + 1 :]]
    return parameters, inputs if several else inputs[0]


def seed_of(model: Any) -> Any:
    """The seed of the next step for the layers that draw; None where none does."""
    if model.draws is None:
        return None
    return model.seed * 2**31 + tf.cast(tf.convert_to_tensor(model.draws.value), tf.int64)


def renew(model: Any, tensors: Any) -> None:
    """After a step: the new values of weights that no gradient moves, and the next step's seed."""
    for node in model.network.nodes:
        # a layer that is called twice has renewed its weights twice: the later ones stay
        for name, new in at(tensors, node.at).get("new_weights", {}).items():
            variable = at(model.parameter_variables, node.place)[name]
            variable.assign(tf.cast(new, variable.dtype))
    if model.draws is not None:
        model.draws.assign_add(1)


def loss_and_last_tensors(model: Any, parameters: Any, x: Any, y: Any, sample_weight: Any) -> Any:
    """The writing's."""
    weight = weight_of(model, x, sample_weight)
    arguments = fed(model.network, model.compute_dtype, parameters, x)
    with manual.kernels.by_kernels():
        return model.writing.loss_and_last_tensors(model.weighted_network, *arguments, y, weight)


def weight_of(model: Any, x: Any, sample_weight: Any) -> Any:
    """The weights of the samples' losses: with compile's loss_weights, which metrics do not see."""
    if model.loss_weight is None or isinstance(model.loss_weight, tuple):
        # of several outputs, `weighted_network` has them
        return sample_weight
    factor = tf.constant(model.loss_weight, model.variable_dtype)
    return tf.fill([tf.shape(x)[0]], factor) if sample_weight is None else factor * tf.cast(sample_weight, factor.dtype)


def loss_scale(model: Any) -> Any:
    """The factor by which the optimizer multiplies the loss and later divides the gradients; None without one."""
    optimizer = model.optimizer
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.loss_scale_factor
    return optimizer.scale_loss(tf.ones([])) if scales else None


def flat(model: Any, gradients: Any) -> list[tf.Tensor]:
    """The gradients of the variables that are trained, in their order and dtype."""
    return [
        tf.cast(at(gradients, place)[name], model.variable_dtype)
        for place, name, variable in named_weights(model.parameter_variables)
        if variable.trainable
    ]


def apply(model: Any, gradients: Any) -> None:
    """Update the variables that are trained; by `apply_gradients`, which an optimizer may have of its own."""
    trained = trained_variables(model)
    if trained:
        model.optimizer.apply_gradients(zip(flat(model, gradients), trained, strict=True))


def metrics(model: Any, x: Any, y: Any, last: Any, sample_weight: Any) -> dict[str, Any]:
    """Count a batch into the metrics of compile: their results so far.

    Args:
        last: the last tensors of a pass: the outputs before the loss, and their masks.
    """
    made = predicted(model, last["outputs"])
    if model.network.masks_losses:
        # Keras's weighted metrics read it
        for output, mask in zip(keras.tree.flatten(made), keras.tree.flatten(last["mask"]), strict=True):
            output._keras_mask = None if mask is None else tf.cast(mask, tf.bool)
    return model.compute_metrics(x, y, made, sample_weight=sample_weight)


def predicted(model: Any, outputs: Any) -> Any:
    """The outputs with the last activation, where the loss has it in it."""
    network, several = model.network, isinstance(outputs, tuple)
    found = []
    for number, output in enumerate(outputs if several else (outputs,)):
        if network.is_before_activation(number):
            output = manual.activations.activation_forward(network.output_activations[number], output)[0]
        found.append(output)
    return found if several else found[0]


def count_loss(model: Any, loss: Any, rows: Any, of_each: Any = None) -> None:
    """Take the mean loss of some rows into the loss that the logs tell, and each output's where there are several."""
    model._loss_tracker.update_state(loss, sample_weight=rows)
    for tracker, one in zip(model.output_losses, of_each if model.output_losses else (), strict=True):
        # Keras takes the mean over batches of what a single output has, whatever their rows
        tracker.update_state(one)
