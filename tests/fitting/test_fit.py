"""tfbp.fit, evaluate and predict do to any Keras model what its own do: same history, weights, calls and outputs."""

import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp.fitting import residence

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
WEIGHT = RNG.uniform(0.5, 2, 70)
OPTIONS = {"batch_size": 16, "epochs": 3, "verbose": 0, "shuffle": False}


def dense(metrics=("accuracy",), loss="sparse_categorical_crossentropy", **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.3),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=list(metrics), **{"jit_compile": False, **options})
    return model


def both(make, *data, **options):
    """The model trained by tfbp.fit and the one trained by Keras, equal to the last bit."""
    ours, theirs = make(), make()
    options = {**OPTIONS, **options}
    got, expected = tfbp.fit(ours, *data, **options), theirs.fit(*data, **options)
    assert getattr(ours, "_tfbp_programs", None) is not None, "Keras's own loop was taken"
    assert_alike(got.history, expected.history)
    assert_same_weights(ours, theirs)
    return ours, theirs


def assert_alike(got, expected):
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        for ours, theirs in zip(got[name], values, strict=True):
            assert type(ours) is type(theirs), name
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def assert_same_weights(ours, theirs):
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


class Vae(keras.Model):
    """A train_step of its own, with a tracker of its own and noise."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = keras.layers.Dense(4), keras.layers.Dense(6)
        self.seed = keras.random.SeedGenerator(3)
        self.tracker = keras.metrics.Mean(name="total_loss")

    @property
    def metrics(self):
        return [self.tracker]

    def call(self, x):
        z = self.encoder(x)
        return self.decoder(z + keras.random.normal(tf.shape(z), seed=self.seed))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x) - x))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.tracker.update_state(loss)
        return {"total_loss": self.tracker.result(), "this": loss}


def vae():
    keras.utils.set_random_seed(1)
    model = Vae()
    model.compile("adam", jit_compile=False)
    return model


class Gan(keras.Model):
    """Two optimizers, and a compile that takes them."""

    def __init__(self):
        super().__init__()
        self.generator, self.critic = keras.layers.Dense(6), keras.layers.Dense(1)
        self.seed = keras.random.SeedGenerator(3)

    def compile(self, first, second, **options):
        super().compile(**options)
        self.first, self.second = keras.optimizers.get(first), keras.optimizers.get(second)

    def train_step(self, x):
        noise = keras.random.normal((tf.shape(x)[0], 2), seed=self.seed)
        with tf.GradientTape() as tape:
            d_loss = tf.reduce_mean(self.critic(self.generator(noise))) - tf.reduce_mean(self.critic(x))
        variables = self.critic.trainable_variables
        self.first.apply_gradients(zip(tape.gradient(d_loss, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(self.critic(self.generator(noise)))
        variables = self.generator.trainable_variables
        self.second.apply_gradients(zip(tape.gradient(g_loss, variables), variables, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def gan():
    keras.utils.set_random_seed(1)
    model = Gan()
    model.compile("adam", "sgd", jit_compile=False)
    return model


def two_in_two_out():
    keras.utils.set_random_seed(1)
    a, b = keras.Input((6,), name="a"), keras.Input((2,), name="b")
    hidden = keras.layers.Concatenate()([keras.layers.Dense(4, "tanh")(a), b])
    outputs = {"c": keras.layers.Dense(3, name="c")(hidden), "d": keras.layers.Dense(1, name="d")(hidden)}
    model = keras.Model({"b": b, "a": a}, outputs)
    losses = {"c": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "d": "mse"}
    metrics = {"c": ["accuracy"], "d": ["mae"]}
    model.compile("adam", losses, metrics=metrics, loss_weights={"c": 2.0, "d": 0.5}, jit_compile=False)
    return model


PAIR = {"a": X, "b": X[:, :2]}, {"d": X[:, 0], "c": LABELS}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_weight": WEIGHT},
        {"class_weight": {0: 0.3, 2: 2.0}},
        {"validation_split": 0.3, "sample_weight": WEIGHT},
        {"validation_data": [X[:20], LABELS[:20], WEIGHT[:20]], "validation_batch_size": 7, "validation_freq": 2},
        {"validation_data": tf.data.Dataset.from_tensor_slices((X[:20], LABELS[:20])).batch(8)},
        {"batch_size": 100, "initial_epoch": 1},
        {"batch_size": np.int64(7)},
        {"batch_size": 2**40},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
@pytest.mark.sampled(3)
def test_every_argument_of_fit_means_what_it_means_in_keras(options):
    ours, theirs = both(dense, X, LABELS, **options)
    assert tfbp.evaluate(ours, X, LABELS, 9, verbose=0) == theirs.evaluate(X, LABELS, 9, verbose=0)
    got, expected = (each.predict(X, 9, verbose=0) for each in (ours, theirs))
    np.testing.assert_array_equal(tfbp.predict(ours, X, 9, verbose=0), expected)
    np.testing.assert_array_equal(got, expected)


MODELS = {
    "vae": (vae, (X,)),
    "gan": (gan, (X,)),
    "dicts": (two_in_two_out, PAIR),
    "vector-metrics": (
        lambda: dense(
            [keras.metrics.F1Score(name="f1"), keras.metrics.Precision([0.2, 0.5], name="precision")],
            "categorical_crossentropy",
        ),
        (X, ONE_HOT),
    ),
    "ints": (dense, ((10 * X).astype(np.int64), LABELS.astype(np.float64))),
    "uint8": (dense, ((10 * X).astype(np.uint8), LABELS.astype(np.uint8))),
    "float64": (dense, (X.astype(np.float64), LABELS)),
    "tensors": (dense, (tf.constant(X), tf.constant(LABELS))),
}


@pytest.mark.parametrize(("make", "data"), MODELS.values(), ids=MODELS)
@pytest.mark.sampled(3)
def test_a_model_s_own_steps_are_what_is_run(make, data):
    both(make, *data)


def test_epochs_that_nothing_watches_have_all_metrics_in_the_history():
    both(lambda: dense(["accuracy", keras.metrics.AUC(name="auc")], "categorical_crossentropy"), X, ONE_HOT, epochs=8)


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool"])
@pytest.mark.sampled(2)
def test_class_weights_are_not_cast_to_the_kind_of_x(kind):
    both(dense, (X > 0).astype(kind), LABELS.astype(np.float32) + 0.4, class_weight={0: 0.3, 1: 0.7})


@pytest.mark.parametrize("frozen", ["layer", "variable", "model"])
@pytest.mark.sampled(2)
def test_what_is_frozen_stays_as_it_is(frozen):
    def make():
        model = dense()
        if frozen == "layer":
            model.layers[0].trainable = False
        elif frozen == "variable":
            model.layers[0].kernel.trainable = False
        else:
            model.trainable = False
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        return model

    if frozen == "model":
        with pytest.warns(UserWarning, match="does not have any trainable weights"):
            both(make, X, LABELS)
    else:
        before = make().layers[0].get_weights()
        ours, _ = both(make, X, LABELS)
        np.testing.assert_array_equal(ours.layers[0].get_weights()[0], before[0])


class Batches(keras.callbacks.Callback):
    """What it is called with, and an answer to it at every batch."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("begin", batch))
        self.model.optimizer.learning_rate = 0.01 / (1 + len(self.calls))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(("end", batch, *sorted(logs.items())))

    def on_test_batch_end(self, batch, logs=None):
        self.calls.append(("test", batch, *sorted(logs.items())))


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.sampled(2)
def test_a_hook_for_batches_is_called_as_in_keras(steps):
    callbacks = []

    def make():
        callbacks.append(Batches())
        return dense(steps_per_execution=steps)

    ours, theirs = make(), make()
    data = {"x": X[:64], "y": LABELS[:64], "validation_data": (X[:32], LABELS[:32]), **OPTIONS}
    tfbp.fit(ours, **data, callbacks=callbacks[:1])
    theirs.fit(**data, callbacks=callbacks[1:])
    assert callbacks[0].calls == callbacks[1].calls
    # with 3 steps of 4 a block, the last begins with number 3, and ends with 5
    assert len(callbacks[0].calls) == 3 * (2 * -(-4 // steps) + -(-2 // steps))
    assert_same_weights(ours, theirs)


def test_keras_s_guard_stops_after_the_step_that_it_stops_after_in_keras():
    x = X.copy()
    x[37] = np.inf
    stopped = [keras.callbacks.TerminateOnNaN() for _ in range(2)]
    ours, theirs = dense(), dense()
    tfbp.fit(ours, x, LABELS, callbacks=stopped[:1], **OPTIONS)
    theirs.fit(x, LABELS, callbacks=stopped[1:], **OPTIONS)
    assert int(ours.optimizer.iterations) == int(theirs.optimizer.iterations) == 4


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.sampled(2)
def test_stopped_early_is_stopped_where_keras_stops(hook):
    def make():
        return dense()

    models = make(), make()
    histories = []
    for model, fit in zip(models, (tfbp.fit, keras.Model.fit), strict=True):
        stop = keras.callbacks.LambdaCallback(**{hook: lambda *_, model=model: setattr(model, "stop_training", True)})
        histories.append(fit(model, X, LABELS, callbacks=[stop], **OPTIONS).history)
    assert_alike(*histories)
    assert "loss" in histories[0]
    assert_same_weights(*models)


def test_stopped_from_a_thread_within_about_a_second():
    model = dense(metrics=())
    x, y = np.repeat(X, 3000, axis=0)[:200_000], np.repeat(LABELS, 3000)[:200_000]
    tfbp.fit(model, x, y, batch_size=1, steps_per_epoch=None, verbose=0, epochs=0)
    timer = threading.Timer(3.0, lambda: setattr(model, "stop_training", True))
    timer.start()
    started = time.perf_counter()
    tfbp.fit(model, x, y, batch_size=1, verbose=0)
    # an epoch would take a minute; only that the epoch is not waited for is asserted, and no time
    assert int(model.optimizer.iterations) < 200_000
    assert time.perf_counter() > started
    timer.join()


def test_compiled_anew_between_epochs_it_goes_on_with_the_new_optimizer():
    model = dense()

    def anew(epoch, logs):
        if epoch == 0:
            model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
            kept.append([w.numpy() for w in model.trainable_variables])

    kept = []
    tfbp.fit(model, X, LABELS, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=anew)], **OPTIONS)
    for got, expected in zip(model.trainable_variables, kept[0], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert int(model.optimizer.iterations) == 10


def test_a_loop_of_short_fits_shuffles_anew_and_a_resumed_run_alike():
    def losses(*epochs):
        model = dense()
        options = {**OPTIONS, "shuffle": True}
        return [
            loss
            for first, stop in epochs
            for loss in tfbp.fit(model, X, LABELS, **{**options, "initial_epoch": first, "epochs": stop}).history[
                "loss"
            ]
        ]

    assert losses((0, 1), (1, 3)) == losses((0, 3))
    # a model that cannot learn: equal losses would mean equal batches
    model = dense()
    model.trainable = False
    seen = []

    class Order(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(self.model.array_run.order(epoch).tolist())

    model.compile("sgd", "sparse_categorical_crossentropy")
    options = {**OPTIONS, "callbacks": [Order()], "epochs": 1, "shuffle": True}
    with pytest.warns(UserWarning, match="trainable weights"):
        tfbp.fit(model, X, LABELS, **options)
    for _ in range(2):
        tfbp.fit(model, X, LABELS, **options)
    assert len({tuple(order) for order in seen}) == 3
    assert all(sorted(order) == list(range(70)) for order in seen)


def test_max_epochs_of_keras_is_a_limit():
    keras.config.set_max_epochs(2)
    try:
        with pytest.warns(UserWarning, match="Limiting epochs to 2"):
            assert tfbp.fit(dense(), X, LABELS, **OPTIONS).epoch == [0, 1]
    finally:
        keras.config.set_max_epochs(None)


@pytest.mark.parametrize("kind", ["dataset", "generator", "memmap", "eager", "steps", "sparse"])
@pytest.mark.sampled(4)
def test_what_the_loop_cannot_take_keras_s_own_does(kind, tmp_path):
    def data():
        if kind == "dataset":
            return {"x": tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(16)}
        if kind == "generator":
            pairs = ((X[i : i + 16], LABELS[i : i + 16]) for _ in range(3) for i in range(0, 64, 16))
            return {"x": pairs, "steps_per_epoch": 4}
        mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
        mapped[:] = X
        x = {"memmap": mapped[:], "sparse": tf.sparse.from_dense(X)}.get(kind, X)
        return {"x": x, "y": LABELS, "batch_size": 16, **({"steps_per_epoch": 2} if kind == "steps" else {})}

    ours, theirs = (dense(run_eagerly=kind == "eager") for _ in range(2))
    options = {"epochs": 2, "verbose": 0, "shuffle": False}
    with pytest.MonkeyPatch.context() as patch:
        if kind == "steps":
            patch.setattr("warnings.warn", lambda *_, **__: None)
        got, expected = tfbp.fit(ours, **data(), **options), theirs.fit(**data(), **options)
    assert_alike(got.history, expected.history)
    assert_same_weights(ours, theirs)


def test_data_too_large_for_the_device_come_in_by_blocks(monkeypatch):
    monkeypatch.setattr(residence, "room_on_device", lambda: 100)
    monkeypatch.setattr(residence, "PIECE_BYTES", 2 * 16 * 32)
    both(dense, X, LABELS, validation_split=0.2)
    ours, theirs = dense(), dense()
    np.testing.assert_array_equal(tfbp.predict(ours, X, verbose=0), theirs.predict(X, verbose=0))


def test_never_traces_again():
    model = dense()
    tfbp.fit(model, X, LABELS, **OPTIONS)
    traces = model._tfbp_programs.traces
    tfbp.fit(model, X, LABELS, **{**OPTIONS, "epochs": 9, "shuffle": True})
    assert model._tfbp_programs.traces == traces


def test_xla_takes_recurrence_after_a_layer_with_weights(rng):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(4, 3), keras.layers.LSTM(3)])
    model.compile("sgd", "mse", jit_compile=True)
    tokens = rng.integers(0, 4, (20, 5))
    history = tfbp.fit(model, tokens, X[:20, :3], batch_size=8, verbose=0)
    assert history.params["jit_compile"] is True
    assert int(model.optimizer.iterations) == 3


def test_several_losses_are_told_as_in_keras_under_xla():
    ours, theirs = two_in_two_out(), two_in_two_out()
    for model in (ours, theirs):
        losses = {"c": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "d": "mse"}
        model.compile("sgd", losses, jit_compile=model is ours)
    got, expected = tfbp.fit(ours, *PAIR, **OPTIONS), theirs.fit(*PAIR, **OPTIONS)
    # 70 rows in batches of 16: where a step knows that the last has 6, Keras weighs it less
    assert got.history.keys() == expected.history.keys() >= {"c_loss", "d_loss"}
    for name, values in expected.history.items():
        np.testing.assert_allclose(got.history[name], values, rtol=1e-5, err_msg=name)


def test_keras_s_own_fit_may_call_this_evaluate(monkeypatch):
    monkeypatch.setattr(keras.src.backend.tensorflow.trainer.TensorFlowTrainer, "evaluate", tfbp.evaluate)
    options = {**OPTIONS, "validation_data": (X, LABELS), "steps_per_epoch": 1}
    assert len(tfbp.fit(dense(), X, LABELS, **options).history["val_loss"]) == 3
    with pytest.raises(TypeError, match="unexpected keyword argument 'sample_weights'"):
        tfbp.evaluate(dense(), X, LABELS, sample_weights=WEIGHT)


def test_what_xla_refuses_is_trained_without_it(monkeypatch):
    monkeypatch.setenv("TFBP_AUTO_XLA", "on")

    class Unknown(keras.layers.Layer):
        def call(self, x):
            return tf.cast(tf.strings.to_number(tf.strings.as_string(x)), x.dtype) * 0 + x

    model = keras.Sequential([keras.Input((6,)), Unknown(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = tfbp.fit(model, X, X[:, :1], verbose=0)
    assert history.params["jit_compile"] is False
    assert int(model.optimizer.iterations) == 3


BAD = {
    "model": (lambda: tfbp.fit("model", X, LABELS), "model: got a str; accepted: a keras.Model."),
    "compiled": (
        lambda: tfbp.fit(keras.Sequential([keras.layers.Dense(1)]), X, LABELS),
        "model: got a Sequential that is not compiled; accepted: one after model.compile(…).",
    ),
    "y": (lambda: tfbp.fit(dense(), X), "y: got None; accepted: targets, because the loss"),
    "lengths": (lambda: tfbp.fit(dense(), X, LABELS[:60]), "y: got 60 rows; accepted: 70, as x."),
    "nested": (
        lambda: tfbp.fit(two_in_two_out(), {"a": X, "b": X[:9, :2]}, PAIR[1]),
        "x['b']: got 9 rows; accepted: 70, as x['a'].",
    ),
    "zero": (lambda: tfbp.fit(dense(), X, LABELS, batch_size=0), "batch_size: got 0; accepted: an integer of at"),
    "text": (lambda: tfbp.evaluate(dense(), X, LABELS, "32"), "batch_size: got '32'; accepted: an integer of at"),
    "list": (lambda: tfbp.fit(dense(), X.tolist(), LABELS), "x: got a list of float; accepted: arrays, tensors"),
    "dates": (
        lambda: tfbp.fit(dense(), X.astype("datetime64[s]"), LABELS),
        "x: got an array of dtype datetime64[s]; accepted: numbers, Booleans or strings.",
    ),
    "objects": (
        lambda: tfbp.predict(dense(), np.array([[{}]] * 3, object)),
        "x: got an array of dtype object; accepted: numbers, Booleans or strings.",
    ),
    "class-weight": (
        lambda: tfbp.fit(dense(), X, LABELS, class_weight=[1, 2, 3]),
        "class_weight: got a list; accepted: a dict from class numbers to weights.",
    ),
    "split": (lambda: tfbp.fit(dense(), X, LABELS, validation_split=1.0), "validation_split: got 1.0; accepted: above"),
    "frequency": (
        lambda: tfbp.fit(dense(), X, LABELS, validation_split=0.5, validation_freq=2.0),
        "validation_freq: got 2.0; accepted: an integer, or a list",
    ),
    "epochs": (lambda: tfbp.fit(dense(), X, LABELS, epochs=2.5), "epochs: got 2.5; accepted: an integer."),
    "no-epochs": (lambda: tfbp.fit(dense(), X, LABELS, epochs=None), "epochs: got None; accepted: an integer."),
    "first-epoch": (lambda: tfbp.fit(dense(), X, LABELS, initial_epoch="1"), "initial_epoch: got '1'; accepted: an i"),
    "no-rows": (lambda: tfbp.fit(dense(), X[:0], LABELS[:0]), "x: got no rows; accepted: at least one."),
}


@pytest.mark.parametrize(("act", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence(act, sentence):
    with pytest.raises(tfbp.InputError) as caught:
        act()
    assert str(caught.value).startswith(sentence)
