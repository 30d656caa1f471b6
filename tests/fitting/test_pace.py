"""How long a block is: learned from those before, and remembered from fit to fit."""

import keras
import numpy as np
import pytest

import tfbp
from tfbp.fitting.hooks import TEST_HOOKS, TRAIN_HOOKS
from tfbp.fitting.pace import FIRST_STEPS, SECONDS_A_BLOCK, Pace
from tfbp.fitting.run import ArrayRun


def test_blocks_grow_until_they_take_their_time():
    pace, blocks = Pace([keras.callbacks.ProgbarLogger()], 10**6), []
    for _ in range(8):
        blocks.append(pace.block)
        pace.note(pace.block, 1e-4 * pace.block)
    # the first is not learned from, the others grow by 8 at most
    assert blocks == [FIRST_STEPS, FIRST_STEPS, 32, 256, 1000, 1000, 1000, 1000]


@pytest.mark.parametrize(("seconds", "first"), [(1e-4, 1000), (1e-7, 5000), (9.0, 1)], ids=["some", "all", "slow"])
def test_a_later_fit_begins_where_the_one_before_was(seconds, first):
    learned = {TRAIN_HOOKS: seconds}
    assert Pace([keras.callbacks.ProgbarLogger()], 5000, learned=learned).block == first
    assert Pace([], 5000, hooks=TEST_HOOKS, learned=learned).block == FIRST_STEPS


def test_what_was_learned_is_kept_for_the_next():
    learned = {}
    pace = Pace([keras.callbacks.ProgbarLogger()], 5000, learned=learned)
    pace.note(4, 20.0)
    assert learned == {}
    pace.note(4, 4 * SECONDS_A_BLOCK)
    assert learned == {TRAIN_HOOKS: SECONDS_A_BLOCK}


def test_a_second_fit_of_a_model_runs_its_epoch_at_once(monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    calls, train = [], ArrayRun.train

    def counted(run, *arguments):
        calls.append(arguments)
        return train(run, *arguments)

    monkeypatch.setattr(ArrayRun, "train", counted)
    x, y = np.ones((400, 2), np.float32), np.ones((400, 1), np.float32)
    tfbp.fit(model, x, y, batch_size=2, verbose=0)
    assert len(calls) > 2
    calls.clear()
    tfbp.fit(model, x, y, batch_size=2, verbose=0)
    assert len(calls) == 1
