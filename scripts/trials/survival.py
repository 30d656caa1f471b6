#!/usr/bin/env python3
"""Kill a training run and resume it; fill its disk: show that nothing is lost.

    survival.py kill        a run killed (SIGKILL) in the middle of an epoch and started again ends in the same weights
    survival.py full-disk   on a full disk, a run stops with one sentence, and its last backup is whole

The exit status is 0 if this holds, 1 otherwise.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tfbp.console import options

# how this script starts itself as the one training that the others watch
AS_RUN = "--as-run"
EPOCHS, KILLED_IN, FULL_AFTER = 6, 3, 2


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("what", choices=("kill", "full-disk"))
    parser.add_argument("--callback", default="tfbp", choices=("tfbp", "keras"), help="the package of BackupAndRestore")
    return options.run(parser, survive)


def survive(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as directory:
        return {"kill": kill, "full-disk": full_disk}[arguments.what](Path(directory), arguments.callback)


def kill(directory: Path, callback: str) -> int:
    start("whole", directory, callback, "finish")
    killed = start("killed", directory, callback, "kill")
    print(f"killed by signal {-killed.returncode} in the middle of epoch {KILLED_IN}")
    resumed = start("killed", directory, callback, "finish")
    print(resumed.stdout.splitlines()[0])

    import numpy as np

    with np.load(directory / "whole.npz") as whole, np.load(directory / "killed.npz") as again:
        same = all(np.array_equal(whole[name], again[name]) for name in whole.files)
    print("the weights are identical to the last bit" if same else "WRONG: the weights differ")
    return 0 if same and killed.returncode == -signal.SIGKILL and "epoch 0" not in resumed.stdout else 1


def full_disk(directory: Path, callback: str) -> int:
    stopped = start("full", directory, callback, "full-disk")
    print(stopped.stderr.strip())
    resumed = start("full", directory, callback, "finish")
    print(resumed.stdout.splitlines()[0] if resumed.returncode == 0 else resumed.stderr.strip())
    one_sentence = stopped.returncode == 1 and len(stopped.stderr.strip().splitlines()) == 1
    return 0 if one_sentence and resumed.stdout.startswith(f"starts at epoch {FULL_AFTER}") else 1


def start(name: str, directory: Path, callback: str, fate: str) -> subprocess.CompletedProcess:
    command = [sys.executable, __file__, AS_RUN, str(directory / name), callback, fate]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def run(directory: str, callback: str, fate: str) -> int:
    """Trains on digits, with a backup after every epoch; it is killed, or it writes its weights to an .npz."""
    from tfbp.console import quiet_tensorflow  # noqa: F401, I001  before anything else that imports TensorFlow
    import keras
    import numpy as np

    from tfbp import Dense, Model, Network, datasets, training

    class Fate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
            if self.model.history is None or not self.model.history.epoch:
                print(f"starts at epoch {epoch}", flush=True)
            if fate == "full-disk" and epoch == FULL_AFTER:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

        def on_train_batch_end(self, batch, logs=None):
            if fate == "kill" and self.epoch == KILLED_IN and batch >= 20:
                os.kill(os.getpid(), signal.SIGKILL)

    digits = datasets.load("digits")
    model = Model(Network(64, [Dense(32, "relu"), Dense(10)], "sparse_categorical_crossentropy"), seed=3)
    model.compile("adam", steps_per_execution=10)
    if callback == "tfbp":
        backup = training.BackupAndRestore(f"{directory}/backup")
    else:
        backup = keras.callbacks.BackupAndRestore(f"{directory}/backup")
    try:
        model.fit(digits.x_train, digits.labels_train, epochs=EPOCHS, verbose=0, callbacks=[backup, Fate()])
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    np.savez(f"{directory}.npz", *model.get_weights())
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [AS_RUN]:
        sys.exit(run(*sys.argv[2:]))
    sys.exit(main())
