"""A generator as validation_data: each epoch takes its next batches, and none is lost, whoever trains."""

import keras
import numpy as np
import pytest

import tfbp

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 4)).astype(np.float32), RNG.normal(size=(48, 1)).astype(np.float32)
OPTIONS = {"batch_size": 8, "epochs": 3, "verbose": 0, "shuffle": False}


def model():
    keras.utils.set_random_seed(1)
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    # so that val_loss depends on the batches alone
    made.trainable = False
    made.compile("sgd", "mse", jit_compile=False)
    return made


def batches(count, taken):
    for number in range(count):
        taken.append(number)
        yield X[number * 4 : number * 4 + 4], Y[number * 4 : number * 4 + 4]


def loss_of(first, stop):
    return model().evaluate(X[first * 4 : stop * 4], Y[first * 4 : stop * 4], batch_size=4, verbose=0)


def generated():
    while True:
        yield X, Y


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("data", [(X, Y), (generated(),)], ids=["arrays", "generator"])
def test_each_epoch_takes_the_next_batches_and_none_is_lost(data):
    taken = []
    options = {**OPTIONS, **({} if len(data) == 2 else {"batch_size": None, "steps_per_epoch": 2, "shuffle": False})}
    calls = []
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: calls.append(sorted(logs)))
    given = {"validation_data": batches(9, taken), "validation_steps": 2, "callbacks": [log]}
    found = tfbp.fit(model(), *data, **given, **options).history["val_loss"]
    assert found == [loss_of(0, 2), loss_of(2, 4), loss_of(4, 6)]
    assert taken == [0, 1, 2, 3, 4, 5]
    assert calls == [["loss", "val_loss"]] * 3


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_one_that_ends_is_used_up_with_a_warning():
    taken = []
    with pytest.warns(UserWarning, match="more batches of a generator") as seen:
        found = tfbp.fit(model(), X, Y, validation_data=batches(3, taken), validation_steps=2, **OPTIONS).history[
            "val_loss"
        ]
    # two batches, one, and none
    assert found == [loss_of(0, 2), loss_of(2, 3)]
    assert taken == [0, 1, 2]
    said = [str(each.message) for each in seen if "generator" in str(each.message)]
    assert said == [
        f"validation_data: got {left} more batches of a generator; accepted: 2 an evaluation." for left in (1, 0)
    ]


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_without_a_number_of_steps_the_first_epoch_takes_all():
    with pytest.warns(UserWarning, match="got 0 more batches"):
        history = tfbp.fit(model(), X, Y, validation_data=batches(5, []), **OPTIONS).history
    assert history["val_loss"] == [loss_of(0, 5)]
    assert len(history["loss"]) == 3
