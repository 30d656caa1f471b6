"""A run that was killed goes on to the very same weights, and a backup is whole at every moment."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp import Dense, InputError, Model, Network
from tfbp.training import BackupAndRestore

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)


class Interrupt(keras.callbacks.Callback):
    """Breaks training off in the middle of an epoch, as Ctrl-C does."""

    def __init__(self, epoch):
        super().__init__()
        self._at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self._at and batch >= 2:
            raise KeyboardInterrupt


def model_of(units=8, optimizer="adam", **options):
    model = Model(Network(6, [Dense(units, "tanh"), Dense(3)], "sparse_categorical_crossentropy"), seed=1, **options)
    model.compile(optimizer, steps_per_execution=1)
    return model


def interrupted(path, epoch=2, **options):
    with pytest.raises(KeyboardInterrupt):
        model_of(**options).fit(
            X, LABELS, batch_size=16, epochs=5, verbose=0, callbacks=[BackupAndRestore(path), Interrupt(epoch)]
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed_float16"])
@pytest.mark.parametrize("epoch", [0, 2, 4])
@pytest.mark.sampled(2)
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, epoch, dtype):
    interrupted(tmp_path / "backup", epoch, dtype=dtype)
    resumed, whole = model_of(dtype=dtype), model_of(dtype=dtype)
    backup = BackupAndRestore(tmp_path / "backup")
    history = resumed.fit(X, LABELS, batch_size=16, epochs=5, verbose=0, callbacks=[backup])
    assert history.epoch == list(range(epoch, 5))
    whole.fit(X, LABELS, batch_size=16, epochs=5, verbose=0)
    for got, expected in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert not (tmp_path / "backup").exists()


def test_a_half_written_backup_is_not_looked_at(tmp_path):
    interrupted(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-2.npz"]
    (tmp_path / "partial.npz").write_bytes(b"half")
    assert model_of().fit(X, LABELS, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)]).epoch == [2]


def test_a_backup_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    class FillDisk(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                monkeypatch.setattr("pathlib.Path.write_bytes", full)

    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\); the backup of 3 epochs"):
        model_of().fit(X, LABELS, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path), FillDisk()])
    monkeypatch.undo()
    assert model_of().fit(X, LABELS, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path)]).epoch == [3, 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"units": 9}, "a backup of another network"),
        ({"optimizer": "sgd"}, "a backup with another optimizer"),
        ({}, "whose epoch-7.npz cannot be read"),
    ],
    ids=["network", "optimizer", "damaged"],
)
def test_a_backup_that_does_not_fit_is_refused(tmp_path, options, sentence):
    interrupted(tmp_path)
    if not options:
        (tmp_path / "epoch-7.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError) as caught:
        model_of(**options).fit(X, LABELS, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    message = str(caught.value)
    assert message.startswith(f"backup_dir: got {str(tmp_path)!r}, {sentence}")
    assert message.endswith("accepted: a backup of this network and optimizer, or an empty directory.")


def test_any_keras_model_has_one(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.network = keras.layers.Dense(1)  # a word of its own for something else

        def call(self, x):
            return self.network(x)

    epochs = []
    for stop in (1, 3):
        model = Own()
        model.compile("sgd", "mse")
        backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
        epochs.append(tfbp.fit(model, X, LABELS, epochs=stop, verbose=0, callbacks=[backup]).epoch)
    assert epochs == [[0], [1, 2]]
