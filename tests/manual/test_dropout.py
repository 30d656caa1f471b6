"""Dropout: one mask in all writings, dtypes and modes, forward and backward, and its bits made without TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from writings import CELLS, MODES, assert_agree, compiled, measured, tensor

from tfbp import manual, reference, tape
from tfbp.agreement.problems import round_to
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import Units

SEEDS = {"small": (5, -7), "zero": (0, 0), "large": (2**31 - 1, -(2**31)), "one": (1, 0)}
# name: (shape of x, arguments)
CASES = {
    "half": ((9, 7), {"rate": 0.5}),
    "fifth": ((3, 5, 4, 2), {"rate": 0.2}),
    "most": ((50, 3), {"rate": 0.9}),
    "none": ((4, 3), {"rate": 0.0}),
    "all": ((4, 3), {"rate": 1.0}),
    "shared-by-rows": ((6, 5, 3), {"rate": 0.4, "noise_shape": (6, 1, 3)}),
}


def problem(name, dtype="float64"):
    shape, options = CASES[name]
    rng = np.random.default_rng([*name.encode()])
    return options, *(round_to(rng.normal(size=shape), dtype) for _ in range(2))


def by_hand(room, x, dy, seed, options):
    y, residuals = room.dropout_forward(x, seed, **options)
    return {"y": y, "dx": room.dropout_backward(dy, residuals)}


def by_tape(x, dy, seed, options):
    with tf.GradientTape() as recorded:
        recorded.watch(x)
        y = tape.dropout.dropout_forward(x, seed, **options)
    return {"y": y, "dx": recorded.gradient(y, x, output_gradients=dy)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_bits_are_tensorflow_s(seed, mode):
    for count in (1, 4, 1001):
        run = compiled(
            lambda count=count: tf.random.stateless_uniform(
                [count], SEEDS[seed], minval=None, maxval=None, dtype=tf.uint32, alg="philox"
            ),
            mode,
        )
        np.testing.assert_array_equal(run(), reference.dropout.philox_bits(count, SEEDS[seed]))


def test_a_block_is_philox_s_published_answer():
    """Known answers of the authors' library, Random123: philox4x32-10 of counter and key 0, and of all ones."""
    ones = 2**32 - 1
    for counter, key, answer in (
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, (ones, ones), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ):
        found = reference.dropout._philox([[word] for word in counter], key)
        assert [int(word[0]) for word in found] == answer


@pytest.mark.parametrize(("dtype", "mode"), CELLS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(13, dtype="float64", mode="eager")
def test_by_hand_and_by_tape_agree_with_the_reference(name, dtype, mode):
    options, x, dy = problem(name, dtype)
    seed = SEEDS["small"]
    expected = by_hand(reference.dropout, x, dy, seed, options)
    tolerances = measured(lambda on: by_hand(reference.dropout, on(x), on(dy), seed, options), Units.of(dtype))
    for way in (lambda x, dy, seed: by_hand(manual.dropout, x, dy, seed, options), lambda *a: by_tape(*a, options)):
        got = compiled(way, mode)(tensor(x, dtype), tensor(dy, dtype), tf.constant(seed))
        assert_agree(got, expected, tolerances, dtype)
        for value, right in zip(got.values(), expected.values(), strict=True):
            np.testing.assert_array_equal(np.asarray(value) == 0, right == 0)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.25, 1 / 3, 0.7, 0.999])
def test_as_many_are_dropped_as_the_rate_says(rate):
    dropped = (~reference.dropout.dropout_mask((200_000,), (3, 4), rate)).mean()
    assert abs(dropped - rate) < 5 * np.sqrt(rate * (1 - rate) / 200_000)
    np.testing.assert_array_equal(
        reference.dropout.dropout_mask((100, 20), (3, 4), rate), manual.dropout.dropout_mask((100, 20), (3, 4), rate)
    )


def test_the_reference_s_gradient_is_that_of_complex_steps():
    options, x, dy = problem("fifth")
    found = complex_step(lambda x: (dy * reference.dropout.dropout_forward(x, (5, -7), **options)[0]).sum(), x)
    np.testing.assert_allclose(found, by_hand(reference.dropout, x, dy, (5, -7), options)["dx"], rtol=1e-15)


def test_float32_s_mask_is_keras_s():
    """Outside XLA, where TensorFlow's own choice is Philox, too."""
    seed, x = [5, 7], tf.ones([100, 9])
    expected = tf.nn.experimental.stateless_dropout(x, 0.3, seed) != 0
    np.testing.assert_array_equal(manual.dropout.dropout_mask([100, 9], seed, 0.3), expected)
