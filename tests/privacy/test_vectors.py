"""Norms and clipped sums of three networks against one tape an example, and beside Opacus 1.6.0's in two modes.

`vectors/*.npz`, float64, ten examples each, in Keras's layout: x, y, w:PATH each weight, norms_tape, clip (the median),
clippedsum_tape:PATH; norms_opacus_* and clippedsum_opacus_*:PATH of its modes "hooks" and "ghost". Opacus's factor is
C / (‖g‖ + 1e-6), and torch's LSTM counts its bias twice.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from private_models import L, logits

import tfbp
from tfbp.fitting import arrays
from tfbp.privacy import choosing, examples, refusals
from tfbp.privacy.clipping import clipped_sums

HERE = Path(__file__).parent / "vectors"
NETWORKS = {
    "mlp": lambda: [L.Input((12,)), L.Dense(16, "relu"), L.Dense(8, "tanh"), L.Dense(4)],
    "cnn": lambda: [
        *(L.Input((8, 8, 2)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2)),
        *(L.GroupNormalization(2, epsilon=1e-5), L.Conv2D(6, 2), L.Flatten(), L.Dense(3)),
    ],
    "lstm": lambda: [L.Input((7, 5)), L.LSTM(6), L.Dense(3)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_norms_and_clipped_sums_are_those_of_one_tape_an_example(name):
    given = np.load(HERE / f"{name}.npz")
    paths = [key.removeprefix("w:") for key in given if key.startswith("w:")]
    model = keras.Sequential(NETWORKS[name]())
    model.set_weights([given[f"w:{path}"] for path in paths])
    model.compile("sgd", logits())
    norms = tfbp.per_example_gradient_norms(model, given["x"], given["y"])
    assert set(norms.ways.values()) == {"by hand"}
    assert norms.dtype == np.float64
    np.testing.assert_allclose(norms, given["norms_tape"], rtol=1e-12)

    data, clip = arrays.packed(given["x"], given["y"]), float(given["clip"])
    refusals.build(model, data)
    way = choosing.way_of(model, data)

    @tf.function(autograph=False)
    def sums():
        return clipped_sums(examples.find(model, way, data), clip, tf.float64, tf.ones([10], tf.bool))[0]

    for path, total in zip(paths, sums(), strict=True):
        right = given[f"clippedsum_tape:{path}"]
        np.testing.assert_allclose(total, right, rtol=0, atol=1e-12 * np.abs(right).max())
    if name == "lstm":
        # its second bias is in the norm: no example's is the same
        assert np.all(given["norms_opacus_hooks"] > 1.0001 * norms)
        return
    for mode in ("hooks", "ghost"):
        np.testing.assert_allclose(norms, given[f"norms_opacus_{mode}"], rtol=1e-9)
        for path, total in zip(paths, sums(), strict=True):
            right = given[f"clippedsum_opacus_{mode}:{path}"]
            # 1e-6 of the norm, in the factor
            np.testing.assert_allclose(total, right, rtol=0, atol=3e-6 * np.abs(right).max() / float(norms.min()))
