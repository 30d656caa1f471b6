"""The ledger: its key is drawn for each fit, and steps with other settings are not counted among equal ones."""

import dataclasses

import numpy as np
import pytest

from tfbp import InputError
from tfbp.privacy.ledger import ROWS, Ledger, Stretch

STRETCH = Stretch("poisson", 0.1, 1.0, 100, 1.0, 10)
OTHERS = {"sampling": "shuffle", "rate": 0.2, "noise": 1.1, "rows": 200, "clip": 2.0, "an_epoch": 5}


@pytest.mark.parametrize("setting", OTHERS)
def test_steps_with_another_setting_are_a_stretch_of_their_own(setting):
    ledger, other = Ledger(), dataclasses.replace(STRETCH, **{setting: OTHERS[setting]})
    for stretch in (STRETCH, STRETCH, other):
        ledger.begin(stretch)
        counts = ledger.counts.numpy()
        counts[int(ledger.current) - 1] += 10
        ledger.counts.assign(counts)
    assert ledger.stretches() == [STRETCH.with_steps(20), other.with_steps(10)]


def test_each_fit_has_a_key_of_its_own_from_the_operating_system():
    ledger, keys = Ledger(), []
    for each in (ledger, ledger, Ledger()):
        each.draw_key(None)
        keys.append(each.key.numpy().copy())
        each.draw_key(None)
        np.testing.assert_array_equal(each.key, keys[-1])
        each.forget_key()
        np.testing.assert_array_equal(each.key, np.zeros(4))
    # of 63 bits each: two equal ones would be no chance
    assert len(np.unique(keys)) == 12


def test_settings_without_a_step_take_no_room_and_too_many_are_refused_in_a_sentence():
    ledger = Ledger()
    for noise in range(3 * ROWS):
        ledger.begin(dataclasses.replace(STRETCH, noise=float(noise)))
    assert [each.noise for each in ledger.stretches()] == [3 * ROWS - 1]
    ledger.counts.assign(np.ones(ROWS))
    for noise in range(ROWS - 1):
        ledger.begin(dataclasses.replace(STRETCH, noise=float(noise)))
        ledger.counts.assign(np.ones(ROWS))
    before = ledger.stretches()
    with pytest.raises(InputError, match="was trained with 64 settings") as caught:
        ledger.begin(STRETCH)
    assert len(str(caught.value)) < 240
    assert ledger.stretches() == before
