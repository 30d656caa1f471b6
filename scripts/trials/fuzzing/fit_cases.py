"""Models and options of fit, as Hypothesis draws them: tfbp.fit, evaluate and predict against keras.Model's own.

A case is a dict of named choices: the model, the data, the arguments of compile and fit. Hypothesis reduces a case that
fails towards the first option of every choice. The tolerance is 1e-4 with XLA; without XLA it is 0, or 1e-5 if the last
bit is not requested. shuffle=False.

N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from hypothesis import strategies

import tfbp

# relative: with XLA, where Adam's first steps make much of a gradient that is nothing but rounding; and without
WITH_XLA, WITHOUT = 1e-4, 1e-5
KINDS = ("table", "words", "sequence", "two")
X_KINDS = ("float32", "float64", "uint8", "int64", "bool")
LOSSES = ("mse", "binary_crossentropy", "sparse_categorical_crossentropy", "categorical_crossentropy")
UNITS = {"mse": 1, "binary_crossentropy": 1, "sparse_categorical_crossentropy": 3, "categorical_crossentropy": 3}
LAST = {"mse": None, "binary_crossentropy": "sigmoid"}


class Hooks(keras.callbacks.Callback):
    """The arguments of the call.

    If a program has several steps, Keras's number of an epoch's last step can be too large.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("end", self.number(batch), logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("test", self.number(batch), logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch", epoch, logs))

    def number(self, batch: int) -> int | None:
        return batch if self.model.steps_per_execution == 1 else None


class Case:
    """One model, its data and its options.

    Args:
        chosen: choices by name; every other is the first of its options, or drawn.
        data: Hypothesis's interactive draws, or None.
    """

    def __init__(self, chosen: dict[str, Any] | None = None, data: Any = None) -> None:
        self.chosen, self.data, self.refused = dict(chosen or {}), data, ""

    def choose(self, name: str, options: Sequence[Any]) -> Any:
        """Returns one of the options, the same each time; an option that is repeated is drawn as often."""
        if name not in self.chosen:
            self.chosen[name] = self.data.draw(strategies.sampled_from(options)) if self.data else options[0]
        return self.chosen[name]

    def choose_some(self, name: str, options: Sequence[str], least: int, most: int) -> list[str]:
        """Returns some of the options, in any order."""
        if name not in self.chosen:
            some = strategies.lists(strategies.sampled_from(options), min_size=least, max_size=most, unique=True)
            self.chosen[name] = self.data.draw(some) if self.data else list(options[:least])
        return self.chosen[name]

    def number(self, name: str, largest: int) -> int:
        """Returns a number from 0 to the largest."""
        if name not in self.chosen:
            self.chosen[name] = self.data.draw(strategies.integers(0, largest)) if self.data else 0
        return self.chosen[name]

    @property
    def seed(self) -> int:
        return self.number("seed", 2**16)

    @property
    def kind(self) -> str:
        """The kind of x: "table", "words", "sequence" or "two" inputs and outputs."""
        return self.choose("kind", KINDS)

    @property
    def jit(self) -> bool:
        return self.choose("jit_compile", [*[False] * 6, True])

    def __str__(self) -> str:
        return f"Case({self.chosen})"


def difference(case: Case, exact: bool = True) -> str | None:
    """Returns how tfbp's training differs from Keras's, in one line; None where it does not."""
    tolerance = WITH_XLA if case.jit else 0.0 if exact else WITHOUT
    outcomes = [outcome_of(case, with_tfbp) for with_tfbp in (True, False)]
    ours, theirs = outcomes
    case.refused = theirs.get("error", "")
    for name in {"error": None, **theirs, **ours}:
        if name not in ours and name not in theirs:
            continue
        if name not in ours or name not in theirs:
            where, error = ("tfbp", ours[name]) if name in ours else ("Keras", theirs[name])
            if name == "error":
                return f"only {where} refuses: {error}"
            continue
        if name != "error" and (found := unequal(ours[name], theirs[name], tolerance)):
            return f"{name}{found}"
    return None


def outcome_of(case: Case, with_tfbp: bool) -> dict[str, Any]:
    """Returns history, weights, the calls of hooks, evaluate and predict after a training; or the error's kind."""
    keras.utils.set_random_seed(case.seed)
    model = model_of(case)
    x, y = data_of(case)
    options, callbacks = fit_options(case, x, y)
    fit, evaluate, predict = (
        getattr(tfbp if with_tfbp else type(model), name) for name in ("fit", "evaluate", "predict")
    )
    try:
        history = fit(model, x, y, shuffle=False, verbose=0, callbacks=callbacks, **options)
    except Exception as error:  # whatever it is: the other is to refuse it, too
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
    if with_tfbp and getattr(model, "_tfbp_programs", None) is None:
        return {"error": "Keras's own loop was taken"}
    batch_size, weight = case.choose("evaluate batch", [None, 5, 8]), weights_of(case, "evaluate", rows_of(x))
    common = {"batch_size": batch_size, "verbose": 0}
    # a function that was traced for the sizes of validation batches, too, rounds otherwise than one for these alone
    model.test_function = None
    outcome = {
        "keys": list(history.history),
        "epochs": history.epoch,
        "history": history.history,
        "variables": [variable.numpy() for variable in model.variables],
        "optimizer": [variable.numpy() for variable in model.optimizer.variables],
        "calls": [callback.calls for callback in callbacks if isinstance(callback, Hooks)],
        "evaluate": evaluate(model, x, y, sample_weight=weight, **common),
        "evaluate as dict": evaluate(model, x, y, return_dict=True, **common),
    }
    # with more, Keras's own predict differs from itself: TensorFlow takes the last activation out of its concatenation
    model.steps_per_execution, model.predict_function = 1, None
    return {**outcome, "predict": predict(model, x, **common)}


def unequal(got: Any, expected: Any, tolerance: float, path: str = "") -> str | None:
    """Where two structures of numbers differ first, and how; None where they do not."""
    if isinstance(expected, dict | list | tuple):
        if type(got) is not type(expected) or len(got) != len(expected):
            return f"{path}: {got!r}, not {expected!r}"
        if isinstance(expected, dict) and list(got) != list(expected):
            return f"{path}: keys {list(got)}, not {list(expected)}"
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            if found := unequal(got[key], expected[key], tolerance, f"{path}[{key!r}]"):
                return found
        return None
    if type(got) is not type(expected):
        return f"{path}: a {type(got).__name__}, not a {type(expected).__name__}"
    one, other = np.asarray(got), np.asarray(expected)
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return f"{path}: {one.dtype}{one.shape}, not {other.dtype}{other.shape}"
    # an absolute part, too: some numbers are next to nothing
    is_close = one.dtype.kind in "fc" and np.allclose(one, other, tolerance, tolerance / 10, equal_nan=True)
    if is_close or np.array_equal(one, other):
        return None
    if one.dtype.kind != "f":
        return f"{path}: {got!r}, not {expected!r}"
    return f"{path}: by up to {np.max(np.abs(one - other)):.2g} of {np.max(np.abs(other)):.2g}"


def losses_of(case: Case) -> list[str]:
    return [case.choose(f"loss {number}", LOSSES) for number in range(2 if case.kind == "two" else 1)]


def model_of(case: Case) -> keras.Model:
    """Returns a compiled model, every layer and metric with a name; the same each time."""
    losses, layers = losses_of(case), keras.layers
    heads = [layers.Dense(UNITS[loss], LAST.get(loss, "softmax"), name=f"out{i}") for i, loss in enumerate(losses)]
    if case.kind == "two":
        a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
        hidden = layers.Concatenate(name="both")([layers.Dense(5, "tanh", name="left")(a), b])
        for layer in hidden_layers(case):
            hidden = layer(hidden)
        outputs = [head(hidden) for head in heads]
        as_dict = takes_dicts(case)
        inputs = {"a": a, "b": b} if as_dict else [a, b]
        outputs = {f"out{i}": output for i, output in enumerate(outputs)} if as_dict else outputs
        model = keras.Model(inputs, outputs, name="two")
    else:
        first, shape = {
            "table": ([], (6,)),
            "words": ([layers.Embedding(10, 4, name="words")], (5,)),
            "sequence": ([], (5, 3)),
        }[case.kind]
        if case.kind != "table":
            first += {
                "flat": lambda: [layers.Conv1D(4, 2, name="conv"), layers.Flatten(name="flat")],
                "pool": lambda: [layers.Conv1D(4, 2, name="conv"), layers.GlobalAveragePooling1D(name="pool")],
                "lstm": lambda: [layers.LSTM(4, name="lstm")],
            }[case.choose("first", ["flat", "pool", "lstm"])]()
        stack = [*first, *hidden_layers(case), *heads]
        if case.choose("sequential", [True, False]):
            model = keras.Sequential([keras.Input(shape, name="x"), *stack], name="sequential")
        else:
            tensor = given = keras.Input(shape, name="x")
            for layer in stack:
                tensor = layer(tensor)
            model = keras.Model(given, tensor, name="functional")
    for layer in model.layers:
        if layer not in heads and layer.weights and case.choose(f"frozen {layer.name}", [*[False] * 9, True]):
            layer.trainable = False
    compile_model(case, model, losses)
    return model


def hidden_layers(case: Case) -> list[keras.Layer]:
    layers = keras.layers
    makers = {
        "relu": lambda name: layers.Dense(5, "relu", name=name),
        "gelu": lambda name: layers.Dense(4, "gelu", kernel_regularizer="l2", name=name),
        "batch": lambda name: layers.BatchNormalization(name=name),
        "dropout": lambda name: layers.Dropout(0.3, seed=7, name=name),
        "layer": lambda name: layers.LayerNormalization(name=name),
    }
    names = [f"hidden{number}" for number in range(case.choose("hidden", [0, 1, 2, 3]))]
    return [makers[case.choose(name, [*makers])](name) for name in names]


def compile_model(case: Case, model: keras.Model, losses: list[str]) -> None:
    optimizers = keras.optimizers
    makers = {
        "momentum": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        "adam": lambda: optimizers.Adam(0.01),
        "rmsprop": lambda: optimizers.RMSprop(0.003),
        "adamw": lambda: optimizers.AdamW(0.01, clipnorm=0.5),
        "ema": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8),
        "ema2": lambda: optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2),
    }
    optimizer = makers[case.choose("optimizer", [*makers])]()
    metrics = [metrics_of(case, loss, number) for number, loss in enumerate(losses)]
    keep = case.choose("metrics", [False, *[True] * 4])
    # Keras refuses the mean error of three outputs and one class
    weighted = not losses[0].startswith("sparse") and case.choose("weighted metrics", [False, False, True])
    options: dict[str, Any] = {"loss": losses[0], "metrics": metrics[0] if keep else None}
    if weighted:
        options["weighted_metrics"] = [keras.metrics.MeanAbsoluteError(name="weighted")]
    if case.kind == "two":
        options = {"loss": paired(case, losses), "metrics": paired(case, metrics) if keep else None}
        if weighted:
            options["loss_weights"] = paired(case, [2.0, 0.5])
    steps = case.choose("steps_per_execution", [1, 1, 2, 3])
    model.compile(optimizer, steps_per_execution=steps, jit_compile=case.jit, **options)


def metrics_of(case: Case, loss: str, number: int) -> list[Any]:
    metrics = keras.metrics
    if loss == "mse":
        return ["mae"]
    makers = {"accuracy": lambda: "accuracy"}
    if loss == "binary_crossentropy":
        makers["auc"] = lambda: metrics.AUC(name=f"auc{number}")
        makers["precision"] = lambda: metrics.Precision(thresholds=[0.2, 0.5], name=f"precision{number}")
    if loss == "categorical_crossentropy":
        makers["f1"] = lambda: metrics.F1Score(name=f"f1{number}")
        makers["auc"] = lambda: metrics.AUC(name=f"auc{number}")
    return [makers[name]() for name in case.choose_some(f"metrics {number}", [*makers], 1, len(makers))]


def data_of(case: Case) -> tuple[Any, Any]:
    """Returns x and y; N from 20 to 50."""
    losses, rng = losses_of(case), np.random.default_rng(case.seed)
    count = case.choose("rows", [20, 24, 32, 37, 48])
    if case.kind == "words":
        x: Any = rng.integers(0, 10, (count, 5)).astype(case.choose("x", ["int64", "int32", "uint8", "float32"]))
    elif case.kind == "two":
        kinds = [case.choose(f"x {number}", X_KINDS) for number in range(2)]
        x = [numbers(rng, (count, width), kind) for width, kind in zip((6, 4), kinds, strict=True)]
    else:
        x = numbers(rng, (count, 6) if case.kind == "table" else (count, 5, 3), case.choose("x", X_KINDS))
    y = [targets(case, rng, loss, number) for number, loss in enumerate(losses)]
    if case.kind != "two":
        return x, y[0]
    return ({"b": x[1], "a": x[0]} if takes_dicts(case) else x), paired(case, y)


def rows_of(x: Any) -> int:
    return len(keras.tree.flatten(x)[0])


def takes_dicts(case: Case) -> bool:
    """Whether two inputs, and two outputs, come as dicts and not as lists."""
    return case.choose("dicts", [False, True])


def paired(case: Case, values: list[Any]) -> Any:
    """Returns the losses and metrics of the two outputs."""
    return {"out1": values[1], "out0": values[0]} if takes_dicts(case) else values


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    drawn = rng.normal(size=shape)
    return (
        drawn > 0
        if kind == "bool"
        else (3 * abs(drawn)).astype(kind)
        if kind in ("uint8", "int64")
        else drawn.astype(kind)
    )


def targets(case: Case, rng: np.random.Generator, loss: str, number: int) -> np.ndarray:
    count = case.chosen["rows"]
    if loss == "categorical_crossentropy":
        y, kinds = np.eye(3)[rng.integers(0, 3, count)], X_KINDS
    elif loss == "sparse_categorical_crossentropy":
        y, kinds = rng.integers(0, 3, count), ("float32", "float64", "uint8", "int64")
    elif loss == "binary_crossentropy":
        y, kinds = rng.integers(0, 2, count), X_KINDS
    else:
        y, kinds = 2 * abs(rng.normal(size=count)), X_KINDS
    y = y.astype(case.choose(f"y {number}", kinds))
    return y[:, None] if y.ndim == 1 and case.choose(f"column {number}", [False, True]) else y


def weights_of(case: Case, use: str, rows: int) -> Any:
    """Returns one weight for each row, or for each row and output; or None."""
    if not case.choose(f"{use} weight", [False, True]):
        return None
    rng = np.random.default_rng(case.number(f"{use} weight seed", 99))
    kind = case.choose(f"{use} weight dtype", ["float32", "float64"])
    weights = [rng.uniform(0.5, 2, rows).astype(kind) for _ in range(2)]
    return paired(case, weights) if case.kind == "two" else weights[0]


def fit_options(case: Case, x: Any, y: Any) -> tuple[dict[str, Any], list[Any]]:
    """Returns fit's arguments without data and callbacks; and the callbacks."""
    options: dict[str, Any] = {
        "batch_size": case.choose("batch_size", [None, 5, 8, 12, 64]),
        "epochs": case.choose("epochs", [2, 3, 4]),
    }
    if case.choose("initial_epoch", [*[False] * 4, True]):
        options["initial_epoch"] = 1
    weight = weights_of(case, "fit", rows_of(x))
    class_weight = "none" if case.kind == "two" else case.choose("class_weight", [*["none"] * 7, "all", "all", "one"])
    if class_weight != "none":
        options["class_weight"] = {0: 0.3, 1: 0.7, 2: 2.0} if class_weight == "all" else {1: 2}
    elif weight is not None:
        options["sample_weight"] = weight
    kinds = ["none", "none", "split", "tuple", "list", "weighted", "tf.data"]
    validation = case.choose("validation", kinds)
    first = keras.tree.map_structure(lambda leaf: leaf[:15], (x, y))
    if validation == "split":
        options["validation_split"] = case.choose("validation_split", [0.2, 0.35])
    elif validation == "list" and case.kind != "two":
        options["validation_data"] = list(first)
    elif validation == "weighted":
        weight = weights_of(case, "validation", 15)
        options["validation_data"] = (*first, weight) if weight is not None else first
    elif validation == "tf.data":
        options["validation_data"] = tf.data.Dataset.from_tensor_slices(keras.tree.lists_to_tuples(first)).batch(6)
    elif validation != "none":
        options["validation_data"] = first
    if validation != "none" and case.choose("validation often", [False, True]):
        options.update(validation_freq=case.choose("validation_freq", [1, 2]))
        if validation not in ("tf.data", "split"):
            options["validation_batch_size"] = 4
    monitor = "loss" if validation == "none" or options.get("validation_freq") == 2 else "val_loss"
    makers = {
        "Hooks": Hooks,
        "EarlyStopping": lambda: keras.callbacks.EarlyStopping(monitor, patience=1, restore_best_weights=True),
        "EarlyStopping, far": lambda: keras.callbacks.EarlyStopping(monitor, min_delta=1.0, patience=0),
        "ReduceLROnPlateau": lambda: keras.callbacks.ReduceLROnPlateau(monitor, 0.5, patience=0, min_delta=0.1),
        "LearningRateScheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.7 * rate),
    }
    return options, [makers[name]() for name in case.choose_some("callbacks", [*makers], 0, 2)]
