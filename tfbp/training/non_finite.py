"""Where a NaN came from: the step, the layer and the tensor that first was not finite.

The loop tells each block's losses; from the first that is not finite, a snapshot of the weights from shortly before is
trained again up to it, and that step is taken apart. Until then this costs a copy of the weights about once a second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.training import step

if TYPE_CHECKING:
    from tfbp.training.array_run import ArrayRun
    from tfbp.training.model import Model

# as long as training again takes, at most, about
SECONDS_BETWEEN_SNAPSHOTS = 1.0


@dataclass(frozen=True)
class NonFinite:
    """The first number that was not finite.

    Attributes:
        epoch, step: where, both counted from 0.
        tensor: e.g. "layer 1 dkernel", or "loss".
        kind: "parameter", "activation", "loss", "delta", "gradient" or "update".
        value, index: the first such element.
    """

    epoch: int
    step: int
    tensor: str
    kind: str
    value: float
    index: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}, step {self.step}: first not finite: {self.tensor} ({self.kind}), {self.value} at "
            f"{list(self.index)}"
        )


class TerminateOnNaN(keras.callbacks.Callback):
    """Stops training at a loss that is not finite, and says where it came from.

    After that, `found` is a `NonFinite` and the model has the weights from before that step. In Keras's own loop
    (tf.data, generators) and under a distribution strategy it only stops training, as `keras.callbacks.TerminateOnNaN`
    does.

    Example:
        >>> import numpy as np
        >>> from tfbp import Dense, Model, Network
        >>> model = Model(Network(1, [Dense(1, "exponential"), Dense(1)], "mean_squared_error"))
        >>> model.compile("sgd")
        >>> watch = TerminateOnNaN()
        >>> x = np.full((4, 1), 1e3, np.float32)
        >>> history = model.fit(x, x, verbose=0, callbacks=[watch])
        Training stopped: epoch 0, step 0: first not finite: layer 0 y (activation), inf at [0, 0].
        >>> watch.found.tensor
        'layer 0 y'
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: NonFinite | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            where = f"{self.found}" if self.found else f"batch {batch}: the loss is {loss}"
            print(f"Training stopped: {where}.")
            self.model.stop_training = True

    def begin_fit(self, run: ArrayRun) -> None:
        """The loop lends its run: what it takes to go back."""
        self.found, self._run = None, run
        self._blocks: list[tuple[int, int, int, Any]] = []
        self._snapshot = snapshot(self.model)
        # to be gone back to once a block after it had finite losses: the update just before may have gone wrong
        self._candidate, self._blocks_before_it = self._snapshot, 0
        self._next_snapshot = time.perf_counter() + SECONDS_BETWEEN_SNAPSHOTS

    def begin_block(self, epoch: int, start: int, stop: int) -> None:
        """Before the steps from `start` to before `stop` are run."""
        rate = self.model.optimizer._learning_rate
        self._blocks.append((epoch, start, stop, float(rate) if isinstance(rate, keras.Variable) else None))

    def end_block(self, losses: np.ndarray) -> None:
        """After them, with the loss of each."""
        finite = np.isfinite(losses)
        if not finite.all():
            epoch, start, _, rate = self._blocks[-1]
            self._blocks[-1] = (epoch, start, start + int(np.argmin(finite)) + 1, rate)
            self._locate()
            return
        self._snapshot, self._blocks = self._candidate, self._blocks[self._blocks_before_it :]
        self._blocks_before_it = 0
        if time.perf_counter() >= self._next_snapshot:
            self._candidate, self._blocks_before_it = snapshot(self.model), len(self._blocks)
            self._next_snapshot = time.perf_counter() + SECONDS_BETWEEN_SNAPSHOTS

    def _locate(self) -> None:
        """Train again from the snapshot, and take the last two steps apart: the one whose loss was not finite, and the
        one before, whose update may have been to blame."""
        self._run.measure_no_more()
        restore(self.model, self._snapshot)
        steps = [(epoch, number, rate) for epoch, start, stop, rate in self._blocks for number in range(start, stop)]
        for epoch, start, stop, rate in self._blocks:
            stop = stop - sum((epoch, number, rate) in steps[-2:] for number in range(start, stop))
            self._set_rate(rate)
            if stop > start:
                self._run.train(epoch, start, stop)
        for epoch, number, rate in steps[-2:]:
            self._set_rate(rate)
            before = snapshot(self.model)
            found = first_non_finite(self.model, self._run.batch(epoch, number))
            if found:
                self.found = NonFinite(epoch, number, *found)
                restore(self.model, before)
                return

    def _set_rate(self, rate: float | None) -> None:
        if rate is not None:
            self.model.optimizer.learning_rate = rate


def snapshot(model: Model) -> list[tf.Tensor]:
    """What a step changes: the weights and the optimizer's variables, to be gone back to by `restore`."""
    # TensorFlow copies a variable only when it is next written
    return [tf.identity(variable.value) for variable in _variables(model)]


def restore(model: Model, values: list[tf.Tensor]) -> None:
    for variable, value in zip(_variables(model), values, strict=True):
        variable.assign(value)


def _variables(model: Model) -> list[Any]:
    return [*model.trainable_variables, *model.optimizer.variables]


def first_non_finite(model: Model, batch: tuple[Any, ...]) -> tuple[str, str, float, tuple[int, ...]] | None:
    """Take one step, eagerly: the first tensor that is not finite, in the order in which they are computed.

    Returns:
        Its name, its kind, and its first such element with its index; None where all are finite.
    """
    x, y, *weight = batch
    gradients, tensors = step.loss_gradients_and_tensors(model, step.read(model), x, y, *weight)[1:]
    *layers, last = tensors
    named = [(f"layer {i} {name}", "parameter", w.value) for i, name, w in _each(model.parameter_variables)]
    named += [(f"layer {i} {name}", "activation", layer[name]) for i, layer in enumerate(layers) for name in ("z", "y")]
    named.append(("losses", "loss", last["losses"]))
    # a loss scale lets gradients overflow on purpose: the optimizer skips the step
    if step.loss_scale(model) is None:
        for i in reversed(range(len(layers))):
            named.append((f"layer {i} dz", "delta", layers[i]["dz"]))
            named += [(f"layer {i} d{name}", "gradient", dw) for name, dw in gradients[i].items()]
    for name, kind, tensor in named:
        if not _is_finite(tensor):
            return name, kind, *_first(tensor)
    step.train(model, x, y, *weight)
    for i, name, variable in _each(model.parameter_variables):
        if not _is_finite(variable.value):
            return f"layer {i} {name}", "update", *_first(variable.value)
    return None


def _each(parameters: Any) -> list[tuple[int, str, Any]]:
    return [(i, name, w) for i, layer in enumerate(parameters) for name, w in layer.items()]


def _is_finite(tensor: Any) -> bool:
    return not tensor.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(tensor)))


def _first(tensor: Any) -> tuple[float, tuple[int, ...]]:
    values = tf.cast(tensor, tf.float64).numpy()
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    return float(values[index]), index
