"""Backwards from signs and minima, beside TensorFlow's kernel for the same derivative: at kinks and far out, too."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, manual

# the activation's arguments, and dz by the kernel that a tape would call, from what the forward kept
KERNELS = {
    "relu": ({}, lambda dy, y: tf.raw_ops.ReluGrad(gradients=dy, features=y)),
    "relu6": ({}, lambda dy, y: tf.raw_ops.Relu6Grad(gradients=dy, features=y)),
    "leaky_relu": (
        {"negative_slope": 0.25},
        lambda dy, z: tf.raw_ops.LeakyReluGrad(gradients=dy, features=z, alpha=0.25),
    ),
    "elu": ({}, lambda dy, y: tf.raw_ops.EluGrad(gradients=dy, outputs=y)),
    "selu": ({}, lambda dy, y: tf.raw_ops.SeluGrad(gradients=dy, outputs=y)),
    "hard_sigmoid": ({}, lambda dy, clipped: tf.raw_ops.Relu6Grad(gradients=dy / 6, features=clipped)),
}
DTYPES = ("float64", "float32", "bfloat16", "float16")
MODES = {"eager": None, "graph": False, "xla": True}


def points(dtype):
    """Kinks, their neighbours, numbers far out, the smallest that are not subnormal, and a hundred others."""
    dtype = tf.as_dtype(dtype).as_numpy_dtype
    kinks = np.array([-3, -1, 0, 1, 3, 6], dtype)
    beside = [np.nextafter(kinks, dtype(side)) for side in (-100, 100)]
    small = np.finfo(dtype).tiny if dtype != tf.bfloat16.as_numpy_dtype else 1.1754943508222875e-38
    others = np.random.default_rng(0).normal(0, 3, 100)
    far = [-0.0, 1e4, -1e4, np.inf, -np.inf, small, -small]
    return tf.constant(np.concatenate([kinks, *beside, np.array(far, dtype), others.astype(dtype)]))


def by_hand(name, arguments, mode, dy, z):
    def run(dy, z):
        activation = Activation(name, arguments)
        _, residuals = manual.activations.activation_forward(activation, z)
        return manual.activations.activation_backward(activation, dy, residuals), residuals

    compile_it = MODES[mode]
    return (run if compile_it is None else tf.function(run, jit_compile=compile_it))(dy, z)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.sampled(7, mode="eager")
def test_dz_is_the_kernel_s(name, mode, dtype):
    arguments, kernel = KERNELS[name]
    z = points(dtype)
    dy = tf.cast(np.random.default_rng(1).normal(size=z.shape), dtype)
    got, residuals = by_hand(name, arguments, mode, dy, z)
    expected = kernel(dy, residuals)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert np.all(np.isfinite(tf.cast(got, tf.float64)))
    # the derivative, at most 1.76 in size, is rounded two times, and so is the product
    bound = 8 * {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}[dtype]
    difference = np.abs(tf.cast(got, tf.float64) - tf.cast(expected, tf.float64)) / np.abs(tf.cast(dy, tf.float64))
    assert dict(zip(z.numpy()[difference > bound], got.numpy()[difference > bound], strict=True)) == {}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, 1.5, -0.5])
@pytest.mark.sampled(7, mode="eager")
def test_leaky_relu_of_any_slope(slope, mode, dtype):
    z = tf.constant([-2.0, -1e4, -0.0, 0.0, 2.0, 1e4], dtype)
    dy = tf.constant([1.0, -2.0, 3.0, -4.0, 5.0, -6.0], dtype)
    activation = manual.piecewise_activations
    expected = np.where(z.numpy() > 0, 1, slope) * dy.numpy().astype("float64")

    def run(dy, z):
        return activation.leaky_relu_backward(dy, z, slope)

    got = run(dy, z) if MODES[mode] is None else tf.function(run, jit_compile=MODES[mode])(dy, z)
    np.testing.assert_array_equal(got.numpy().astype("float64"), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_relu_by_sign_is_relu_by_select(mode, dtype):
    """Of all numbers from above, but not of what is none: a select hides a NaN at a dead unit, as XLA's relu does."""
    y = tf.nn.relu(points(dtype))
    dy = tf.cast(np.random.default_rng(1).normal(size=y.shape), dtype)
    room = manual.piecewise_activations

    def run(dy, y):
        return room.relu_backward(dy, y), room.relu_backward_by_sign(dy, y)

    select, sign = run(dy, y) if MODES[mode] is None else tf.function(run, jit_compile=MODES[mode])(dy, y)
    np.testing.assert_array_equal(sign.numpy(), select.numpy())
    assert np.all(np.isnan(tf.cast(room.relu_backward_by_sign(dy * np.nan, y), tf.float64)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in KERNELS if name != "relu"])
@pytest.mark.sampled(3)
def test_a_nan_that_comes_from_above_is_not_hidden(name, dtype):
    """Also where the derivative is 0, as by the kernel on a CPU: what went wrong there is seen below."""
    arguments, _ = KERNELS[name]
    z = tf.constant([-5.0, 0.0, 1.0, 7.0], dtype)
    dy = tf.fill([4], tf.constant(float("nan"), dtype))
    for mode in MODES:
        got, _ = by_hand(name, arguments, mode, dy, z)
        assert np.all(np.isnan(tf.cast(got, tf.float64))), mode
