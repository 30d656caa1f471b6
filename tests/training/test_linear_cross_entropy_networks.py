"""tfbp.Model on networks that end in LinearCrossEntropy: the reference's steps, from chunks of tokens."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_token_networks import assert_follows_the_reference

import tfbp
from tfbp import Dense, Embedding, LinearCrossEntropy, Model, Network, Tokens, reference
from tfbp.manual import linear_cross_entropy as head
from tfbp.manual.kinds import KINDS
from tfbp.network import at, named_weights
from tfbp.training import TensorBoard

LOSS = "sparse_categorical_crossentropy"
NETWORK = Network(Tokens(6, 7), [Embedding(7, 5), Dense(4, "tanh"), LinearCrossEntropy(7)], LOSS)
PLAIN = Network(Tokens(6, 7), [Embedding(7, 5), Dense(4, "tanh"), Dense(7)], LOSS)
TIED = Network(
    Tokens(6, 7), [Embedding(7, 5), Dense(5, "tanh"), LinearCrossEntropy(7, use_bias=False, tied=True)], LOSS
)
NETWORKS = {"own-kernel": NETWORK, "tied": TIED}
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
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.sampled(5, gradients="manual", jit_compile=False)
def test_fit_follows_the_reference(network, gradients, jit_compile, metrics):
    model = Model(NETWORKS[network], gradients, dtype="float64")
    model.compile(keras.optimizers.Adam(0.01), metrics=metrics, jit_compile=jit_compile)
    history = model.fit(X, Y, batch_size=5, epochs=2, verbose=0, validation_data=(X, Y)).history
    assert ("accuracy" in history) == bool(metrics)
    assert_follows_the_reference(model, history, X, Y)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.sampled(2)
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
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.sampled(7)
def test_in_mixed_precision_it_is_near_float32(network, policy):
    losses = []
    for dtype in (policy, "float32"):
        model = Model(NETWORKS[network], dtype=dtype)
        model.compile("adam", jit_compile=True)
        losses.append(model.fit(X, Y, batch_size=4, epochs=3, verbose=0).history["loss"])
        assert {w.dtype for w in model.weights} == {"float32"}
    np.testing.assert_allclose(*losses, rtol=5e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_without_a_metric_a_step_makes_no_logits(monkeypatch, network):
    """A z that fails where it is run: with accuracy it does, and without a metric of outputs it does not."""
    right = head.forward

    def trapped(layer, weights, x, **options):
        z, residuals, new = right(layer, weights, x, **options)
        return z + tf.gather(tf.zeros(1, z.dtype), tf.size(z)), residuals, new

    for metrics in ([], ["accuracy"]):
        monkeypatch.setitem(KINDS, "LinearCrossEntropy", (right, head.backward))
        model = Model(NETWORKS[network])
        model.compile("adam", metrics=metrics, jit_compile=False)
        monkeypatch.setitem(KINDS, "LinearCrossEntropy", (trapped, head.backward))
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


@pytest.mark.parametrize("clip", [None, 0.05], ids=["plain", "clipped"])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.sampled(7)
def test_tensorboard_has_the_statistics_of_its_tensors(tmp_path, network, clip):
    model = Model(NETWORKS[network])
    model.compile("sgd")
    board = TensorBoard(tmp_path, every=1, compare=True)
    history = model.fit(X, Y, batch_size=11, verbose=0, callbacks=[board], clip_per_example=clip).history
    assert np.isfinite(history["loss"]).all()
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()
    tags, tied = set(events.Tags()["tensors"]), network == "tied"
    assert ("rms/layer_2/dkernel" in tags) != tied
    (off,) = [tf.make_ndarray(e.tensor_proto) for e in events.Tensors("gradients_apart/layer_0/dembeddings")]
    assert off < 1e-5


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_saved_loaded_and_exported(tmp_path, network):
    model = Model(NETWORKS[network])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.network == NETWORKS[network]
    np.testing.assert_array_equal(loaded(X), model(X))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = Model(NETWORKS[network], seed=1)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh(X), model(X))
    for name, each in {"exported": model, "of-keras": model.to_keras()}.items():
        each.export(tmp_path / name, verbose=False)
        archive = tf.saved_model.load(tmp_path / name)
        np.testing.assert_allclose(archive.serve(tf.constant(X, tf.int32)), model(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("optimizer", "near"), [("SGD", 1e-9), ("Adam", 1e-5)], ids=["SGD", "Adam"])
@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.sampled(3)
def test_a_tied_network_trains_as_its_keras_model(gradients, optimizer, near):
    """Under Adam, too: what comes to Keras's table from both calls is one tensor, where a lookup's alone is a list."""
    model = Model(TIED, gradients, dtype="float64")
    theirs = model.to_keras()
    model.compile(getattr(keras.optimizers, optimizer)(0.125))
    model.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(getattr(keras.optimizers, optimizer)(0.125), loss, jit_compile=False)
    theirs.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    # Keras's mean over the tokens is of float32
    got = [w for _, _, w in named_weights(model.get_parameters())]
    for ours, w in zip(got, theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours, w, rtol=0, atol=near)


def test_a_clipped_fit_of_a_tied_network_is_the_reference_s():
    model = Model(TIED, dtype="float64")
    model.compile(keras.optimizers.SGD(0.125))
    expected = model.get_parameters()
    model.fit(X, Y, batch_size=11, epochs=3, clip_per_example=0.05, shuffle=False, verbose=0)
    for _ in range(3):
        _, gradients = reference.per_example.loss_and_clipped_gradients(TIED, expected, X, Y, 0.05)
        for place, name, w in named_weights(expected):
            w -= 0.125 * at(gradients, place)[name]
    for place, name, w in named_weights(expected):
        np.testing.assert_allclose(at(model.get_parameters(), place)[name], w, rtol=0, atol=1e-12)
    statistics = tfbp.gradient_statistics(model, X, Y, batch_size=4)
    mean, variance = reference.per_example.gradient_mean_and_variance(TIED, expected, X, Y)
    for got, right in ((statistics.mean, mean), (statistics.variance, variance)):
        np.testing.assert_allclose(got[0]["embeddings"], right[0]["embeddings"], rtol=0, atol=1e-12)
        assert got[-1] == {}
