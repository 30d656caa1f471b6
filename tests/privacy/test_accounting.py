"""ε from what was run, against dp-accounting 0.6.0's own numbers for six settings; and σ for a budget."""

import pytest

from tfbp import InputError
from tfbp.privacy import accounting
from tfbp.privacy.ledger import Stretch

pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")

# N, B, σ, steps, δ: ε by RDP, by PLD, and without amplification by sampling
SETTINGS = {
    "mnist-a": (60000, 250, 1.3, 3600, 1e-5, 0.9422002181626765, 0.8530300163809601, 16.52618969419722),
    "mnist-b": (60000, 256, 1.1, 14062, 1e-5, 2.5965558697943036, 2.381686002234784, 54.04581807703168),
    "cifar": (50000, 4096, 3.0, 2500, 1e-5, 7.098494143364888, 6.5789039068644515, 31.031493018306282),
    "sst2-ft": (
        67349,
        1000,
        0.75,
        201,
        7.4240152043831385e-06,
        3.847688048366214,
        3.1295356963676246,
        12.108238695828796,
    ),
    "full-batch": (1000, 1000, 10.0, 100, 1e-5, 4.728507067217623, 4.37717810002493, None),
    "tiny": (1000, 50, 0.6, 200, 0.001, 12.766338551596359, 10.594880879064364, 29.39218417217816),
}


def stretch_of(setting, sampling="poisson"):
    rows, batch, noise, steps, *_ = SETTINGS[setting]
    return Stretch(sampling, batch / rows, noise, rows, 1.0, rows // batch, steps)


@pytest.mark.parametrize("setting", SETTINGS)
def test_epsilon_is_dp_accounting_s(setting):
    *_, delta, by_rdp, by_pld, _ = SETTINGS[setting]
    stretch = stretch_of(setting)
    assert accounting.epsilon_of([stretch], delta, "pld") == pytest.approx(by_pld, rel=1e-9)
    assert accounting.epsilon_of([stretch], delta, "rdp") == pytest.approx(by_rdp, rel=1e-9)


@pytest.mark.parametrize("setting", ["mnist-b", "tiny"])
def test_shuffled_batches_are_accounted_without_amplification(setting):
    rows, batch, _, steps, delta, *_, shuffled = SETTINGS[setting]
    stretch = Stretch("shuffle", batch / rows, SETTINGS[setting][2], rows, 1.0, -(-rows // batch), steps)
    found = accounting.epsilon_of([stretch], delta, "pld")
    assert found == pytest.approx(shuffled, rel=1e-9)
    # accounted as Poisson it would be many times less
    assert found > 2 * accounting.epsilon_of([stretch_of(setting)], delta, "pld")


def test_stretches_compose():
    stretch = stretch_of("tiny")
    parts = [stretch.with_steps(120), stretch.with_steps(80)]
    whole = accounting.epsilon_of([stretch], 1e-3, "pld")
    assert accounting.epsilon_of(parts, 1e-3, "pld") == pytest.approx(whole, rel=1e-3)
    assert accounting.epsilon_of([], 1e-3, "pld") == 0
    louder = [stretch, stretch.with_noise(3.0)]
    assert accounting.epsilon_of(louder, 1e-3, "pld") > whole


@pytest.mark.parametrize("accountant", ["pld", "rdp"])
def test_the_noise_for_a_budget_is_just_enough(accountant):
    planned = stretch_of("mnist-a").with_noise(0.0)
    noise = accounting.noise_for(3.0, 1e-5, accountant, [], planned)
    assert accounting.epsilon_of([planned.with_noise(noise)], 1e-5, accountant) <= 3.0
    assert accounting.epsilon_of([planned.with_noise(noise * 0.999)], 1e-5, accountant) > 3.0


@pytest.mark.parametrize("epsilon", [1e-9, 1e3, 1e9])
def test_a_budget_far_from_any_use_has_a_noise_too(epsilon):
    # at 1e-9, ε is 0 for more noise; above 100, the distribution of the privacy losses would fill the memory
    planned = Stretch("shuffle", 0.01, 0.0, 10000, 1.0, 100, 1000)
    noise = accounting.noise_for(epsilon, 1e-5, "pld", [], planned)
    assert 0 <= accounting.epsilon_of([planned.with_noise(noise)], 1e-5, "pld") <= epsilon
    assert noise <= accounting.LEAST_NOISE or accounting.epsilon_of([planned.with_noise(0.9 * noise)], 1e-5, "pld") > (
        epsilon
    )


def test_epsilon_by_distributions_goes_over_into_rdp_s_upper_bound():
    epsilons = [
        accounting.epsilon_of([Stretch("shuffle", 0.01, noise, 10000, 1.0, 100, 1000)], 1e-5, "pld")
        for noise in (1e-4, 0.2, 0.25, 0.35, 0.5)
    ]
    assert epsilons == sorted(epsilons, reverse=True)
    assert epsilons[0] == accounting.epsilon_of([Stretch("shuffle", 0.01, 1e-4, 10000, 1.0, 100, 1000)], 1e-5, "rdp")
    assert epsilons[-1] < accounting.epsilon_of([Stretch("shuffle", 0.01, 0.5, 10000, 1.0, 100, 1000)], 1e-5, "rdp")


def test_what_is_spent_is_taken_off_and_too_little_is_refused():
    stretch = stretch_of("mnist-a")
    alone = accounting.noise_for(2.0, 1e-5, "rdp", [], stretch)
    after = accounting.noise_for(2.0, 1e-5, "rdp", [stretch], stretch)
    assert after > alone
    assert accounting.epsilon_of([stretch, stretch.with_noise(after)], 1e-5, "rdp") <= 2.0
    with pytest.raises(InputError, match=r"epsilon: got 0.5, of which 0.853 are spent already"):
        accounting.noise_for(0.5, 1e-5, "pld", [stretch], stretch)
    with pytest.raises(InputError, match=r"would take a noise above σ"):
        accounting.noise_for(1e-9, 1e-12, "rdp", [], stretch)


def test_steps_within_a_budget():
    stretch = stretch_of("tiny")
    within = accounting.steps_within(5.0, 1e-3, "pld", [], stretch)
    assert 0 < within < 200
    assert accounting.epsilon_of([stretch.with_steps(within)], 1e-3, "pld") <= 5.0
    assert accounting.epsilon_of([stretch.with_steps(within + 1)], 1e-3, "pld") > 5.0
