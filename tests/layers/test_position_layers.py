"""Layers of positions: keras-hub's formulas, in every way to run and differentiate them, saved, and in networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Embedding, InputError, Network, PositionEmbedding, RotaryEmbedding, Tokens, layers, reference
from tfbp.bridge.models import OTHER_WAYS

RNG = np.random.default_rng(0)
X, DY = RNG.normal(size=(3, 4, 6)), RNG.normal(size=(3, 4, 6))
LAYERS = {"PositionEmbedding": {"sequence_length": 9}, "RotaryEmbedding": {"max_wavelength": 50, "scaling_factor": 0.5}}
MODES = {"eager": None, "graph": False, "xla": True}


def layer_of(name, dtype="float64"):
    layer = getattr(layers, name)(**LAYERS[name], dtype=dtype)
    layer.build(X.shape)
    return layer


def rotated(x, start=0, max_wavelength=10000, scaling_factor=1.0):
    """As keras-hub has it, in NumPy."""
    width, steps = x.shape[-1], x.shape[1]
    inverse = max_wavelength ** (-np.arange(0, width, 2) / width) / scaling_factor
    angles = np.tile(np.einsum("i,j->ij", np.arange(steps) + start, inverse), 2)
    angles = angles.reshape(steps, *([1] * (x.ndim - 3)), width)
    first, second = np.split(x, 2, axis=-1)
    return x * np.cos(angles) + np.concatenate([-second, first], axis=-1) * np.sin(angles)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients(name, mode):
    layer = layer_of(name)

    def run(x, dy, start):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, start_index=start)
        return y, *tape.gradient(y, [x, *layer.trainable_variables], dy)

    if MODES[mode] is not None:
        run = tf.function(run, jit_compile=MODES[mode], autograph=False)
    y, dx, *dweights = run(tf.constant(X), tf.constant(DY), tf.constant(2, tf.int64))
    if name == "RotaryEmbedding":
        expected = rotated(X, 2, **LAYERS[name])
        # a rotation is orthogonal: back is by the opposite angles
        np.testing.assert_allclose(np.vdot(dx, X), np.vdot(DY, expected), rtol=1e-13)
        np.testing.assert_allclose(np.linalg.norm(dx, axis=-1), np.linalg.norm(DY, axis=-1), rtol=1e-13)
        assert dweights == []
    else:
        expected = X + layer.get_weights()[0][2:6]
        right = np.zeros((9, 6))
        right[2:6] = DY.sum(axis=0)
        np.testing.assert_allclose(dweights[0], right, rtol=1e-13, atol=1e-14)
        np.testing.assert_array_equal(dx, DY)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)


def test_heads_and_lengths_that_are_not_known(rng):
    layer, x = layer_of("RotaryEmbedding"), rng.normal(size=(2, 5, 3, 6))
    np.testing.assert_allclose(layer(x), rotated(x, **LAYERS["RotaryEmbedding"]), rtol=1e-13, atol=1e-14)
    for name in LAYERS:
        made = layer_of(name)
        run = tf.function(made, input_signature=[tf.TensorSpec([None, None, 6], tf.float64)], autograph=False)
        np.testing.assert_allclose(run(X), made(X), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", LAYERS)
def test_dtypes_follow_the_policy(name, policy):
    layer = layer_of(name, policy)
    y = layer(X.astype("float32"))
    assert (y.dtype, {w.dtype for w in layer.weights} - {"float32"}) == (layer.compute_dtype, set())
    unit = {"float32": 2.0**-24, "mixed_float16": 2.0**-11}.get(policy, 2.0**-8)
    wide = layer_of(name)
    wide.set_weights(layer.get_weights())
    np.testing.assert_allclose(tf.cast(y, tf.float64), wide(X), rtol=0, atol=16 * unit)


@pytest.mark.parametrize("name", LAYERS)
def test_saved_and_loaded_and_exported(name, tmp_path):
    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, getattr(layers, name)(**LAYERS[name])(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = X.astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-6)


def test_a_network_of_them_goes_to_keras_and_back(rng):
    network = Network(Tokens(4, 7), [Embedding(7, 6), PositionEmbedding(9, "ones"), RotaryEmbedding(50)], "huber")
    parameters, x = network.init(0), rng.integers(0, 7, (3, 4))
    model = network.to_keras(parameters, "float64")
    assert [type(layer) for layer in model.layers[1:]] == [layers.PositionEmbedding, layers.RotaryEmbedding]
    np.testing.assert_allclose(model(x), reference.forward(network, parameters, x), rtol=1e-13, atol=1e-14)
    back, same = Network.from_keras(model, "huber")
    assert [layer.keras_name for layer in back.layers] == [layer.keras_name for layer in network.layers]
    np.testing.assert_array_equal(same[1]["embeddings"], parameters[1]["embeddings"])
    assert Network.from_json(network.to_json()) == network


class Alone:
    """Another library's layers of these names."""

    class PositionEmbedding(keras.layers.Layer):
        def call(self, inputs):
            return inputs


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PositionEmbedding(0), "sequence_length: got 0; accepted: an integer of at least 1."),
        (lambda: layers.PositionEmbedding(None), "sequence_length: got None; accepted: an integer of at least 1."),
        (lambda: RotaryEmbedding(-1), "max_wavelength: got -1; accepted: a finite number above 0."),
        (lambda: layers.RotaryEmbedding(scaling_factor=0), "scaling_factor: got 0; accepted: a finite number above 0."),
        (
            lambda: Network((5, 4), [PositionEmbedding(4)], "huber"),
            "layers[0]: PositionEmbedding: got inputs of shape (5, 4); accepted: sequences, (steps, features), of at "
            "most 4 steps.",
        ),
        (
            lambda: Network((5, 3), [RotaryEmbedding()], "huber"),
            "layers[0]: RotaryEmbedding: got inputs of shape (5, 3); accepted: sequences, (steps, features), of an "
            "even number of features.",
        ),
        (
            lambda: layer_of("PositionEmbedding")(X, start_index=6),
            "inputs: got 4 steps from start_index=6 on; accepted: positions from 0 to 8.",
        ),
        (
            lambda: layer_of("RotaryEmbedding")(X[..., :5]),
            "inputs: got shape (3, 4, 5); accepted: (B, T, I) or (B, T, heads, I) with an even I.",
        ),
        (
            lambda: Network.from_keras(
                keras.Sequential([keras.Input((4, 6)), Alone.PositionEmbedding(name="mine")]), "huber"
            ),
            "model: got the layer 'mine', a PositionEmbedding; accepted: layers that tfbp.Network has.",
        ),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).removesuffix(" " + OTHER_WAYS) == sentence
