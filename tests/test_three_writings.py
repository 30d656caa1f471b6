"""The three writings agree in float64 on every activation and loss, in every execution mode."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, Dense, Network, manual, reference, tape
from tfbp.vocabulary import ACTIVATIONS, LOSSES

WRITINGS = {"manual": manual, "tape": tape}
MODES = {"eager": None, "graph": False, "xla": True}
ARGUMENTS = {"threshold": {"threshold": 0.1, "default_value": -0.3}}


def problem(activation, loss):
    rng = np.random.default_rng(7)
    activation = Activation(activation, ARGUMENTS.get(activation, {}))
    head = "linear" if "entropy" in loss else activation
    network = Network(5, [Dense(7, activation, kernel_regularizer="l1_l2"), Dense(3, head)], loss)
    parameters = [{k: w + 0.1 * rng.normal(size=w.shape) for k, w in p.items()} for p in network.init(seed=1)]
    x, sample_weight = rng.normal(size=(11, 5)), rng.random(11)
    y = rng.integers(0, 3, 11) if loss.startswith("sparse") else rng.random((11, 3))
    return network, parameters, x, y, sample_weight


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize(
    ("activation", "loss"),
    [(name, "half_squared_error") for name in ACTIVATIONS] + [("tanh", name) for name in LOSSES],
)
def test_loss_and_gradients_agree_with_the_reference(activation, loss, writing, mode):
    network, *arguments = problem(activation, loss)
    expected = reference.loss_and_gradients(network, *arguments)

    def run(*args):
        return WRITINGS[writing].loss_and_gradients(network, *args)

    if MODES[mode] is not None:
        run = tf.function(run, jit_compile=MODES[mode])
    got = run(*tf.nest.map_structure(tf.constant, arguments))
    for (path, a), (_, e) in zip(named(*got), named(*expected), strict=True):
        assert a.dtype == tf.float64, path
        assert a.shape == np.shape(e), path
        np.testing.assert_allclose(a.numpy(), e, rtol=0, atol=64 * 2**-53 * (1 + np.abs(e).max()), err_msg=path)


def named(loss, gradients):
    layers = [(f"layer {i} d{name}", dw) for i, layer in enumerate(gradients) for name, dw in sorted(layer.items())]
    return [("loss", loss), *layers]


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_nan_in_float64_by_hand_and_by_tape(label, mode):
    network = Network(2, [Dense(3)], "sparse_categorical_crossentropy")
    fed = tf.nest.map_structure(tf.constant, (network.init(0), np.ones([2, 2]), np.array([0, label])))
    for writing in WRITINGS.values():
        function = tf.function(writing.loss_and_gradients, jit_compile=MODES[mode])
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
