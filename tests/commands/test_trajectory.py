"""The writings trained on digits from the same parameters stay together, and a wrong gradient drives them apart."""

import numpy as np
import pytest

from tfbp import (
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPooling2D,
    Network,
    Residual,
    datasets,
    manual,
    reference,
    tape,
)
from tfbp.commands import trajectory
from tfbp.commands.trajectory import Plan, Trajectories, train

WRITINGS = ("reference", "manual", "tape")


def epochs_of(optimizer, loss="sparse_categorical_crossentropy", epochs=3):
    data = datasets.load("digits", "float64")
    network = Network(64, [Dense(16, "relu"), Dense(12, "tanh"), Dense(10)], loss)
    y, y_validation = data.labels_train, data.labels_validation
    if not loss.startswith("sparse"):
        y, y_validation = np.eye(10)[y], np.eye(10)[y_validation]
    validation, found = (data.x_validation, y_validation), []
    trajectories = Trajectories(network, validation, lambda epoch, parameters: found.append(epoch))
    for writing in WRITINGS:
        train(trajectories, writing, (data.x_train, y), Plan(optimizer, epochs, 20))
    return found


@pytest.mark.xla
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "half_squared_error"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.sampled(7)
def test_the_writings_stay_together_and_learn(optimizer, loss):
    epochs = epochs_of(optimizer, loss)
    by_writing = [epochs[start : start + 3] for start in (0, 3, 6)]
    assert [[epoch.writing for epoch in each] for each in by_writing] == [[writing] * 3 for writing in WRITINGS]
    # 216 steps of a few roundings each; errors grow along a trajectory, by far less than a thousand
    assert max(epoch.disagreement for epoch in epochs) < 1000 * 216 * 2**-53
    assert max(epoch.disagreement for epoch in epochs[:3]) == 0
    assert epochs[2].train[0] < epochs[0].train[0]
    assert epochs[2].validation[1] > 0.25
    for trio in zip(*by_writing, strict=True):
        assert [epoch.number for epoch in trio] == [trio[0].number] * 3
        np.testing.assert_allclose([e.validation[0] for e in trio], trio[0].validation[0], rtol=1e-11)
        assert len({e.validation[1] for e in trio}) == 1
        # Keras's metrics are float32
        np.testing.assert_allclose([e.train[0] for e in trio], trio[0].train[0], rtol=1e-6)
        np.testing.assert_allclose([e.train[1] for e in trio], trio[0].train[1], rtol=1e-6)
        assert all(epoch.seconds > 0 for epoch in trio)


def test_a_gradient_off_by_a_thousandth_shows(monkeypatch):
    right = manual.dense.dense_backward

    def wrong(dz, residuals, **options):
        dx, dkernel, dbias = right(dz, residuals, **options)
        return dx, dkernel * 1.001, dbias

    monkeypatch.setattr(manual.dense, "dense_backward", wrong)
    disagreement = {epoch.writing: epoch.disagreement for epoch in epochs_of("sgd", epochs=1)}
    assert disagreement["manual"] > 1e-6
    assert disagreement["tape"] < 1e-11


IMAGES = Network(
    (8, 8, 1),
    [
        Conv2D(4, 3, padding="same", activation="relu"),
        Residual([Conv2D(6, 3, 2, "same", use_bias=False), BatchNormalization()], [Conv2D(6, 1, 2)]),
        MaxPooling2D(),
        Flatten(),
        Dropout(0.4),
        Dense(10),
    ],
    "sparse_categorical_crossentropy",
)


def epochs_on_images():
    """Two epochs of five steps, the last a short one; validation in pieces."""
    data = datasets.load("digits", "float64").shaped((8, 8, 1))
    samples, validation = (
        (data.x_train[:70], data.labels_train[:70]),
        (data.x_validation[:50], data.labels_validation[:50]),
    )
    found = []
    trajectories = Trajectories(IMAGES, validation, lambda epoch, parameters: found.append((epoch, parameters)))
    for writing in WRITINGS:
        train(trajectories, writing, samples, Plan("adam", 2, 16, 0.01, seed=3))
    return found, validation


def test_dropout_and_moving_statistics_stay_together_too(monkeypatch):
    monkeypatch.setattr(trajectory, "ROWS", 16)
    found, validation = epochs_on_images()
    assert [(epoch.writing, epoch.number) for epoch, _ in found] == [(w, n) for w in WRITINGS for n in (0, 1)]
    assert 0 < max(epoch.disagreement for epoch, _ in found) < 1000 * 10 * 2**-53
    by_writing = dict(zip(WRITINGS, (found[start : start + 2] for start in (0, 2, 4)), strict=True))
    for number, (epoch, parameters) in enumerate(by_writing["reference"]):
        loss, outputs = reference.loss_and_outputs(IMAGES, parameters, *validation)
        # at inference, and the mean over all rows however they are divided
        np.testing.assert_allclose(epoch.validation[0], loss, rtol=1e-14)
        assert epoch.validation[1] == pytest.approx((outputs.argmax(axis=-1) == validation[1]).mean())
        for writing in ("manual", "tape"):
            other = by_writing[writing][number][0]
            # Keras's metrics are float32
            np.testing.assert_allclose(other.train, epoch.train, rtol=1e-6)
            np.testing.assert_allclose(other.validation, epoch.validation, rtol=1e-12)
    moving = by_writing["manual"][1][1][1]["layers"][1]
    assert np.abs(moving["moving_variance"] - 1).max() > 1e-3


@pytest.mark.parametrize(("mistake", "writing"), [("a moving mean that stays", "manual"), ("another mask", "tape")])
def test_a_mistake_in_either_shows(monkeypatch, mistake, writing):
    module = {"manual": manual, "tape": tape}[writing]
    if mistake == "another mask":
        kind, forward = "Dropout", module.dropout.forward

        def wrong(*a, seed, **k):
            return forward(*a, seed=seed and (seed[0] + 1, seed[1]), **k)
    else:
        kind, forward = "BatchNormalization", module.kinds.KINDS["BatchNormalization"][0]

        def wrong(*a, **k):
            return *forward(*a, **k)[:-1], {}

    right = module.kinds.KINDS[kind]
    monkeypatch.setitem(module.kinds.KINDS, kind, wrong if writing == "tape" else (wrong, right[1]))
    found, _ = epochs_on_images()
    disagreement = {epoch.writing: epoch.disagreement for epoch, _ in found}
    assert disagreement.pop(writing) > 1e-4
    assert max(disagreement.values()) < 1e-12


def test_a_run_that_leaves_the_range_of_numbers_is_apart_by_nan_and_not_by_zero():
    network = Network(1, [Dense(1, use_bias=False)], "half_squared_error")
    x, found = np.array([[1.0], [2.0]]), []
    trajectories = Trajectories(network, (x, x), lambda epoch, parameters: found.append(epoch))
    for writing in WRITINGS:
        train(trajectories, writing, (x, x), Plan("sgd", 12, 1, 1e30))
    last = [epoch for epoch in found if epoch.number == 11]
    assert len(last) == 3
    assert all(np.isnan(epoch.disagreement) for epoch in last)
