"""The audit: its bound, and that it sees a mechanism without noise and is quiet on one that is right."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp.privacy import audit as audits
from tfbp.privacy import noise

L = keras.layers


@pytest.mark.parametrize(
    ("guesses", "right", "bound"),
    [(100, 50, 0.0), (100, 60, 0.05), (100, 100, 3.49), (200, 150, 0.82), (40, 40, 2.55)],
)
def test_the_bound_is_that_of_a_binomial(guesses, right, bound):
    found = audits.lower_bound(500, guesses, right, 0.0)
    # P(Binomial(r, e^ε / (1 + e^ε)) >= v) = 0.05
    assert found == pytest.approx(bound, abs=0.01)
    assert audits.lower_bound(500, guesses, right, 1e-5) <= found + 1e-9
    assert audits.lower_bound(500, guesses, right, 0.0, confidence=0.99) <= found


def audited(epsilon):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([L.Input((400,)), L.Dense(3)])
    model.compile(keras.optimizers.SGD(4.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 400)), rng.integers(0, 3, 100)
    privacy = tfbp.Privacy(epsilon=epsilon, delta=1e-4, clip=1.0, accountant="rdp")
    return audits.audit(model, x, y, privacy, canaries=200, batch_size=50, epochs=6, verbose=0)


def test_it_is_quiet_where_the_mechanism_is_right():
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    found = audited(0.5)
    assert not found.contradicts
    assert found.epsilon <= 0.5
    assert found.guesses == 100


def test_it_sees_that_there_is_no_noise(monkeypatch):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    monkeypatch.setattr(noise, "noised", lambda sums, key, step, deviation, divisor: [each / divisor for each in sums])
    found = audited(0.5)
    assert found.contradicts
    assert found.lower_bound > 0.5 >= found.epsilon


def test_too_few_canaries_are_refused():
    with pytest.raises(tfbp.InputError, match="canaries: got 2"):
        audits.audit(None, None, None, None, canaries=2)
