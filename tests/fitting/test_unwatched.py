"""Epochs that nothing watches are trained many at a time, to the weights and the history of epochs that are watched."""

import keras
import numpy as np
import pytest

from tfbp import Dense, Model, Network
from tfbp.fitting import TerminateOnNaN, pace, unwatched
from tfbp.fitting.run import ArrayRun

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
NETWORK = Network(6, [Dense(8, "tanh"), Dense(3)], "sparse_categorical_crossentropy")
REGRESSION = Network(6, [Dense(8, "tanh"), Dense(1)], "mean_squared_error")
EPOCHS = 12


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(epoch)


class Own(keras.metrics.Mean):
    """A metric whose state may be reset in Python."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(keras.ops.mean(y_pred))


def model_of(gradients="manual", optimizer=None, dtype=None, network=NETWORK, **options):
    model = Model(network, gradients, seed=1, dtype=dtype)
    model.compile(optimizer or keras.optimizers.Adam(0.01), **options)
    return model


def fit(model, **options):
    arguments = {"x": X, "y": LABELS, "batch_size": 16, "epochs": EPOCHS, "verbose": 0, **options}
    return model.fit(**arguments).history


@pytest.fixture(autouse=True)
def few_epochs_are_enough(monkeypatch):
    monkeypatch.setattr(unwatched, "FEWEST", 1)


@pytest.fixture
def bunches(monkeypatch):
    """How many epochs each program trained."""
    counts = []

    def train_epochs(self, orders, count, *between):
        if not between or between[0] == 0:
            counts.append(count)
        return whole(self, orders, count, *between)

    whole = ArrayRun.train_epochs
    monkeypatch.setattr(ArrayRun, "train_epochs", train_epochs)
    return counts


CASES = {
    "short-last-batch": ({}, {}),
    "full-batches": ({}, {"x": X[:64], "y": LABELS[:64]}),
    "one-short-batch": ({}, {"batch_size": 100}),
    "in-order": ({}, {"shuffle": False}),
    "sample-weight": ({}, {"sample_weight": RNG.uniform(0.5, 2, 70)}),
    "from-epoch-5": ({}, {"initial_epoch": 5}),
    "clipped": ({}, {"clip_per_example": 0.5}),
    "tape": ({"gradients": "tape"}, {}),
    "graph": ({"jit_compile": False}, {}),
    "float64": ({"dtype": "float64"}, {}),
    "mixed-float16": ({"dtype": "mixed_float16"}, {}),
    "schedule": (
        {"optimizer": lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9), 0.9)},
        {},
    ),
    "metrics": ({"metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]}, {}),
    "ema": ({"optimizer": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3)}, {}),
}


@pytest.mark.xla
@pytest.mark.parametrize(("options", "arguments"), CASES.values(), ids=CASES)
@pytest.mark.sampled(5)
def test_history_and_weights_are_those_of_watched_epochs(options, arguments, bunches):
    make = options.get("optimizer", lambda: None)
    model, watched = (model_of(**{**options, "optimizer": make()}) for _ in range(2))
    history = fit(model, **arguments)
    assert sum(bunches) == EPOCHS - arguments.get("initial_epoch", 0)
    assert max(bunches) > 1
    bunches.clear()
    watch = Watch()
    expected = fit(watched, callbacks=[watch], **arguments)
    assert not bunches
    assert watch.seen == list(range(arguments.get("initial_epoch", 0), EPOCHS)) == model.history.epoch
    assert history.keys() == expected.keys()
    # a mean over five batches, summed in another order
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
    assert len(set(history["loss"])) == len(history["loss"])
    for got, weight in zip(model.get_weights(), watched.get_weights(), strict=True):
        np.testing.assert_array_equal(got, weight)
    assert int(model.optimizer.iterations) == int(watched.optimizer.iterations)


SEEN = {
    "epoch-callback": ({}, {"callbacks": [Watch()]}),
    "lambda-callback": ({}, {"callbacks": [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]}),
    "early-stopping": ({}, {"callbacks": [keras.callbacks.EarlyStopping("loss")]}),
    "progress-bar": ({}, {"verbose": 2}),
    "validation": ({}, {"validation_split": 0.3}),
    "metric-of-one-s-own": ({"metrics": [Own()]}, {}),
    "steps-per-execution": ({"steps_per_execution": 2}, {}),
}


@pytest.mark.parametrize(("options", "arguments"), SEEN.values(), ids=SEEN)
@pytest.mark.sampled(3)
def test_what_watches_is_served_epoch_by_epoch(options, arguments, bunches):
    history = fit(model_of(**options), epochs=3, **arguments)
    assert not bunches
    assert len(history["loss"]) == 3


@pytest.mark.parametrize(
    ("step", "rate", "kind"),
    # the last: in the last step of a bunch, whose losses are finite, and the weights after it not
    [(97, 1e20, "loss"), (97, 1e38, "update"), (98, 1e38, "update")],
    ids=["loss", "update", "update-at-the-end"],
)
def test_what_is_not_finite_is_found_as_in_watched_epochs(step, rate, kind, bunches, monkeypatch):
    """After some bunches the learning rate rises until something overflows."""
    # the first bunch of more than one is of epochs 3 to 19, whose last step is 99
    monkeypatch.setattr(pace, "SECONDS_A_BLOCK", 100.0)
    monkeypatch.setattr(unwatched, "MOST_EPOCHS", 17)
    found, states = [], []
    for callbacks in ([], [Watch()]):
        schedule = keras.optimizers.schedules.PiecewiseConstantDecay([step], [0.001, rate])
        model, guard = model_of(optimizer=keras.optimizers.SGD(schedule), network=REGRESSION), TerminateOnNaN()
        history = fit(model, y=100 * X[:, :1], epochs=100, callbacks=[guard, *callbacks])
        found.append((guard.found, len(history["loss"]), model.history.epoch, int(model.optimizer.iterations)))
        states.append(model.get_weights())
        assert bunches[:4] == ([] if callbacks else [1, 1, 1, 17])
        bunches.clear()
    assert found[0] == found[1]
    assert found[0][0].kind == kind
    for got, expected in zip(*states, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert np.isfinite(got).all()


def test_a_guard_that_finds_nothing_changes_nothing(bunches):
    model, alone = model_of(), model_of()
    assert fit(model, callbacks=[TerminateOnNaN()]) == fit(alone)
    assert max(bunches) > 1
    for got, expected in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_callback_without_a_hook_for_epochs_is_called_and_does_not_watch_them(bunches):
    called = []
    ends = keras.callbacks.LambdaCallback(on_train_end=called.append)
    history = fit(model_of(), callbacks=[ends])
    assert called == [{"loss": history["loss"][-1]}]
    assert max(bunches) > 1


def test_arrays_of_many_rows_are_trained_epoch_by_epoch(bunches, monkeypatch):
    monkeypatch.setattr(unwatched, "LONGEST", len(X) - 1)
    fit(model_of(), epochs=2)
    assert not bunches
    monkeypatch.setattr(unwatched, "LONGEST", len(X))
    monkeypatch.setattr(unwatched, "MOST_ROWS", 2 * len(X) - 1)
    fit(model_of(), epochs=8)
    assert max(bunches) == 2


def test_an_epoch_of_many_seconds_is_a_program_of_its_own(bunches, monkeypatch):
    monkeypatch.setattr(pace, "SECONDS_A_BLOCK", 1e-9)
    fit(model_of(), epochs=5)
    assert bunches == [1] * 5


def test_training_that_is_stopped_from_elsewhere_begins_no_other_epoch(bunches, monkeypatch):
    model, recorded = model_of(), ArrayRun.train_epochs

    def train_epochs(self, orders, count, *between):
        model.stop_training = len(bunches) == 1 and between[:1] in ((), (0,))
        return recorded(self, orders, count, *between)

    monkeypatch.setattr(ArrayRun, "train_epochs", train_epochs)
    history = fit(model)
    assert bunches == [1, 1]
    assert model.history.epoch == [0, 1]
    assert len(history["loss"]) == 2


@pytest.mark.parametrize(("first", "stop"), [(0, 0), (3, 3), (5, 3)])
def test_no_epochs_are_no_training(first, stop, bunches):
    model = model_of()
    before = model.get_weights()
    assert fit(model, initial_epoch=first, epochs=stop) == {}
    assert not bunches
    for got, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.xla
def test_never_traces_again():
    model = model_of()
    fit(model, epochs=1)
    fit(model, epochs=30)
    fit(model, shuffle=False)
    # full and short batches, and the program of both
    (programs,) = model._tfbp_programs._programs.values()
    assert len(programs._steps) + len(programs._programs) == 3


@pytest.mark.parametrize(("epochs", "jit_compile", "expected"), [(2, False, False), (3, False, True), (2, True, True)])
def test_few_epochs_are_not_worth_a_program_of_whole_epochs(epochs, jit_compile, expected, bunches, monkeypatch):
    monkeypatch.setattr(unwatched, "FEWEST", 3)
    fit(model_of(jit_compile=jit_compile), epochs=epochs)
    assert bool(bunches) == expected
