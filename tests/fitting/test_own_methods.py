"""A model's own fit, evaluate and predict are called with what they take; what they reach by super() is this loop."""

import logging

import keras
import numpy as np
import pytest
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

import tfbp
from tfbp.fitting import own_methods
from tfbp.fitting.contract import KERAS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)).astype(np.float32), RNG.normal(size=(40, 1)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}


class Standardizes(keras.Sequential):
    """Prepares its data in fit, evaluate and predict, as keras-hub's tasks do, Keras's cached validation data aside."""

    def fit(self, x=None, y=None, *, validation_data=None, **options):
        return super().fit(x * 2, y, validation_data=validation_data, **options)

    def evaluate(self, x=None, y=None, **options):
        options.pop("_use_cached_eval_dataset", None)
        return super().evaluate(x * 2, y, **options)

    def predict(self, x, **options):
        return super().predict(x * 2, **options)


class FromDict(keras.Sequential):
    """Takes one keyword of its own, as bayesflow's approximators do."""

    def fit(self, *, dataset=None, simulator=None, **options):
        return super().fit(dataset["x"], dataset["y"], **options)


def made_of(kind):
    keras.utils.set_random_seed(1)
    model = kind([keras.Input((4,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def assert_same(ours, theirs, got, expected):
    assert got.history == expected.history
    for w, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(w, other)


def test_what_super_reaches_is_this_loop_to_the_same_bits():
    ours, theirs = made_of(Standardizes), made_of(Standardizes)
    data = {"validation_data": (X[:20], Y[:20]), **OPTIONS}
    got, expected = tfbp.fit(ours, X, Y, **data), theirs.fit(X, Y, **data)
    assert_same(ours, theirs, got, expected)
    assert got.params["jit_compile"] is False
    assert tfbp.evaluate(ours, X, Y, verbose=0) == theirs.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(tfbp.predict(ours, X, verbose=0), theirs.predict(X, verbose=0))
    assert {name for (name, *_) in next(iter(ours._tfbp_programs._programs.values()))._steps} >= {"train", "test"}


def test_keywords_that_only_the_model_knows_are_passed():
    ours, theirs = made_of(FromDict), made_of(FromDict)
    data = {"dataset": {"x": X, "y": Y}, **OPTIONS}
    assert_same(ours, theirs, tfbp.fit(ours, **data), theirs.fit(**data))
    assert ours._tfbp_programs.traces


def test_a_fit_with_a_keyword_of_its_own_reaches_this_evaluate_and_predict():
    reached = {}

    class LooksAtMethods(FromDict):
        def fit(self, *, dataset=None, **options):
            reached.update({name: getattr(TensorFlowTrainer, name) for name in ("fit", "evaluate", "predict")})
            return super().fit(dataset=dataset, **options)

    tfbp.fit(made_of(LooksAtMethods), dataset={"x": X, "y": Y}, batch_size=20, verbose=0)
    assert {name for name, method in reached.items() if method is not KERAS[name]} == {"fit", "evaluate", "predict"}


class Renames(keras.Sequential):
    """Other names and other defaults than Keras's, by place alone."""

    def fit(self, inputs, targets, /, *, epochs=3, verbose=0, shuffle=False):
        return super().fit(inputs, targets, epochs=epochs, verbose=verbose, shuffle=shuffle, batch_size=8)


@pytest.mark.parametrize("given", [{}, {"epochs": 1}, {"shuffle": True}], ids=["defaults", "keras-s-epochs", "shuffle"])
def test_a_fit_of_its_own_is_called_as_it_was_given(given):
    """Also with an argument that is Keras's default and not the method's own."""
    ours, theirs = made_of(Renames), made_of(Renames)
    got, expected = tfbp.fit(ours, X, Y, **given), theirs.fit(X, Y, **given)
    assert got.epoch == expected.epoch
    assert len(tfbp.fit(ours, x=X, y=Y, **given).epoch) == len(expected.epoch)
    if not given:
        assert_same(made := made_of(Renames), other := made_of(Renames), tfbp.fit(made, X, Y), other.fit(X, Y))


def test_privacy_is_not_lost_in_a_fit_with_a_keyword_of_its_own():
    privacy = tfbp.Privacy(noise_multiplier=1.0, delta=1e-3, clip=1.0)
    with pytest.raises(tfbp.InputError, match=r"privacy: got .* for a FromDict, whose fit does not take it"):
        tfbp.fit(made_of(FromDict), dataset={"x": X, "y": Y}, privacy=privacy)


@pytest.mark.parametrize("act", [tfbp.fit, tfbp.evaluate, tfbp.predict])
def test_keywords_that_nobody_knows_are_refused(act):
    with pytest.raises(TypeError, match="unexpected keyword argument 'dataset'"):
        act(made_of(keras.Sequential), X, dataset=3)


def test_a_fit_of_its_own_that_calls_this_one_does_not_go_round():
    class Circular(keras.Sequential):
        def fit(self, *data, **options):
            return tfbp.fit(self, *data, **options)

    assert len(tfbp.fit(made_of(Circular), X, Y, **OPTIONS).history["loss"]) == 2
    assert len(made_of(Circular).fit(X, Y, **OPTIONS).history["loss"]) == 2


def test_keras_s_methods_are_back_afterwards_and_others_reach_them_meanwhile():
    seen = []

    class Nests(keras.Sequential):
        def fit(self, *data, **options):
            other = made_of(keras.Sequential)
            other.fit(X, Y, **OPTIONS)
            seen.append((own_methods.is_inside(self), getattr(other, "_tfbp_programs", None)))
            raise KeyError

    with pytest.raises(KeyError):
        tfbp.fit(made_of(Nests), X, Y)
    assert seen == [(True, None)]
    assert all(vars(TensorFlowTrainer)[name] is function for name, function in KERAS.items())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"x": X, "y": Y, "steps_per_epoch": 2}, "steps_per_epoch was given"),
        ({"x": ((X, Y) for _ in range(3))}, "the data are no dense numbers in memory (generator)"),
        ({"x": X, "y": Y}, "it runs eagerly"),
    ],
    ids=["steps", "generator", "eager"],
)
def test_the_history_and_the_log_say_that_keras_s_loop_was_taken_and_why(data, why, caplog):
    model = made_of(keras.Sequential)
    model.run_eagerly = "eagerly" in why
    with caplog.at_level(logging.INFO, "tfbp"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        history = tfbp.fit(model, **data, epochs=1, verbose=0)
    assert history.params["jit_compile"] == "keras"
    assert caplog.messages == [f"{model.name}: trained by Keras's own loop, because {why}"]


def test_without_a_step_nothing_is_said_of_xla():
    history = tfbp.fit(made_of(keras.Sequential), X, Y, epochs=0, verbose=0)
    assert history.params["jit_compile"] in (False, None)
