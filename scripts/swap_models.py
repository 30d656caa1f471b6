#!/usr/bin/env python3
"""Train models of keras.applications, and the same with every layer swapped that tfbp.layers has: they must stay alike.

In float64, with random weights, some steps of SGD on random images; then all losses and all weights are compared. How
far rounding alone drives such a model apart is measured beside it: the same model, its images changed in their last
bit. A swapped model may differ ten times as far. The exit status is 0 when none differs more, 1 when one does, 2 for
bad input.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from tfbp.checks import check_count
from tfbp.commands import options

if TYPE_CHECKING:
    import keras

MODELS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "ResNet50", "ConvNeXtTiny")
SIZE, BATCH, CLASSES, RATE = 64, 8, 10, 0.01
# Keras's gelu has float32's constants in float64, which moves ConvNeXt by some 1e-13
TIMES_ROUNDING, LEAST = 10, 1e-12
ROW = "{:<18}{:>12}{:>10}{:>10}{:>18}{:>19}  {}"


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {','.join(MODELS)} (default: all)")
    parser.add_argument("--steps", type=int, default=3, help="steps of training (default: 3)")
    return options.run(parser, compare)


def compare(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, MODELS)
    check_count("steps", arguments.steps)
    # from here on TensorFlow is needed, whose import takes seconds
    import tfbp.commands.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras

    from tfbp import layers

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    head = ("model", "swapped", "losses", "weights", "losses, rounding", "weights, rounding")
    print(ROW.format(*head, ""), flush=True)
    alike = True
    for name in names:
        model = build(name)
        x, y = data()
        expected, moved = (train(keras.models.clone_model(model), model, at, y, arguments.steps) for at in (x, ulp(x)))
        swapped = layers.swap(model)
        found = distances(train(swapped, model, x, y, arguments.steps), expected)
        rounding = distances(moved, expected)
        good = all(ours <= max(TIMES_ROUNDING * theirs, LEAST) for ours, theirs in zip(found, rounding, strict=True))
        alike &= good
        numbers = (f"{each:.1e}" for each in (*found, *rounding))
        print(ROW.format(name, counts(swapped), *numbers, "ok" if good else "WRONG"), flush=True)
        keras.backend.clear_session()
    return 0 if alike else 1


def build(name: str) -> keras.Model:
    import keras

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
    import keras

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


def counts(swapped: keras.Model) -> str:
    """How many layers are the hand-written ones, of how many."""
    import keras

    modules = [type(one).__module__ for one in swapped._flatten_layers() if not isinstance(one, keras.Model)]
    return f"{sum(module.startswith('tfbp.layers.') for module in modules)} of {len(modules)}"


if __name__ == "__main__":
    raise SystemExit(main())
