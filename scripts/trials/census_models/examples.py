"""Models of Keras's code examples (https://keras.io/examples), small, and written again in functional form."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as L
from keras import ops


def image_classification_from_scratch() -> Any:
    x = inputs = keras.Input((32, 32, 3))
    x = L.Rescaling(1 / 255)(x)
    x = before = _normalized(L.Conv2D(8, 3, strides=2, padding="same")(x))
    for size in (8, 12):
        for _ in range(2):
            x = L.BatchNormalization()(L.SeparableConv2D(size, 3, padding="same")(L.Activation("relu")(x)))
        x = L.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = L.add([x, L.Conv2D(size, 1, strides=2, padding="same")(before)])
    x = _normalized(L.SeparableConv2D(16, 3, padding="same")(x))
    return keras.Model(inputs, L.Dense(1)(L.Dropout(0.25)(L.GlobalAveragePooling2D()(x))))


def pets_unet() -> Any:
    x = inputs = keras.Input((32, 32, 3))
    x = before = _normalized(L.Conv2D(8, 3, strides=2, padding="same")(x))
    for size in (8, 12):
        for _ in range(2):
            x = L.BatchNormalization()(L.SeparableConv2D(size, 3, padding="same")(L.Activation("relu")(x)))
        x = L.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = L.add([x, L.Conv2D(size, 1, strides=2, padding="same")(before)])
    for size in (12, 8, 4):
        for _ in range(2):
            x = L.BatchNormalization()(L.Conv2DTranspose(size, 3, padding="same")(L.Activation("relu")(x)))
        x = L.UpSampling2D(2)(x)
        x = before = L.add([x, L.Conv2D(size, 1, padding="same")(L.UpSampling2D(2)(before))])
    return keras.Model(inputs, L.Conv2D(3, 3, activation="softmax", padding="same")(x))


@keras.saving.register_keras_serializable(package="census")
class Patches(L.Layer):
    def call(self, images: Any) -> Any:
        return ops.reshape(ops.image.extract_patches(images, size=4), (-1, 16, 48))


@keras.saving.register_keras_serializable(package="census")
class PatchEncoder(L.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.projection, self.position = L.Dense(8), L.Embedding(16, 8)

    def call(self, patches: Any) -> Any:
        return self.projection(patches) + self.position(ops.expand_dims(ops.arange(16), 0))


def vision_transformer() -> Any:
    x = inputs = keras.Input((16, 16, 3))
    x = PatchEncoder()(Patches()(x))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([L.MultiHeadAttention(2, 8, dropout=0.1)(y, y), x])
        x = L.Add()([_mlp(L.LayerNormalization(epsilon=1e-6)(x), (16, 8)), x])
    x = L.Dropout(0.5)(L.Flatten()(L.LayerNormalization(epsilon=1e-6)(x)))
    return keras.Model(inputs, L.Dense(10)(_mlp(x, (16, 8))))


def deeplab() -> Any:
    x = inputs = keras.Input((32, 32, 3))
    low = _normalized(L.Conv2D(6, 3, strides=4, padding="same")(x))
    x = _normalized(L.Conv2D(8, 3, strides=2, padding="same")(low))
    pooled = L.UpSampling2D(4, interpolation="bilinear")(_convolved(L.AveragePooling2D(4)(x), 8, 1))
    x = _convolved(L.Concatenate()([pooled, *(_convolved(x, 8, 3, rate) for rate in (1, 2, 3))]), 8, 1)
    x = L.Concatenate()([L.UpSampling2D(2, interpolation="bilinear")(x), _convolved(low, 4, 1)])
    x = L.UpSampling2D(4, interpolation="bilinear")(_convolved(_convolved(x, 8), 8))
    return keras.Model(inputs, L.Conv2D(5, 1, padding="same")(x))


def image_classification_3d() -> Any:
    x = inputs = keras.Input((16, 16, 16, 1))
    for size in (4, 6):
        x = L.BatchNormalization()(L.MaxPooling3D(2)(L.Conv3D(size, 3, activation="relu")(x)))
    x = L.Dropout(0.3)(L.Dense(8, "relu")(L.GlobalAveragePooling3D()(x)))
    return keras.Model(inputs, L.Dense(1, "sigmoid")(x))


def mobile_vit() -> Any:
    x = inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, strides=2, activation="silu", padding="same")(L.Rescaling(1 / 255)(x))
    local = L.Conv2D(8, 1, activation="silu", padding="same")(L.Conv2D(8, 3, activation="silu", padding="same")(x))
    y = L.Reshape((4, 16, 8))(local)
    for _ in range(2):
        z = L.LayerNormalization(epsilon=1e-6)(y)
        y = L.Add()([L.MultiHeadAttention(2, 8, dropout=0.1)(z, z), y])
        y = L.Add()([_mlp(L.LayerNormalization(epsilon=1e-6)(y), (16, 8), "silu"), y])
    y = L.Conv2D(8, 1, activation="silu", padding="same")(L.Reshape((8, 8, 8))(y))
    x = L.Conv2D(8, 3, activation="silu", padding="same")(L.Concatenate()([x, y]))
    return keras.Model(inputs, L.Dense(5, "softmax")(L.GlobalAveragePooling2D()(x)))


def captcha_ocr() -> Any:
    x = inputs = keras.Input((20, 16, 1))
    for size in (4, 6):
        x = L.MaxPooling2D(2)(L.Conv2D(size, 3, activation="relu", padding="same")(x))
    x = L.Dropout(0.2)(L.Dense(8, "relu")(L.Reshape((5, 24))(x)))
    for units, dropout in ((8, 0.25), (6, 0.25)):
        x = L.Bidirectional(L.LSTM(units, return_sequences=True, dropout=dropout))(x)
    return keras.Model(inputs, L.Dense(12, "softmax")(x))


def autoencoder() -> Any:
    x = inputs = keras.Input((28, 28, 1))
    for _ in range(2):
        x = L.MaxPooling2D(2, padding="same")(L.Conv2D(8, 3, activation="relu", padding="same")(x))
    for _ in range(2):
        x = L.Conv2DTranspose(8, 3, strides=2, activation="relu", padding="same")(x)
    return keras.Model(inputs, L.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


def text_classification_from_scratch() -> Any:
    x = inputs = keras.Input((60,), dtype="int64")
    x = L.Dropout(0.5)(L.Embedding(50, 8)(x))
    for _ in range(2):
        x = L.Conv1D(8, 7, padding="valid", activation="relu", strides=3)(x)
    x = L.Dropout(0.5)(L.Dense(8, "relu")(L.GlobalMaxPooling1D()(x)))
    return keras.Model(inputs, L.Dense(1, "sigmoid")(x))


def lstm_seq2seq() -> Any:
    source, target = keras.Input((6, 7)), keras.Input((5, 9))
    _, *states = L.LSTM(8, return_state=True)(source)
    outputs, _, _ = L.LSTM(8, return_sequences=True, return_state=True)(target, initial_state=states)
    return keras.Model([source, target], L.Dense(9, "softmax")(outputs))


def wide_deep_cross() -> Any:
    inputs = [keras.Input((4,)), keras.Input((3,)), keras.Input((5,))]
    x0 = cross = L.concatenate(inputs)
    for _ in range(2):
        cross = x0 * L.Dense(12)(cross) + cross
    deep, wide = x0, L.BatchNormalization()(L.concatenate(inputs))
    for units in (8, 8):
        deep = L.Dropout(0.1)(L.ReLU()(L.BatchNormalization()(L.Dense(units)(deep))))
    return keras.Model(inputs, L.Dense(7, "softmax")(L.concatenate([wide, cross, deep])))


def tab_transformer() -> Any:
    numbers, *categories = [keras.Input((3,)), *(keras.Input((8,)) for _ in range(3))]
    x = ops.stack([L.Dense(8, use_bias=False)(category) for category in categories], axis=1)
    for _ in range(2):
        x = L.LayerNormalization(epsilon=1e-6)(L.Add()([L.MultiHeadAttention(2, 8, dropout=0.1)(x, x), x]))
        x = L.LayerNormalization(epsilon=1e-6)(L.Add()([_mlp(x, (8,)), x]))
    x = L.concatenate([L.Flatten()(x), L.LayerNormalization(epsilon=1e-6)(numbers)])
    return keras.Model([numbers, *categories], L.Dense(1, "sigmoid")(_mlp(x, (16, 8), "selu")))


def time_series_by_convolution() -> Any:
    x = inputs = keras.Input((50, 1))
    for _ in range(3):
        x = L.ReLU()(L.BatchNormalization()(L.Conv1D(8, 3, padding="same")(x)))
    return keras.Model(inputs, L.Dense(2, "softmax")(L.GlobalAveragePooling1D()(x)))


def time_series_by_transformer() -> Any:
    x = inputs = keras.Input((20, 1))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(L.Dropout(0.25)(L.MultiHeadAttention(2, 4, dropout=0.25)(x, x)))
        y = x = y + x
        y = L.Conv1D(1, 1)(L.Dropout(0.25)(L.Conv1D(4, 1, activation="relu")(y)))
        x = L.LayerNormalization(epsilon=1e-6)(y) + x
    x = L.GlobalAveragePooling1D(data_format="channels_last")(x)
    return keras.Model(inputs, L.Dense(2, "softmax")(_mlp(x, (8,), "relu")))


def speaker_recognition() -> Any:
    x = inputs = keras.Input((64, 1))
    for filters, count in ((4, 2), (6, 2), (8, 3)):
        shortcut = L.Conv1D(filters, 1, padding="same")(x)
        for _ in range(count - 1):
            x = L.Activation("relu")(L.Conv1D(filters, 3, padding="same")(x))
        x = L.Activation("relu")(L.Add()([L.Conv1D(filters, 3, padding="same")(x), shortcut]))
        x = L.MaxPooling1D(2, strides=2)(x)
    x = L.Flatten()(L.AveragePooling1D(3, strides=3)(x))
    return keras.Model(inputs, L.Dense(5, "softmax")(L.Dense(8, "relu")(x)))


def _normalized(x: Any) -> Any:
    return L.Activation("relu")(L.BatchNormalization()(x))


def _convolved(x: Any, filters: int, size: int = 3, rate: int = 1) -> Any:
    return _normalized(L.Conv2D(filters, size, dilation_rate=rate, padding="same", use_bias=False)(x))


def _mlp(x: Any, widths: tuple[int, ...], activation: Any = "gelu") -> Any:
    for units in widths:
        x = L.Dropout(0.1)(L.Dense(units, activation)(x))
    return x
