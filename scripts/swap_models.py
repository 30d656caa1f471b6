#!/usr/bin/env python3
"""Train models of keras.applications, and the same with every layer swapped that tfbp.layers has: they must stay alike.

In float64, with random weights, some steps of SGD on random images; then all losses and all weights are compared. How
far rounding alone drives such a model apart is measured beside it: the same model, its images changed in their last
bit. A swapped model may differ ten times as far. The exit status is 0 when none differs more, 1 when one does, 2 for
bad input.
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from tfbp import layers
from tfbp.checks import check_choice
from tfbp.commands import options
from tfbp.layers.swapping import OURS

MODELS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "ResNet50", "ConvNeXtTiny")
SIZE, BATCH, CLASSES, RATE = 64, 8, 10, 0.01
TIMES_ROUNDING, LEAST = 10, 1e-12


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {','.join(MODELS)} (default: all)")
    parser.add_argument("--steps", type=int, default=3, help="steps of training (default: 3)")
    return options.run(parser, compare)


def compare(arguments: argparse.Namespace) -> int:
    names = arguments.models.split(",")
    for name in names:
        check_choice("models", name, MODELS)
    tf.get_logger().setLevel("ERROR")  # several models' steps are several traces
    keras.config.set_floatx("float64")
    table = Table("model", "layers swapped", "losses", "weights", "losses, rounding", "weights, rounding", "", box=None)
    alike = True
    for name in names:
        model = build(name)
        x, y = data()
        expected, moved = (train(keras.models.clone_model(model), model, at, y, arguments.steps) for at in (x, ulp(x)))
        swapped = train(layers.swap(model), model, x, y, arguments.steps)
        found, rounding = distances(swapped, expected), distances(moved, expected)
        good = all(ours <= max(TIMES_ROUNDING * theirs, LEAST) for ours, theirs in zip(found, rounding, strict=True))
        alike &= good
        table.add_row(name, counts(model), *(f"{each:.1e}" for each in (*found, *rounding)), "ok" if good else "WRONG")
    Console(width=140).print(table)
    return 0 if alike else 1


def build(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    build_it = getattr(keras.applications, name)
    return build_it(weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES, classifier_activation=None)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)), rng.integers(0, CLASSES, BATCH)


def ulp(x: np.ndarray) -> np.ndarray:
    """x with its last bit changed, up or down."""
    return np.nextafter(x, np.random.default_rng(1).choice([-np.inf, np.inf], x.shape))


def train(model: keras.Model, of: keras.Model, x: np.ndarray, y: np.ndarray, steps: int) -> tuple[np.ndarray, ...]:
    """The losses, and all weights as one vector, after `steps` from the variables of another model."""
    for variable, given in zip(model.variables, of.variables, strict=True):
        variable.assign(given)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, jit_compile=False)
    losses = [model.train_on_batch(x, y) for _ in range(steps)]
    return np.array(losses), np.concatenate([w.ravel() for w in model.get_weights()])


def distances(run: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> list[float]:
    """Of the losses and of the weights, relative to their sizes."""
    pairs = zip(run, expected, strict=True)
    return [float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted)) for got, wanted in pairs]


def counts(model: keras.Model) -> str:
    """How many of the layers that have weights or are an operation of ours are swapped, of how many."""
    found = [type(layer) for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]
    return f"{sum(kind in OURS for kind in found)} of {len(found)}"


if __name__ == "__main__":
    raise SystemExit(main())
