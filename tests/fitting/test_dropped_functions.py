"""Where Keras drops or makes again what it has traced of a model, so do fit, evaluate and predict."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp.fitting.contract import KERAS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 6)).astype(np.float32), RNG.normal(size=(40, 2)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 3, "verbose": 0, "shuffle": False}
# Keras says of its own input layer that it cannot be quantized
QUANTIZED = pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize` method")
OURS = {"fit": tfbp.fit, "evaluate": tfbp.evaluate, "predict": tfbp.predict}


def model():
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)])
    made.compile("sgd", "mse", jit_compile=False)
    return made


def both(act):
    """What an act on a model, with the functions that it is given, returns with ours and with Keras's."""
    return [act(model(), functions) for functions in (OURS, KERAS)]


@QUANTIZED
def test_a_quantized_model_predicts_and_is_evaluated_by_its_new_weights():
    def act(made, functions):
        before = functions["predict"](made, X, verbose=0)
        functions["evaluate"](made, X, Y, verbose=0)
        made.quantize("int8")
        assert not np.array_equal(functions["predict"](made, X, verbose=0), before)
        return functions["predict"](made, X, verbose=0), functions["evaluate"](made, X, Y, verbose=0)

    (ours, loss), (theirs, expected) = both(act)
    np.testing.assert_array_equal(ours, theirs)
    assert loss == expected


class Freezes(keras.callbacks.Callback):
    """Freezes a layer after the first epoch, by what Keras offers for it."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def on_epoch_end(self, epoch, logs=None):
        self.model.layers[0].trainable = False
        if self.how == "force":
            self.model.make_train_function(force=True)


@pytest.mark.parametrize(("how", "frozen"), [("force", True), ("not at all", False)])
def test_a_layer_frozen_in_a_callback_stays_where_keras_is_told_to_trace_again(how, frozen):
    def act(made, functions):
        seen = [layer.kernel.numpy() for layer in made.layers]
        keep = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: seen.append(made.layers[0].kernel.numpy())
        )
        functions["fit"](made, X, Y, callbacks=[Freezes(how), keep], **OPTIONS)
        return [*seen, *made.get_weights()]

    ours, theirs = both(act)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(got, expected)
    # the first layer's kernel at the beginning of the second epoch and at the end
    assert np.array_equal(ours[3], ours[5]) == frozen


def test_functions_set_to_none_between_two_fits_are_made_again():
    def act(made, functions):
        functions["fit"](made, X, Y, **OPTIONS)
        made.layers[0].trainable = False
        made.train_function = None
        before = made.layers[0].kernel.numpy()
        functions["fit"](made, X, Y, **OPTIONS)
        np.testing.assert_array_equal(made.layers[0].kernel.numpy(), before)
        return made.get_weights()

    ours, theirs = both(act)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(got, expected)


@QUANTIZED
def test_a_quantized_model_is_trained_by_its_new_graph_or_refused_as_by_keras():
    def act(made, functions):
        functions["fit"](made, X, Y, **OPTIONS)
        made.quantize("float8")
        with pytest.raises(Exception) as raised:  # noqa: PT011 (whatever Keras raises is right)
            functions["fit"](made, X, Y, **OPTIONS)
        return type(raised.value)

    ours, theirs = both(act)
    assert ours is theirs


def test_what_is_not_dropped_is_not_traced_again():
    made = model()
    for _ in range(2):
        tfbp.fit(made, X, Y, validation_split=0.2, **OPTIONS)
        tfbp.predict(made, X, verbose=0)
        KERAS["predict"](made, X, verbose=0)
        traces = made._tfbp_programs.traces
    tfbp.fit(made, X, Y, validation_split=0.2, **OPTIONS)
    assert made._tfbp_programs.traces == traces
