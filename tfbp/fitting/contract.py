"""Keras's contract with a model: whether its steps are driven as Keras drives them, and what has to be given."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

from tfbp.errors import InputError, check_count
from tfbp.fitting import arrays

# Keras's own, whatever stands in their place later
KERAS = {name: getattr(TensorFlowTrainer, name) for name in ("fit", "evaluate", "predict")}
# how Keras drives its steps: a model that does it otherwise is trained by Keras
DRIVERS = ("make_train_function", "make_test_function", "make_predict_function", "train_on_batch")


def takes(model: Any, data: Any, steps: Any = None) -> bool:
    """Whether arrays and model are for this loop; Keras's own has the rest."""
    return steps is None and arrays.in_memory(data) and drives_as_keras(model)


def drives_as_keras(model: Any) -> bool:
    """Whether nothing but Keras's own way of calling the model's steps is replaced by this loop."""
    return (
        not model.run_eagerly
        and model._distribute_strategy is None
        and not tf.config.functions_run_eagerly()
        and not keras.config.max_steps_per_epoch()
        and not any(is_overridden(model, name) for name in DRIVERS)
    )


def build_optimizer(model: Any) -> None:
    """The optimizer's variables, before callbacks look at them."""
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built and model.trainable_variables:
        optimizer.build(model.trainable_variables)


def own_method(model: Any, name: str) -> Any:
    """The model's own fit, evaluate or predict, where its class has one that is not Keras's."""
    return getattr(model, name) if is_overridden(model, name) else None


def sizes(**given: Any) -> list[int | None]:
    """Batch sizes as integers."""
    for name, value in given.items():
        if value is not None:
            check_count(name, value)
    return [None if value is None else int(value) for value in given.values()]


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
        raise InputError("y: got None; accepted: targets, for the loss that the model was compiled with needs them.")


def check_takes(fit: Any, given: dict[str, Any]) -> None:
    """Raise `InputError` for an argument that only some models' fit has."""
    for name, value in given.items():
        if name not in inspect.signature(fit).parameters:
            kind = type(fit.__self__).__name__
            raise InputError(f"{name}: got {value!r} for a {kind}, whose fit does not take it; accepted: a tfbp.Model.")


def privacy_of(privacy: Any) -> Any:
    """What samples, clips, adds noise and accounts, and trains with it."""
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
    owner = next(each for each in type(model).__mro__ if name in vars(each))
    return not owner.__module__.startswith("keras.")
