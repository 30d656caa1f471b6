"""Keras's own callbacks do to a tfbp.Model what they do to a plain Keras model trained on the same batches."""

import csv

import keras
import numpy as np
import pytest

from tfbp import Dense, Model, Network

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
VALIDATION = RNG.normal(size=(25, 6)).astype(np.float32), RNG.integers(0, 3, 25)
NETWORK = Network(6, [Dense(16, "tanh"), Dense(3)], "sparse_categorical_crossentropy")
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def both():
    plain = NETWORK.to_keras(NETWORK.init(seed=1))
    plain.compile(keras.optimizers.SGD(0.5), LOSS, metrics=["accuracy"])
    model = Model(NETWORK, seed=1)
    model.compile(keras.optimizers.SGD(0.5), metrics=["accuracy"])
    return model, plain


def fit(model, callback, epochs=12):
    options = {"batch_size": 16, "epochs": epochs, "verbose": 0, "shuffle": False, "validation_data": VALIDATION}
    return model.fit(X, LABELS, callbacks=[callback], **options)


def assert_same_weights(model, plain):
    for got, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        # 60 steps of float32 rounding, of weights around 1
        np.testing.assert_allclose(got, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.callbacks.EarlyStopping("val_loss", patience=2),
        lambda: keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
        lambda: keras.callbacks.EarlyStopping("loss", min_delta=0.05, start_from_epoch=3),
        lambda: keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=1),
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8 if epoch else rate),
    ],
    ids=["stop", "stop-and-restore", "stop-late", "reduce-on-plateau", "schedule"],
)
@pytest.mark.sampled(3)
def test_what_watches_the_epochs_decides_alike(make):
    model, plain = both()
    ours, theirs = (fit(each, make()) for each in (model, plain))
    assert ours.epoch == theirs.epoch
    assert ours.history.keys() == theirs.history.keys()
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-4, err_msg=name)
    assert_same_weights(model, plain)


@pytest.mark.parametrize("save_freq", ["epoch", 7])
def test_checkpoints_are_written_when_keras_writes_them(tmp_path, save_freq):
    model, plain = both()
    for name, each in (("ours", model), ("theirs", plain)):
        path = tmp_path / name / "{epoch:02d}.weights.h5"
        fit(each, keras.callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=save_freq), epochs=3)
    written = {name: sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("ours", "theirs")}
    assert written["ours"] == written["theirs"]
    assert len(written["ours"]) >= 2
    again = Model(NETWORK, seed=5)
    again.load_weights(tmp_path / "ours" / written["ours"][-1])
    if save_freq == "epoch":
        for got, expected in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_the_csv_has_a_line_for_every_epoch(tmp_path):
    model, plain = both()
    rows = []
    for each in (model, plain):
        path = tmp_path / f"{type(each).__name__}.csv"
        fit(each, keras.callbacks.CSVLogger(path), epochs=3)
        with path.open() as file:
            rows.append(list(csv.DictReader(file)))
    ours, theirs = rows
    assert len(ours) == len(theirs) == 3
    for got, expected in zip(ours, theirs, strict=True):
        assert got.keys() == expected.keys()
        for name, value in expected.items():
            assert float(got[name]) == pytest.approx(float(value), rel=1e-4), name


def test_terminate_on_nan_of_keras_stops_in_the_same_epoch():
    model, plain = both()
    for each in (model, plain):
        weights = each.get_weights()
        weights[0][0, 0] = np.nan
        each.set_weights(weights)
    ours, theirs = (fit(each, keras.callbacks.TerminateOnNaN()) for each in (model, plain))
    assert ours.epoch == theirs.epoch == [0]


def test_swapped_averages_are_evaluated():
    options = {"use_ema": True, "ema_momentum": 0.8}
    model, plain = both()
    model.compile(keras.optimizers.SGD(0.5, **options), metrics=["accuracy"])
    plain.compile(keras.optimizers.SGD(0.5, **options), LOSS, metrics=["accuracy"])
    ours, theirs = (fit(each, keras.callbacks.SwapEMAWeights(swap_on_epoch=True), epochs=4) for each in (model, plain))
    np.testing.assert_allclose(ours.history["val_loss"], theirs.history["val_loss"], rtol=1e-4)
    assert_same_weights(model, plain)
