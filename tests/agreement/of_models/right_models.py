"""Twelve right models of several shapes, small: each returns the model, x, y and the loss."""

import keras
import numpy as np

L = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mobilenet(rng):
    i = keras.Input((8, 8, 3))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(4, 3, strides=2, use_bias=False)(i)))
    for stride in (2, 2):
        h = L.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(h)
        h = L.ReLU(6.0)(L.BatchNormalization()(h))
        h = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(6, 1, use_bias=False)(h)))
    h = L.Dropout(0.1)(L.GlobalAveragePooling2D(keepdims=True)(h))
    return keras.Model(i, L.Flatten()(L.Conv2D(3, 1)(h))), rng.normal(size=(3, 8, 8, 3)), rng.integers(0, 3, 3), LOGITS


def unet(rng):
    i = keras.Input((8, 8, 2))
    down = L.Conv2D(3, 3, padding="same", activation="relu")(i)
    deep = L.Conv2D(4, 3, padding="same", activation="relu")(L.MaxPooling2D()(down))
    up = L.Concatenate()([L.UpSampling2D()(deep), down])
    return keras.Model(i, L.Conv2D(2, 1)(up)), rng.normal(size=(3, 8, 8, 2)), rng.normal(size=(3, 8, 8, 2)), "mse"


def residual(rng):
    i = keras.Input((6, 6, 2))
    h = L.Conv2D(4, 3, padding="same")(i)
    for _ in range(2):
        y = L.Conv2D(4, 3, padding="same")(L.Activation("swish")(L.GroupNormalization(2)(h)))
        h = L.Add()([h, L.SpatialDropout2D(0.2)(y)])
    h = L.GlobalAveragePooling2D()(L.AveragePooling2D(2)(L.LeakyReLU()(L.LayerNormalization()(h))))
    return keras.Model(i, L.Dense(3)(h)), rng.normal(size=(4, 6, 6, 2)), rng.integers(0, 3, 4), LOGITS


def decoder(rng):
    i = keras.Input((3,))
    h = L.Reshape((2, 2, 4))(L.Dense(16, "elu")(i))
    h = L.BatchNormalization()(L.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")(h))
    y = L.Conv2D(1, 3, padding="same", activation="sigmoid")(L.UpSampling2D()(h))
    return keras.Model(i, y), rng.normal(size=(4, 3)), rng.uniform(size=(4, 8, 8, 1)), "binary_crossentropy"


def vae(rng):
    i = keras.Input((5,))
    h = L.Dense(4, "relu")(i)
    mean, deviation = L.Dense(2, name="mean")(h), L.Dense(2, name="deviation")(h)
    z = L.Lambda(lambda t: t[0] + t[1] * keras.random.normal(keras.ops.shape(t[0]), dtype=t[0].dtype, seed=1))
    y = L.Dense(5, name="decoded")(z([mean, deviation]))
    x = rng.normal(size=(4, 5))
    loss = {"decoded": "mse", "mean": "mse"}
    return keras.Model(i, [y, mean]), x, {"decoded": x, "mean": np.zeros((4, 2))}, loss


def wide_and_deep(rng):
    wide, deep = keras.Input((4,), name="wide"), keras.Input((3,), name="deep")
    h = L.Dense(5, "relu")(L.Dense(6, "relu")(L.BatchNormalization()(deep)))
    y = L.Dense(1, "sigmoid")(L.Concatenate()([wide, h]))
    x = [rng.normal(size=(6, 4)), rng.normal(size=(6, 3))]
    return keras.Model([wide, deep], y), x, rng.integers(0, 2, (6, 1)), "binary_crossentropy"


def siamese(rng):
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    shared = keras.Sequential([keras.Input((5,)), L.Dense(6, "tanh"), L.Dense(4)])
    d = L.Subtract()([shared(a), shared(b)])
    x = {"a": rng.normal(size=(6, 5)), "b": rng.normal(size=(6, 5))}
    return keras.Model([a, b], L.Dense(1, "sigmoid")(d * d)), x, rng.integers(0, 2, (6, 1)), "binary_crossentropy"


def text(rng):
    i = keras.Input((9,), dtype="int32")
    h = L.Conv1D(4, 3, activation="relu")(L.Dropout(0.3)(L.Embedding(11, 4)(i)))
    h = L.GlobalMaxPooling1D()(L.Conv1D(5, 3, activation="relu")(h))
    return keras.Model(i, L.Dense(1)(h)), rng.integers(0, 11, (4, 9)), rng.integers(0, 2, (4, 1)), "hinge"


def bilstm(rng):
    i = keras.Input((4,), dtype="int32")
    h = L.Bidirectional(L.LSTM(3))(L.Embedding(7, 4, mask_zero=True)(i))
    return keras.Model(i, L.Dense(1)(h)), _padded(rng, 7, (3, 4)), rng.normal(size=(3, 1)), "mse"


def seq2seq(rng):
    source, target = keras.Input((4, 3), name="source"), keras.Input((3,), dtype="int32", name="target")
    encoded, state = L.GRU(4, return_sequences=True, return_state=True)(source)
    decoded = L.GRU(4, return_sequences=True)(L.Embedding(6, 3)(target), initial_state=state)
    y = L.Dense(6)(L.Concatenate()([decoded, L.Attention()([decoded, encoded])]))
    x = {"source": rng.normal(size=(3, 4, 3)), "target": rng.integers(0, 6, (3, 3))}
    return keras.Model([source, target], y), x, rng.integers(0, 6, (3, 3)), LOGITS


def gpt(rng):
    i = keras.Input((5,), dtype="int32")
    h = L.Embedding(9, 6)(i) + L.Embedding(5, 6)(keras.ops.arange(5))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-5)(h)
        h = h + L.MultiHeadAttention(2, 3)(y, y, use_causal_mask=True)
        h = h + L.Dense(6)(L.Dense(8, "gelu")(L.LayerNormalization(epsilon=1e-5)(h)))
    return keras.Model(i, L.Dense(9)(L.LayerNormalization()(h))), *_next_tokens(rng), LOGITS


def encoder(rng):
    i = keras.Input((5,), dtype="int32")
    h = L.Embedding(8, 6, mask_zero=True)(i)
    h = L.LayerNormalization()(L.Add()([h, L.MultiHeadAttention(2, 3, dropout=0.1)(h, h)]))
    h = L.LayerNormalization()(L.Add()([h, L.Dense(6)(L.Dense(8, "relu")(h))]))
    return (
        keras.Model(i, L.Dense(3)(L.GlobalAveragePooling1D()(h))),
        _padded(rng, 8, (4, 5)),
        rng.integers(0, 3, 4),
        LOGITS,
    )


def _padded(rng, words, shape):
    tokens = rng.integers(1, words, shape)
    tokens[1, 2:] = 0
    return tokens


def _next_tokens(rng):
    tokens = rng.integers(0, 9, (3, 6))
    return tokens[:, :-1], tokens[:, 1:]


MODELS = {
    make.__name__: make
    for make in (
        *(mobilenet, unet, residual, decoder, vae, wide_and_deep),
        *(siamese, text, bilstm, seq2seq, gpt, encoder),
    )
}
