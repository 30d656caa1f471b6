"""The writings trained in lockstep on digits stay together, and a wrong gradient drives them apart."""

import numpy as np
import pytest

from tfbp import Dense, Network, datasets, manual
from tfbp.agreement import trajectory

WRITINGS = ("reference", "manual", "tape")


def epochs_of(optimizer, loss="sparse_categorical_crossentropy", epochs=3):
    data = datasets.load("digits", "float64")
    network = Network(64, [Dense(16, "relu"), Dense(12, "tanh"), Dense(10)], loss)
    y, y_validation = data.labels_train, data.labels_validation
    if not loss.startswith("sparse"):
        y, y_validation = np.eye(10)[y], np.eye(10)[y_validation]
    trainers = trajectory.trainers(WRITINGS, network, network.init(seed=0), optimizer, None, data.x_train, y)
    validation = (data.x_validation, y_validation)
    return list(trajectory.train_in_lockstep(trainers, validation, len(y), epochs, batch_size=20, seed=0))


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "half_squared_error"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_the_writings_stay_together_and_learn(optimizer, loss):
    epochs = epochs_of(optimizer, loss)
    assert [epoch.writing for epoch in epochs] == [*WRITINGS] * 3
    # 216 steps of a few roundings each; errors grow along a trajectory, by far less than a thousand
    assert max(epoch.disagreement for epoch in epochs) < 1000 * 216 * 2**-53
    assert epochs[-1].train[0] < epochs[0].train[0]
    assert epochs[-1].validation[1] > 0.25
    for trio in (epochs[:3], epochs[3:6], epochs[6:]):
        np.testing.assert_allclose([e.validation[0] for e in trio], trio[0].validation[0], rtol=1e-11)
        assert len({e.validation[1] for e in trio}) == 1


def test_a_gradient_off_by_a_thousandth_shows(monkeypatch):
    right = manual.dense.dense_backward

    def wrong(dz, residuals, **options):
        dx, dkernel, dbias = right(dz, residuals, **options)
        return dx, dkernel * 1.001, dbias

    monkeypatch.setattr("tfbp.manual.backprop.dense_backward", wrong)
    disagreement = {epoch.writing: epoch.disagreement for epoch in epochs_of("sgd", epochs=1)}
    assert disagreement["manual"] > 1e-6
    assert disagreement["tape"] < 1e-11
