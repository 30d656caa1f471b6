"""Random models and random options of fit: tfbp.fit, evaluate and predict against keras.Model's own, shuffle=False.

A case follows from its number: the model, the data, what compile and fit are given. With XLA all is to be Keras's to
1e-4; without, to the last bit or, where that is not asked for, to 1e-5.

N samples.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfbp

# relative: with XLA, where Adam's first steps make much of a gradient that is nothing but rounding; and without
WITH_XLA, WITHOUT = 1e-4, 1e-5
X_KINDS = ("float32", "float64", "uint8", "int64", "bool")
LOSSES = ("mse", "binary_crossentropy", "sparse_categorical_crossentropy", "categorical_crossentropy")
UNITS = {"mse": 1, "binary_crossentropy": 1, "sparse_categorical_crossentropy": 3, "categorical_crossentropy": 3}
LAST = {"mse": None, "binary_crossentropy": "sigmoid"}


class Hooks(keras.callbacks.Callback):
    """What it is called with.

    Where a program has several steps, Keras names as the last of an epoch one that it did not have.
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


@dataclass(frozen=True)
class Case:
    """One model, its data and its options.

    Attributes:
        seed: the case's number.
        kind: what x is: "table", "words", "sequence" or "two" inputs and outputs.
        jit: what compile is told.
        notes: what was drawn, for whoever reads of a failure.
    """

    seed: int
    kind: str
    jit: bool
    notes: dict[str, Any] = field(default_factory=dict, compare=False)

    def draw(self, what: str) -> random.Random:
        """Random choices for one part of the case, the same each time."""
        return random.Random(f"{self.seed}-{what}")

    def note(self, **given: Any) -> None:
        self.notes.update(given)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.notes.items() if value not in (None, [], False))
        return f"seed {self.seed}: {self.kind}, jit_compile={self.jit}, {told}"


def case_of(seed: int) -> Case:
    draw = random.Random(seed)
    kind = draw.choice(["table", "table", "table", "words", "sequence", "two"])
    return Case(seed, kind, draw.random() < 0.15)


def difference(case: Case, exact: bool = True) -> str | None:
    """How tfbp's training differs from Keras's, in one line; None where it does not."""
    tolerance = WITH_XLA if case.jit else 0.0 if exact else WITHOUT
    outcomes = [outcome_of(case, with_tfbp) for with_tfbp in (True, False)]
    ours, theirs = outcomes
    if "error" in theirs:
        case.note(refused=theirs["error"])
    for name in {"error": None, **theirs, **ours}:
        if name not in ours and name not in theirs:
            continue
        if name not in ours or name not in theirs:
            where, told = ("tfbp", ours[name]) if name in ours else ("Keras", theirs[name])
            if name == "error":
                return f"only {where} refuses: {told}"
            continue
        if name != "error" and (found := unequal(ours[name], theirs[name], tolerance)):
            return f"{name}{found}"
    return None


def outcome_of(case: Case, with_tfbp: bool) -> dict[str, Any]:
    """All that a training leaves: history, weights, the calls of hooks, evaluate, predict; or that it was refused."""
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
    draw = case.draw("evaluate")
    batch_size, weight = draw.choice([None, 5, 8]), weights_of(case, draw, len(keras.tree.flatten(x)[0]))
    told = {"batch_size": batch_size, "verbose": 0}
    # a function that was traced for the sizes of validation batches, too, rounds otherwise than one for these alone
    model.test_function = None
    outcome = {
        "keys": list(history.history),
        "epochs": history.epoch,
        "history": history.history,
        "variables": [each.numpy() for each in model.variables],
        "optimizer": [each.numpy() for each in model.optimizer.variables],
        "calls": [callback.calls for callback in callbacks if isinstance(callback, Hooks)],
        "evaluate": evaluate(model, x, y, sample_weight=weight, **told),
        "evaluate as dict": evaluate(model, x, y, return_dict=True, **told),
    }
    # with more, Keras's own predict differs from itself: TensorFlow takes the last activation out of its concatenation
    model.steps_per_execution, model.predict_function = 1, None
    return {**outcome, "predict": predict(model, x, **told)}


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
    draw = case.draw("loss")
    return [draw.choice(LOSSES) for _ in range(2 if case.kind == "two" else 1)]


def model_of(case: Case) -> keras.Model:
    """A compiled model, every layer and metric with a name; the same each time."""
    draw = case.draw("model")
    losses, layers = losses_of(case), keras.layers
    heads = [layers.Dense(UNITS[loss], LAST.get(loss, "softmax"), name=f"out{i}") for i, loss in enumerate(losses)]
    if case.kind == "two":
        a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
        hidden = layers.Concatenate(name="both")([layers.Dense(5, "tanh", name="left")(a), b])
        for layer in hidden_layers(draw):
            hidden = layer(hidden)
        outputs = [head(hidden) for head in heads]
        as_dict = takes_dicts(case)
        inputs = {"a": a, "b": b} if as_dict else [a, b]
        outputs = {f"out{i}": each for i, each in enumerate(outputs)} if as_dict else outputs
        model = keras.Model(inputs, outputs, name="two")
    else:
        first, shape = {
            "table": ([], (6,)),
            "words": ([layers.Embedding(10, 4, name="words")], (5,)),
            "sequence": ([], (5, 3)),
        }[case.kind]
        if case.kind != "table":
            first += draw.choice(
                [
                    [layers.LSTM(4, name="lstm")],
                    [layers.Conv1D(4, 2, name="conv"), layers.GlobalAveragePooling1D(name="pool")],
                    [layers.Conv1D(4, 2, name="conv"), layers.Flatten(name="flat")],
                ]
            )
        stack = [*first, *hidden_layers(draw), *heads]
        if draw.random() < 0.5:
            model = keras.Sequential([keras.Input(shape, name="x"), *stack], name="sequential")
        else:
            tensor = given = keras.Input(shape, name="x")
            for layer in stack:
                tensor = layer(tensor)
            model = keras.Model(given, tensor, name="functional")
    frozen = [layer.name for layer in model.layers if layer not in heads and layer.weights and draw.random() < 0.1]
    for name in frozen:
        model.get_layer(name).trainable = False
    compile_model(case, model, losses)
    names = [type(layer).__name__ for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    case.note(model="-".join(names), frozen=frozen)
    return model


def hidden_layers(draw: random.Random) -> list[keras.Layer]:
    layers = keras.layers
    made = []
    for number in range(draw.randint(0, 3)):
        name = f"hidden{number}"
        made.append(
            draw.choice(
                [
                    lambda name=name: layers.Dense(5, "relu", name=name),
                    lambda name=name: layers.Dense(4, "gelu", kernel_regularizer="l2", name=name),
                    lambda name=name: layers.BatchNormalization(name=name),
                    lambda name=name: layers.Dropout(0.3, seed=7, name=name),
                    lambda name=name: layers.LayerNormalization(name=name),
                ]
            )()
        )
    return made


def compile_model(case: Case, model: keras.Model, losses: list[str]) -> None:
    draw, optimizers = case.draw("compile"), keras.optimizers
    name, optimizer = draw.choice(
        [
            ("adam", lambda: optimizers.Adam(0.01)),
            ("momentum", lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True)),
            ("rmsprop", lambda: optimizers.RMSprop(0.003)),
            ("adamw", lambda: optimizers.AdamW(0.01, clipnorm=0.5)),
            ("ema", lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8)),
            ("ema2", lambda: optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)),
        ]
    )
    metrics = [metrics_of(draw, loss, f"{number}") for number, loss in enumerate(losses)]
    keep = draw.random() < 0.8
    # Keras refuses the mean error of three outputs and one class
    weighted = draw.random() < 0.3 and not losses[0].startswith("sparse")
    steps = draw.choice([1, 1, 2, 3])
    told: dict[str, Any] = {"loss": losses[0], "metrics": metrics[0] if keep else None}
    if weighted:
        told["weighted_metrics"] = [keras.metrics.MeanAbsoluteError(name="weighted")]
    if case.kind == "two":
        told = {"loss": paired(case, losses), "metrics": paired(case, metrics) if keep else None}
        if weighted:
            told["loss_weights"] = paired(case, [2.0, 0.5])
    names = [[getattr(each, "name", each) for each in some] for some in metrics] if keep else None
    case.note(optimizer=name, loss=losses, metrics=names, steps_per_execution=steps, weighted=weighted)
    model.compile(optimizer(), steps_per_execution=steps, jit_compile=case.jit, **told)


def metrics_of(draw: random.Random, loss: str, mark: str) -> list[Any]:
    metrics = keras.metrics
    if loss == "mse":
        return ["mae"]
    made = [lambda: "accuracy"]
    if loss == "binary_crossentropy":
        made += [
            lambda: metrics.AUC(name=f"auc{mark}"),
            lambda: metrics.Precision(thresholds=[0.2, 0.5], name=f"precision{mark}"),
        ]
    if loss == "categorical_crossentropy":
        made += [lambda: metrics.F1Score(name=f"f1{mark}"), lambda: metrics.AUC(name=f"auc{mark}")]
    return [each() for each in draw.sample(made, draw.randint(1, len(made)))]


def data_of(case: Case) -> tuple[Any, Any]:
    """x and y; N from 20 to 50."""
    draw, losses = case.draw("data"), losses_of(case)
    rng = np.random.default_rng(case.seed)
    count = draw.choice([20, 24, 32, 37, 48])
    kinds = [draw.choice(X_KINDS) for _ in range(2)]
    if case.kind == "words":
        kinds[0] = draw.choice(["int64", "int32", "uint8", "float32"])
        x: Any = rng.integers(0, 10, (count, 5)).astype(kinds[0])
    elif case.kind == "two":
        x = [numbers(rng, (count, width), kind) for width, kind in zip((6, 4), kinds, strict=True)]
    else:
        x = numbers(rng, (count, 6) if case.kind == "table" else (count, 5, 3), kinds[0])
    y = [targets(draw, rng, loss, count) for loss in losses]
    case.note(rows=count, x=kinds if case.kind == "two" else kinds[0], y=[f"{each.dtype}{each.shape}" for each in y])
    if case.kind != "two":
        return x, y[0]
    return ({"b": x[1], "a": x[0]} if takes_dicts(case) else x), paired(case, y)


def takes_dicts(case: Case) -> bool:
    """Whether two inputs, and two outputs, come as dicts and not as lists."""
    return case.draw("structure").random() < 0.5


def paired(case: Case, values: list[Any]) -> Any:
    """What goes with the two outputs."""
    return {"out1": values[1], "out0": values[0]} if takes_dicts(case) else values


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    made = rng.normal(size=shape)
    return (
        made > 0
        if kind == "bool"
        else (3 * abs(made)).astype(kind)
        if kind in ("uint8", "int64")
        else made.astype(kind)
    )


def targets(draw: random.Random, rng: np.random.Generator, loss: str, count: int) -> np.ndarray:
    if loss == "categorical_crossentropy":
        made, kinds = np.eye(3)[rng.integers(0, 3, count)], X_KINDS
    elif loss == "sparse_categorical_crossentropy":
        made, kinds = rng.integers(0, 3, count), ("float32", "float64", "uint8", "int64")
    elif loss == "binary_crossentropy":
        made, kinds = rng.integers(0, 2, count), X_KINDS
    else:
        made, kinds = 2 * abs(rng.normal(size=count)), X_KINDS
    made = made.astype(draw.choice(kinds))
    return made[:, None] if made.ndim == 1 and draw.random() < 0.5 else made


def weights_of(case: Case, draw: random.Random, rows: int) -> Any:
    """One weight for each row, or for each row and output; or None."""
    if draw.random() < 0.5:
        return None
    rng, kind = np.random.default_rng(draw.randint(0, 99)), draw.choice(["float32", "float64"])
    weights = [rng.uniform(0.5, 2, rows).astype(kind) for _ in range(2)]
    return paired(case, weights) if case.kind == "two" else weights[0]


def fit_options(case: Case, x: Any, y: Any) -> tuple[dict[str, Any], list[Any]]:
    """What fit is given beside data, but for its callbacks; and these."""
    draw, rows = case.draw("fit"), len(keras.tree.flatten(x)[0])
    options: dict[str, Any] = {"batch_size": draw.choice([None, 5, 8, 12, 64]), "epochs": draw.choice([2, 3, 4])}
    if draw.random() < 0.2:
        options["initial_epoch"] = 1
    weight = weights_of(case, draw, rows)
    if case.kind != "two" and draw.random() < 0.3:
        options["class_weight"] = {0: 0.3, 1: 0.7, 2: 2.0} if draw.random() < 0.7 else {1: 2}
    elif weight is not None:
        options["sample_weight"] = weight
    told = {name: value for name, value in options.items() if name != "sample_weight"}
    validation = draw.choice([None, None, "split", "tuple", "list", "weighted", "tf.data"])
    first = keras.tree.map_structure(lambda leaf: leaf[:15], (x, y))
    if validation == "split":
        options["validation_split"] = draw.choice([0.2, 0.35])
    elif validation == "list" and case.kind != "two":
        options["validation_data"] = list(first)
    elif validation == "weighted":
        weight = weights_of(case, draw, 15)
        options["validation_data"] = (*first, weight) if weight is not None else first
    elif validation == "tf.data":
        options["validation_data"] = tf.data.Dataset.from_tensor_slices(keras.tree.lists_to_tuples(first)).batch(6)
    elif validation is not None:
        options["validation_data"] = first
    if validation is not None and draw.random() < 0.5:
        options.update(validation_freq=draw.choice([1, 2]))
        if validation not in ("tf.data", "split"):
            options["validation_batch_size"] = 4
    monitor = "loss" if validation is None or options.get("validation_freq") == 2 else "val_loss"
    makers = {
        "EarlyStopping": lambda: keras.callbacks.EarlyStopping(monitor, patience=1, restore_best_weights=True),
        "EarlyStopping, far": lambda: keras.callbacks.EarlyStopping(monitor, min_delta=1.0, patience=0),
        "ReduceLROnPlateau": lambda: keras.callbacks.ReduceLROnPlateau(monitor, 0.5, patience=0, min_delta=0.1),
        "LearningRateScheduler": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.7 * rate),
        "Hooks": Hooks,
    }
    names = draw.sample(list(makers), draw.choice([0, 0, 1, 2]))
    weighted = "sample_weight" in options
    case.note(**told, sample_weight=weighted, validation=validation, callbacks=names)
    return options, [makers[name]() for name in names]
