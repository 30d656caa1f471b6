"""Attention as Keras layers: Keras's numbers, and better ones in float64, however they are run and differentiated."""

import gc
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_hand_written import MODES
from test_released_graphs import entries

from tfbp import layers
from tfbp.layers import hand_written_attention
from tfbp.manual import attention, chunks

B, T, S, D = 3, 5, 6, 4
LAYERS = {
    "heads": (layers.MultiHeadAttention, keras.layers.MultiHeadAttention, {"num_heads": 2, "key_dim": 3}),
    "value-dim": (
        layers.MultiHeadAttention,
        keras.layers.MultiHeadAttention,
        {"num_heads": 2, "key_dim": 4, "value_dim": 3, "use_bias": False, "output_shape": (7, 2)},
    ),
    "grouped": (
        layers.GroupedQueryAttention,
        keras.layers.GroupQueryAttention,
        {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2},
    ),
}
RNG = np.random.default_rng(0)
X, CROSS = tf.constant(RNG.normal(size=(B, T, D))), tf.constant(RNG.normal(size=(B, S, D)))
PADDING = np.array([[True] * 4 + [False] * 2, [True] * 6, [False] * 6])
CALLS = {
    "itself": {"value": X},
    "cross": {"value": CROSS, "key": CROSS + 1},
    "causal": {"value": X, "use_causal_mask": True},
    "causal-cross": {"value": CROSS, "use_causal_mask": True},
    "mask": {"value": CROSS, "attention_mask": RNG.random((B, T, S)) > 0.5},
    "mask-of-integers": {"value": CROSS, "attention_mask": RNG.integers(0, 2, (T, S))},
    "mask-of-heads": {"value": CROSS, "attention_mask": RNG.random((B, 2, T, S)) > 0.5},
    "padding": {"value": CROSS, "value_mask": PADDING},
    "padding-causal": {"value": CROSS, "value_mask": PADDING, "use_causal_mask": True},
    "key-mask": {"value": CROSS, "key": CROSS + 1, "key_mask": PADDING},
    "masks-of-both": {"value": CROSS, "key": CROSS + 1, "value_mask": PADDING[::-1], "key_mask": PADDING},
    "every-mask": {
        **{"value": CROSS, "value_mask": PADDING[::-1], "key_mask": PADDING},
        **{"attention_mask": RNG.random((B, T, S)) > 0.3, "use_causal_mask": True},
    },
    "query-mask": {"value": CROSS, "query_mask": RNG.random((B, T)) > 0.4},
}


def pair_of(name, dtype="float64", **more):
    """The two layers with the same weights; key_dim 4 has a scale that float32 holds, and with it Keras's."""
    ours, theirs, arguments = LAYERS[name]
    made = [kind(**{**arguments, **more}, dtype=dtype) for kind in (ours, theirs)]
    for layer in made:
        layer.build((B, T, D), (B, S, D))
    rng = np.random.default_rng([*name.encode()])
    made[0].set_weights([rng.normal(size=w.shape) for w in made[0].get_weights()])
    made[1].set_weights(made[0].get_weights())
    return made


def gradients(layer, call, x=X, **more):
    tensors = [x, *(v for k, v in call.items() if k in ("value", "key") and v is not x)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = layer(x, **call, **more)
        loss = tf.reduce_sum(tf.cos(y))
    return [y, *tape.gradient(loss, [*tensors, *(w.value for w in layer.trainable_variables)])]


def assert_equal(got, expected, atol=1e-12):
    assert len(got) == len(expected)
    for a, e in zip(got, expected, strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, e, rtol=0, atol=atol * (1 + np.abs(e).max()))


@pytest.fixture
def in_chunks(monkeypatch):
    monkeypatch.setattr(attention, "LONG", 0)
    monkeypatch.setattr(attention, "LONG_FOR_XLA", 0)
    for name in ("CHUNK", "CHUNK_OF_XLA", "CHUNK_ON_GPU"):
        monkeypatch.setattr(chunks, name, 4)
    monkeypatch.setattr(chunks, "BANDS_OF_XLA", 2)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["value-dim", "grouped"])
def test_the_numbers_are_keras_s(name, call):
    if (name, call) == ("grouped", "mask-of-heads"):
        name = "value-dim"
    ours, theirs = pair_of(name)
    assert_equal(gradients(ours, CALLS[call]), gradients(theirs, CALLS[call]))


@pytest.mark.parametrize("call", ["causal", "mask", "padding-causal"])
def test_the_numbers_in_chunks_are_keras_s(in_chunks, call):
    ours, theirs = pair_of("grouped")
    assert_equal(gradients(ours, CALLS[call]), gradients(theirs, CALLS[call]))


def test_float64_is_float64_all_through():
    """Where the scale is 3^-½ Keras's is rounded to float32: the same in NumPy decides which is right."""
    ours, theirs = pair_of("heads")
    weights = dict(zip([w.path.split("/", 1)[1] for w in ours.weights], ours.get_weights(), strict=True))
    q, k, v = (
        np.einsum("btd,dnh->bnth", X, weights[f"{part}/kernel"]) + weights[f"{part}/bias"][:, None]
        for part in ("query", "key", "value")
    )
    e = np.exp(q @ k.transpose(0, 1, 3, 2) / np.sqrt(3))
    y = e / e.sum(axis=-1, keepdims=True) @ v
    expected = np.einsum("bnth,nhd->btd", y, weights["attention_output/kernel"]) + weights["attention_output/bias"]
    np.testing.assert_allclose(ours(X, X), expected, rtol=0, atol=1e-13)
    assert np.abs(theirs(X, X) - expected).max() > 1e-10


@pytest.mark.parametrize(
    "mode",
    [mode for mode in MODES if mode.__name__ in ("forward_over_backward", "second_order_graph", "unknown_shape")],
    ids=lambda mode: mode.__name__,
)
def test_every_way_to_differentiate(mode, rng):
    ours, theirs = pair_of("value-dim", output_shape=None)
    shared = {"use_causal_mask": True}
    dy = tf.constant(rng.normal(size=(B, T, D)))

    class Itself(keras.layers.Layer):
        def __init__(self, inner):
            super().__init__(dtype="float64")
            self.inner = inner

        def call(self, x):
            return self.inner(x, x, **shared)

    outcomes = []
    for inner in (theirs, ours):
        layer = Itself(inner)
        layer(X)
        try:
            outcomes.append(mode(layer, X, dy))
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
    if not isinstance(outcomes[0], str):
        assert not isinstance(outcomes[1], str), outcomes[1]
        assert_equal(outcomes[1], outcomes[0])


def test_chunks_under_xla_and_differentiated_twice(in_chunks):
    ours, theirs = pair_of("grouped")
    call = CALLS["padding-causal"]
    got = tf.function(lambda x: gradients(ours, call, x), jit_compile=True, autograph=False)(X)
    assert_equal(got, gradients(theirs, call))

    def second(layer):
        with tf.GradientTape() as tape:
            tape.watch(X)
            first = gradients(layer, {"value": CROSS, "use_causal_mask": True})[1]
        return [tape.gradient(first, X)]

    assert_equal(second(ours), second(theirs))


@pytest.mark.parametrize("call", ["causal", "padding-causal"])
@pytest.mark.parametrize("name", ["value-dim", "grouped"])
def test_dropout_drops_what_keras_s_drops(name, call):
    """With a mask, a query that sees nothing makes 0."""
    ours, theirs = pair_of(name, dropout=0.4, seed=3)
    for training in (True, False):
        assert_equal(gradients(ours, CALLS[call], training=training), gradients(theirs, CALLS[call], training=training))
    assert np.abs(ours(X, X, training=True) - ours(X, X)).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "arguments", "call"),
    [
        ("heads", {"use_gate": True}, {}),
        ("heads", {"sliding_window": 2}, {}),
        ("heads", {}, {"return_attention_scores": True}),
        ("heads", {}, {"attention_mask": np.ones((B, T, T))}),
        ("heads", {}, {"attention_mask": np.ones((B, 2, T, T), bool), "value_mask": np.ones((B, T), bool)}),
        ("grouped", {"use_gate": True}, {}),
        ("grouped", {"sliding_window": 2}, {"use_causal_mask": True}),
        ("grouped", {}, {"return_attention_scores": True}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_what_is_left_to_keras(monkeypatch, name, arguments, call):
    later = {"use_gate", "sliding_window"} - inspect.signature(keras.layers.MultiHeadAttention).parameters.keys()
    if arguments.keys() & later:
        pytest.skip(f"Keras {keras.__version__} has no {' and no '.join(sorted(later))}")
    monkeypatch.setattr(hand_written_attention, "attend", lambda *given, **options: 1 / 0)
    outcomes = []
    for layer in pair_of(name, **arguments):
        try:
            outcomes.append(tf.nest.flatten(layer(X, X, **call)))
        except Exception as error:
            outcomes.append(type(error).__name__)
    if isinstance(outcomes[1], str):
        assert outcomes[0] == outcomes[1]
    else:
        assert_equal(*outcomes)


@pytest.mark.parametrize("name", LAYERS)
def test_the_rest_is_by_hand(monkeypatch, name):
    monkeypatch.setattr(hand_written_attention, "attend", lambda *given, **options: 1 / 0)
    ours, _ = pair_of(name, dropout=0.5)
    for call in CALLS.values():
        with pytest.raises(ZeroDivisionError):
            ours(X, **call, training=True)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16", "float32"])
def test_dtypes_are_keras_s(policy):
    ours, theirs = pair_of("grouped", policy)
    y, expected = ours(X, X, use_causal_mask=True), theirs(X, X, use_causal_mask=True)
    assert y.dtype == expected.dtype
    unit = {"float32": 2.0**-24, "mixed_bfloat16": 2.0**-8}.get(policy, 2.0**-11)
    y, expected = (np.asarray(tf.cast(a, tf.float64)) for a in (y, expected))
    np.testing.assert_allclose(y, expected, rtol=0, atol=16 * unit * np.abs(expected).max())


def test_masks_of_an_embedding_come_through_and_go_on():
    """Keras's masks: of the query, too, whose padded steps see nothing."""
    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 1, 2, 3]])
    made = []
    for room in (layers, keras.layers):
        inputs = keras.Input((5,), dtype="int32")
        x = keras.layers.Embedding(
            6, 4, mask_zero=True, embeddings_initializer=keras.initializers.RandomNormal(1, seed=1)
        )(inputs)
        y = room.MultiHeadAttention(2, 4, kernel_initializer=keras.initializers.RandomNormal(1, seed=2))(x, x)
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(y))
        made.append(model(tokens))
    np.testing.assert_allclose(*made, rtol=0, atol=1e-5)


def test_saved_and_loaded_and_exported(tmp_path):
    inputs = keras.Input((T, D))
    x = layers.GroupedQueryAttention(4, 4, 2)(inputs, inputs, use_causal_mask=True)
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 3)(x, x))
    x = tf.cast(X, tf.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    np.testing.assert_array_equal(loaded(x), model(x))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    found = []
    for each in (served.serve, model):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = each(x)
        found.append([y, tape.gradient(y, x)])
    assert_equal(*found, atol=1e-5)


def test_a_graph_goes_with_its_function(in_chunks):
    ours, _ = pair_of("grouped")
    gradients(ours, CALLS["causal"])
    before = entries()
    function = tf.function(lambda x: gradients(ours, CALLS["mask"], x), autograph=False)
    function(X)
    assert entries() > before
    del function
    gc.collect()
    assert entries() == before
