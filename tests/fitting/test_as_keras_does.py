"""Properties of Keras's fit that users rely on: arrays that may be written to, seeds of tf.random, warnings."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting.contract import KERAS

OPTIONS = {"batch_size": 8, "epochs": 3, "verbose": 0, "shuffle": False}


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def aligned(array):
    """A copy at an address that TensorFlow shares."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


def dense(columns=4, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((columns,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
    model.compile("sgd", "mse", weighted_metrics=["mae"], jit_compile=False, **options)
    return model


def assert_same_weights(ours, theirs):
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("which", ["x", "y", "weight", "validation"])
@pytest.mark.parametrize(("rows", "columns"), [(64, 4), (4096, 128)], ids=["small", "large"])
@pytest.mark.sampled(3)
def test_an_array_that_is_changed_while_a_model_is_trained_changes_nothing(rows, columns, which):
    def trained(changes):
        model = dense(columns)
        given = {"x": aligned(numbers((rows, columns))), "y": aligned(numbers((rows, 1), 1))}
        given |= {"weight": aligned(np.ones(rows, np.float32)), "validation": aligned(numbers((rows, columns), 2))}

        def change(epoch, *_):
            # validation data are those of the first evaluation
            given[which][:] = 7 if changes and (which != "validation" or epoch) else given[which]

        touch = keras.callbacks.LambdaCallback(on_epoch_begin=change, on_epoch_end=change)
        data = {"x": {"a": given["x"]}["a"], "y": given["y"], "sample_weight": given["weight"]}
        validation = given["validation"], np.ones((rows, 1), np.float32)
        history = tfbp.fit(
            model, **data, validation_data=validation, callbacks=[touch], **{**OPTIONS, "batch_size": 1 + rows // 8}
        ).history
        return model, history

    (changed, first), (alone, second) = trained(True), trained(False)
    assert first == second
    assert_same_weights(changed, alone)


@pytest.mark.parametrize(
    ("fit", "rows"), [(tfbp.fit, 64), (KERAS["fit"], 64), (tfbp.fit, 2**18)], ids=["ours", "keras", "ours-large"]
)
def test_validation_data_are_those_of_the_first_evaluation(fit, rows):
    def values(change_at):
        y = aligned(np.ones((rows, 1), np.float32))

        def change(epoch, _):
            y[:] = 3 if epoch == change_at else y

        touch = keras.callbacks.LambdaCallback(on_epoch_begin=change)
        model = dense(4)
        model.optimizer.learning_rate = 0.0
        validation = aligned(np.zeros((rows, 4), np.float32)), y
        return fit(
            model,
            numbers((8, 4)),
            numbers((8, 1), 1),
            validation_data=validation,
            callbacks=[touch],
            epochs=3,
            verbose=0,
        ).history["val_loss"]

    assert values(0) == [9, 9, 9]
    assert values(1) == [1, 1, 1]


class Draws(keras.Model):
    """Noise by tf.random in its step, as many tutorials have it."""

    def __init__(self, **seed):
        super().__init__()
        self.layer, self.seed = keras.layers.Dense(4), seed

    def call(self, x):
        return self.layer(x)

    def train_step(self, x):
        noise = tf.random.normal(tf.shape(x), **self.seed)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x + noise) - x))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, "first": noise[0, 0]}


@pytest.mark.parametrize("seed", [{}, {"seed": 3}], ids=["global", "own"])
def test_what_tf_random_draws_goes_on_from_fit_to_fit_as_in_keras(seed):
    x, seen = numbers((60, 4)), []
    for fit in (tfbp.fit, KERAS["fit"]):
        keras.utils.set_random_seed(5)
        model = Draws(**seed)
        model.compile("sgd", jit_compile=False)
        fits = [fit(model, x[:rows], **OPTIONS).history["first"] for rows in (60, 60, 44)]
        seen.append((fits, model.get_weights()[0].tolist()))
    assert seen[0] == seen[1]
    assert len({each for fit in seen[0][0] for each in fit}) == 9


def test_numbers_of_keras_random_stay_in_this_loop():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    assert tfbp.fit(model, numbers((60, 4)), numbers((60, 1)), **OPTIONS).params["jit_compile"] is False


def steps_of(steps):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((steps, 2)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    return model


@pytest.mark.parametrize(
    ("steps", "rank", "warns"), [(8, 1, True), (8, 2, False), (5, 2, False)], ids=["steps", "each", "other"]
)
def test_weights_of_samples_that_fall_on_time_steps_are_warned_of(steps, rank, warns):
    x, weight = numbers((64, steps, 2)), np.arange(1.0, 65)
    weight = weight if rank == 1 else np.repeat(weight[:, None], steps, 1)
    ours, theirs = steps_of(steps), steps_of(steps)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tfbp.fit(ours, x, x[..., :1], sample_weight=weight, **OPTIONS)
    assert [str(each.message)[:43] for each in seen] == ["sample_weight: got one number a sample, and"] * warns
    KERAS["fit"](theirs, x, x[..., :1], sample_weight=weight, **OPTIONS)
    assert_same_weights(ours, theirs)


def test_shuffle_beside_a_dataset_is_warned_of_as_by_keras():
    data = tf.data.Dataset.from_tensor_slices((numbers((64, 4)), numbers((64, 1)))).batch(8)
    said = []
    for fit in (tfbp.fit, KERAS["fit"]):
        with pytest.warns(UserWarning, match="shuffle=True") as seen:
            fit(dense(), data, epochs=1, verbose=0, shuffle=True)
        said.append([str(each.message) for each in seen])
    assert said[0] == said[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfbp.fit(dense(), data, epochs=1, verbose=0, shuffle=False)
