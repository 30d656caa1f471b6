"""The writings trained on digits from the same parameters stay together, and a wrong gradient drives them apart."""

import numpy as np
import pytest

from tfbp import Dense, Network, datasets, manual
from tfbp.agreement.trajectory import Trajectories, train

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
        train(trajectories, writing, network, optimizer, None, (data.x_train, y), validation, epochs, 20, seed=0)
    return found


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "half_squared_error"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
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


def test_a_run_that_leaves_the_range_of_numbers_is_apart_by_nan_and_not_by_zero():
    network = Network(1, [Dense(1, use_bias=False)], "half_squared_error")
    x, found = np.array([[1.0], [2.0]]), []
    trajectories = Trajectories(network, (x, x), lambda epoch, parameters: found.append(epoch))
    for writing in WRITINGS:
        train(trajectories, writing, network, "sgd", 1e30, (x, x), (x, x), epochs=12, batch_size=1, seed=0)
    last = [epoch for epoch in found if epoch.number == 11]
    assert len(last) == 3
    assert all(np.isnan(epoch.disagreement) for epoch in last)
