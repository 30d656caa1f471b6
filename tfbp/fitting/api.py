"""fit, evaluate and predict of any compiled keras.Model: Keras's arguments and results, at the speed of the arithmetic.

N samples, B batch.
"""

from __future__ import annotations

from typing import Any

import keras

from tfbp.fitting import arrays, datasets, programs
from tfbp.fitting import epochs as loop
from tfbp.fitting.contract import (
    KERAS,
    build_optimizer,
    check_compiled,
    check_data,
    check_model,
    check_takes,
    check_targets,
    own_method,
    privacy_of,
    sizes,
    takes,
)
from tfbp.fitting.pace import PREDICT_HOOKS, has_any
from tfbp.fitting.run import ArrayRun, Run
from tfbp.fitting.shuffling import shuffling_of


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
    clip_per_example: float | None = None,
    privacy: Any = None,
) -> keras.callbacks.History:
    """Train any compiled keras.Model as its own fit does, many steps in one program.

    The model's own `train_step` is what is run. Arrays in memory are put on the device once, and each step gathers its
    batch there; of a tf.data.Dataset that knows how many batches it has, many are taken in one call; everything else
    (other datasets, generators, PyDataset, memory-mapped arrays, steps_per_epoch, run_eagerly, a distribution strategy)
    takes Keras's own loop, with the same results. Without XLA, and in order (shuffle=False), the
    weights are Keras's to the bit; with XLA they are to rounding, and dropout draws other numbers.

    `compile(jit_compile="auto")` means what is faster for this model on this device; `history.params["jit_compile"]`
    says which it was. A callback with a hook for batches of its own is called at every batch, and then every batch is a
    program's call. The order of an epoch's rows follows from `keras.utils.set_random_seed`, the epoch's number, and how
    often the model has trained an epoch of that number.

    Args:
        model: compiled, on the TensorFlow backend; a `tfbp.Model` is trained by its own fit.
        x, y, …: as in keras.Model.fit.
        clip_per_example: as in `tfbp.Model.fit`, of a `tfbp.Model` alone.
        privacy: a `tfbp.Privacy`, for differentially private training; the history has a report on it, `privacy`.

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
    special = {"clip_per_example": clip_per_example, "privacy": privacy}
    given = {name: value for name, value in locals().items() if name not in ("model", "special", *special)}
    check_model("model", model)
    special = {name: value for name, value in special.items() if value is not None}
    if own := own_method(model, "fit"):
        check_takes(own, special)
        return own(**given, **special)
    if privacy is not None:
        return privacy_of(privacy).fit(model, given)
    check_takes(model.fit, special)
    check_compiled(model)
    batch_size, validation_batch_size = sizes(batch_size=batch_size, validation_batch_size=validation_batch_size)
    given.update(batch_size=batch_size, validation_batch_size=validation_batch_size)
    check_data(x=x, y=y, sample_weight=sample_weight)
    others = (y, sample_weight, class_weight, batch_size, steps_per_epoch, validation_split or None)
    if datasets.alone(*others) and (stream := datasets.run_of(model, "train", x)) is not None:
        return _train(model, stream, given)
    if not takes(model, (x, y, sample_weight), steps_per_epoch) or x is None:
        return KERAS["fit"](model, **given)
    check_targets(model, y)
    arrays.check_lengths(x=x, y=y, sample_weight=sample_weight)
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = arrays.split((x, y, sample_weight), validation_split)
    data = arrays.packed(x, y, sample_weight, class_weight)
    run = ArrayRun(model, data, batch_size or 32, shuffle, shuffling_of(model))
    if not _fits_into_a_loop(run, "train"):
        return KERAS["fit"](model, **given)
    return _train(model, run, {**given, "validation_data": validation_data})


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
    **of_fit: Any,
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
    given = {name: value for name, value in locals().items() if name not in ("model", "of_fit")}
    # what Keras's own fit asks for, between epochs
    if unknown := of_fit.keys() - {"_use_cached_eval_dataset"}:
        raise TypeError(f"evaluate() got an unexpected keyword argument {min(unknown)!r}")
    check_model("model", model)
    if own := own_method(model, "evaluate"):
        return own(**given, **of_fit)
    check_compiled(model)
    (batch_size,) = sizes(batch_size=batch_size)
    given.update(batch_size=batch_size)
    check_data(x=x, y=y, sample_weight=sample_weight)
    run: Run | None = None
    if datasets.alone(y, sample_weight, batch_size, steps) and not of_fit:
        run = datasets.run_of(model, "test", x)
    if run is None:
        if of_fit or not takes(model, (x, y, sample_weight), steps) or x is None:
            return KERAS["evaluate"](model, **given, **of_fit)
        check_targets(model, y)
        run = ArrayRun(model, arrays.packed(x, y, sample_weight), batch_size or 32)
        if not _fits_into_a_loop(run, "test"):
            return KERAS["evaluate"](model, **given)
    logs = _evaluated(model, run, callbacks, 1 if verbose == "auto" else verbose)
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
    check_data(x=x)
    plain = not isinstance(callbacks, keras.callbacks.CallbackList) and not any(
        has_any(each, PREDICT_HOOKS) for each in callbacks or []
    )
    if x is None or not plain or not takes(model, (x,), steps):
        return KERAS["predict"](model, **given)
    run = ArrayRun(model, arrays.packed(x), batch_size or 32)
    if not run.is_resident or not _fits_into_a_loop(run, "predict"):
        return KERAS["predict"](model, **given)
    shown = keras.callbacks.CallbackList(
        callbacks, add_progbar=verbose != 0, verbose=verbose, epochs=1, steps=run.steps, model=model
    )
    model.stop_predicting = False
    shown.on_predict_begin()
    shown.on_predict_batch_begin(0)
    outputs = run.predict()
    shown.on_predict_batch_end(run.steps - 1, {"outputs": outputs})
    shown.on_predict_end()
    return outputs


def _train(model: Any, run: Run, given: dict[str, Any]) -> keras.callbacks.History:
    """Train on a run, with the rest of what `fit` was given."""
    build_optimizer(model)
    batch_size = given["validation_batch_size"] or given["batch_size"]
    return loop.train(
        model,
        run,
        given["callbacks"],
        epochs=given["epochs"],
        initial_epoch=given["initial_epoch"],
        verbose=given["verbose"],
        validate=validation_of(model, given["validation_data"], batch_size, given["validation_steps"]),
        validation_freq=given["validation_freq"],
        block_steps=model.steps_per_execution if model.steps_per_execution > 1 else None,
    )


def validation_of(model: Any, data: Any, batch_size: int | None, steps: Any) -> Any:
    """What evaluates between epochs, given the callbacks; None without data."""
    if data is None:
        return None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if not own_method(model, "evaluate"):
        run: Run | None = None
        if x is not None and takes(model, (x, y, sample_weight), steps):
            run = ArrayRun(model, arrays.packed(x, y, sample_weight), batch_size or 32)
            run = run if _fits_into_a_loop(run, "test") else None
        elif datasets.alone(y, sample_weight, steps):
            run = datasets.run_of(model, "test", x)
        if run is not None:
            return lambda callbacks: _evaluated(model, run, callbacks)
    evaluate = own_method(model, "evaluate") or KERAS["evaluate"].__get__(model)
    options = {"batch_size": batch_size, "steps": steps, "return_dict": True}
    return lambda callbacks: evaluate(x=x, y=y, sample_weight=sample_weight, callbacks=callbacks, **options)


def _evaluated(model: Any, run: Run, callbacks: Any, verbose: Any = 0) -> Any:
    steps = model.steps_per_execution if model.steps_per_execution > 1 else None
    return loop.evaluate(model, run, callbacks, verbose, steps)


def _fits_into_a_loop(run: ArrayRun, name: str) -> bool:
    try:
        run.trace(name)
    except programs.Unsuitable:
        return False
    return True
