"""Models of other packages, trained by Keras's fit and by tfbp.fit in turn."""

import os
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tfbp

Fit = Callable[..., Any]
OPTIONS: dict[str, Any] = {"verbose": 0, "shuffle": False}


class PackageTrial:
    """A model, and how a fit of it is called."""

    def __init__(self, model: Any, *given: Any, **options: Any) -> None:
        self.model, self.given, self.options = model, given, options

    def fit(self, fit: Fit, epochs: int) -> Any:
        return fit(self.model, *self.given, epochs=epochs, **self.options)


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def coupling_flow() -> PackageTrial:
    import bayesflow

    flow = bayesflow.networks.CouplingFlow(depth=2, subnet_kwargs={"widths": (32, 32)})
    adapter = bayesflow.Adapter.create_default(["parameters"])
    model = bayesflow.approximators.ContinuousApproximator(inference_network=flow, adapter=adapter)
    drawn = numbers(512, 5)
    data = {"inference_variables": drawn[:, :2], "inference_conditions": drawn[:, 2:]}
    model.compile(optimizer="adam")
    batches = tf.data.Dataset.from_tensor_slices(data).batch(32, drop_remainder=True)
    model.build_from_data(next(iter(batches)))
    return PackageTrial(model, dataset=batches, verbose=0)


def gpt2() -> PackageTrial:
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=64, num_layers=2, num_heads=2, hidden_dim=32, intermediate_dim=64, max_sequence_length=16
    )
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    tokens = np.random.default_rng(0).integers(0, 64, (128, 17)).astype("int32")
    x = {"token_ids": tokens[:, :-1], "padding_mask": np.ones((128, 16), "int32")}
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return PackageTrial(model, x, tokens[:, 1:], batch_size=8, **OPTIONS)


def image_classifier() -> PackageTrial:
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    model = keras_hub.models.ImageClassifier(backbone, num_classes=4, preprocessor=None)
    labels = np.random.default_rng(0).integers(0, 4, 64)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return PackageTrial(model, numbers(64, 16, 16, 3), labels, batch_size=8, **OPTIONS)


def two_tower() -> PackageTrial:
    import keras_rs

    class TwoTower(keras.Model):
        """As in keras-rs's guide on retrieval."""

        def __init__(self) -> None:
            super().__init__()
            self.users, self.items = (keras.layers.Embedding(number, 16) for number in (200, 300))
            self.retrieval = keras_rs.layers.BruteForceRetrieval(k=5, return_scores=False)
            self.ratings = keras.losses.MeanSquaredError()

        def build(self, shape: Any) -> None:
            self.users.build(shape)
            self.items.build(shape)
            self.retrieval.candidate_embeddings = self.items.embeddings
            self.retrieval.build((None, 16))
            super().build(shape)

        def call(self, x: Any, training: bool = False) -> Any:
            user = self.users(x)
            tensors = {"user": user}
            return tensors if training else {**tensors, "items": self.retrieval(user)}

        def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
            item = self.items(y["item"])
            return self.ratings(y["rating"], keras.ops.sum(y_pred["user"] * item, axis=-1))

    rng = np.random.default_rng(0)
    y = {"item": rng.integers(0, 300, 4096).astype("int32"), "rating": rng.uniform(size=4096).astype("float32")}
    model = TwoTower()
    model.compile(keras.optimizers.Adagrad(0.1))
    return PackageTrial(model, rng.integers(0, 200, 4096).astype("int32"), y, batch_size=32, **OPTIONS)


def quantized() -> PackageTrial:
    from hgq.layers import QDense

    model = keras.Sequential([keras.Input((16,)), QDense(32, activation="relu"), QDense(4)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.random.default_rng(0).integers(0, 4, 2048)
    return PackageTrial(model, numbers(2048, 16), labels, batch_size=32, **OPTIONS)


class OfAWrapper(keras.Sequential):
    """A model with an exchangeable fit, for packages that call `model.fit` themselves."""

    by: Fit = keras.Sequential.fit

    def fit(self, *given: Any, **options: Any) -> Any:
        return OfAWrapper.by(self, *given, **options) if OfAWrapper.by is tfbp.fit else super().fit(*given, **options)


def small() -> Any:
    keras.utils.set_random_seed(1)
    model = OfAWrapper([keras.Input((16,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(4, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Wrapped(PackageTrial):
    """A trial of a package that makes and fits all models by itself at each call."""

    def __init__(self, search: Callable[[int], Any]) -> None:
        self.search = search

    def fit(self, fit: Fit, epochs: int) -> Any:
        OfAWrapper.by = fit
        self.model, history = self.search(epochs)
        return history


def scikeras() -> PackageTrial:
    from scikeras.wrappers import KerasClassifier

    def search(epochs: int) -> Any:
        options = {"epochs": epochs, "batch_size": 32, "verbose": 0, "fit__shuffle": False}
        wrapped = KerasClassifier(model=small, loss="sparse_categorical_crossentropy", random_state=0, **options)
        wrapped.fit(numbers(2048, 16), np.random.default_rng(0).integers(0, 4, 2048))
        return wrapped.model_, wrapped.model_.history

    return Wrapped(search)


def tuner() -> PackageTrial:
    import tempfile

    import keras_tuner

    def search(epochs: int) -> Any:
        def build(choices: Any) -> Any:
            model = small()
            model.optimizer.learning_rate = choices.Choice("rate", [1e-3, 1e-2])
            return model

        with tempfile.TemporaryDirectory() as folder:
            found = keras_tuner.GridSearch(build, objective="val_loss", directory=folder, project_name="trial")
            x, y = numbers(2048, 16), np.random.default_rng(0).integers(0, 4, 2048)
            half = slice(1024), slice(1024, None)
            data = {"validation_data": (x[half[1]], y[half[1]]), "epochs": epochs, **OPTIONS}
            found.search(x[half[0]], y[half[0]], batch_size=32, **data)
            best = found.get_best_models(1)[0]
        return best, None

    return Wrapped(search)


# name: the package, the trial, epochs at a time
TRIALS: dict[str, tuple[str, Callable[[], PackageTrial], int]] = {
    "ContinuousApproximator of a CouplingFlow": ("bayesflow", coupling_flow, 2),
    "GPT2CausalLM": ("keras-hub", gpt2, 2),
    "ImageClassifier of a ResNet": ("keras-hub", image_classifier, 2),
    "GridSearch of two models": ("keras-tuner", tuner, 4),
    "KerasClassifier": ("scikeras", scikeras, 8),
    "two towers, BruteForceRetrieval": ("keras-rs", two_tower, 2),
    "two QDense": ("hgq2", quantized, 2),
}


def by_keras(model: Any, *given: Any, **options: Any) -> Any:
    return model.fit(*given, **options)


def trained(
    make: Callable[[], PackageTrial], ways: list[Fit], epochs: int, fits: int
) -> tuple[list[Any], list[Any], Any]:
    """Returns the weights after some fits by either way, in turn; the seconds of each fit; and how tfbp.fit ran."""
    trials, seconds, how = [], [], None
    make()  # an import of the package may draw numbers
    for _ in ways:
        keras.utils.set_random_seed(0)
        trials.append(make())
        seconds.append([])
    for _ in range(fits):
        for trial, way, taken in zip(trials, ways, seconds, strict=True):
            keras.utils.set_random_seed(1)
            start = time.perf_counter()
            history = trial.fit(way, epochs)
            taken.append(time.perf_counter() - start)
            how = getattr(history, "params", {}).get("jit_compile", how)
    return [trial.model.get_weights() for trial in trials], seconds, how


def apart(ours: list[Any], theirs: list[Any]) -> float:
    return max(float(np.abs(a.astype("float64") - b).max(initial=0)) for a, b in zip(ours, theirs, strict=True))


def run(only: str, rounds: int) -> int:
    """Prints the table; returns 1 if Keras's fit repeats itself and tfbp's differs, else 0."""
    print("| model | package | weights apart | Keras twice | Keras, s | tfbp, s | times as fast | XLA |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    as_keras = True
    for name, (package, make, epochs) in TRIALS.items():
        if only not in f"{name} {package}":
            continue
        (theirs, ours), seconds, how = trained(make, [by_keras, tfbp.fit], epochs, 1 + rounds)
        between, alone = apart(ours, theirs), 0.0
        if between:
            (first, second), *_ = trained(make, [by_keras, by_keras], epochs, 1 + rounds)
            alone = apart(first, second)
        # a result that Keras's own fit does not repeat is not compared
        as_keras &= between == 0 or alone > 0
        slow, fast = (statistics.median(taken[1:]) for taken in seconds)
        version = metadata.version(package)
        numbers = f"{between:.1e} | {alone:.1e} | {slow:.3f} | {fast:.3f} | {slow / fast:.1f}"
        print(f"| {name} | {package} {version} | {numbers} | {how} |", flush=True)
    return 0 if as_keras else 1
