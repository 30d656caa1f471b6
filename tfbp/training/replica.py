"""A step on one replica: its piece of the global batch, and what it has in common with the other replicas.

B rows of the global batch, B_r of them here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.training import step


def prepare(model: Any, options: Mapping[str, Any]) -> None:
    """Make a model that was just compiled ready for its strategy.

    Raises:
        InputError: an optimizer or a metric that was made outside the strategy, or one that acts in some steps only.
    """
    if len(model.network.input_shapes) > 1 or len(model.network.losses) > 1:
        got = f"{len(model.network.input_shapes)} inputs and {len(model.network.losses)} outputs under a strategy"
        raise InputError(f"network: got one of {got}; accepted: one input and one output, or no strategy.")
    if model.network.masks_losses:
        raise InputError(
            "network: got a masked loss under a strategy; accepted: losses without, or no strategy (each replica would "
            "divide by what its own piece of a batch shows)."
        )
    for node in model.network.nodes:
        if node.layer.without_gradient or (node.layer.draws and not node.layer.parts):
            raise InputError(
                f"network: got {node.layer.keras_name} in layer {node.name} under a strategy; accepted: layers that "
                "neither draw nor renew weights in training (each replica would do so on its own piece of a batch)."
            )
    _check_made_in_scope(model, "optimizer", model.optimizer)
    for name in ("metrics", "weighted_metrics"):
        for metric in tf.nest.flatten(options.get(name)):
            _check_made_in_scope(model, name, metric)
    inner: Any = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if steps := getattr(inner, name):
            raise InputError(
                f"optimizer: got {name}={steps} under a strategy; accepted: none (what Keras does in some steps only "
                "cannot reach all replicas)."
            )
    # a sum over replicas cannot be inside an XLA program on a CPU: the arithmetic alone is compiled, see `_program`
    model.jit_compile = False
    # Keras sums gradients after clipping, and after looking whether a scaled loss overflowed, so that several replicas
    # would clip, and skip steps, other than one; `train` hands it gradients that are summed already
    inner._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables


def train(model: Any, x: Any, y: Any, sample_weight: Any = None, share: float | None = None) -> Any:
    """Forward, backward by hand, the sum over replicas, update, metrics.

    Args:
        share: B_r / B; None to ask the other replicas.
    """
    variables, scale = step.trained_variables(model), step.loss_scale(model)
    if x.shape[0] == 0:
        gradients = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
    else:
        part = _share(x) if share is None else tf.constant(share, tf.float64)
        # the seed 1/B_r of the backward pass becomes 1/B, and a penalty's gradient counts once in the sum
        scale = tf.cast(part, model.variable_dtype) if scale is None else scale * tf.cast(part, scale.dtype)

        def loss_gradients_and_outputs(*arguments: Any) -> Any:
            loss, gradients, tensors = step.loss_gradients_and_tensors(model, *arguments)
            return loss, step.flat(model, gradients), tensors[-1]["outputs"]

        program = _program(model, "gradients", loss_gradients_and_outputs)
        loss, gradients, outputs = program(step.read(model), x, y, sample_weight, scale)
        _update_metrics(model, loss, x, y, outputs, sample_weight)
    summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    if variables:
        model.optimizer.apply_gradients(zip(summed, variables, strict=True))
    return model.get_metrics_result()


def evaluate(model: Any, x: Any, y: Any, sample_weight: Any = None, share: float | None = None) -> Any:
    """Forward and metrics."""
    if x.shape[0] != 0:
        program = _program(model, "loss", functools.partial(step.loss_and_last_tensors, model))
        loss, last = program(step.read(model), x, y, sample_weight)
        _update_metrics(model, loss, x, y, last["outputs"], sample_weight)
    return model.get_metrics_result()


def _share(x: Any) -> tf.Tensor:
    rows = tf.cast(tf.shape(x)[0], tf.float64)
    return rows / tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, rows)


def _update_metrics(model: Any, loss: Any, x: Any, y: Any, outputs: Any, sample_weight: Any) -> None:
    # in a tf.data pipeline's last batch a replica may get no row, and the mean of nothing is NaN
    loss = tf.where(tf.shape(x)[0] > 0, loss, tf.zeros_like(loss))
    step.count_loss(model, loss, tf.shape(x)[0])
    step.metrics(model, x, y, {"outputs": outputs}, sample_weight)


def _program(model: Any, name: str, function: Any) -> Any:
    """The arithmetic as a compiled program; one device does not need it, because there the whole block is compiled."""
    if name not in model.replica_programs:
        compiled = model.compiles_gradients
        model.replica_programs[name] = (
            tf.function(function, jit_compile=True, autograph=False) if compiled else function
        )
    return model.replica_programs[name]


def _check_made_in_scope(model: Any, argument: str, made: Any) -> None:
    created_in_scope = model.distribute_strategy.extended.variable_created_in_scope
    for variable in getattr(made, "variables", []):
        if not created_in_scope(variable.value):
            raise InputError(
                f"{argument}: got a {type(made).__name__} made outside the model's strategy; accepted: a name, or one "
                "made in `with strategy.scope():`, as the model."
            )
