"""Known mistakes and oddities of TensorFlow 2.21 and Keras 3.15: found by the checker by itself."""

import keras
import numpy as np
import tensorflow as tf

from tfbp.checking.api import check_gradients

RNG = np.random.default_rng(3)
Z = RNG.normal(size=(3, 5))


def test_the_bias_gradient_adds_bfloat16_up_in_bfloat16(rng):
    inputs = [rng.normal(size=(2000, 3)), rng.normal(size=3)]
    report = check_gradients(
        lambda x, bias: tf.nn.bias_add(x, bias), inputs, dtypes=["float64", "float32", "bfloat16"], modes=["eager"]
    )
    (found,) = report.findings
    assert (found.argument, found.dtype) == ("bias", "bfloat16")


def test_reduce_sum_adds_float16_up_in_float16(rng):
    report = check_gradients(
        lambda x: tf.reduce_sum(x, axis=0),
        [rng.uniform(0.5, 1.5, (2000, 3))],
        dtypes=["float32", "bfloat16", "float16"],
        modes=["eager"],
    )
    (found,) = report.findings
    assert (found.argument, found.dtype) == ("output", "float16")


def test_constants_that_float32_has_rounded():
    options = {"dtypes": ["float64"], "modes": ["eager"]}
    report = check_gradients(lambda x: keras.activations.gelu(x, approximate=True), [Z], **options)
    assert report.agrees
    assert any("the constant 0.044715 is float32's in float64" in note for note in report.notes)
    report = check_gradients(
        tf.nn.leaky_relu, [Z], reference=lambda features: np.where(features > 0, features, 0.2 * features), **options
    )
    assert "the alpha of LeakyRelu, 0.2, is float32's in float64" in report.findings[0].cause
    assert report.findings[0].argument == "output"
    report = check_gradients(lambda x: 0.5 * x + 3 * tf.tanh(x) / 7, [Z], **options)
    assert not any("float32's" in note for note in report.notes)


def test_celu_s_derivative_at_0_is_2():
    (found,) = check_gradients(keras.activations.celu, [Z], dtypes=["float64"], modes=["eager"]).findings
    assert found.kind == "kink"
    assert found.cause.startswith("where x is 0 the gradient is ")
    assert "both slopes are" in found.cause


def test_selu_under_xla_takes_the_other_side_at_0():
    report = check_gradients(keras.activations.selu, [Z], dtypes=["float64"], modes=["eager", "xla"])
    assert report.agrees, report
    assert any("xla takes another side of a kink: where x is 0" in note for note in report.notes)


def test_random_numbers_that_another_mode_draws_otherwise_are_no_finding():
    layer = keras.layers.Dropout(0.4, seed=1)
    report = check_gradients(layer, [Z], modes=["eager", "xla"])
    assert report.agrees, report
