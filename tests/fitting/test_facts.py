"""What callbacks change before a step is first run is in its trace, as in Keras; what they change later is not."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp.fitting.contract import KERAS
from tfbp.fitting.facts import Facts

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)).astype(np.float32), RNG.normal(size=(24, 2)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False}


class Scaled(keras.Model):
    """A loss with a factor that is a number of Python's, kept under a name of its own."""

    def __init__(self, of_loss=1.0):
        super().__init__()
        self.dense, self.drop = keras.layers.Dense(2), keras.layers.Dropout(0.9, seed=1)
        self._factor, self.of_outputs = of_loss, 1.0

    def call(self, x):
        return self.drop(self.dense(x)) * self.of_outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self._factor * keras.ops.mean((y - y_pred) ** 2)


def model_of():
    keras.utils.set_random_seed(1)
    model = Scaled()
    model(X[:1])
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    return model


def at(hook, change):
    """A callback that changes a model with each call of a hook, which has a number."""

    class Changing(keras.callbacks.Callback):
        calls = 0

        def change(self, *given, logs=None):
            type(self).calls += 1
            change(self.model, self.calls)

    setattr(Changing, hook, Changing.change)
    return Changing()


# what is changed: the factor at every call, what is trained, an object, a layer's number
CHANGES = {
    "number": lambda model, call: setattr(model, "_factor", 0.5**call),
    "frozen": lambda model, call: setattr(model.dense.bias, "trainable", False),
    "optimizer": lambda model, call: setattr(model, "optimizer", keras.optimizers.SGD(0.5)) if call == 1 else None,
    "of-a-layer": lambda model, call: setattr(model.drop, "rate", 0.1 / call),
}


def trained(fit, hook, change, **options):
    model = model_of()
    history = fit(model, X, Y, callbacks=[at(hook, change)], **OPTIONS, **options).history
    return model.get_weights(), history


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
@pytest.mark.sampled(5)
def test_what_is_changed_before_the_first_step_is_trained_with_as_in_keras(hook, change):
    got, expected = (trained(fit, hook, CHANGES[change]) for fit in (tfbp.fit, KERAS["fit"]))
    assert got[1] == expected[1]
    for ours, theirs in zip(got[0], expected[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_validation_has_what_was_changed_before_it_first_ran():
    got, expected = (
        trained(fit, "on_train_batch_end", CHANGES["number"], validation_data=(X, Y))
        for fit in (tfbp.fit, KERAS["fit"])
    )
    assert got[1] == expected[1]
    assert got[1]["val_loss"][0] < 0.2 * got[1]["loss"][0]  # 0.5³ of its factor


@pytest.mark.parametrize("act", ["evaluate", "predict"])
def test_what_is_changed_as_they_begin_counts(act):
    hook, model = {"evaluate": "on_test_begin", "predict": "on_predict_begin"}[act], model_of()
    data = (X, Y) if act == "evaluate" else (X,)
    change = at(hook, lambda model, call: setattr(model, "of_outputs", 0.0))
    found = getattr(tfbp, act)(model, *data, callbacks=[change], verbose=0)
    np.testing.assert_allclose(found, np.mean(Y**2) if act == "evaluate" else np.zeros((24, 2)), rtol=1e-5)


def test_a_callback_that_changes_nothing_costs_no_trace():
    model, calls = model_of(), []
    loss = Scaled.compute_loss
    model.compute_loss = lambda *given, **options: calls.append(1) or loss(model, *given, **options)
    tfbp.fit(model, X, Y, callbacks=[at("on_epoch_begin", lambda model, call: None)], validation_data=(X, Y), **OPTIONS)
    assert len(calls) == 2


def test_facts_are_those_of_python_alone():
    model = model_of()
    before = Facts(model)
    model.dense.kernel.assign(model.dense.kernel * 2)
    model.optimizer.learning_rate = 0.3
    model.stop_training = True
    assert before == Facts(model)
    model.of_outputs = 1  # no float
    assert before != Facts(model)
