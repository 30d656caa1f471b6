"""Training by manual and tape: the same steps as Keras's own, and no trace after the first."""

import keras
import numpy as np
import pytest

from tfbp import L1L2, Dense, InputError, Network
from tfbp.training import Trainer, keras_optimizer

RNG = np.random.default_rng(0)
# Keras rounds the factor of a penalty to float32, also in float64: this one is exact
L2 = L1L2(l2=1 / 128)
NETWORK = Network(6, [Dense(8, "tanh", kernel_regularizer=L2), Dense(3)], "sparse_categorical_crossentropy")
X, LABELS = RNG.normal(size=(50, 6)), RNG.integers(0, 3, 50)
EPOCHS, BATCH = 3, 16


def trainer(gradients, optimizer="adam"):
    return Trainer(NETWORK, NETWORK.init(seed=2), gradients, keras_optimizer(optimizer, 0.05), X, LABELS)


@pytest.fixture
def float64_keras():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


@pytest.mark.usefixtures("float64_keras")
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("gradients", ["manual", "tape"])
def test_ends_where_plain_keras_ends(gradients, optimizer):
    ours = trainer(gradients, optimizer)
    plain = NETWORK.to_keras(NETWORK.init(seed=2), dtype="float64")
    plain.compile(keras_optimizer(optimizer, 0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for epoch in range(EPOCHS):
        order = np.random.default_rng(epoch).permutation(50)
        losses, _ = ours.train_epoch(order, BATCH)
        for start, loss in zip(range(0, 50, BATCH), losses, strict=True):
            rows = order[start : start + BATCH]
            theirs = plain.train_on_batch(X[rows], LABELS[rows])
            plain.reset_metrics()
            assert loss == pytest.approx(float(theirs), rel=1e-6)  # Keras's mean metric is float32
    flat = [w for layer in ours.parameters() for w in layer.values()]
    for got, expected in zip(flat, plain.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gradients", ["manual", "tape"])
def test_never_traces_again_after_the_first_epoch(gradients):
    ours = trainer(gradients)
    for epoch in range(3):
        ours.train_epoch(np.random.default_rng(epoch).permutation(50), BATCH)
        ours.evaluate(X[:20], LABELS[:20])
    assert ours._epoch.experimental_get_tracing_count() == 1
    assert ours._evaluate.experimental_get_tracing_count() == 1


def test_evaluates_loss_and_accuracy():
    ours = trainer("manual")
    loss, accuracy = ours.evaluate(X, LABELS)
    (kernel0, bias0), (kernel1, bias1) = (tuple(layer.values()) for layer in ours.parameters())
    logits = np.tanh(X @ kernel0 + bias0) @ kernel1 + bias1
    expected = np.log(np.exp(logits).sum(1)) - logits[np.arange(50), LABELS]
    assert loss == pytest.approx(expected.mean() + (kernel0**2).sum() / 128, rel=1e-12)
    assert accuracy == pytest.approx((logits.argmax(1) == LABELS).mean())


def test_bad_labels_are_refused():
    with pytest.raises(InputError, match="y: got the label 3; accepted: integers from 0 to 2"):
        Trainer(NETWORK, NETWORK.init(), "manual", keras_optimizer("sgd"), X, LABELS + 1)
