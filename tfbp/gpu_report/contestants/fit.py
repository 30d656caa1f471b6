"""The common part of tfbp.Model and a plain Keras model: fit trains both on NumPy arrays."""

from __future__ import annotations

import time
from typing import Any

import keras
import tensorflow as tf

import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

# a Keras dtype policy; TF32 is a setting of TensorFlow, and float32 for all else
POLICIES = {"float32": "float32", "tf32": "float32", "bfloat16": "mixed_bfloat16"}


class Fit:
    """A compiled model on a problem."""

    version = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"

    def __init__(self, problem: Any, precision: str, model: Any) -> None:
        self.problem, self.precision, self.model = problem, precision, model
        self.loss = float("nan")

    def train(self, epochs: int, shuffle: bool) -> float:
        """Returns the seconds of the epochs alone, without fit's checks and copies of the arrays."""
        tf.config.experimental.enable_tensor_float_32_execution(self.precision == "tf32")
        clock = Clock()
        options: dict[str, Any] = {"batch_size": self.problem.size.batch, "epochs": epochs, "shuffle": shuffle}
        history = self.model.fit(self.problem.x, self.problem.y, verbose=0, callbacks=[clock], **options)
        self.loss = history.history["loss"][-1]
        return clock.seconds

    @property
    def device(self) -> str:
        places = {tf.DeviceSpec.from_string(w.value.device).device_type for w in self.model.trainable_variables}
        return ", ".join(sorted(places)).lower()


class Clock(keras.callbacks.Callback):
    """Measures the time from the first epoch's begin to the last one's end, when the device is done."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._started = time.perf_counter()

    def on_train_end(self, logs: Any = None) -> None:
        tf.test.experimental.sync_devices()
        self.seconds = time.perf_counter() - self._started
