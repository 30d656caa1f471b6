"""Models of one architecture share their programs, and none where anything in the graph differs."""

import gc
import weakref

import keras
import numpy as np
import pytest

import tfbp
from tfbp.fitting import twins

pytestmark = pytest.mark.usefixtures("only_new_garbage")
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 5, 6)).astype(np.float32), RNG.normal(size=(20, 2)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}
VALIDATION = {"validation_data": (X[:9], Y[:9])}


@pytest.fixture(autouse=True)
def nothing_kept():
    keras.backend.clear_session()
    yield
    keras.backend.clear_session()


def model_of(rate=0.2, penalty=1e-3, activation="tanh", seed=1, optimizer="adam", frozen=False):
    keras.utils.set_random_seed(seed)
    parts = [
        keras.layers.SimpleRNN(3),
        keras.layers.Dropout(rate, seed=3),
        keras.layers.Dense(4, activation, kernel_regularizer=keras.regularizers.L2(penalty)),
        keras.layers.Dense(2),
    ]
    parts[2].trainable = not frozen
    model = keras.Sequential([keras.Input((5, 6)), *parts])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def trained(model, **options):
    history = tfbp.fit(model, X, Y, **OPTIONS, **options).history
    return history, model.get_weights(), model._tfbp_programs.traces


def alone(model, **options):
    """As `trained`, where nothing is shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "find", lambda key: None)
        patch.setattr(twins, "keep", lambda *given: None)
        return trained(model, **options)


@pytest.mark.parametrize(("mode", "steps"), [("off", 2), ("on", 4)], ids=["graph", "xla"])
@pytest.mark.sampled(3)
def test_a_twin_is_trained_by_the_other_s_programs_as_by_its_own(monkeypatch, mode, steps):
    monkeypatch.setenv("TFBP_AUTO_XLA", mode)
    expected, weights, traces = alone(model_of(seed=2), **VALIDATION)
    trained(model_of(seed=1), **VALIDATION)
    history, got, fewer = trained(model_of(seed=2), **VALIDATION)
    # no program is traced again: only the steps, of training and of validation, and for XLA those of the last batches
    assert (traces, fewer) == (2 * steps + (mode == "on") * 2, steps)
    assert history == expected
    for mine, other in zip(got, weights, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    "other",
    [{"rate": 0.3}, {"penalty": 2e-3}, {"activation": "relu"}, {"optimizer": "sgd"}, {"frozen": True}],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.sampled(3)
def test_what_differs_in_anything_is_no_twin(other):
    trained(model_of())
    expected, weights, traces = alone(model_of(**other))
    history, got, same = trained(model_of(**other))
    assert same == traces
    assert history == expected
    for mine, others in zip(got, weights, strict=True):
        np.testing.assert_array_equal(mine, others)


def test_a_learning_rate_is_a_variable_and_each_twin_s_own():
    def rates():
        for rate in (0.1, 0.2):
            model = model_of(optimizer=keras.optimizers.SGD(rate))
            yield trained(model)[1], alone(model_of(optimizer=keras.optimizers.SGD(rate)))[1]

    for got, expected in rates():
        for mine, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(mine, other)


def test_a_twin_goes_when_it_is_dropped():
    trained(model_of())
    model = model_of(seed=2)
    trained(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
