"""Models of common kinds, for timing tfbp.fit.

Each function returns an uncompiled model; `fit_data` has its data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from benchmarks.fit_data import CLASSES

layers = keras.layers


def tabular() -> keras.Model:
    """Returns two hidden layers with BatchNormalization and Dropout."""
    hidden = [
        layer
        for _ in range(2)
        for layer in (layers.Dense(64, "relu"), layers.BatchNormalization(), layers.Dropout(0.3))
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(CLASSES, "softmax")])


def wide_and_deep() -> keras.Model:
    inputs = keras.Input((64,))
    deep = layers.Dense(64, "relu")(layers.Dense(64, "relu")(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.Concatenate()([inputs, deep])))


def text() -> keras.Model:
    """Returns embeddings, averaged."""
    inputs = keras.Input((100,), dtype="int32")
    averaged = layers.GlobalAveragePooling1D()(layers.Embedding(1000, 16)(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.Dense(16, "relu")(averaged)))


def recurrent(layer: Callable[[], Any]) -> Callable[[], keras.Model]:
    return lambda: keras.Sequential([keras.Input((20, 8)), layer(), layers.Dense(CLASSES, "softmax")])


def conv1d() -> keras.Model:
    convolutions = [layers.Conv1D(16, 5, activation="relu"), layers.MaxPooling1D(), layers.Conv1D(16, 5)]
    head = [layers.GlobalAveragePooling1D(), layers.Dense(CLASSES, "softmax")]
    return keras.Sequential([keras.Input((64, 8)), *convolutions, *head])


def cnn(shape: tuple[int, ...], filters: tuple[int, ...], pooling: bool) -> Callable[[], keras.Model]:
    def make() -> keras.Model:
        body: list[Any] = []
        for number in filters:
            body += [layers.Conv2D(number, 3, activation="relu"), *([layers.MaxPooling2D()] if pooling else [])]
        return keras.Sequential([keras.Input(shape), *body, layers.Flatten(), layers.Dense(CLASSES, "softmax")])

    return make


def transformer() -> keras.Model:
    """Returns two blocks of width 64 with 4 heads, on 64 tokens."""
    inputs = keras.Input((64,), dtype="int32")
    x = layers.Embedding(1000, 64)(inputs)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 16)(x, x))
        x = layers.LayerNormalization()(x + layers.Dense(64)(layers.Dense(256, "relu")(x)))
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(layers.GlobalAveragePooling1D()(x)))


def mobilenet() -> keras.Model:
    options = {"weights": None, "classes": CLASSES, "include_preprocessing": False}
    return keras.applications.MobileNetV3Small((32, 32, 3), **options)


def autoencoder() -> keras.Model:
    sizes = (128, 32, 128)
    return keras.Sequential([keras.Input((784,)), *(layers.Dense(n, "relu") for n in sizes), layers.Dense(784)])


class Vae(keras.Model):
    """A variational autoencoder with a train_step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.mean, self.log_variance = layers.Dense(128, "relu"), layers.Dense(8), layers.Dense(8)
        self.decoder = keras.Sequential([layers.Dense(128, "relu"), layers.Dense(784)])
        self.seed = keras.random.SeedGenerator(0)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]

    def train_step(self, x: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            hidden = self.encoder(x)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            noise = keras.random.normal(tf.shape(mean), seed=self.seed)
            error = self.decoder(mean + tf.exp(0.5 * log_variance) * noise) - x
            divergence = -0.5 * tf.reduce_sum(1 + log_variance - mean**2 - tf.exp(log_variance), axis=-1)
            loss = tf.reduce_mean(tf.reduce_sum(error**2, axis=-1) + divergence)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


class Gan(keras.Model):
    """A generator and a critic with optimizers of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(64)])
        self.critic = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(1)])
        self.seed = keras.random.SeedGenerator(0)

    def compile(self, optimizer: Any = "adam", **options: Any) -> None:
        super().compile(**options)
        self.first, self.second = keras.optimizers.Adam(), keras.optimizers.Adam()

    def train_step(self, x: Any) -> dict[str, Any]:
        noise = keras.random.normal((tf.shape(x)[0], 16), seed=self.seed)
        with tf.GradientTape() as tape:
            d_loss = tf.reduce_mean(tf.nn.softplus(self.critic(self.generator(noise))))
            d_loss += tf.reduce_mean(tf.nn.softplus(-self.critic(x)))
        variables = self.critic.trainable_variables
        self.first.apply_gradients(zip(tape.gradient(d_loss, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            g_loss = tf.reduce_mean(tf.nn.softplus(-self.critic(self.generator(noise))))
        variables = self.generator.trainable_variables
        self.second.apply_gradients(zip(tape.gradient(g_loss, variables), variables, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


MODELS: dict[str, Callable[[], keras.Model]] = {
    "tabular": tabular,
    "wide-and-deep": wide_and_deep,
    "text": text,
    "lstm": recurrent(lambda: layers.LSTM(32)),
    "gru": recurrent(lambda: layers.GRU(32)),
    "bidirectional": recurrent(lambda: layers.Bidirectional(layers.LSTM(16))),
    "conv1d": conv1d,
    "cnn-8": cnn((8, 8, 1), (16, 16), False),
    "cnn-28": cnn((28, 28, 1), (16, 32), True),
    "cnn-32": cnn((32, 32, 3), (32, 64), True),
    "autoencoder": autoencoder,
    "vae": Vae,
    "gan": Gan,
    "transformer": transformer,
    "mobilenet": mobilenet,
}
