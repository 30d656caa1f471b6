"""A backup after every epoch, from which a killed run goes on to the very same weights.

<backup_dir>/epoch-<n>.npz        the model's and its optimizers' variables after n whole epochs
"""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfbp.errors import InputError
from tfbp.fitting.contract import build_optimizer
from tfbp.fitting.state import state_of, value_of

_WHOLE = re.compile(r"epoch-(\d+)\.npz")


class BackupAndRestore(keras.callbacks.Callback):
    """keras.callbacks.BackupAndRestore for `tfbp.fit`, whole at every moment.

    Keras writes the weights over the last ones and the epoch's number into a second file: a kill between the two, or in
    the middle of one, leaves a backup that is wrong or cannot be read. Here a backup is one file, renamed into place
    when it is whole; the one before is removed after that.

    It holds the weights, the statistics and seeds of layers, every optimizer that the model holds, and the seed of the
    shuffling, so that a run that is killed in the middle of an epoch and started again ends in the weights of one that
    was not, bit for bit on a CPU. The state of other callbacks (EarlyStopping's patience) starts again, as in Keras.

    Args:
        backup_dir: a directory for this run's backup alone.
        delete_checkpoint: remove it when training ends.

    Raises:
        InputError: at the start of training, a backup of another model or one that cannot be read.
        OSError: a backup that cannot be written; the one before is still whole.

    Example:
        >>> import keras, tempfile, tfbp, numpy as np
        >>> def fit(epochs, directory):
        ...     model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     backup = BackupAndRestore(directory, delete_checkpoint=False)
        ...     return tfbp.fit(model, np.ones((4, 1)), np.ones(4), epochs=epochs, verbose=0, callbacks=[backup]).epoch
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     fit(2, directory), fit(5, directory)
        ([0, 1], [2, 3, 4])
    """

    # what it is of, in messages
    kind = "model"

    def __init__(self, backup_dir: str | Path, delete_checkpoint: bool = True) -> None:
        super().__init__()
        self.backup_dir = Path(backup_dir)
        self.delete_checkpoint = delete_checkpoint

    def on_train_begin(self, logs: Any = None) -> None:
        whole = _whole_backups(self.backup_dir)
        if whole:
            epoch, path = max(whole.items())
            self._restore(path)
            self.model._initial_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._writes():
            return
        done = epoch + 1
        partial = self.backup_dir / "partial.npz"
        # made whole in memory: h5py, say, cannot be stopped from writing on when the disk is full
        content = io.BytesIO()
        values = {f"{i}": _as_numpy(variable) for i, variable in enumerate(state_of(self.model))}
        run = getattr(self.model, "array_run", None)
        seed = -1 if run is None else run.shuffling.seed
        np.savez(content, allow_pickle=False, model=np.array(self._identity()), seed=np.array(seed), **values)
        try:
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content.getbuffer())
            os.replace(partial, self.backup_dir / f"epoch-{done}.npz")
        except OSError as error:
            kept = f"the backup of {epoch} epochs is whole" if _whole_backups(self.backup_dir) else "there is none yet"
            raise OSError(
                f"backup_dir: {str(self.backup_dir)!r} cannot be written ({error.strerror}); {kept}."
            ) from error
        for number, path in _whole_backups(self.backup_dir).items():
            if number != done:
                path.unlink()

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint and self._writes():
            shutil.rmtree(self.backup_dir, ignore_errors=True)

    def _restore(self, path: Path) -> None:
        accepted = f"accepted: a backup of this {self.kind} and optimizer, or an empty directory"
        try:
            with np.load(path, allow_pickle=False) as saved:
                identity, seed = str(saved["model"]), int(saved["seed"])
                values = [saved[f"{i}"] for i in range(len(saved.files) - 2)]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            given = f"{str(path.parent)!r}, whose {path.name} cannot be read ({type(error).__name__})"
            raise InputError(f"backup_dir: got {given}; {accepted}.") from error
        build_optimizer(self.model)
        variables = state_of(self.model)
        if identity != self._identity():
            raise InputError(f"backup_dir: got {str(path.parent)!r}, a backup of another {self.kind}; {accepted}.")
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise InputError(f"backup_dir: got {str(path.parent)!r}, a backup with another optimizer; {accepted}.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        if (run := getattr(self.model, "array_run", None)) is not None and seed >= 0:
            run.shuffle_by(seed)

    def _identity(self) -> str:
        """The model and run that a backup belongs to."""
        return f"{type(self.model).__name__} {[tuple(w.shape) for w in self.model.trainable_variables]}"

    def _writes(self) -> bool:
        """Whether this process is the one that writes."""
        return True


def _whole_backups(directory: Path) -> dict[int, Path]:
    """The whole backups by their number of epochs; a half-written one has another name."""
    if not directory.is_dir():
        return {}
    matches = ((_WHOLE.fullmatch(path.name), path) for path in directory.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _as_numpy(variable: Any) -> np.ndarray:
    value = value_of(variable).numpy()
    # NumPy's files do not know bfloat16, which float32 holds
    return value.astype(np.float32) if value.dtype.name == "bfloat16" else value
