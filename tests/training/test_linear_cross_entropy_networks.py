"""tfbp.Model on networks that end in LinearCrossEntropy: the reference's steps, from chunks of tokens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_token_networks import assert_follows_the_reference

import tfbp
from tfbp import Dense, Embedding, LinearCrossEntropy, Model, Network, Tokens, reference
from tfbp.manual import linear_cross_entropy as head
from tfbp.network import at, named_weights
from tfbp.training import TensorBoard

LOSS = "sparse_categorical_crossentropy"
NETWORK = Network(Tokens(6, 7), [Embedding(7, 5), Dense(4, "tanh"), LinearCrossEntropy(7)], LOSS)
PLAIN = Network(Tokens(6, 7), [Embedding(7, 5), Dense(4, "tanh"), Dense(7)], LOSS)
RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 7, (11, 6)), RNG.integers(0, 7, (11, 6))
WEIGHTS = {"tokens": RNG.random((11, 6)), "examples": RNG.random(11), "none": None}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(head, "CHUNK_BYTES", 0)
    monkeypatch.setattr(head, "FEWEST_CLASSES", 3)
    monkeypatch.setattr(head, "FEWEST_TOKENS", 4)


@pytest.mark.parametrize("metrics", [[], ["accuracy"]], ids=["no-metric", "accuracy"])
@pytest.mark.parametrize(
    ("gradients", "jit_compile"), [("manual", True), ("manual", False), ("tape", False)], ids=["xla", "graph", "tape"]
)
def test_fit_follows_the_reference(gradients, jit_compile, metrics):
    model = Model(NETWORK, gradients, dtype="float64")
    model.compile(keras.optimizers.Adam(0.01), metrics=metrics, jit_compile=jit_compile)
    history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0, validation_data=(X, Y)).history
    assert ("accuracy" in history) == bool(metrics)
    assert_follows_the_reference(model, history, X, Y)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_of_tokens_and_examples_move_it_as_a_dense_layer(weights):
    found = []
    for network in (NETWORK, PLAIN):
        model = Model(network, dtype="float64")
        model.compile(keras.optimizers.SGD(0.1), loss_weights=3.0)
        model.fit(X, Y, batch_size=4, epochs=2, sample_weight=WEIGHTS[weights], verbose=0)
        found.append(model.get_parameters())
    for place, name, w in named_weights(found[1]):
        np.testing.assert_allclose(at(found[0], place)[name], w, rtol=0, atol=1e-12, err_msg=f"{place} {name}")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_in_mixed_precision_it_is_near_float32(policy):
    losses = []
    for dtype in (policy, "float32"):
        model = Model(NETWORK, dtype=dtype)
        model.compile("adam", jit_compile=True)
        losses.append(model.fit(X, Y, batch_size=4, epochs=3, verbose=0).history["loss"])
        assert {w.dtype for w in model.weights} == {"float32"}
    np.testing.assert_allclose(*losses, rtol=5e-3)


def test_without_a_metric_a_step_makes_no_logits(monkeypatch):
    """A z that fails where it is run: with accuracy it does, and without a metric of outputs it does not."""
    right = head.forward

    def trapped(layer, weights, x, **options):
        z, residuals, new = right(layer, weights, x, **options)
        return z + tf.gather(tf.zeros(1, z.dtype), tf.size(z)), residuals, new

    for metrics in ([], ["accuracy"]):
        monkeypatch.setattr(head, "forward", right)
        model = Model(NETWORK)
        model.compile("adam", metrics=metrics, jit_compile=False)
        monkeypatch.setattr(head, "forward", trapped)
        if metrics:
            with pytest.raises(tf.errors.InvalidArgumentError):
                model.fit(X, Y, verbose=0)
        else:
            history = model.fit(X, Y, batch_size=4, verbose=0, validation_data=(X, Y)).history
            assert np.isfinite(history["loss"] + history["val_loss"]).all()


def test_a_clipped_fit_is_that_of_a_dense_layer():
    """Each example's own gradient is known from its dz: there the logits are made."""
    found = []
    for network in (NETWORK, PLAIN):
        model = Model(network, dtype="float64")
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(X, Y, batch_size=4, clip_per_example=0.05, verbose=0)
        found.append(model.get_parameters())
        norms = tfbp.per_example_gradient_norms(model, X, Y)
        expected = reference.per_example.gradient_norms(network, model.get_parameters(), X, Y)
        np.testing.assert_allclose(norms, np.linalg.norm(expected, axis=1), rtol=1e-12)
    for place, name, w in named_weights(found[1]):
        np.testing.assert_allclose(at(found[0], place)[name], w, rtol=0, atol=1e-12, err_msg=f"{place} {name}")


def test_tensorboard_has_the_statistics_of_its_tensors(tmp_path):
    model = Model(NETWORK)
    model.compile("sgd")
    board = TensorBoard(tmp_path, every=1, compare=True)
    history = model.fit(X, Y, batch_size=11, verbose=0, callbacks=[board]).history
    assert np.isfinite(history["loss"]).all()


def test_it_is_saved_and_loaded(tmp_path):
    model = Model(NETWORK)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.network == NETWORK
    np.testing.assert_array_equal(loaded(X), model(X))
