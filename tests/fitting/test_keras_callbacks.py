"""Every callback of keras.callbacks, with each of its options, does what it does in Keras's fit: files and values."""

import os
from collections import defaultdict

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import tfbp
from tfbp import fitting
from tfbp.fitting import hooks
from tfbp.fitting.contract import KERAS

pytestmark = pytest.mark.usefixtures("only_new_garbage")
C = keras.callbacks
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
# 18 batches of an epoch and 5 of the validation: no multiple of an interval below
OPTIONS = {"batch_size": 4, "epochs": 3, "verbose": 0, "shuffle": False, "validation_data": (X[:20], LABELS[:20])}
# names of files that hold the time, and values that measure it
TIMED = ("tfevents", "plugins/profile")


def model(*inner, **options):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, "relu"), *inner, keras.layers.Dense(3, "softmax")], name="model"
    )
    optimizer = keras.optimizers.Adam(0.01, use_ema=True)
    made.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **{"jit_compile": False, **options}
    )
    return made


class Summary(keras.layers.Layer):
    """Writes its input's mean for TensorBoard, as Keras's guide shows it."""

    def call(self, x):
        tf.summary.scalar("mean", tf.reduce_mean(x))
        return x


def written(directory):
    """The events by their run, and the weights or the text of every other file."""
    found = defaultdict(list)
    for root, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(root, name)
            run = os.path.relpath(root, directory)
            if "tfevents" in name:
                for event in EventFileLoader(path).Load():
                    for value in event.summary.value:
                        timed = "per_second" in value.tag or value.tag.startswith("batch_4")
                        number = None if timed else tf.make_ndarray(value.tensor).tolist()
                        found[run].append((value.tag, event.step, number))
            elif any(timed in path for timed in TIMED):
                found["timed"].append(os.path.splitext(name)[1])
            elif ".h5" in name or ".keras" in name:
                found[os.path.relpath(path, directory)] = os.path.getsize(path)
            else:
                with open(path) as file:
                    found[os.path.relpath(path, directory)] = file.read()
    return {name: sorted(each, key=str) if isinstance(each, list) else each for name, each in found.items()}


def trained(fit, names, directory, fits=1, inner=(), **options):
    """The results of a fit: files, weights, history, and the state of its callbacks."""
    callbacks, made = {}, model(*inner, **options)
    for name in names:
        (directory / name).mkdir(parents=True)
        callbacks[name] = CASES[name](directory / name)
    history = None
    for _ in range(fits):
        made._initial_epoch = None  # where Keras's BackupAndRestore leaves the next fit nothing to do
        history = fit(made, X, LABELS, callbacks=list(callbacks.values()), **OPTIONS).history
    kept = {
        (name, attribute): value
        for name, callback in callbacks.items()
        for attribute, value in vars(callback).items()
        # a TensorBoard that writes at the ends of epochs counts calls, which nothing reads
        if isinstance(value, int | str | bool) and "_global_" not in attribute and str(directory) not in str(value)
    }
    return written(directory), made.get_weights(), history, kept


BOARDS = {
    "epochs": {},
    "histograms": {"histogram_freq": 2, "write_images": True, "write_graph": False},
    "every-7": {"update_freq": 7},
    "every-batch": {"update_freq": "batch"},
    "seconds": {"write_steps_per_second": True},
    "seconds-every-5": {"write_steps_per_second": True, "update_freq": 5},
    "profile": {"profile_batch": (2, 4)},
    "embeddings": {"embeddings_freq": 1},
}
WEIGHTS = "{epoch}.weights.h5"
CASES = {
    **{f"board-{name}": lambda d, given=given: C.TensorBoard(d, **given) for name, given in BOARDS.items()},
    "checkpoint": lambda d: C.ModelCheckpoint(f"{d}/{WEIGHTS}", save_weights_only=True),
    "checkpoint-best": lambda d: C.ModelCheckpoint(f"{d}/{{epoch}}.keras", "val_loss", save_best_only=True),
    "checkpoint-every-7": lambda d: C.ModelCheckpoint(
        f"{d}/{{epoch}}-{{batch}}-{{loss:.4f}}.weights.h5", save_weights_only=True, save_freq=7
    ),
    "backup": lambda d: C.BackupAndRestore(d, delete_checkpoint=False),
    "backup-every-5": lambda d: C.BackupAndRestore(d, save_freq=5, double_checkpoint=True, delete_checkpoint=False),
    "csv": lambda d: C.CSVLogger(f"{d}/log.csv", separator=";", append=True),
    "early": lambda d: C.EarlyStopping("val_loss", min_delta=1.0, patience=1, restore_best_weights=True),
    "plateau": lambda d: C.ReduceLROnPlateau("val_loss", 0.5, patience=1, min_delta=1.0),
    "rates": lambda d: C.LearningRateScheduler(lambda epoch, rate: 0.01 / (1 + epoch)),
    "averages": lambda d: C.SwapEMAWeights(),
    "averages-of-epochs": lambda d: C.SwapEMAWeights(swap_on_epoch=True),
    "nan": lambda d: C.TerminateOnNaN(),
    "bar": lambda d: C.ProgbarLogger(),
    "history": lambda d: C.History(),
}


# those that are called for blocks alone, those that count batches, those that are called at every batch, and those that
# change what is trained
GROUPS = {
    "epochs": [
        *("board-epochs", "board-histograms", "board-seconds", "board-embeddings", "checkpoint", "checkpoint-best"),
        *("backup", "csv", "nan", "bar", "history"),
    ],
    "counting": ["board-every-7", "checkpoint-every-7", "backup-every-5"],
    "every-batch": ["board-every-batch"],
    "seconds": ["board-seconds-every-5"],
    "profile": ["board-profile"],
    **{name: [name] for name in ("early", "plateau", "rates", "averages", "averages-of-epochs")},
}


def test_every_callback_is_in_a_group():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(CASES)
    # a LambdaCallback is whatever its caller makes it; the other two need a server and a package
    kinds = {type(make("logs")) for make in CASES.values()} | {C.LambdaCallback, C.RemoteMonitor, C.OrbaxCheckpoint}
    assert {each for each in vars(C).values() if isinstance(each, type)} - kinds == {C.Callback, C.CallbackList}


def assert_as_keras(names, tmp_path, **options):
    ours, theirs = (
        trained(fit, names, tmp_path / name, **options) for name, fit in (("ours", tfbp.fit), ("theirs", KERAS["fit"]))
    )
    assert ours[0] == theirs[0]
    for got, expected in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert ours[2:] == theirs[2:]
    return ours


@pytest.mark.parametrize("names", GROUPS.values(), ids=GROUPS)
def test_it_does_what_it_does_in_keras_s_fit(names, tmp_path):
    assert_as_keras(names, tmp_path)


def test_what_was_counted_goes_on_in_the_next_fit(tmp_path):
    assert_as_keras(GROUPS["counting"], tmp_path, fits=2)


def test_executions_of_several_steps_are_counted_as_by_keras(tmp_path):
    assert_as_keras(["board-every-7", "checkpoint-every-7"], tmp_path, steps_per_execution=2)


def test_summaries_of_the_model_s_own_step_are_recorded(tmp_path):
    files, *_ = assert_as_keras(["board-every-batch"], tmp_path, inner=[Summary()])
    assert any("mean" in tag for tag, _, _ in files["board-every-batch/train"])


def test_a_writer_of_the_caller_s_gets_what_keras_writes_to_it(tmp_path):
    for name, fit in (("ours", tfbp.fit), ("theirs", KERAS["fit"])):
        with tf.summary.create_file_writer(str(tmp_path / name / "caller")).as_default():
            fit(model(), X, LABELS, callbacks=[C.TensorBoard(tmp_path / name / "board")], **OPTIONS)
    ours, theirs = (written(tmp_path / name) for name in ("ours", "theirs"))
    assert len(ours["caller"]) == 3 * 18 * 2
    assert ours == theirs


def test_many_batches_in_a_call_all_the_same(tmp_path, monkeypatch):
    calls, run = [], fitting.run.ArrayRun._run
    monkeypatch.setattr(fitting.run.ArrayRun, "_run", lambda self, *given: calls.append(given[0]) or run(self, *given))
    trained(tfbp.fit, ["board-every-7"], tmp_path)
    assert calls.count("train") < 3 * 18 / 2


class Counts(C.ModelCheckpoint):
    def _should_save_on_batch(self, batch):
        return batch == 3


def test_a_subclass_that_changes_when_it_acts_is_called_at_every_batch(tmp_path):
    assert hooks.is_promised(Counts(f"{tmp_path}/a.keras"))
    assert not hooks.is_promised(type("Plain", (C.ModelCheckpoint,), {})(f"{tmp_path}/a.keras"))


@pytest.mark.parametrize("given", [C.CSVLogger, lambda path: [[C.CSVLogger(path)]]], ids=["alone", "nested"])
def test_callbacks_come_in_every_form_that_keras_takes(given, tmp_path):
    made = model()
    for act in (tfbp.fit, tfbp.evaluate):
        act(made, X, LABELS, callbacks=given(tmp_path / "log.csv"), verbose=0)
    assert tfbp.predict(made, X, callbacks=given(tmp_path / "log.csv"), verbose=0).shape == (70, 3)


def test_a_list_of_callbacks_that_is_made_already_has_its_history():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model)
    history = tfbp.fit(model, np.ones((8, 3)), np.ones(8), epochs=2, callbacks=callbacks, verbose=0)
    assert len(history.history["loss"]) == 2
    assert history.params["jit_compile"] is False
