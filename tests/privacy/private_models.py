"""Small models of every kind of layer, and one tape an example to hold the norms against."""

import keras
import numpy as np
import tensorflow as tf

from tfbp import layers as ours

L = keras.layers
EXAMPLES = 6


def logits():
    """The loss, of the dtype that is set now."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def images(*more):
    return keras.Sequential([L.Input((7, 8, 4)), *more, L.Flatten(), L.Dense(3)]), "images"


def sequences(*more):
    return keras.Sequential([L.Input((5, 4)), *more, L.Flatten(), L.Dense(3)]), "sequences"


def masked(layer):
    tokens = L.Input((6,), dtype="int32")
    y = layer(L.Embedding(9, 4, mask_zero=True)(tokens))
    y = L.GlobalAveragePooling1D()(y) if len(y.shape) == 3 else y
    return keras.Model(tokens, L.Dense(3)(y)), "tokens"


def attending(layer):
    x = L.Input((5, 4))
    y = L.LayerNormalization()(x + layer(x, x))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y))), "sequences"


def attending_to_tokens(layer):
    tokens = L.Input((6,), dtype="int32")
    x = L.Embedding(9, 4, mask_zero=True)(tokens)
    return keras.Model(tokens, L.Dense(3)(L.GlobalAveragePooling1D()(x + layer(x, x)))), "tokens"


def tied(kind):
    tokens = L.Input((6,), dtype="int32")
    table = kind(9, 4)
    return keras.Model(tokens, table(L.Dense(4, "tanh")(table(tokens)), reverse=True)), "next tokens"


def shared():
    x, dense = L.Input((5, 4)), L.Dense(4, "tanh")
    return keras.Model(x, L.Dense(3)(L.Flatten()(dense(dense(x))))), "sequences"


def with_states(layer):
    x = L.Input((5, 4))
    y = layer(x, initial_state=[L.Dense(4)(x[:, 0]), L.Dense(4)(x[:, 1])])
    return keras.Model(x, L.Dense(3)(L.Flatten()(y))), "sequences"


def model_of(case):
    """The model of a case, compiled, with weights away from where they begin, and its data."""
    model, kind = case()
    rng = np.random.default_rng(0)
    x, y = data_of(kind, rng)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape))
    model.compile("sgd", logits())
    return model, x, y


def data_of(kind, rng):
    labels = rng.integers(0, 3, EXAMPLES)
    if kind == "images":
        return rng.normal(size=(EXAMPLES, 7, 8, 4)), labels
    if kind == "sequences":
        return rng.normal(size=(EXAMPLES, 5, 4)), labels
    # a token may stand several times; a mask leaves 0 out, at the end, at the beginning and nearly throughout
    tokens = rng.integers(1, 9, (EXAMPLES, 6))
    tokens[0, 4:], tokens[1, :3], tokens[2, 2], tokens[3, :5] = 0, 0, 0, 0
    return tokens, rng.integers(0, 9, (EXAMPLES, 6)) if kind == "next tokens" else labels


def one_tape_an_example(model, x, y):
    """Each example's gradient of every trainable weight, as arrays, by a loop over batches of one."""
    found = []
    for row in range(len(y)):
        with tf.GradientTape() as tape:
            outputs = model(x[row : row + 1], training=True)
            loss = model.compute_loss(x[row : row + 1], y[row : row + 1], outputs, None)
        gradients = tape.gradient(loss, [w.value for w in model.trainable_variables], unconnected_gradients="zero")
        found.append([tf.convert_to_tensor(each).numpy() for each in gradients])
    return found


def norms_of(gradients):
    return np.array([np.sqrt(sum(np.sum(each**2) for each in of_one)) for of_one in gradients])


def _recurrent(layer, **options):
    return lambda: masked(layer(5, **options))


CASES = {
    "dense-shared": shared,
    "conv1d-causal-strided": lambda: sequences(
        L.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu"), L.Conv1D(4, 2, strides=2, groups=2)
    ),
    "conv2d-groups-depthwise": lambda: images(
        L.Conv2D(6, (3, 2), strides=(2, 1), padding="same", groups=2, activation="relu"),
        L.DepthwiseConv2D(3, depth_multiplier=2),
        L.Conv2D(70, 1),
        L.LayerNormalization(axis=[1, 2, 3]),
        L.Conv2D(3, 2),
    ),
    "normalizations-prelu": lambda: sequences(
        L.LayerNormalization(center=False),
        L.Dense(6),
        L.RMSNormalization(),
        L.PReLU(shared_axes=[1]),
        L.GroupNormalization(3),
    ),
    "einsum": lambda: sequences(
        L.EinsumDense("abc,cde->abde", (5, 2, 3), bias_axes="de", activation="tanh"),
        L.EinsumDense("abde,dec->abc", (5, 4), bias_axes="c"),
        L.EinsumDense("abc,bcd->abd", (5, 3), bias_axes="bd"),
        L.EinsumDense("...x,xy->...y", 2),
    ),
    "simple-rnn-masked": _recurrent(L.SimpleRNN, return_sequences=True),
    "lstm-masked": _recurrent(L.LSTM, return_sequences=True),
    "lstm-states-backwards": lambda: with_states(L.LSTM(4, return_sequences=True, go_backwards=True)),
    "gru-masked": _recurrent(L.GRU),
    "gru-before-backwards": _recurrent(L.GRU, reset_after=False, go_backwards=True),
    "bidirectional-masked": lambda: masked(L.Bidirectional(L.LSTM(3, return_sequences=True))),
    "bidirectional-gru-product": lambda: masked(L.Bidirectional(L.GRU(3, use_bias=False), merge_mode="mul")),
    "attention-masked": lambda: attending_to_tokens(L.MultiHeadAttention(2, 3)),
    "attention-ours": lambda: attending(ours.MultiHeadAttention(2, 3)),
    "grouped-attention-ours": lambda: attending(ours.GroupedQueryAttention(3, 4, 2)),
    "tied": lambda: tied(L.ReversibleEmbedding),
    "tied-ours": lambda: tied(ours.ReversibleEmbedding),
}
