"""fit, evaluate and predict of any compiled keras.Model: Keras's arguments and results, at the speed of the arithmetic.

N samples, B batch.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from numbers import Integral
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

from tfbp.checks import InputError, check_count
from tfbp.fitting import arrays, epochs, programs
from tfbp.fitting.pace import PREDICT_HOOKS, TRAIN_HOOKS, has_any, is_promised
from tfbp.fitting.run import ArrayRun

LOG = logging.getLogger("tfbp")
# Keras's own, whatever stands in their place later
KERAS = {name: getattr(TensorFlowTrainer, name) for name in ("fit", "evaluate", "predict")}
# how Keras drives its steps: a model that does it otherwise is trained by Keras
DRIVERS = ("make_train_function", "make_test_function", "make_predict_function", "train_on_batch")


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> keras.callbacks.History:
    """Train any compiled keras.Model as its own fit does, many steps in one program.

    The model's own `train_step` is what is run. Arrays in memory are put on the device once, and each step gathers its
    batch there; everything else (tf.data, generators, PyDataset, memory-mapped arrays, steps_per_epoch, run_eagerly, a
    distribution strategy) takes Keras's own loop, with the same results. Without XLA, and in order (shuffle=False), the
    weights are Keras's to the bit; with XLA they are to rounding, and dropout draws other numbers.

    `compile(jit_compile="auto")` means what is faster for this model on this device; `history.params["jit_compile"]`
    says which it was. A callback with a hook for batches of its own is called at every batch, and then every batch is a
    program's call. The order of an epoch's rows follows from `keras.utils.set_random_seed`, the epoch's number, and how
    often the model has trained an epoch of that number.

    Args:
        model: compiled, on the TensorFlow backend; a `tfbp.Model` is trained by its own fit.
        x, y, …: as in keras.Model.fit.

    Raises:
        InputError: a model that is not compiled or of another backend, no y where the loss needs one, unequal lengths,
            a batch size below 1, data that are neither arrays nor a dataset.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> history = tfbp.fit(model, np.ones((64, 2)), np.ones(64), epochs=3, verbose=0)
        >>> len(history.history["loss"]), history.params["jit_compile"]
        (3, True)

    Reference: https://keras.io/api/models/model_training_apis/
    """
    given = {name: value for name, value in locals().items() if name != "model"}
    check_model("model", model)
    if own := own_method(model, "fit"):
        return own(**given)
    _check_compiled(model)
    batch_size, validation_batch_size = sizes(batch_size=batch_size, validation_batch_size=validation_batch_size)
    given.update(batch_size=batch_size, validation_batch_size=validation_batch_size)
    _check_data(x=x, y=y, sample_weight=sample_weight)
    if not takes(model, (x, y, sample_weight), steps_per_epoch) or x is None:
        return _keras_fit(model, given)
    check_targets(model, y)
    arrays.check_lengths(x=x, y=y, sample_weight=sample_weight)
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = arrays.split((x, y, sample_weight), validation_split)
    shuffling = shuffling_of(model)
    run = ArrayRun(
        model,
        arrays.packed(x, y, sample_weight, class_weight),
        batch_size or 32,
        shuffle,
        shuffling.seed,
        shuffling.times,
    )
    try:
        prepare(model, run)
    except programs.Unsuitable:
        return _keras_fit(model, given)
    return train(
        model,
        run,
        callbacks,
        shuffling,
        epochs=epochs,
        initial_epoch=initial_epoch,
        verbose=verbose,
        validate=validation_of(model, validation_data, validation_batch_size or batch_size, validation_steps),
        validation_freq=validation_freq,
        block_steps=model.steps_per_execution if model.steps_per_execution > 1 else None,
    )


def evaluate(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """The loss and the metrics on samples, as keras.Model.evaluate gives them, many steps in one program.

    Args:
        model, x, y, …: as in `fit` and keras.Model.evaluate.

    Raises:
        InputError: as `fit`.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("adam", "mse")
        >>> tfbp.evaluate(model, np.ones((64, 2)), np.ones(64), verbose=0)
        1.0
    """
    given = {name: value for name, value in locals().items() if name != "model"}
    check_model("model", model)
    if own := own_method(model, "evaluate"):
        return own(**given)
    _check_compiled(model)
    (batch_size,) = sizes(batch_size=batch_size)
    given.update(batch_size=batch_size)
    _check_data(x=x, y=y, sample_weight=sample_weight)
    if not takes(model, (x, y, sample_weight), steps) or x is None:
        return KERAS["evaluate"](model, **given)
    check_targets(model, y)
    run = ArrayRun(model, arrays.packed(x, y, sample_weight), batch_size or 32)
    try:
        logs = _evaluated(model, run, callbacks, 1 if verbose == "auto" else verbose)
    except programs.Unsuitable:
        return KERAS["evaluate"](model, **given)
    return logs if return_dict else model._flatten_metrics_in_order(logs)


def predict(
    model: keras.Model,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """The outputs for samples, as keras.Model.predict gives them, many steps in one program.

    Args:
        model, x, …: as in `fit` and keras.Model.predict; the model need not be compiled.

    Raises:
        InputError: as `fit`.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> tfbp.predict(model, np.ones((3, 2)), verbose=0).tolist()
        [[2.0], [2.0], [2.0]]
    """
    given = {name: value for name, value in locals().items() if name != "model"}
    check_model("model", model)
    if own := own_method(model, "predict"):
        return own(**given)
    (batch_size,) = sizes(batch_size=batch_size)
    given.update(batch_size=batch_size)
    _check_data(x=x)
    plain = not isinstance(callbacks, keras.callbacks.CallbackList) and not any(
        has_any(each, PREDICT_HOOKS) for each in callbacks or []
    )
    if x is None or not plain or not takes(model, (x,), steps):
        return KERAS["predict"](model, **given)
    run = ArrayRun(model, arrays.packed(x), batch_size or 32)
    if not run.is_resident:
        return KERAS["predict"](model, **given)
    shown = keras.callbacks.CallbackList(
        callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=run.steps, model=model
    )
    model.stop_predicting = False
    shown.on_predict_begin()
    shown.on_predict_batch_begin(0)
    try:
        outputs = run.predict()
    except programs.Unsuitable:
        return KERAS["predict"](model, **given)
    shown.on_predict_batch_end(run.steps - 1, {"outputs": outputs})
    shown.on_predict_end()
    return outputs


def train(model: Any, run: ArrayRun, callbacks: Any, shuffling: Shuffling, *, epochs: int, **options: Any) -> Any:
    """`epochs.train` on a run, with what belongs to a fit of Keras's around it: limits, what was chosen, what is kept."""
    limit = keras.config.max_epochs()
    if limit and limit < epochs:
        warnings.warn(f"Limiting epochs to {limit}", stacklevel=3)
        epochs = limit
    options["verbose"] = 1 if options["verbose"] == "auto" else options["verbose"]
    model.array_run = run
    try:
        history = _train(model, run, callbacks, epochs=epochs, began=shuffling.begin, **options)
    finally:
        model.array_run = None
    compiled = run.is_compiled()
    if compiled is not None:
        history.params["jit_compile"] = compiled
        LOG.info("%s: steps %s XLA", model.name, "compiled by" if compiled else "without")
    return history


_train = epochs.train


class Shuffling:
    """What the order of a model's epochs follows from: a seed, and how often it has trained an epoch of each number."""

    def __init__(self, seed: int) -> None:
        self.seed, self.times = seed, {}

    def begin(self, epoch: int) -> None:
        self.times[epoch] = self.times.get(epoch, 0) + 1


def shuffling_of(model: Any, seed: int | None = None) -> Shuffling:
    """A model's own; its seed is that of `keras.utils.set_random_seed`, or drawn once."""
    known = getattr(model, "_tfbp_shuffling", None)
    if seed is None:
        seed = global_state.get_global_attribute("random_seed")
    if known is None or seed not in (None, known.seed):
        drawn = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        known = model._tfbp_shuffling = Shuffling(drawn)
    return known


def takes(model: Any, data: Any, steps: Any = None) -> bool:
    """Whether data and model are for this loop; Keras's own has the rest."""
    return (
        steps is None
        and arrays.in_memory(data)
        and not model.run_eagerly
        and model._distribute_strategy is None
        and not tf.config.functions_run_eagerly()
        and not keras.config.max_steps_per_epoch()
        and not any(_is_overridden(model, name) for name in DRIVERS)
    )


def prepare(model: Any, run: ArrayRun) -> None:
    """Variables of the model and its optimizer, before callbacks look at them."""
    if not model.built:
        run.trace()
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built and model.trainable_variables:
        optimizer.build(model.trainable_variables)


def validation_of(model: Any, data: Any, batch_size: int | None, steps: Any) -> Any:
    """What evaluates between epochs, given the callbacks; None without data."""
    if data is None:
        return None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if own_method(model, "evaluate") or not takes(model, (x, y, sample_weight), steps) or x is None:

        def by_keras(callbacks: Any) -> Any:
            evaluate = own_method(model, "evaluate") or KERAS["evaluate"].__get__(model)
            options = {"batch_size": batch_size, "steps": steps, "callbacks": callbacks, "return_dict": True}
            return evaluate(x=x, y=y, sample_weight=sample_weight, **options)

        return by_keras
    run = ArrayRun(model, arrays.packed(x, y, sample_weight), batch_size or 32)
    return lambda callbacks: _evaluated(model, run, callbacks)


def own_method(model: Any, name: str) -> Any:
    """The model's own fit, evaluate or predict, where its class has one that is not Keras's."""
    return getattr(model, name) if _is_overridden(model, name) else None


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
    if y is None and model._compile_loss is not None and not any(_is_overridden(model, name) for name in steps):
        raise InputError("y: got None; accepted: targets, for the loss that the model was compiled with needs them.")


def _check_compiled(model: Any) -> None:
    if not model.compiled:
        raise InputError(
            f"model: got a {type(model).__name__} that is not compiled; accepted: one after model.compile(…)."
        )


def _check_data(**given: Any) -> None:
    for name, value in given.items():
        arrays.check_data(name, value)


def _keras_fit(model: Any, given: dict[str, Any]) -> keras.callbacks.History:
    return KERAS["fit"](model, **given)


def _evaluated(model: Any, run: ArrayRun, callbacks: Any, verbose: Any = 0) -> Any:
    steps = model.steps_per_execution if model.steps_per_execution > 1 else None
    return epochs.evaluate(model, run, callbacks, verbose, steps)


def _is_overridden(model: Any, name: str) -> bool:
    """Whether a method is not Keras's: a class of the model's, or the model itself, has one of its own."""
    if name in vars(model):
        return True
    owner = next(each for each in type(model).__mro__ if name in vars(each))
    return not owner.__module__.startswith("keras.")
