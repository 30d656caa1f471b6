"""Right models of several shapes, on which `tfbp.agree` finds nothing."""

import keras
import numpy as np
import pytest

import tfbp

L = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def unet(rng):
    i = keras.Input((8, 8, 2))
    down = L.Conv2D(3, 3, padding="same", activation="relu")(i)
    deep = L.Conv2D(4, 3, padding="same", activation="relu")(L.MaxPooling2D()(down))
    up = L.Concatenate()([L.UpSampling2D()(deep), down])
    return keras.Model(i, L.Conv2D(2, 1)(up)), rng.normal(size=(3, 8, 8, 2)), rng.normal(size=(3, 8, 8, 2)), "mse"


def mobilenet(rng):
    i = keras.Input((8, 8, 3))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(4, 3, strides=2, use_bias=False)(i)))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(h)))
    h = L.Dropout(0.1)(L.GlobalAveragePooling2D(keepdims=True)(L.Conv2D(5, 1)(h)))
    return keras.Model(i, L.Dense(3)(L.Flatten()(h))), rng.normal(size=(4, 8, 8, 3)), rng.integers(0, 3, 4), LOGITS


def bilstm(rng):
    i = keras.Input((4,), dtype="int32")
    h = L.Bidirectional(L.LSTM(3))(L.Embedding(7, 4, mask_zero=True)(i))
    tokens = rng.integers(1, 7, (3, 4))
    tokens[1, 2:] = 0
    return keras.Model(i, L.Dense(1)(h)), tokens, rng.normal(size=(3, 1)), "mse"


def wide_and_deep(rng):
    wide, deep = keras.Input((4,), name="wide"), keras.Input((3,), name="deep")
    h = L.Dense(5, "relu")(L.Dense(6, "relu")(L.BatchNormalization()(deep)))
    y = L.Dense(1, "sigmoid")(L.Concatenate()([wide, h]))
    x = [rng.normal(size=(6, 4)), rng.normal(size=(6, 3))]
    return keras.Model([wide, deep], y), x, rng.integers(0, 2, (6, 1)), "binary_crossentropy"


def vae(rng):
    i = keras.Input((5,))
    h = L.Dense(4, "relu")(i)
    mean, deviation = L.Dense(2, name="mean")(h), L.Dense(2, name="deviation")(h)
    z = L.Lambda(lambda t: t[0] + t[1] * keras.random.normal(keras.ops.shape(t[0]), dtype=t[0].dtype, seed=1))
    y = L.Dense(5, name="decoded")(z([mean, deviation]))
    x = rng.normal(size=(4, 5))
    loss = {"decoded": "mse", "mean": "mse"}
    return keras.Model(i, [y, mean]), x, {"decoded": x, "mean": np.zeros((4, 2))}, loss


@pytest.mark.rare("seconds each: test_agree has small ones")
@pytest.mark.parametrize("make", [unet, mobilenet, bilstm, wide_and_deep, vae])
def test_a_right_model_has_no_finding(rng, make):
    keras.utils.set_random_seed(int(rng.integers(100)))
    model, x, y, loss = make(rng)
    report = tfbp.agree(model, x, y, loss=loss, dtypes=["float64", "float32", "bfloat16"], modes=["eager"])
    assert report.agrees, str(report)
    assert max(report.whole.values()) <= 1
