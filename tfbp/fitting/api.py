"""fit, evaluate and predict of any compiled keras.Model: Keras's arguments and results, at the speed of the arithmetic.

N samples, B batch.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting import arrays, own_methods, plans
from tfbp.fitting.contract import (
    KERAS,
    check_data,
    check_model,
    check_takes,
    privacy_of,
    sizes,
    why_keras,
)
from tfbp.fitting.hooks import PREDICT_HOOKS, flat, has_any
from tfbp.fitting.rules import Rules
from tfbp.fitting.run import ArrayRun
from tfbp.fitting.steps import Unsuitable


@own_methods.by_the_model_s_own(lambda: _ours())
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

    The model's own `train_step` is what is run. Arrays in memory are copied to the device once, and each step gathers
    its batch there; of a tf.data.Dataset that knows how many batches it has, many are taken in one call; everything
    else (other datasets, generators, PyDataset, memory-mapped arrays, strings, steps_per_epoch, run_eagerly, a
    distribution strategy, a step that draws seeded numbers by tf.random) takes Keras's own loop, with the same results.
    Without XLA, and in order (shuffle=False), the weights are Keras's to the bit; with XLA they are to rounding, and
    dropout draws other numbers.

    A model with a `fit` of its own is trained by that, also with keywords that only it has; what it calls by
    `super().fit(…)` is this.

    `compile(jit_compile="auto")` compiles a step where that pays for as many steps as this fit has, and where XLA
    computes what TensorFlow does; `TFBP_AUTO_XLA` in the environment may be "on" or "off".
    `history.params["jit_compile"]` says which it was, and "keras" where Keras's own loop was taken; the log "tfbp" has
    a line that says why. A callback with a hook for batches of its own is called at every batch, and then every batch
    is a program's call. The order of an epoch's rows follows from `keras.utils.set_random_seed`, the epoch's number,
    and how often the model has trained an epoch of that number.

    Args:
        model: compiled, on the TensorFlow backend; a `tfbp.Model` is trained by its own fit.
        x, y, …: as in keras.Model.fit. Of a generator as validation_data, each epoch takes the next batches.
        clip_per_example: as in `tfbp.Model.fit`, of a `tfbp.Model` alone.
        privacy: a `tfbp.Privacy`, for differentially private training; the history has a report on it, `privacy`.

    Raises:
        InputError: a model that is not compiled or of another backend, no y where the loss needs one, unequal lengths,
            a batch size below 1, data that are neither arrays nor a dataset, another word as `TFBP_AUTO_XLA`.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> history = tfbp.fit(model, np.ones((64, 2)), np.ones(64), epochs=3, verbose=0)
        >>> len(history.history["loss"]), history.params["jit_compile"]
        (3, False)

    Reference: https://keras.io/api/models/model_training_apis/
    """
    special = {"clip_per_example": clip_per_example, "privacy": privacy}
    others = ("model", "special", *special)
    given = {name: value for name, value in locals().items() if name not in others}
    given.pop("others", None)
    check_model("model", model)
    special = {name: value for name, value in special.items() if value is not None}
    if privacy is not None:
        if clip_per_example is not None:
            raise InputError(
                f"clip_per_example: got {clip_per_example!r} beside privacy; accepted: None, its clip is the Privacy's."
            )
        return privacy_of(privacy).fit(model, given)
    check_takes(model.fit, special)
    return plans.fit(model, given)


@own_methods.by_the_model_s_own(lambda: _ours())
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
    **others: Any,
) -> Any:
    """The loss and the metrics on samples, as keras.Model.evaluate gives them, many steps in one program.

    Args:
        model, x, y, …: as in `fit` and keras.Model.evaluate.
        others: other arguments of the model's own evaluate.

    Raises:
        InputError: as `fit`.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> model.compile("adam", "mse")
        >>> tfbp.evaluate(model, np.ones((64, 2)), np.ones(64), verbose=0)
        1.0
    """
    given = {name: value for name, value in locals().items() if name not in ("model", "others")}
    check_model("model", model)
    # what Keras's own fit asks for, between epochs
    of_fit = {name: others.pop(name) for name in ("_use_cached_eval_dataset",) if name in others}
    if others:
        raise TypeError(f"evaluate() got an unexpected keyword argument {min(others)!r}")
    return plans.evaluate(model, given, of_fit)


@own_methods.by_the_model_s_own(lambda: _ours())
def predict(
    model: keras.Model,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
    **of_model: Any,
) -> Any:
    """The outputs for samples, as keras.Model.predict gives them, many steps in one program.

    Args:
        model, x, …: as in `fit` and keras.Model.predict; the model need not be compiled.
        of_model: other arguments of the model's own predict.

    Raises:
        InputError: as `fit`.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        >>> tfbp.predict(model, np.ones((3, 2)), verbose=0).tolist()
        [[2.0], [2.0], [2.0]]
    """
    given = {name: value for name, value in locals().items() if name not in ("model", "of_model")}
    check_model("model", model)
    if of_model:
        raise TypeError(f"predict() got an unexpected keyword argument {min(of_model)!r}")
    (batch_size,) = sizes(batch_size=batch_size)
    given.update(batch_size=batch_size)
    check_data(x=x)
    plain = not isinstance(callbacks, keras.callbacks.CallbackList) and not any(
        has_any(callback, PREDICT_HOOKS) for callback in flat(callbacks)
    )
    if x is None or not plain or why_keras(model, (x,), steps=steps):
        return KERAS["predict"](model, **given)
    run = ArrayRun(model, arrays.packed(x), batch_size or 32, passes=1)
    try:
        plans.trace(Rules(model), run, "predict", callbacks)
    except Unsuitable:
        return KERAS["predict"](model, **given)
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
    except (tf.errors.InvalidArgumentError, ValueError):
        # a batch's outputs have another number of rows than the batch, which is known only now; or Keras says it better
        outputs = KERAS["predict"](model, **{**given, "verbose": 0, "callbacks": None})
    shown.on_predict_batch_end(run.steps - 1, {"outputs": outputs})
    shown.on_predict_end()
    return outputs


def _ours() -> dict[str, Any]:
    """The functions that a model's own methods reach by `super()`."""
    return {"fit": fit, "evaluate": evaluate, "predict": predict}
