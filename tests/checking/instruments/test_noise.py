"""The noise floor: above what a careful program does, below what a careless one does."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.checking.instruments.noise import Noise
from tfbp.checking.subject import Subject
from tfbp.judging.arrays import as_float64


def ratios(function, inputs, dtype, rng):
    """The largest error / tolerance of outputs and gradients in the dtype."""
    subject = Subject(function, inputs)
    wide, narrow = subject.at("float64"), subject.at(dtype)
    upstream = [as_float64(tf.cast(rng.normal(size=s), dtype)) for s in wide.shapes]
    values = [as_float64(tf.cast(v, dtype)) for v in wide.values]
    right, got = wide.run(values, upstream), narrow.run(values, upstream)
    tolerances = Noise(wide).tolerances(dtype, values, upstream)
    return [
        float((np.abs(as_float64(g) - as_float64(r)) / t).max())
        for part in (0, 1)
        for g, r, t in zip(got[part], right[part], tolerances[part], strict=True)
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, k: tf.tanh(tf.matmul(x, k)), [(40, 30), (30, 20)]),
        (lambda x: tf.nn.softmax(x), [(60, 20)]),
        (lambda x: x * tf.sigmoid(x), [(60, 20)]),
        (lambda x: tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1) + 1e-3), [(60, 20)]),
    ],
    ids=["dense", "softmax", "swish", "rms"],
)
def test_what_is_right_is_within_it_and_uses_a_good_part_of_it(function, shapes, dtype, rng):
    found = ratios(function, [rng.normal(size=s) for s in shapes], dtype, rng)
    assert max(found) <= 1
    assert max(found) > 0.05


@pytest.mark.parametrize(
    ("function", "made"),
    [
        # many matrices, so that the largest error of a draw is a good part of the floor
        (
            lambda a: tf.sort(tf.math.real(tf.linalg.eigvals(a))),
            lambda rng: np.diag([9.0, 18, 27]) + rng.normal(size=(30, 3, 3)),
        ),
        (lambda a: tf.math.real(tf.signal.fft(tf.complex(a, a * a))), lambda rng: rng.normal(size=(5, 16))),
        (
            lambda a: tf.abs(tf.matmul(tf.complex(a, a * a), tf.complex(-a, a), transpose_b=True)),
            lambda rng: rng.normal(size=(20, 9)),
        ),
    ],
    ids=["eigvals", "fft", "matmul"],
)
def test_complex_numbers_inside_are_rounded_too(function, made, rng):
    found = ratios(function, [made(rng)], "float32", rng)
    assert max(found) <= 1
    assert max(found) > 0.05


def test_a_long_sum_in_16_bits_is_outside(rng):
    x = rng.uniform(0.5, 1.5, (20_000, 8))
    assert max(ratios(lambda x: tf.reduce_sum(x, axis=0), [x], "float16", rng)) > 20


def test_what_cannot_be_traced_has_one_too(rng):
    subject = Subject(lambda x: tf.tanh(x) * float(x.numpy().max() > 0), [rng.normal(size=(3, 2))])
    program = subject.at("float64")
    noise = Noise(program)
    outputs, gradients, _ = noise.tolerances("float32", program.values, [np.ones((3, 2))])
    assert not noise.traced
    assert 0 < outputs[0].max() < 1e-4
    assert 0 < gradients[0].max() < 1e-4
