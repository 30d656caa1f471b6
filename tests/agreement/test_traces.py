"""Facts that a trace does not know: the shapes of its inputs, and a label that is not a class."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Dense, Network, manual, tape

WRITINGS = {"manual": manual, "tape": tape}
MODES = {"graph": False, "xla": True}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_nan_in_float64_by_hand_and_by_tape(label, mode):
    network = Network(2, [Dense(3)], "sparse_categorical_crossentropy")
    fed = tf.nest.map_structure(tf.constant, (network.init(0), np.ones([2, 2]), np.array([0, label])))
    for writing in WRITINGS.values():
        function = tf.function(writing.loss_and_gradients, jit_compile=MODES[mode], autograph=False)
        loss, gradients = function(network, *fed)
        assert np.isnan(loss)
        assert np.isnan(gradients[0]["kernel"]).all()


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "huber"])
def test_shapes_that_are_unknown_to_a_trace(loss, writing, jit_compile):
    network = Network(4, [Dense(5, "gelu"), Dense(3)], loss)
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(6, 4)), rng.random(6)
    y = rng.integers(0, 3, 6) if "sparse" in loss else rng.random((6, 3))
    parameters = network.init(seed=0)
    expected = manual.loss_and_gradients(network, parameters, x, y, weight)
    for shapes in ([None] * 3, [(None, None), [None] * y.ndim, (None,)], [(6, 4), [None] * y.ndim, None]):
        run = tf.function(
            lambda *given: WRITINGS[writing].loss_and_gradients(network, parameters, *given),
            input_signature=[tf.TensorSpec(s, a.dtype) for s, a in zip(shapes, (x, y, weight), strict=True)],
            jit_compile=jit_compile,
            autograph=False,
        )
        for got, wanted in zip(tf.nest.flatten(run(x, y, weight)), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError, TypeError)):
            run(x[:, :3], y, weight)
