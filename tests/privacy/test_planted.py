"""Mistakes that make a claim of privacy void, planted one by one: a test of this folder sees each."""

import pytest
import tensorflow as tf
import test_clipping
import test_ledger
import test_private_fit
import test_private_refusals
import test_sampling

from tfbp.manual import dense
from tfbp.privacy import accounting, clipping, ledger, noise, parts, program, refusals, sampling

pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")

NOISED, NORMAL, CLIPPED, SQUARES = noise.noised, noise.normal, program.clipped, parts.squares
POISSON, BEGIN = sampling.poisson, ledger.Ledger.begin


def of_the_actual_batch(sums, key, step, deviation, divisor):
    """Divided by how many were drawn, here by one more than was expected."""
    return NOISED(sums, key, step, deviation, divisor + 1)


def noise_a_chunk(model, way, batch, clip, dtype, taken):
    losses, outputs, sums, good = CLIPPED(model, way, batch, clip, dtype, taken)
    return losses, outputs, [each + tf.random.stateless_normal(each.shape, [1, 2], dtype=dtype) for each in sums], good


def one_noise_for_all_weights(sums, key, step, deviation, divisor):
    return [NOISED([total], key, step, deviation, divisor)[0] for total in sums]


def one_noise_for_all_steps(key, step, size, dtype, first=0):
    return NORMAL(key, 0 * step, size, dtype, first)


def one_noise_for_neighbouring_elements(key, step, size, dtype, first=0):
    return tf.repeat(NORMAL(key, step, (size + 1) // 2, dtype, first), 2)[:size]


def without_a_kernel(each, dtype):
    """The clip of a layer is skipped: its kernel counts in no norm."""
    return 0 * SQUARES(each, dtype) if isinstance(each[0], parts.Product) else SQUARES(each, dtype)


def rounded_to_nearest(squares, clip, dtype, taken):
    return tf.cast(tf.minimum(clip / tf.sqrt(squares), 1.0), dtype), taken


def one_draw_for_several_chunks(key, step, rate, rows, size):
    """The second chunk of a step has the numbers of the next step's first."""
    draw = POISSON(key, tf.constant(0, tf.int64), rate, rows, size)
    return lambda number, last: draw(number + tf.cast(step, tf.int32), last)


def among_steps_of_the_same_noise(self, stretch):
    """A second fit with a larger batch is counted at the first one's rate."""
    known = self.stretches()
    if not known or known[-1].noise != stretch.noise:
        BEGIN(self, stretch)


def numpy_step():
    test_private_fit.test_the_private_step_is_numpys(False, 4)


def of_the_first_stretch(self):
    return RIGHT_STRETCHES(self)[:0]


RIGHT_STRETCHES = ledger.Ledger.stretches

MISTAKES = {
    "division by another number than the expected batch": (noise, "noised", of_the_actual_batch, numpy_step),
    "noise for every chunk": (program, "clipped", noise_a_chunk, numpy_step),
    "one noise for all weights": (
        *(noise, "noised", one_noise_for_all_weights),
        test_sampling.test_the_noise_is_normal_and_never_the_same_twice,
    ),
    "one noise for all steps": (
        *(noise, "normal", one_noise_for_all_steps),
        test_sampling.test_the_noise_is_normal_and_never_the_same_twice,
    ),
    "one noise for neighbouring elements": (
        *(noise, "normal", one_noise_for_neighbouring_elements),
        test_sampling.test_the_noise_is_normal_and_never_the_same_twice,
    ),
    "the counter begins again with each fit": (
        *(ledger.Ledger, "draw_key", lambda self, seed: (self.draws.assign(0), DRAW_KEY(self, seed))),
        test_private_fit.test_a_second_fit_draws_on_where_the_first_ended,
    ),
    "the clip skipped for a layer": (parts, "squares", without_a_kernel, numpy_step),
    "shuffled batches accounted as Poisson": (
        *(accounting, "_event", lambda each: ("poisson", each.rate, each.noise, each.steps)),
        test_private_fit.test_shuffled_batches_are_accounted_as_what_they_are,
    ),
    "a NaN example that is not left out": (
        *(clipping, "factors_of", lambda s, clip, dtype, taken: (tf.cast(clip / tf.sqrt(s), dtype), taken)),
        test_private_fit.test_an_example_that_is_not_finite_counts_0_and_is_counted,
    ),
    "a penalty of the examples that no clip bounds": (
        *(refusals, "check_layers", lambda model, of_norms=False: None),
        lambda: test_private_refusals.test_it_is_refused_in_one_sentence("an activity regularizer"),
    ),
    "the factor rounded to the nearest": (
        *(test_clipping, "factors_of", rounded_to_nearest),
        lambda: test_clipping.test_factors_are_rounded_down(tf.float32),
    ),
    "the norm of terms that cancel rounded to 0": (
        *(dense, "rounding_of", lambda sizes: 0 * sizes[..., 0]),
        lambda: test_clipping.test_large_terms_that_cancel_do_not_hide_a_gradient("product"),
    ),
    "one draw for several chunks": (
        *(sampling, "poisson", one_draw_for_several_chunks),
        test_sampling.test_no_chunk_of_a_step_shares_its_numbers_with_another,
    ),
    "the same key for all fits": (
        *(ledger.Ledger, "draw_key", lambda self, seed: self.key.assign([1, 2, 3, 4])),
        test_ledger.test_each_fit_has_a_key_of_its_own_from_the_operating_system,
    ),
    "steps of a larger batch at the first one's rate": (
        *(ledger.Ledger, "begin", among_steps_of_the_same_noise),
        lambda: test_ledger.test_steps_with_another_setting_are_a_stretch_of_their_own("rate"),
    ),
    "the budget forgotten": (
        *(ledger.Ledger, "stretches", of_the_first_stretch),
        test_private_fit.test_a_step_beyond_the_budget_is_refused_before_it_runs,
    ),
}
DRAW_KEY = ledger.Ledger.draw_key


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.sampled(3)
def test_it_is_seen(monkeypatch, mistake):
    module, name, wrong, check = MISTAKES[mistake]
    monkeypatch.setattr(module, name, wrong)
    # what a test of this folder says of it, or what comes of a ledger that is empty
    with pytest.raises((AssertionError, pytest.fail.Exception, IndexError)):
        check()
