"""LinearCrossEntropy as a Keras user meets it: built, trained, saved, masked, and the same as Dense and its loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import InputError
from tfbp.layers import LinearCrossEntropy

CLASSES, LENGTH, WIDTH = 19, 6, 8
OPTIONS = {"label_smoothing": 0.1, "z_loss": 0.01, "soft_cap": 5.0, "ignore_index": -1, "chunk_size": 7}


def text(seed=0, rows=10):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, CLASSES, (rows, LENGTH + 1)).astype("int32")
    return tokens[:, :-1], tokens[:, 1:]


def language_model(head, mask_zero=False):
    """A model for training, tokens and labels to loss, and one for inference, tokens to logits."""
    tokens, labels = keras.Input((LENGTH,), dtype="int32"), keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(CLASSES, WIDTH, mask_zero=mask_zero)(tokens)
    x = keras.layers.Dense(WIDTH, "tanh")(x)
    return keras.Model([tokens, labels], head(x, labels)), keras.Model(tokens, head(x))


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_fit_follows_dense_and_its_loss(jit_compile):
    tokens, labels = text()
    keras.utils.set_random_seed(0)
    training, inference = language_model(LinearCrossEntropy(CLASSES, chunk_size=7))
    below = [keras.Input((LENGTH,)), keras.layers.Embedding(CLASSES, WIDTH), keras.layers.Dense(WIDTH, "tanh")]
    plain = keras.Sequential([*below, keras.layers.Dense(CLASSES)])
    plain.set_weights(training.get_weights())
    training.compile(keras.optimizers.SGD(0.5), jit_compile=jit_compile)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(keras.optimizers.SGD(0.5), loss, jit_compile=jit_compile)
    how = {"epochs": 3, "batch_size": 4, "shuffle": False, "verbose": 0}
    by_hand = training.fit([tokens, labels], **how).history["loss"]
    by_tape = plain.fit(tokens, labels, **how).history["loss"]
    assert by_hand[-1] < by_hand[0]
    np.testing.assert_allclose(by_hand, by_tape, rtol=100 * 2**-24)
    for a, b in zip(training.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1000 * 2**-24 * np.abs(b).max())
    ends = training.evaluate([tokens, labels], verbose=0), plain.evaluate(tokens, labels, verbose=0)
    np.testing.assert_allclose(*ends, rtol=100 * 2**-24)
    np.testing.assert_allclose(inference.predict(tokens, verbose=0), plain.predict(tokens, verbose=0), atol=1e-5)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    tokens, labels = text()
    head = LinearCrossEntropy(
        CLASSES, kernel_initializer="he_normal", kernel_regularizer="l2", bias_constraint="non_neg", **OPTIONS
    )
    training, _ = language_model(head)
    training.compile("adam")
    training.fit([tokens, labels], epochs=2, verbose=0)
    training.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == head.get_config()
    assert np.array_equal(training.evaluate([tokens, labels], verbose=0), loaded.evaluate([tokens, labels], verbose=0))
    before, after = (
        model.fit([tokens, labels], epochs=2, shuffle=False, verbose=0).history["loss"] for model in (training, loaded)
    )
    assert before == after


def test_exported_it_gives_the_same_logits_and_loss(tmp_path):
    tokens, labels = text()
    training, inference = language_model(LinearCrossEntropy(CLASSES, **OPTIONS))
    for model, inputs in ((inference, tokens), (training, [tokens, labels])):
        model.export(tmp_path / "model", verbose=False)
        loaded = tf.saved_model.load(tmp_path / "model")
        np.testing.assert_allclose(loaded.serve(inputs), model(inputs), rtol=1e-5, atol=1e-6)


def test_a_mask_hides_tokens_as_ignore_index_does():
    tokens, labels = text()
    tokens[:, 4:] = 0
    layer = LinearCrossEntropy(CLASSES)
    embedding = keras.layers.Embedding(CLASSES, WIDTH, mask_zero=True)
    masked = layer(embedding(tokens), labels)
    ignoring = LinearCrossEntropy.from_config({**layer.get_config(), "ignore_index": -1})
    ignoring.build((None, WIDTH))
    ignoring.set_weights(layer.get_weights())
    x = tf.convert_to_tensor(embedding(tokens).numpy())
    without = ignoring(x, np.where(tokens == 0, -1, labels))
    assert masked == without
    assert masked != layer(x, labels)
    both = ignoring(embedding(tokens), np.where(labels < 5, -1, labels))
    assert both == ignoring(x, np.where((tokens == 0) | (labels < 5), -1, labels))


def test_a_masked_functional_model_trains():
    tokens, labels = text()
    tokens[:, 4:] = 0
    training, _ = language_model(LinearCrossEntropy(CLASSES), mask_zero=True)
    training.compile("sgd")
    first = training.evaluate([tokens, labels], verbose=0)
    changed = labels.copy()
    changed[:, 4:] = 3
    np.testing.assert_allclose(training.evaluate([tokens, changed], verbose=0), first)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float64"])
def test_dtype_policies(policy):
    _, labels = text()
    layer = LinearCrossEntropy(CLASSES, dtype=policy, **OPTIONS)
    x = np.random.default_rng(3).normal(size=(10, LENGTH, WIDTH))
    weight = 1 + np.linspace(0, 2.0**-10, 60).reshape(10, LENGTH)  # all 1 in bfloat16
    with tf.GradientTape() as tape:
        loss = layer(x, labels, sample_weight=weight)
    wide = "float64" if policy == "float64" else "float32"
    assert loss.dtype == wide
    assert layer(x).dtype == layer.compute_dtype
    for variable, gradient in zip(
        layer.trainable_variables, tape.gradient(loss, [v.value for v in layer.trainable_variables]), strict=True
    ):
        assert gradient.dtype == variable.dtype
        assert np.isfinite(np.asarray(gradient, "float64")).all()
    in_float64 = LinearCrossEntropy(CLASSES, dtype="float64", **OPTIONS)
    in_float64.build((None, WIDTH))
    in_float64.set_weights([np.asarray(w, "float64") for w in layer.get_weights()])
    rounded = tf.cast(tf.cast(x, layer.compute_dtype), tf.float64)
    right = in_float64(rounded, labels, sample_weight=weight)
    np.testing.assert_allclose(loss, right, rtol=64 * (2**-53 if wide == "float64" else 2**-24))


def test_subclassed_model_with_a_loss_of_its_own():
    class Tagger(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = keras.layers.Embedding(CLASSES, WIDTH), LinearCrossEntropy(CLASSES)

        def call(self, tokens, training=False):
            x = self.embedding(tokens)
            return x if training else self.head.logits(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return self.head(y_pred, y, sample_weight=sample_weight)

    tokens, labels = text()
    model = Tagger()
    assert model(tokens).shape == (10, LENGTH, CLASSES)
    model.compile(keras.optimizers.Adam(0.1))
    history = model.fit(tokens, labels, sample_weight=np.linspace(0, 1, 10), epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_the_loss_is_returned_and_added_once():
    tokens, labels = text()
    training, _ = language_model(LinearCrossEntropy(CLASSES, kernel_regularizer="l2"))
    loss = training([tokens, labels])
    assert loss.shape == ()
    assert len(training.losses) == 2
    assert any(np.array_equal(loss, added) for added in training.losses)
    training.layers[-1](tf.ones((2, WIDTH)))
    training([tokens, labels])
    assert len(training.losses) == 2


def test_weights_are_right_in_every_one_of_many_runs():
    """A variable read twice in a step races with the optimizer: wrong in some runs only."""
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(64, WIDTH)).astype("float32"), rng.integers(0, CLASSES, 64)
    start = None
    ends = []
    for _ in range(10):
        keras.utils.set_random_seed(0)
        inputs, targets = keras.Input((WIDTH,)), keras.Input((), dtype="int64")
        model = keras.Model([inputs, targets], LinearCrossEntropy(CLASSES, chunk_size=3)(inputs, targets))
        model.compile(keras.optimizers.SGD(0.5), jit_compile=False)
        start = start or model.get_weights()
        model.set_weights(start)
        model.fit([x, labels], batch_size=8, epochs=4, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for weights in ends[1:]:
        for a, b in zip(weights, ends[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LinearCrossEntropy(0), "units: got 0; accepted: an integer of at least 1."),
        (lambda: LinearCrossEntropy(3, z_loss=-1), "z_loss: got -1; accepted: a finite number of at least 0."),
        (
            lambda: LinearCrossEntropy(3)(np.ones((2, 4), "float32"), sample_weight=np.ones(2)),
            "sample_weight: got one without labels; accepted: together with labels.",
        ),
        (
            lambda: LinearCrossEntropy(3)(np.ones((2, 4), "float32"), np.array([0, 3])),
            "labels: got the label 3; accepted: integers from 0 to 2.",
        ),
        (lambda: LinearCrossEntropy(3).build((None, None)), "x: got shape (None, None); accepted: (…, I) with a known"),
    ],
    ids=["units", "z_loss", "sample_weight", "labels", "x"],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint8", "float32", "list"])
def test_a_mask_of_any_dtype_hides_tokens(dtype):
    tokens, labels = text()
    layer = LinearCrossEntropy(CLASSES)
    x = keras.layers.Embedding(CLASSES, WIDTH)(tokens)
    kept = np.random.default_rng(2).random(tokens.shape) > 0.3
    expected = layer(x, labels, x_mask=tf.constant(kept))
    mask = kept.tolist() if dtype == "list" else kept.astype(dtype)
    assert layer(x, labels, x_mask=mask) == expected
    in_graph = tf.function(lambda x, mask: layer(x, labels, x_mask=mask))(x, tf.constant(mask))
    np.testing.assert_allclose(in_graph, expected, rtol=1e-6)
    assert expected != layer(x, labels)


def test_under_a_mask_what_is_refused_and_said_is_as_without():
    x, mask = np.ones((2, 4), "float32"), [True, False]
    for kwargs in ({}, {"x_mask": mask}):
        with pytest.raises(InputError, match=r"^labels: got dtype float32; accepted: integers\.$"):
            LinearCrossEntropy(3)(x, np.array([0.7, 1.2], "float32"), **kwargs)
        with pytest.raises(InputError, match=r"^labels: got the label 5; accepted: integers from 0 to 2\.$"):
            LinearCrossEntropy(3)(x, np.array([5, 1]), **kwargs)
        with pytest.raises(InputError, match=r"^labels: got the label 5; .* from 0 to 2, or the ignore_index -1\.$"):
            LinearCrossEntropy(3, ignore_index=-1)(x, np.array([5, -1]), **kwargs)
    with pytest.raises(InputError, match=r"^mask: got shape \(3,\); accepted: \(2,\), or the first axes of it\.$"):
        LinearCrossEntropy(3)(x, np.array([0, 1]), x_mask=[True] * 3)
    # a hidden token's label may be anything
    hidden, other = (LinearCrossEntropy(3, kernel_initializer="ones")(x, np.array([1, n]), x_mask=mask) for n in (7, 0))
    assert hidden == other
