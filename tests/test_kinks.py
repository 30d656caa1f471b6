"""At a kink the derivative is one side's: the docstrings say which, and all three writings and modes take it."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, Loss, manual, reference, tape

SELU_SCALE = 1.0507009873554805
# activation: {z at a kink: the derivative there}
KINKS = {
    "relu": {0: 0},
    "relu 6": {0: 0, 6: 0},
    "relu slope": {0: 0.125},
    "relu bounded": {0.25: 0, 1: 1},
    "relu6": {0: 0, 6: 0},
    "leaky_relu": {0: 0.2},
    "elu": {0: 1},
    "elu 0.5": {0: 0.5},
    "celu": {0: 1},
    "selu": {0: SELU_SCALE},
    "hard_sigmoid": {-3: 0, 3: 0},
    "hard_silu": {-3: 0, 3: 1},
    "hard_tanh": {-1: 1, 1: 1},
    "hard_shrink": {-0.5: 0, 0.5: 0},
    "soft_shrink": {-0.5: 0, 0.5: 0},
    "sparse_plus": {-1: 0, 1: 1},
    "sparse_sigmoid": {-1: 0, 1: 0},
    "threshold": {0.25: 0},
}
ARGUMENTS = {
    "threshold": {"threshold": 0.25, "default_value": -0.5},
    "elu 0.5": {"alpha": 0.5},
    "relu 6": {"max_value": 6.0},
    "relu slope": {"negative_slope": 0.125},
    "relu bounded": {"negative_slope": 0.125, "max_value": 1.0, "threshold": 0.25},
}
MODES = {"eager": None, "graph": False, "xla": True}


def by_manual(activation, z, dy):
    return manual.activations.activation_backward(
        activation, dy, manual.activations.activation_forward(activation, z)[1]
    )


def by_tape(activation, z, dy):
    with tf.GradientTape() as record:
        record.watch(z)
        y = tape.activations.activation_forward(activation, z)
    return record.gradient(y, z, output_gradients=dy)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KINKS)
def test_the_convention(name, mode, dtype):
    activation = Activation(name.split()[0], ARGUMENTS.get(name, {}))
    z = np.array([list(KINKS[name])], np.float64)
    dy = np.full_like(z, -1.5)
    expected = dy * list(KINKS[name].values())
    by_reference = reference.activations.activation_backward(activation, dy, z)
    np.testing.assert_allclose(by_reference, expected, rtol=1e-15, err_msg="reference")
    for writing, backward in {"manual": by_manual, "tape": by_tape}.items():
        run = partial(backward, activation)
        if MODES[mode] is not None:
            run = tf.function(run, jit_compile=MODES[mode])
        got = run(tf.cast(tf.constant(z), dtype), tf.cast(tf.constant(dy), dtype))
        tolerance = 4 * {"float64": 2**-53, "float32": 2**-24, "bfloat16": 2**-8, "float16": 2**-11}[dtype]
        np.testing.assert_allclose(tf.cast(got, tf.float64), expected, rtol=tolerance, err_msg=writing)


@pytest.mark.parametrize(("name", "derivative"), [("mean_absolute_error", 0.0), ("huber", 1.0)])
def test_the_convention_of_a_loss(name, derivative):
    """|o - y| has derivative 0 where o = y; huber's pieces meet at delta with the same slope."""
    loss, outputs, y = Loss(name), np.array([[1.0]]), np.array([[1.0 if derivative == 0 else 0.0]])
    _, kept = reference.losses.loss_forward(loss, y, outputs)
    assert reference.losses.loss_backward(loss, np.ones(1), kept) == derivative
    _, kept = manual.losses.loss_forward(loss, tf.constant(y), tf.constant(outputs))
    assert manual.losses.loss_backward(loss, tf.ones(1, tf.float64), kept) == derivative
