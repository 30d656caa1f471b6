"""Keras's contract with a model: whether its steps run as Keras runs them, and which arguments it needs."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import keras
import tensorflow as tf

from tfbp.errors import InputError, check_count
from tfbp.fitting import arrays
from tfbp.fitting.keras_internals import TensorFlowTrainer

# Keras's own, also after another library replaces them
KERAS = {name: getattr(TensorFlowTrainer, name) for name in ("fit", "evaluate", "predict")}
# how Keras drives its steps: a model that does it otherwise is trained by Keras
DRIVERS = ("make_train_function", "make_test_function", "make_predict_function")


def why_keras(model: Any, data: Any, **steps: Any) -> str | None:
    """Why Keras's own loop is taken for a model and (x, …); None where it is not."""
    if given := [name for name, value in steps.items() if value is not None]:
        return f"{given[0]} was given"
    if data[0] is None:
        return "there is no x"
    if not arrays.in_memory(data):
        kinds = {type(leaf).__name__ for leaf in keras.tree.flatten(data) if not arrays.in_memory(leaf)}
        return f"the data are no dense numbers in memory ({', '.join(sorted(kinds))})"
    if not any(leaf.shape[1:] == () or all(leaf.shape[1:]) for leaf in keras.tree.flatten(data) if leaf is not None):
        return "no array has a column"
    return why_driven_by_keras(model)


def why_driven_by_keras(model: Any) -> str | None:
    """Why nothing but Keras's own way of calling a model's steps will do; None where this loop's will."""
    if model.run_eagerly or tf.config.functions_run_eagerly():
        return "it runs eagerly"
    if model._distribute_strategy is not None:
        return "it has a distribution strategy"
    if keras.config.max_steps_per_epoch():
        return "keras.config.max_steps_per_epoch() is set"
    own = [name for name in DRIVERS if is_overridden(model, name)]
    return f"it has a {own[0]} of its own" if own else None


def warn_of_shuffle(shuffle: Any) -> None:
    """Keras's warning, of shuffle beside a dataset."""
    if shuffle:
        warnings.warn(
            "`shuffle=True` was passed, but will be ignored since the data `x` was provided as a tf.data.Dataset. The "
            "Dataset is expected to already be shuffled (via `.shuffle(buffer_size)`).",
            stacklevel=3,
        )


def warn_of_weights(model: Any, y: Any, sample_weight: Any, batch_size: int) -> None:
    """Warn of one weight a sample where every sample has a loss a time step, and a batch as many samples as steps:
    Keras gives the weights to the steps."""
    if is_overridden(model, "compute_loss") or is_overridden(model, "train_step"):
        return
    if keras.tree.is_nested(y) or keras.tree.is_nested(sample_weight) or y is None or sample_weight is None:
        return
    shape = tuple(getattr(model, "output_shape", None) or ()) if model.built else ()
    of_losses = y.shape[1:-1] if len(y.shape) > 2 else shape[1:-1] if len(shape) > 2 else ()
    if len(sample_weight.shape) == 1 and len(of_losses) and of_losses[-1] == batch_size:
        warnings.warn(
            f"sample_weight: got one number a sample, and losses of {of_losses[-1]} time steps in batches of as many "
            "samples; Keras weighs the time steps with it. Give one of shape (samples, time steps).",
            stacklevel=3,
        )


def build_optimizer(model: Any) -> None:
    """The optimizer's variables, before callbacks look at them."""
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built and model.trainable_variables:
        optimizer.build(model.trainable_variables)


def build_state(model: Any, data: Any, name: str) -> None:
    """The variables of metrics and optimizer, where Keras would make them in a step's first trace: TensorFlow traces a
    step again that makes some.

    Args:
        data: packed, of which the targets' shape is taken. name: the step's, "train", "test" or "predict".
    """
    metrics = model._compile_metrics
    own = ("train_step", "test_step", "compute_metrics")
    _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    outputs = getattr(model, "outputs", None) if model.built else None
    if name == "predict" or not outputs or len(outputs) > 1 or any(is_overridden(model, method) for method in own):
        return
    if metrics is not None and not metrics.built and isinstance(y, tf.Tensor):
        metrics.build(keras.KerasTensor((None, *y.shape[1:]), y.dtype.name), outputs[0])
    if name == "train":
        build_optimizer(model)


def own_method(model: Any, name: str) -> Any:
    """The model's own fit, evaluate or predict, where its class has one that is not Keras's."""
    return getattr(model, name) if is_overridden(model, name) else None


def own_evaluate(model: Any) -> Any:
    """The model's own evaluate, unless it is that of a class with rules for this loop."""
    owner = next(parent for parent in type(model).__mro__ if "evaluate" in vars(parent))
    return None if "fitting_rules" in vars(owner) else own_method(model, "evaluate")


def sizes(**given: Any) -> list[int | None]:
    """Batch sizes as integers."""
    for name, value in given.items():
        if value is not None:
            check_count(name, value)
    return [None if value is None else int(value) for value in given.values()]


def check_frequency(given: Any) -> None:
    """Raise `InputError` unless `validation_freq` is what Keras takes."""
    if not isinstance(given, int | list):
        raise InputError(f"validation_freq: got {given!r}; accepted: an integer, or a list of epochs, counted from 1.")


def check_model(name: str, model: Any) -> None:
    """Raise `InputError` unless it is a Keras model, and Keras runs on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"{name}: got the Keras backend {keras.backend.backend()!r}; accepted: 'tensorflow'.")
    if not isinstance(model, TensorFlowTrainer):
        raise InputError(f"{name}: got a {type(model).__name__}; accepted: a keras.Model.")


def check_targets(model: Any, y: Any) -> None:
    """Raise `InputError` where Keras's own step would compare outputs with targets that are not there."""
    steps = ("train_step", "compute_loss", "_compute_loss")
    if y is None and model._compile_loss is not None and not any(is_overridden(model, name) for name in steps):
        raise InputError("y: got None; accepted: targets, because the loss of `compile` needs them.")


def check_takes(fit: Any, given: dict[str, Any]) -> None:
    """Raise `InputError` for an argument that only some models' fit has."""
    for name, value in given.items():
        if name not in inspect.signature(fit).parameters:
            kind = type(fit.__self__).__name__
            raise InputError(f"{name}: got {value!r} for a {kind}, whose fit does not take it; accepted: a tfbp.Model.")


def privacy_of(privacy: Any) -> Any:
    """Returns the object that samples, clips, adds noise, accounts and trains."""
    if not hasattr(privacy, "fit") or not hasattr(privacy, "noise_multiplier"):
        raise InputError(f"privacy: got {privacy!r}; accepted: a tfbp.Privacy.")
    return privacy


def check_compiled(model: Any) -> None:
    if not model.compiled:
        raise InputError(
            f"model: got a {type(model).__name__} that is not compiled; accepted: one after model.compile(…)."
        )


def check_data(**given: Any) -> None:
    for name, value in given.items():
        arrays.check_data(name, value)


def is_overridden(model: Any, name: str) -> bool:
    """Whether a method is not Keras's: a class of the model's, or the model itself, has one of its own."""
    if name in vars(model):
        return True
    owner = next(parent for parent in type(model).__mro__ if name in vars(parent))
    return not owner.__module__.startswith("keras.")
