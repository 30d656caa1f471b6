"""The common part of tfbp.Model and a plain Keras model: fit trains both on NumPy arrays."""

import time

import keras
import tensorflow as tf


class Fit:
    """A compiled model in `self.model`, on a problem."""

    def __init__(self, problem, model):
        self.problem, self.model = problem, model

    def follow(self, steps):
        return [self._fit(*self.problem.batch(step), epochs=1)[0] for step in range(steps)]

    def train(self, epochs, shuffle):
        clock = Clock()
        self._fit(self.problem.x, self.problem.y, epochs=epochs, shuffle=shuffle, callbacks=[clock])
        return clock.seconds

    @property
    def device(self):
        places = {tf.DeviceSpec.from_string(w.value.device).device_type for w in self.model.trainable_variables}
        return ", ".join(sorted(places)).lower()

    def _fit(self, x, y, **options):
        history = self.model.fit(x, y, batch_size=self.problem.batch_size, verbose=0, **options)
        return history.history["loss"]


class Clock(keras.callbacks.Callback):
    """The time of the epochs alone, without the checks and copies of the arrays that fit does once."""

    def on_train_begin(self, logs=None):
        self._started = time.perf_counter()

    def on_train_end(self, logs=None):
        tf.test.experimental.sync_devices()
        self.seconds = time.perf_counter() - self._started
