"""ReversibleEmbedding: the same numbers as Keras's own, there and back, in every way to run and differentiate it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Dense, Embedding, LinearCrossEntropy, Network, Tokens, layers
from tfbp.layers import hand_written_sequences

RNG = np.random.default_rng(0)
X = tf.constant(RNG.integers(0, 7, (5, 4)))
H, DLOGITS, DY = (tf.constant(RNG.normal(size=(5, 4, size))) for size in (3, 7, 3))
OPTIONS = {"tied": {}, "soft-cap": {"logit_soft_cap": 2.0}, "untied": {"tie_weights": False, "logit_soft_cap": 1.5}}


def pair(dtype="float64", rows=7, **options):
    ours, theirs = (
        room.ReversibleEmbedding(rows, 3, embeddings_initializer="normal", dtype=dtype, **options)
        for room in (layers, keras.layers)
    )
    for layer in (ours, theirs):
        layer.build()
    ours.set_weights([10 * w for w in ours.get_weights()])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def back(layer, h, dlogits):
    """The way back alone: logits, dh, and the gradients of the weights that it reads."""
    weights = [layer.trainable_variables[-1].value]
    with tf.GradientTape() as tape:
        tape.watch(h)
        logits = layer(h, reverse=True)
    return logits, *tape.gradient(logits, [h, *weights], output_gradients=tf.cast(dlogits, logits.dtype))


def both(layer, h, dlogits):
    """There and back on one tape."""
    weights = [w.value for w in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(h)
        logits = layer(tf.tanh(layer(X)) * h, reverse=True)
    found = tape.gradient(logits, [h, *weights], output_gradients=tf.cast(dlogits, logits.dtype))
    return logits, *map(tf.convert_to_tensor, found)


def second_order(layer, h, dlogits):
    with tf.GradientTape() as tape:
        tape.watch([h, dlogits])
        loss = sum(tf.reduce_sum(g**2) for g in back(layer, h, dlogits)[1:])
    return tape.gradient(loss, [h, dlogits, layer.trainable_variables[-1].value])


def assert_near(found, rtol=1e-12, atol=1e-13):
    for got, expected in zip(*found, strict=True):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


def numbers_are_keras_s(run, mode, options, h=H, dlogits=DLOGITS):
    found = []
    for layer in pair(**OPTIONS[options]):
        function = lambda h, dlogits, layer=layer: run(layer, h, dlogits)  # noqa: E731
        if mode != "eager":
            unknown = [tf.TensorSpec([None, None, 3], h.dtype), tf.TensorSpec([None, None, 7], h.dtype)]
            signature = {"input_signature": unknown} if mode == "unknown-shape" else {}
            function = tf.function(function, jit_compile=mode == "xla", autograph=False, **signature)
        found.append(function(h, dlogits))
    assert_near(found)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("mode", ["eager", "graph", "xla", "unknown-shape"])
@pytest.mark.parametrize("run", [back, both, second_order], ids=lambda run: run.__name__)
@pytest.mark.sampled(5)
def test_the_numbers_are_keras_s(run, mode, options):
    numbers_are_keras_s(run, mode, options)


@pytest.mark.parametrize("shape", [(6,), (), (2, 3, 4)], ids=["rows", "one-row", "rank-4"])
def test_any_leading_axes_are_taken(shape, rng):
    h, dlogits = (tf.constant(rng.normal(size=(*shape, size))) for size in (3, 7))
    numbers_are_keras_s(back, "eager", "soft-cap", h, dlogits)


@pytest.mark.parametrize("reverse_dtype", [None, "float32"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16", "float16"])
def test_dtypes_are_keras_s(policy, reverse_dtype):
    found = [
        both(layer, tf.cast(H, layer.compute_dtype), DLOGITS) for layer in pair(policy, reverse_dtype=reverse_dtype)
    ]
    for got, expected in zip(*found, strict=True):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        got, expected = (tf.cast(each, "float64").numpy() for each in (got, expected))
        near = 1e-6 if policy == "float32" else 3e-2
        assert np.linalg.norm(got - expected) <= near * np.linalg.norm(expected)


def backward_of(change):
    """`transposed` with another backward."""
    return hand_written_sequences.custom_gradient(lambda table: (tf.transpose(table), change))


def capped_by(change):
    """`capped` whose dz is changed, given dlogits and tanh."""

    def capped(soft_cap):
        @hand_written_sequences.custom_gradient
        def run(z):
            y = tf.tanh(z / soft_cap)
            return soft_cap * y, lambda dlogits: change(dlogits, y, soft_cap)

        return run

    return capped


MISTAKES = {
    "not transposed": ("transposed", backward_of(lambda g: tf.reshape(g, tf.shape(g)[::-1]))),
    "of the wrong sign": ("transposed", backward_of(lambda g: -tf.transpose(g))),
    "forgotten": ("transposed", backward_of(lambda g: 0 * tf.transpose(g))),
    "twice": ("transposed", backward_of(lambda g: 2 * tf.transpose(g))),
    "rows in another order": ("transposed", backward_of(lambda g: tf.transpose(g)[::-1])),
    "the cap forgotten": ("capped", capped_by(lambda dlogits, y, cap: dlogits)),
    "the cap once": ("capped", capped_by(lambda dlogits, y, cap: dlogits * (1 - y * y) / cap)),
    "the logits' square": ("capped", capped_by(lambda dlogits, y, cap: dlogits * (1 - (cap * y) ** 2))),
    "tanh for its square": ("capped", capped_by(lambda dlogits, y, cap: dlogits * (1 - y))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_seen(monkeypatch, mistake):
    name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(hand_written_sequences, name, wrong)
    with pytest.raises(AssertionError):
        numbers_are_keras_s(back, "eager", "soft-cap")


@pytest.mark.parametrize("options", [{}, {"mask_zero": True}], ids=["plain", "mask"])
def test_masks_are_keras_s(options):
    ours, theirs = pair(**options)
    y, expected = ours(X), theirs(X)
    np.testing.assert_array_equal(y, expected)
    masks = [getattr(each, "_keras_mask", None) for each in (y, expected)]
    assert (masks[0] is None) == (masks[1] is None) == (not options)
    if options:
        np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize(
    ("options", "by_hand"), [({}, True), ({"tie_weights": False}, True), ({"lora_rank": 2}, False)]
)
def test_what_is_done_by_hand(monkeypatch, options, by_hand):
    ours, theirs = pair(**options)
    np.testing.assert_allclose(ours(H, reverse=True), theirs(H, reverse=True), rtol=1e-12)
    for module, name in ((hand_written_sequences, "look_up"), (layers.reversible_embedding.hand_written, "dense")):
        monkeypatch.setattr(module, name, lambda *given: 1 / 0)
    for x, reverse in ((X, False), (H, True)):
        if by_hand:
            with pytest.raises(ZeroDivisionError):
                ours(x, reverse=reverse)
        else:
            ours(x, reverse=reverse)


def tied_model(room, rows=7):
    tokens, table = keras.Input((4,), dtype="int32"), room.ReversibleEmbedding(rows, 3)
    return keras.Model(tokens, table(room.Dense(3, "tanh")(table(tokens)), reverse=True))


def steps(model, optimizer, jit_compile):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 7, (20, 4)), rng.integers(0, 7, (20, 4))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=jit_compile)
    return model.fit(x, y, batch_size=10, epochs=2, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_a_model_trains_as_keras_s_and_is_saved(jit_compile, tmp_path):
    model = tied_model(keras.layers)
    swapped = layers.swap(model)
    assert [type(layer).__module__.partition(".")[0] for layer in swapped.layers] == ["keras", "tfbp", "tfbp"]
    sgd = [keras.optimizers.SGD(0.5, momentum=0.9) for _ in range(2)]
    losses = [steps(each, optimizer, jit_compile) for each, optimizer in zip((swapped, model), sgd, strict=True)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    swapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[1]) is layers.ReversibleEmbedding
    np.testing.assert_array_equal(loaded(X), swapped(X))


@pytest.mark.parametrize("rows", [7, 90], ids=["fewer-rows", "more-rows"])
@pytest.mark.parametrize("optimizer", ["Adam", "RMSprop"])
def test_both_uses_are_one_gradient_to_an_optimizer(optimizer, rows, rng):
    """A lookup's alone may be a list of rows; TensorFlow adds it to the other call's as a table."""
    dlogits, first = tf.constant(rng.normal(size=(5, 4, rows)), tf.float64), rng.normal(size=(rows, 3))
    layer, dense = layers.ReversibleEmbedding(rows, 3, dtype="float64"), keras.Variable(first, dtype="float64")
    layer.build()
    layer.set_weights([first])
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_sum(layer(layer(X), reverse=True) * dlogits)
        expected = tf.reduce_sum(tf.matmul(tf.gather(dense.value, X), dense.value, transpose_b=True) * dlogits)
    for total, weight in ((loss, layer.embeddings), (expected, dense)):
        gradient = tape.gradient(total, weight.value)
        getattr(keras.optimizers, optimizer)(0.1).apply([tf.convert_to_tensor(gradient)], [weight])
    assert isinstance(tape.gradient(loss, layer.embeddings.value), tf.Tensor)
    np.testing.assert_allclose(layer.embeddings, dense, rtol=0, atol=1e-9)


def test_a_tied_network_is_made_of_it():
    loss = "sparse_categorical_crossentropy"
    head = LinearCrossEntropy(7, use_bias=False, tied=True)
    network = Network(Tokens(4, 7), [Embedding(7, 3), Dense(3, "tanh"), head], loss)
    model = network.to_keras(network.init(0), dtype="float64", layers=layers)
    assert type(model.layers[1]) is layers.ReversibleEmbedding
    back, parameters = Network.from_keras(model, loss)
    assert back.layers[-1] == head
    np.testing.assert_array_equal(parameters[0]["embeddings"], network.init(0)[0]["embeddings"])
