"""A network built of tfbp's Keras layers and trained by Keras's fit has the curve and the weights of tfbp.Model."""

import keras
import numpy as np
import pytest

from tfbp import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    Model,
    Network,
    Residual,
    layers,
)

RNG = np.random.default_rng(0)
# Keras's fit makes float32 of every array that it is given
X, LABELS = RNG.normal(size=(40, 8, 8, 1)).astype(np.float32).astype(np.float64), RNG.integers(0, 3, 40)


def normalized(filters, size, strides=1):
    return [Conv2D(filters, size, strides, "same", use_bias=False), BatchNormalization(momentum=0.9)]


NETWORKS = {
    "cnn": [
        Conv2D(4, 3, padding="same", activation="relu"),
        MaxPooling2D(),
        Conv2D(6, 3, padding="same", activation="relu"),
        MaxPooling2D(),
        Flatten(),
        Dense(8, "relu"),
        Dense(3),
    ],
    "resnet": [
        *normalized(4, 3),
        Activation("relu"),
        Residual([*normalized(6, 3, 2), Activation("relu"), DepthwiseConv2D(3, padding="same")], normalized(6, 1, 2)),
        GlobalAveragePooling2D(),
        Dense(3),
    ],
}


@pytest.mark.parametrize("name", list(reversed(NETWORKS)))
@pytest.mark.sampled(2)
def test_keras_s_fit_goes_the_same_way(name):
    network = Network((8, 8, 1), NETWORKS[name], "sparse_categorical_crossentropy")
    ours = Model(network, dtype="float64")
    # Dropout is not among the layers: Keras's draws by Keras's seeds, the network's by the network's
    theirs = network.to_keras(ours.get_parameters(), "float64", layers=layers)
    kinds = {type(layer) for layer in theirs.layers if hasattr(layers, type(layer).__name__)}
    assert kinds
    assert all(kind.__module__.startswith("tfbp.layers") for kind in kinds)
    options = {"optimizer": keras.optimizers.Adam(0.01), "metrics": ["accuracy"], "jit_compile": False}
    ours.compile(**options)
    # a loss computes in float32 by default, whatever the model does
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    theirs.compile(loss=loss, **{**options, "optimizer": keras.optimizers.Adam(0.01)})
    # three steps an epoch, the last on eight rows
    fit = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (X[:10], LABELS[:10])}
    got, expected = (model.fit(X, LABELS, **fit).history for model in (theirs, ours))
    assert set(got) == set(expected) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    for key, curve in expected.items():
        # Keras's metrics are float32
        np.testing.assert_allclose(got[key], curve, rtol=1e-6, err_msg=key)
    assert expected["loss"][2] < expected["loss"][0]
    after = ours.to_keras().get_weights()
    assert len(after) == len(theirs.get_weights()) > 0
    for w, ours_after in zip(theirs.get_weights(), after, strict=True):
        assert (w.dtype, w.shape) == (ours_after.dtype, ours_after.shape)
        np.testing.assert_allclose(w, ours_after, rtol=0, atol=1e-11)
