"""fit(privacy=…): the step against NumPy, its report, the budget, and its survival."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from private_models import L, logits, norms_of, one_tape_an_example

import tfbp
from tfbp.privacy import noise, run, sampling
from tfbp.privacy.ledger import Stretch

pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")

ROWS, BATCH = 60, 12


def data(rows=ROWS):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, 4))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5)


def model_of(optimizer=None, seed=0, jit_compile=False, regularizer=None, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            L.Input((4,), dtype="float64"),
            L.Dense(5, "tanh", kernel_regularizer=regularizer, dtype="float64"),
            L.Dense(3, dtype="float64"),
        ]
    )
    model.compile(optimizer or keras.optimizers.SGD(0.5), logits(), jit_compile=jit_compile, **options)
    return model


def privacy(**options):
    return tfbp.Privacy(**{"noise_multiplier": 0.8, "delta": 1e-3, "clip": 0.7, "seed": 5, **options})


def fit(model, given=None, epochs=1, x=None, y=None, **options):
    arrays = data() if x is None else (x, y)
    return tfbp.fit(model, *arrays, batch_size=BATCH, epochs=epochs, privacy=given or privacy(), verbose=0, **options)


def by_numpy(model, given, steps, x, y, weights=None, jit_compile=False):
    """The weights after such steps: sampling's and noise's own numbers, the gradients by one tape an example."""

    key = np.random.SeedSequence(given.seed).generate_state(4, np.uint64)
    key = tf.constant([int(word >> np.uint64(1)) + 1 for word in key], tf.int64)
    rate, rows = BATCH / len(x), len(x)
    size = sampling.chunk_size(rate, rows, given.physical_batch_size)
    sizes = [int(np.prod(variable.shape)) for variable in model.trainable_variables]

    # XLA makes other numbers of the same counter
    @tf.function(jit_compile=jit_compile, autograph=False)
    def numbers(step):
        return noise.normal(key[:2], step, sum(sizes), tf.float64)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def drawn(step, number, last):
        return sampling.poisson(key[2:], step, rate, rows, size)(number, last)

    for step in range(steps):
        last, more, number, taken = tf.constant(-1, tf.int64), True, 0, []
        while more:
            found, valid, last, more = drawn(tf.constant(step, tf.int64), tf.constant(number), last)
            taken += found.numpy()[valid.numpy()].tolist()
            number += 1
        gradients = one_tape_an_example(model, x[taken], y[taken]) if taken else []
        if weights is not None:
            gradients = [[weights[row] * each for each in of_one] for row, of_one in zip(taken, gradients, strict=True)]
        factors = np.minimum(1, given.clip / norms_of(gradients)) if taken else []
        noises = np.split(numbers(tf.constant(step, tf.int64)).numpy(), np.cumsum(sizes)[:-1])
        for index, variable in enumerate(model.trainable_variables):
            total = sum((f * g[index] for f, g in zip(factors, gradients, strict=True)), np.zeros(variable.shape))
            added = noises[index].reshape(variable.shape)
            step_of = (total + given.noise_multiplier * given.clip * added) / BATCH
            variable.assign(variable.numpy() - 0.5 * step_of)
    return model.get_weights()


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("physical", [None, 4], ids=["at-once", "chunks-of-4"])
@pytest.mark.sampled(3)
def test_the_private_step_is_numpys(jit_compile, physical):
    given = privacy(physical_batch_size=physical)
    model, (x, y) = model_of(jit_compile=jit_compile), data()
    history = fit(model, given)
    right = by_numpy(model_of(), given, 5, x, y, jit_compile=jit_compile)
    for got, expected in zip(model.get_weights(), right, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert history.privacy["steps"] == 5
    assert history.params["jit_compile"] is jit_compile


def test_a_step_without_an_example_adds_noise_and_is_counted():
    x, y = data(8)
    given, key = privacy(), np.random.SeedSequence(5).generate_state(4, np.uint64)
    key = tf.constant([int(word >> np.uint64(1)) + 1 for word in key], tf.int64)
    draws = [sampling.poisson(key[2:], tf.constant(step, tf.int64), 1 / 8, 8, 4) for step in range(8)]
    drawn = [int(np.sum(draw(tf.constant(0), tf.constant(-1, tf.int64))[1])) for draw in draws]
    assert drawn.count(0) >= 2
    # all of them are not finite: noise alone moves the weights, as many times as there are steps
    model = model_of()
    before = model.get_weights()
    told = tfbp.fit(model, np.full_like(x, np.nan), y, batch_size=1, privacy=given, verbose=0).privacy
    assert (told["steps"], told["updates"]) == (8, 8)
    sizes = [weight.size for weight in before]
    noises = sum(
        noise.normal(key[:2], tf.constant(step, tf.int64), sum(sizes), tf.float64).numpy() for step in range(8)
    )
    moved = np.concatenate([(old - new).ravel() for old, new in zip(before, model.get_weights(), strict=True)])
    np.testing.assert_allclose(moved, 0.5 * given.noise_multiplier * given.clip * noises, rtol=0, atol=1e-12)


@pytest.mark.parametrize("wrong", ["nothing", "a label", "a token"])
def test_auto_compiles_where_labels_and_tokens_are_in_range(monkeypatch, wrong):
    """XLA clamps a token and has a NaN for a label: that example would count 0 without an error."""
    monkeypatch.setattr(run, "MANY_STEPS", 1)
    tokens, labels = np.arange(32).reshape(8, 4) % 9, np.arange(8) % 3
    tokens[5, 1] += 9 * (wrong == "a token")
    labels[5] += 3 * (wrong == "a label")
    model = keras.Sequential([L.Input((4,), dtype="int32"), L.Embedding(9, 4), L.Flatten(), L.Dense(3)])
    model.compile(keras.optimizers.SGD(0.5), logits())
    error = contextlib.nullcontext() if wrong == "nothing" else pytest.raises(tf.errors.InvalidArgumentError)
    with error:
        history = tfbp.fit(model, tokens, labels, batch_size=8, privacy=privacy(), verbose=0)
        assert history.params["jit_compile"] is True


def test_auto_does_not_compile_the_gradient_of_a_root_of_0(monkeypatch):
    """XLA has NaN there: the example would count 0."""
    monkeypatch.setattr(run, "MANY_STEPS", 1)
    x, y = data(8)
    x[3] = 0
    model = keras.Sequential([L.Input((4,)), L.Dense(5, use_bias=False), L.UnitNormalization(), L.Dense(3)])
    model.compile(keras.optimizers.SGD(0.5), logits())
    history = tfbp.fit(model, x, y, batch_size=8, privacy=privacy(), verbose=0)
    assert (history.privacy["non_finite_examples"], history.params["jit_compile"]) == (0, False)


def test_a_second_fit_draws_on_where_the_first_ended():
    model, (x, y) = model_of(), data()
    fit(model)
    fit(model)
    for got, right in zip(model.get_weights(), by_numpy(model_of(), privacy(), 10, x, y), strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", ["sample_weight", "class_weight"])
def test_weights_count_before_the_clip(given):
    x, y = data()
    of_classes = {0: 1.0, 1: 3.0, 2: 0.5}
    weights = np.array([of_classes[label] for label in y])
    model = model_of()
    fit(model, **{given: weights if given == "sample_weight" else of_classes})
    right = by_numpy(model_of(), privacy(), 5, x, y, weights)
    for got, expected in zip(model.get_weights(), right, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_penalties_on_weights_are_added_once_and_unclipped_by_examples():
    model, (x, y) = model_of(regularizer=keras.regularizers.L2(0.1)), data()
    before = model.get_weights()[0]
    first = model_of().get_weights()[0]
    np.testing.assert_array_equal(before, first)
    fit(model, initial_epoch=0, epochs=1)
    plain = model_of()
    fit(plain)
    # five steps of 0.5 · 0.2 · kernel each, as far as the first of them
    assert np.abs(model.get_weights()[0] - plain.get_weights()[0]).max() > 1e-3
    one = tfbp.fit(
        model_of(regularizer=keras.regularizers.L2(0.1)), x, y, batch_size=ROWS, privacy=privacy(), verbose=0
    )
    other = model_of()
    tfbp.fit(other, x, y, batch_size=ROWS, privacy=privacy(), verbose=0)
    difference = one.model.get_weights()[0] - other.get_weights()[0]
    np.testing.assert_allclose(difference, -0.5 * 2 * 0.1 * before, atol=1e-12)


def test_what_is_told_is_json_and_epsilon_is_that_of_the_steps_that_ran():
    from tfbp.privacy import accounting

    model = model_of(metrics=["accuracy"])
    history = fit(model, privacy(seed=None), epochs=2, validation_split=0.2)
    told = json.loads(json.dumps(history.privacy))
    # 48 of 60 are trained on
    assert (told["N"], told["q"], told["steps"], told["updates"]) == (48, 0.25, 8, 8)
    right = [accounting.epsilon_of([Stretch("poisson", 0.25, 0.8, 48, 0.7, 4, n)], 1e-3, "pld") for n in (4, 8)]
    assert history.history["epsilon"] == pytest.approx(right)
    assert told["epsilon"] == pytest.approx(right[1])
    assert told["void"] == []
    assert told["neighbouring_relation"] == "add or remove one example"
    assert set(told["outside_of_epsilon"]) >= {"accuracy", "loss"}
    assert {*history.history} == {"accuracy", "loss", "val_accuracy", "val_loss", "epsilon"}


def test_exact_logs_may_be_switched_off_and_a_seed_voids_the_claim():
    history = fit(model_of(metrics=["accuracy"]), privacy(exact_logs=False))
    assert set(history.history) == {"epsilon"}
    assert "seed" in history.privacy["void"][0]


def test_losses_and_metrics_are_those_of_the_examples_that_were_taken():
    # all of them, at a rate of 1, and before any update
    model, (x, y) = model_of(keras.optimizers.SGD(0.0), metrics=["accuracy"]), data()
    right = model.evaluate(x, y, verbose=0, return_dict=True)
    for physical in (None, 7):
        history = tfbp.fit(
            model, x, y, batch_size=ROWS, privacy=privacy(physical_batch_size=physical), verbose=0
        ).history
        assert history["loss"][0] == pytest.approx(right["loss"], rel=1e-6)
        assert history["accuracy"][0] == pytest.approx(right["accuracy"], rel=1e-6)


def test_a_step_beyond_the_budget_is_refused_before_it_runs():
    given = tfbp.Privacy(epsilon=3.0, delta=1e-3, clip=1.0, accountant="rdp")
    model = model_of()
    history = fit(model, given, epochs=3)
    assert 2.9 < history.privacy["epsilon"] <= 3.0
    weights = model.get_weights()
    with pytest.raises(tfbp.InputError, match="epsilon: got 3, of which"):
        fit(model, given)
    for got, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, before)
    # more noise for what is left of a larger budget
    more = fit(model, tfbp.Privacy(epsilon=4.0, delta=1e-3, clip=1.0, accountant="rdp"))
    # RDP leaves orders out where the noise is small, and jumps there
    assert 3.0 < more.privacy["epsilon"] <= 4.0
    assert more.privacy["steps"] == 20


def test_a_second_fit_goes_on_spending_also_after_a_compile_and_in_another_process_s_model(tmp_path):
    model = model_of()
    first = fit(model).privacy["epsilon"]
    model.compile(keras.optimizers.SGD(0.5), logits(), jit_compile=False)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded, fresh = keras.models.load_model(tmp_path / "model.keras"), model_of(seed=3)
    fresh.load_weights(tmp_path / "model.weights.h5")
    told = [fit(each).privacy for each in (model, loaded, fresh)]
    assert [each["steps"] for each in told] == [10, 10, 10]
    assert told[0]["epsilon"] == told[1]["epsilon"] == told[2]["epsilon"] > first
    # nor does it draw what was drawn before; what is loaded is compiled by XLA, whose normal numbers are others
    for got, right in zip(fresh.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, right)


def test_the_key_of_the_noise_is_not_left_in_the_model():
    model = model_of()
    fit(model, privacy(seed=None))
    np.testing.assert_array_equal(model.tfbp_privacy.key, np.zeros(4))


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, before):
        super().__init__()
        self.before = before

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.before:
            raise Killed


BACKUPS = {
    "tfbp": (tfbp.fitting.BackupAndRestore, 13),
    "keras": (keras.callbacks.BackupAndRestore, 10),
    # within an epoch of 5 steps, and after its last step
    "keras-within": (lambda path: keras.callbacks.BackupAndRestore(path, save_freq=1), 13),
    "keras-last-step": (lambda path: keras.callbacks.BackupAndRestore(path, save_freq=5), 12),
}


@pytest.mark.parametrize("sampling", ["poisson", "shuffle"])
@pytest.mark.parametrize("kind", BACKUPS)
@pytest.mark.sampled(5)
def test_killed_and_resumed_it_has_the_same_bits_and_the_same_epsilon(kind, sampling, tmp_path):
    backup, before = BACKUPS[kind]
    whole, killed, resumed = model_of(), model_of(), model_of(seed=4)
    options = {"epsilon": 4.0, "delta": 1e-3, "clip": 1.0, "accountant": "rdp", "sampling": sampling}
    right = fit(whole, tfbp.Privacy(**options, seed=5), epochs=4).privacy
    with pytest.raises(Killed):
        fit(killed, tfbp.Privacy(**options, seed=5), epochs=4, callbacks=[backup(tmp_path / "b"), Kill(before)])
    # without a seed of its own: the key is in the backup
    told = fit(resumed, tfbp.Privacy(**options), epochs=4, callbacks=[backup(tmp_path / "b")]).privacy
    assert (told["epsilon"], told["steps"], told["stretches"]) == (right["epsilon"], 20, right["stretches"])
    for got, expected in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_next_fit_begins_with_its_first_step_also_after_one_that_ended_within_an_epoch(tmp_path):
    model = model_of()
    fit(model, epochs=2, callbacks=[StopsWithin()])
    assert fit(model).privacy["steps"] == 2 + 5
    # a backup of epochs of another length goes on with the epoch's first step
    backup = keras.callbacks.BackupAndRestore(tmp_path / "b", save_freq=1)
    with pytest.raises(Killed):
        fit(model_of(), epochs=4, callbacks=[backup, Kill(8)])
    told = tfbp.fit(model_of(), *data(), batch_size=15, epochs=4, privacy=privacy(), verbose=0, callbacks=[backup])
    assert [each["steps"] for each in told.privacy["stretches"]] == [8, 12]


def test_an_example_that_is_not_finite_counts_0_and_is_counted():
    x, y = data()
    x[7, 2], x[20, 0] = np.nan, np.inf
    model, weights = model_of(), np.ones(ROWS)
    weights[[7, 20]] = 0
    told = fit(model, x=x, y=y).privacy
    x[7, 2] = x[20, 0] = 0
    other = model_of()
    fit(other, x=x, y=y, sample_weight=weights)
    for got, right in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(got, right, atol=1e-13)
    assert told["non_finite_examples"] > 0


def test_updates_without_noise_are_told():
    model, (x, y) = model_of(), data()
    fit(model, privacy(seed=None))
    tfbp.fit(model, x, y, batch_size=BATCH, verbose=0)
    told = fit(model, privacy(seed=None)).privacy
    assert "5 updates without noise" in told["void"][0]


class TrainsBetween(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.train_on_batch(*data())


def test_updates_of_a_callback_without_noise_are_told():
    model = model_of()
    told = fit(model, privacy(seed=None), epochs=3, callbacks=[TrainsBetween()]).privacy
    assert "3 updates without noise" in told["void"][0]
    assert "3 updates without noise" in fit(model, privacy(seed=None)).privacy["void"][0]


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.sampled(3)
def test_updates_without_noise_by_an_optimizer_of_a_later_compile_are_told(epochs):
    model, (x, y) = model_of(), data()
    fit(model, privacy(seed=None))
    model.compile(keras.optimizers.SGD(0.5), logits())
    # in the first case as many as the private updates of the optimizer before
    tfbp.fit(model, x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    told = fit(model, privacy(seed=None)).privacy
    assert f"{5 * epochs} updates without noise" in told["void"][0]
    model.compile(keras.optimizers.SGD(0.5), logits())
    assert fit(model, privacy(seed=None)).privacy["void"] == told["void"]


class StopsWithin(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = batch >= 1


def test_an_example_may_be_in_each_of_several_shuffled_epochs_that_ended_early():
    """Their steps are no more than an epoch's, and each has an order of its own."""
    from tfbp.privacy import accounting

    model, given = model_of(), privacy(sampling="shuffle", seed=None)
    told = [fit(model, given, callbacks=[StopsWithin()]).privacy for _ in range(2)][-1]
    assert told["steps"] == 4
    epochs = [Stretch("shuffle", BATCH / ROWS, 0.8, ROWS, 0.7, 5, steps=5)] * 2
    assert told["epsilon"] == accounting.epsilon_of(epochs, 1e-3, "pld")
    # a whole epoch after a whole one is the same stretch
    assert len(fit(model_of(), given, epochs=3).privacy["stretches"]) == 1


def test_shuffled_batches_are_accounted_as_what_they_are():
    told = fit(model_of(), privacy(sampling="shuffle"), epochs=2).privacy
    assert told["epsilon"] > 1.2 * fit(model_of(), epochs=2).privacy["epsilon"]
    assert "zero out" in told["neighbouring_relation"]


def test_each_shuffled_epoch_has_an_order_of_its_own(monkeypatch):
    orders, order_of = [], sampling.order_of
    monkeypatch.setattr(sampling, "order_of", lambda *given: orders.append(order_of(*given)) or orders[-1])
    fit(model_of(), privacy(sampling="shuffle"), epochs=3)
    assert len({tuple(order) for order in orders}) == 3


def test_an_optimizer_that_scales_losses_takes_the_same_steps():
    scaled, plain = model_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), 256.0)), model_of()
    fit(scaled)
    fit(plain)
    for got, right in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.sampled(2)
def test_a_network_is_trained_as_the_same_keras_model_is(jit_compile):
    layers = [tfbp.Dense(5, "tanh", kernel_regularizer=tfbp.L1L2(l2=0.125)), tfbp.Dense(3)]
    network = tfbp.Model(tfbp.Network(4, layers, "sparse_categorical_crossentropy"), dtype="float64")
    network.compile(keras.optimizers.SGD(0.5), metrics=["accuracy"], jit_compile=jit_compile)
    # an eighth, because Keras holds the number in float32
    model = model_of(regularizer=keras.regularizers.L2(0.125), metrics=["accuracy"], jit_compile=jit_compile)
    model.set_weights([w for layer in network.get_parameters() for w in (layer["kernel"], layer["bias"])])
    model.optimizer.build(model.trainable_variables)
    of_network, of_keras = fit(network), fit(model)
    assert of_network.privacy["epsilon"] == of_keras.privacy["epsilon"]
    assert set(of_network.privacy["layers"].values()) == {"by hand"}
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(of_network.history[name], of_keras.history[name], rtol=1e-6)
    for got, right in zip(network.parameter_variables, [0, 2], strict=True):
        np.testing.assert_allclose(got["kernel"].numpy(), model.get_weights()[right], atol=1e-12)
        np.testing.assert_allclose(got["bias"].numpy(), model.get_weights()[right + 1], atol=1e-12)


def test_a_network_with_a_compute_loss_of_its_own_is_refused_and_frozen_weights_stay():
    class Own(tfbp.Model):
        def compute_loss(self, *arguments, **options):
            return super().compute_loss(*arguments, **options)

    network = tfbp.Network(4, [tfbp.Dense(5, "tanh"), tfbp.Dense(3)], "sparse_categorical_crossentropy")
    own = Own(network, dtype="float64")
    own.compile("sgd")
    for options in ({"privacy": privacy()}, {"clip_per_example": 0.1}):
        with pytest.raises(tfbp.InputError, match="compute_loss of its own"):
            own.fit(*data(), verbose=0, **options)
    frozen = tfbp.Model(network, dtype="float64")
    frozen.layer_weights[0].trainable = False
    frozen.compile("sgd")
    before = frozen.get_parameters()
    fit(frozen)
    np.testing.assert_array_equal(frozen.get_parameters()[0]["kernel"], before[0]["kernel"])
    assert np.abs(frozen.get_parameters()[1]["kernel"] - before[1]["kernel"]).max() > 0


def full_steps(model, x, y, **options):
    """Steps on all rows, with so little noise that it is lost in rounding, and none clipped."""
    given = tfbp.Privacy(noise_multiplier=1e-15, delta=1e-9, clip=100.0, accountant="rdp", seed=5)
    return tfbp.fit(model, x, y, batch_size=len(x), privacy=given, verbose=0, **options)


def test_under_gradient_accumulation_every_other_step_updates():
    x, y = data(8)
    model = model_of(keras.optimizers.SGD(0.5, gradient_accumulation_steps=2))
    told = full_steps(model, x, y, epochs=4).privacy
    plain = model_of()
    full_steps(plain, x, y, epochs=2)
    for got, right in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-11)
    # each step draws from the data, so each is accounted
    assert (told["steps"], told["updates"], told["void"][1:]) == (4, 2, [])


def test_a_layer_that_could_draw_and_does_not_goes_by_tape():
    x, y = data(4)
    model = keras.Sequential([L.Input((4,)), L.Reshape((1, 4)), L.RNN(L.SimpleRNNCell(2), unroll=True), L.Dense(3)])
    model.compile(keras.optimizers.SGD(1.0), logits())
    before, each = model.get_weights(), one_tape_an_example(model, x, y)
    told = full_steps(model, x, y).privacy
    assert set(told["layers"].values()) == {"by tape"}
    for old, new, *gradients in zip(before, model.get_weights(), *each, strict=True):
        np.testing.assert_allclose(old - new, np.mean(gradients, axis=0), rtol=0, atol=1e-11)
