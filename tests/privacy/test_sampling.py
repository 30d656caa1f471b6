"""The examples that a step takes, and the noise: their laws, and that nothing is used twice."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfbp.privacy import noise, sampling
from tfbp.privacy.threefry import threefry

KEY = tf.constant([11, 12], tf.int64)


@tf.function(autograph=False)
def chunk_of(step, number, last, rate, rows, size):
    return sampling.poisson(KEY, step, rate, rows, size)(number, last)


def drawn(step, rate, rows, size):
    """The rows of a step and how many chunks they took."""
    last, found, number, more = tf.constant(-1, tf.int64), [], 0, True
    while more:
        taken, valid, last, more = chunk_of(tf.constant(step, tf.int64), tf.constant(number), last, rate, rows, size)
        found += taken.numpy()[valid.numpy()].tolist()
        number += 1
    return found, number


def test_every_example_is_taken_with_probability_q_each_by_itself():
    rows, rate, steps = 40, 0.2, 1500
    taken = np.zeros((steps, rows))
    for step in range(steps):
        found, _ = drawn(step, rate, rows, 12)
        assert len(set(found)) == len(found)
        taken[step, found] = 1
    counts = taken.sum(axis=1)
    # of each row, of how many there are, and of pairs: probabilities of 1e-4 each under Poisson sampling
    assert (
        scipy.stats.chisquare(
            np.stack([taken.sum(0), steps - taken.sum(0)]).ravel(),
            np.repeat([steps * rate, steps * (1 - rate)], rows),
            ddof=rows - 1,
        ).pvalue
        > 1e-4
    )
    expected = scipy.stats.binom(rows, rate).pmf(range(rows + 1)) * steps
    near = slice(3, 14)
    seen = np.bincount(counts.astype(int), minlength=rows + 1)
    both = [np.append(each[near], each.sum() - each[near].sum()) for each in (seen, expected)]
    assert scipy.stats.chisquare(*both).pvalue > 1e-4
    correlations = np.corrcoef(taken.T)[np.triu_indices(rows, 1)] * np.sqrt(steps)
    assert scipy.stats.kstest(correlations, "norm").pvalue > 1e-4


@pytest.mark.parametrize(("rate", "rows"), [(0.3, 50), (0.002, 10_000)])
def test_the_distances_are_those_of_the_formula(rate, rows):
    uniform = np.random.default_rng(0).uniform(size=1000)
    uniform[:3] = 1.0, 1e-300, 0.5
    found = sampling.distances(tf.constant(uniform), rate, rows).numpy()
    right = 1 + np.minimum(np.floor(np.log(uniform) / np.log1p(-rate)), rows).astype(int)
    np.testing.assert_array_equal(found, right)
    assert found[0] == 1


@pytest.mark.parametrize("size", [1, 3, 7, 30])
@pytest.mark.sampled(3)
def test_none_is_dropped_where_more_are_drawn_than_a_chunk_holds(size):
    for step in range(20):
        found, chunks = drawn(step, 0.9, 30, size)
        assert sorted(found) == found
        assert chunks >= len(found) / size
    assert np.mean([len(drawn(step, 0.9, 30, size)[0]) for step in range(60)]) == pytest.approx(27, abs=1)


def test_no_chunk_of_a_step_shares_its_numbers_with_another():
    found = {}
    for step in range(12):
        draw = sampling.poisson(KEY, tf.constant(step, tf.int64), 0.3, 1000, 20)
        for number in range(4):
            found[step, number] = tuple(draw(tf.constant(number), tf.constant(-1, tf.int64))[0].numpy())
    assert len(set(found.values())) == len(found)


def test_an_empty_draw_is_one_chunk():
    found = [drawn(step, 0.01, 10, 4) for step in range(50)]
    assert ([], 1) in found


def test_all_are_taken_at_a_rate_of_one():
    assert drawn(0, 1.0, 10, 4) == (list(range(10)), 3)


def test_shuffled_epochs_show_each_example_once():
    order = tf.constant(sampling.order_of((1, 2), 0, 10))
    seen = []
    for step in range(3):
        draw, number, more = sampling.shuffled(order, tf.constant(step), 4, 10, 3), 0, True
        while more:
            rows, valid, _, more = draw(tf.constant(number), tf.constant(0, tf.int64))
            seen += rows.numpy()[valid.numpy()].tolist()
            number += 1
        assert len(seen) == min(4 * (step + 1), 10)
    assert sorted(seen) == list(range(10))
    assert sampling.order_of((1, 2), 1, 10).tolist() != sampling.order_of((1, 2), 0, 10).tolist()


def test_the_noise_is_normal_and_never_the_same_twice():
    for dtype in (tf.float32, tf.float64):
        weights = [tf.zeros([40, 50], dtype), tf.zeros([2000], dtype), tf.zeros([2, 1000], dtype)]
        rows = np.stack(
            [
                each.numpy().ravel()
                for step in range(4)
                for each in noise.noised(weights, KEY, tf.constant(step), 3.0, 2.0)
            ]
        )
        assert scipy.stats.kstest(rows.ravel() / 1.5, "norm").pvalue > 1e-4
        correlations = np.corrcoef(rows)[np.triu_indices(12, 1)] * np.sqrt(2000)
        assert np.abs(correlations).max() < 5
        other_key = noise.normal(KEY + 1000, tf.constant(0), 2000, dtype).numpy()
        assert np.abs(np.corrcoef(other_key, rows)[0, 1:]).max() * np.sqrt(2000) < 5
    # float64 has so many normal numbers that two equal ones are one number twice
    assert len(np.unique(rows)) == rows.size


def test_a_large_weight_has_the_numbers_of_its_own_elements():
    sizes = [3, noise.LARGE, 5, 7, 2 * noise.LARGE]
    whole = noise.normal(KEY, tf.constant(4), sum(sizes), tf.float64)
    found = noise.noised([tf.zeros([size], tf.float64) for size in sizes], KEY, tf.constant(4), 1.0, 1.0)
    large = noise.LARGE
    assert noise._groups(sizes) == [(0, [3]), (3, [large]), (3 + large, [5, 7]), (15 + large, [2 * large])]
    # the last elements of a vector go by other instructions
    np.testing.assert_allclose(tf.concat(found, 0).numpy(), whole.numpy(), rtol=1e-14)


def test_xla_computes_the_generator_once_for_several_uses():
    """A gradient's uses, such as Adam's two moments, read one vector of numbers."""

    def moments(step, *sums):
        return [(each, each * each) for each in noise.noised(sums, KEY, step, 1.0, 2.0)]

    def rotations(function, *arguments):
        made = tf.function(function, jit_compile=True, autograph=False)
        program = made.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")
        return sum("shift-right-logical(" in line and "u32[30]" in line for line in program.splitlines())

    step = tf.constant(2)
    alone = rotations(lambda step: noise.normal(KEY, step, 30, tf.float32), step)
    assert alone >= 20
    assert rotations(moments, step, tf.zeros([10]), tf.zeros([15]), tf.zeros([5])) == alone


def test_normal_numbers_in_float32_are_those_of_their_uniform_ones():
    """The polynomials, from the largest u to the smallest; 6.7 is the last number of the tail."""
    numerator = np.float32([1, 2, 1000, 2**20, 2**29, 2**30, 2**31 - 128, 2**31])
    angle = np.linspace(-0.5, 0.5, 41, dtype=np.float32)[:, None]
    found = noise._normal(tf.constant(numerator), tf.constant(angle)).numpy()
    u, v = np.float64(numerator) / 2**31, np.float64(angle)
    np.testing.assert_allclose(found, np.sqrt(-2 * np.log(u)) * np.sin(np.pi * v), rtol=0, atol=4e-6)


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_threefry_gives_the_published_answers(key, counter, words):
    """Known answers of the authors' library, Random123: threefry2x32-20."""
    key, counter = (tuple(tf.constant(word, tf.uint32) for word in each) for each in (key, counter))
    assert tuple(int(word) for word in threefry(key, counter)) == words


def test_threefry_s_shapes_are_known_to_a_trace():
    words = tuple(tf.zeros(shape, tf.uint32) for shape in ([], [3, 1], [4], [1, 4]))

    @tf.function(autograph=False)
    def shapes():
        found = threefry(words[:2], words[2:])
        assert all(word.shape == (3, 4) for word in found)
        return [tf.shape(word) for word in found]

    assert [shape.numpy().tolist() for shape in shapes()] == [[3, 4], [3, 4]]
