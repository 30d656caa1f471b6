"""Right models of images, on which `tfbp.agree` finds nothing."""

import keras
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


@pytest.mark.rare("seconds each: test_agree has small ones")
@pytest.mark.parametrize("make", [unet, mobilenet])
def test_a_right_model_has_no_finding(rng, make):
    keras.utils.set_random_seed(int(rng.integers(100)))
    model, x, y, loss = make(rng)
    report = tfbp.agree(model, x, y, loss=loss, dtypes=["float64", "float32", "bfloat16"], modes=["eager"])
    assert report.agrees, str(report)
    assert max(report.whole.values()) <= 1
