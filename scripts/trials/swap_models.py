#!/usr/bin/env python3
"""Train models of keras.applications and keras-hub, and copies with the layers of tfbp.layers; compare their weights.

A model and its copy start from the same random weights. They take some steps of SGD in float64 on random images or
tokens. Then the script compares all losses and all weights. It also measures the effect of rounding: it trains the
model again with the last bit of the images, or of the first weights, changed. A copy may differ ten times as much. At
the end the copy is saved, loaded and exported, and its outputs must not change. keras-hub takes part if it is
installed. The exit status is 0 if no copy differs more, 1 if one does, 2 for bad input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tfbp.console import options
from tfbp.errors import check_count

if TYPE_CHECKING:
    import keras

OF_HUB = ("BertBackbone", "GPT2Backbone", "TransformerDecoder") if find_spec("keras_hub") else ()
MODELS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "ResNet50", "ConvNeXtTiny", *OF_HUB)
LENGTH, VOCABULARY = 24, 50
SIZE, BATCH, CLASSES, RATE = 64, 8, 10, 0.01
# Keras's gelu has float32's constants in float64, which moves ConvNeXt by some 1e-13
TIMES_ROUNDING, LEAST = 10, 1e-12
ROW = "{:<18}{:>12}{:>10}{:>10}{:>18}{:>19}{:>9}{:>10}  {}"


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {','.join(MODELS)} (default: all)")
    parser.add_argument("--steps", type=int, default=3, help="steps of training (default: 3)")
    return options.run(parser, compare)


def compare(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, MODELS)
    check_count("steps", arguments.steps)
    # the import of TensorFlow takes seconds: only from here on
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras

    from tfbp import layers

    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    head = ("model", "swapped", "losses", "weights", "losses, rounding", "weights, rounding", "loaded", "exported")
    print(ROW.format(*head, ""), flush=True)
    alike = True
    for name in names:
        steps, model = arguments.steps, build(name)
        start = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
        if name in OF_HUB:
            # its layers are made inside of others: it is built again, of ours
            with replaced():
                swapped = build(name)
            x, y = tokens()
            expected = train(model, start, x, y, steps)
            moved = train(model, [ulp(w) if w.dtype == "float64" else w for w in start], x, y, steps)
        else:
            swapped = layers.swap(model)
            x, y = images()
            expected = train(model, start, x, y, steps)
            moved = train(model, start, ulp(x), y, steps)
        distances_found, rounding = distances(train(swapped, start, x, y, steps), expected), distances(moved, expected)
        good = all(
            ours <= max(TIMES_ROUNDING * theirs, LEAST) for ours, theirs in zip(distances_found, rounding, strict=True)
        )
        stored = stored_distances(swapped, x)
        good &= max(stored) <= LEAST
        alike &= good
        numbers = (f"{distance:.1e}" for distance in (*distances_found, *rounding, *stored))
        print(ROW.format(name, counts(swapped), *numbers, "ok" if good else "WRONG"), flush=True)
        keras.backend.clear_session()
    return 0 if alike else 1


def build(name: str) -> keras.Model:
    import keras

    keras.utils.set_random_seed(0)
    if name in OF_HUB:
        return build_of_hub(name)
    build_it = getattr(keras.applications, name)
    return build_it(weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES, classifier_activation=None)


def build_of_hub(name: str) -> keras.Model:
    """Returns two blocks with dropout, and a score for each class at each token."""
    import keras
    import keras_hub

    token_ids, segment_ids, padding_mask = inputs = [keras.Input((LENGTH,), dtype="int32") for _ in range(3)]
    if name == "TransformerDecoder":
        x = keras_hub.layers.TokenAndPositionEmbedding(VOCABULARY, LENGTH, 32)(token_ids)
        encoded = keras.layers.Embedding(VOCABULARY, 32)(segment_ids)
        for _ in range(2):
            block = keras_hub.layers.TransformerDecoder(64, 4, dropout=0.1)
            x = block(x, encoded, decoder_padding_mask=padding_mask, encoder_padding_mask=padding_mask)
        return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))
    sizes = {"vocabulary_size": VOCABULARY, "num_layers": 2, "num_heads": 4, "hidden_dim": 32, "intermediate_dim": 64}
    backbone = getattr(keras_hub.models, name)(**sizes, dropout=0.1, max_sequence_length=LENGTH)
    given: dict[str, Any] = {"token_ids": token_ids, "padding_mask": padding_mask}
    outputs = backbone(given | ({"segment_ids": segment_ids} if name == "BertBackbone" else {}))
    return keras.Model(
        inputs, keras.layers.Dense(CLASSES)(outputs["sequence_output"] if isinstance(outputs, dict) else outputs)
    )


@contextmanager
def replaced() -> Iterator[None]:
    """While open, keras.layers gives the hand-written layers."""
    import keras

    from tfbp.layers.swapping import OURS

    names = {name: OURS[kind] for name, kind in vars(keras.layers).items() if isinstance(kind, type) and kind in OURS}
    theirs = {name: getattr(keras.layers, name) for name in names}
    try:
        for name, ours in names.items():
            setattr(keras.layers, name, ours)
        yield
    finally:
        for name, kind in theirs.items():
            setattr(keras.layers, name, kind)


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (BATCH, SIZE, SIZE, 3)), rng.integers(0, CLASSES, BATCH)


def tokens() -> tuple[list[np.ndarray], np.ndarray]:
    """Returns token and segment ids and a padding mask, and a class for each token."""
    rng = np.random.default_rng(0)
    token_ids, segment_ids = rng.integers(0, VOCABULARY, (BATCH, LENGTH)), rng.integers(0, 2, (BATCH, LENGTH))
    padding_mask = (np.arange(LENGTH) < rng.integers(8, LENGTH + 1, (BATCH, 1))).astype("int32")
    return [token_ids, segment_ids, padding_mask], rng.integers(0, CLASSES, (BATCH, LENGTH))


def ulp(x: np.ndarray) -> np.ndarray:
    """Returns x with its last bit changed, up or down."""
    return np.nextafter(x, np.random.default_rng(1).choice([-np.inf, np.inf], x.shape))


def train(model: keras.Model, start: list[np.ndarray], x: Any, y: np.ndarray, steps: int) -> tuple[np.ndarray, ...]:
    """Returns the losses, and all weights as one vector, after `steps` from these values of its variables."""
    import keras

    for variable, given in zip(model.variables, start, strict=True):
        variable.assign(given)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, jit_compile=False)
    losses = [model.train_on_batch(x, y) for _ in range(steps)]
    return np.array(losses), np.concatenate([w.ravel() for w in model.get_weights()])


def distances(run: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> list[float]:
    """Of the losses and of the weights, relative to their sizes."""
    pairs = zip(run, expected, strict=True)
    return [float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted)) for got, wanted in pairs]


def stored_distances(model: keras.Model, x: Any) -> tuple[float, float]:
    """Returns how far the outputs of the model saved and loaded, and of the model exported, are from its own."""
    import keras
    import tensorflow as tf

    expected = keras.ops.convert_to_numpy(model(x, training=False))
    given = [tf.cast(each, spec.dtype) for each, spec in zip(keras.tree.flatten(x), model.inputs, strict=True)]
    with TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        with replaced():
            loaded = keras.models.load_model(f"{folder}/model.keras")
        if counts(loaded) != counts(model):
            raise RuntimeError(f"loaded: got {counts(loaded)} layers by hand; saved: {counts(model)}.")
        model.export(f"{folder}/exported", verbose=False)
        exported = tf.saved_model.load(f"{folder}/exported")
        served = exported.serve(given if len(given) > 1 else given[0])
        found = (keras.ops.convert_to_numpy(outputs) for outputs in (loaded(x, training=False), served))
        size = np.linalg.norm(expected)
        return tuple(float(np.linalg.norm(distance - expected) / size) for distance in found)


def counts(swapped: keras.Model) -> str:
    """Returns the number of hand-written layers, and the number of all layers."""
    import keras

    modules = [type(one).__module__ for one in swapped._flatten_layers() if not isinstance(one, keras.Model)]
    return f"{sum(module.startswith('tfbp.layers.') for module in modules)} of {len(modules)}"


if __name__ == "__main__":
    raise SystemExit(main())
