"""Where a NaN came from: the step, and the first layer or variable whose output, gradient or value is not finite.

A block ends at the first loss that is not finite. From a snapshot of the model's state from shortly before, training is
done again up to that step, which is taken apart. Until then this costs a copy of the state about once a second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfbp.fitting.state import restore, snapshot
from tfbp.fitting.suspects import first_non_finite

if TYPE_CHECKING:
    from tfbp.fitting.run import ArrayRun

# as long as training again takes, at most, about
SECONDS_BETWEEN_SNAPSHOTS = 1.0


@dataclass(frozen=True)
class NonFinite:
    """The first number that was not finite.

    Attributes:
        epoch, step: where, both counted from 0.
        tensor: e.g. "dense_1/kernel", for a tfbp.Model "layer 1 dkernel", or "loss".
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

    After that, `found` is a `NonFinite` and the model has the weights from before that step. On a tf.data.Dataset, in
    Keras's own loop and under a distribution strategy it only stops training, as `keras.callbacks.TerminateOnNaN` does.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, "exponential", name="hot")])
        >>> model.compile("sgd", "mse")
        >>> watch = TerminateOnNaN()
        >>> x = np.full((4, 1), 1e4, np.float32)
        >>> model.layers[0].set_weights([np.ones((1, 1)), np.zeros(1)])
        >>> history = tfbp.fit(model, x, x, verbose=0, callbacks=[watch])
        Training stopped: epoch 0, step 0: first not finite: hot (activation), inf at [0, 0].
        >>> watch.found.tensor
        'hot'
    """

    reads_blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.found: NonFinite | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if self.found or (loss is not None and not np.isfinite(loss)):
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
        self._blocks.append((epoch, start, stop, _learning_rate(self.model)))

    def end_block(self, reached: int, finite: bool) -> None:
        """After them: the number of the step after the last that was run, and whether its losses were finite."""
        if not finite:
            epoch, start, _, rate = self._blocks[-1]
            self._blocks[-1] = (epoch, start, reached, rate)
            self._locate()
            return
        self._snapshot, self._blocks = self._candidate, self._blocks[self._blocks_before_it :]
        self._blocks_before_it = 0
        if time.perf_counter() >= self._next_snapshot:
            self._candidate, self._blocks_before_it = snapshot(self.model), len(self._blocks)
            self._next_snapshot = time.perf_counter() + SECONDS_BETWEEN_SNAPSHOTS

    def _locate(self) -> None:
        """Train again from the snapshot up to the first step with a loss that is not finite. Look into this and the
        step before, because its update may be the cause."""
        restore(self.model, self._snapshot)
        # the mean loss of the epoch so far would stay what it is
        self.model.reset_metrics()
        steps = [(epoch, number, rate) for epoch, start, stop, rate in self._blocks for number in range(start, stop)]
        for epoch, start, stop, rate in self._blocks:
            stop = stop - sum((epoch, number, rate) in steps[-2:] for number in range(start, stop))
            self._set_rate(rate)
            if stop > start:
                self._run.train_again(epoch, start, stop)
        inspect = getattr(self.model, "first_non_finite", None) or (lambda batch: first_non_finite(self.model, batch))
        for epoch, number, rate in steps[-2:]:
            self._set_rate(rate)
            before = snapshot(self.model)
            found = inspect(self._run.batch(epoch, number))
            if found:
                self.found = NonFinite(epoch, number, *found)
                restore(self.model, before)
                return
        # taken by itself, the step may round otherwise than in its block
        restore(self.model, before)
        self.found = NonFinite(*steps[-1][:2], "loss", "loss", float("nan"), ())

    def _set_rate(self, rate: float | None) -> None:
        if rate is not None:
            self.model.optimizer.learning_rate = rate


def _learning_rate(model: Any) -> float | None:
    rate = getattr(model.optimizer, "_learning_rate", None)
    return float(rate) if isinstance(rate, keras.Variable) else None
