"""tfbp.Model is Keras to whoever uses it: history, weights, callbacks, saving; and its loop is its own."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import L1L2, Dense, InputError, Model, Network
from tfbp.training import arguments

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
X_VALIDATION, LABELS_VALIDATION = RNG.normal(size=(25, 6)).astype(np.float32), RNG.integers(0, 3, 25)
WEIGHT = RNG.uniform(0.5, 2, 70).astype(np.float32)
HIDDEN = Dense(8, "tanh", kernel_regularizer=L1L2(l2=1 / 128))
NETWORK = Network(6, [HIDDEN, Dense(3)], "sparse_categorical_crossentropy")

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum-schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9), momentum=0.9, nesterov=True
    ),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw-clipnorm": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=0.05),
    "rmsprop-global-clipnorm": lambda: keras.optimizers.RMSprop(0.01, global_clipnorm=0.1),
    "sgd-ema": lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),
}


def model_of(gradients="manual", optimizer="adam", network=NETWORK, metrics=("accuracy",), dtype=None, **options):
    model = Model(network, gradients, seed=1, dtype=dtype)
    model.compile(OPTIMIZERS[optimizer](), metrics=list(metrics), **options)
    return model


def plain_of(optimizer="adam", network=NETWORK, metrics=("accuracy",)):
    plain = network.to_keras(network.init(seed=1))
    plain.compile(
        OPTIMIZERS[optimizer](), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=list(metrics)
    )
    return plain


def fit_both(model, plain, *args, **kwargs):
    kwargs = {"batch_size": 16, "epochs": 3, "verbose": 0, "shuffle": False, **kwargs}
    ours, theirs = (each.fit(*args, **kwargs).history for each in (model, plain))
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-5, err_msg=name)
    for got, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
        # 15 steps of float32 rounding, of weights around 1
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.sampled(5)
def test_history_and_weights_are_keras_s(optimizer, gradients):
    fit_both(
        model_of(gradients, optimizer),
        plain_of(optimizer),
        X,
        LABELS,
        validation_data=(X_VALIDATION, LABELS_VALIDATION),
    )


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": WEIGHT},
        {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0}},
        {"validation_split": 0.3},
        {"validation_split": 0.3, "sample_weight": WEIGHT},
        {"validation_data": (X_VALIDATION, LABELS_VALIDATION, WEIGHT[:25]), "validation_batch_size": 7},
        {"validation_data": (X_VALIDATION, LABELS_VALIDATION), "validation_freq": 2},
        {"validation_data": (X_VALIDATION, LABELS_VALIDATION), "validation_freq": [1, 3], "initial_epoch": 1},
        {"batch_size": 70},
        {"batch_size": 100},
        {"batch_size": None},
        {"batch_size": 1, "epochs": 1},
        {"steps_per_epoch": 1},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.sampled(3)
def test_every_argument_of_fit_means_what_it_means_in_keras(options):
    fit_both(model_of(), plain_of(), X, LABELS, **options)


@pytest.mark.xla
def test_positional_arguments_are_keras_s():
    model, plain = model_of(), plain_of()
    ours, theirs = (each.fit(X, LABELS, 16, 2, 0, None, 0.3, None, False).history for each in (model, plain))
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(ours["val_loss"], theirs["val_loss"], rtol=2e-5)
    np.testing.assert_allclose(model.evaluate(X, LABELS, 9, 0), plain.evaluate(X, LABELS, 9, 0), rtol=2e-5)
    with pytest.raises(TypeError, match="multiple values for argument 'batch_size'"):
        model.fit(X, LABELS, 16, batch_size=16)


@pytest.mark.parametrize("kind", ["dataset", "generator", "memmap"])
@pytest.mark.sampled(2)
def test_other_data_take_keras_s_own_way(kind, tmp_path):
    def data():
        if kind == "dataset":
            return (tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(16),)
        if kind == "generator":
            return (((X[i : i + 16], LABELS[i : i + 16]) for _ in range(3) for i in range(0, 64, 16)),)
        mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
        mapped[:] = X
        return mapped, LABELS

    ours, theirs = model_of(), plain_of()
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    if kind == "generator":
        options["steps_per_epoch"] = 4
    if kind == "memmap":
        options["batch_size"] = 16
    got, expected = ours.fit(*data(), **options).history, theirs.fit(*data(), **options).history
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=2e-5, err_msg=name)
    assert ours._tfbp_programs is None


def test_evaluate_and_predict_are_keras_s():
    model = model_of(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")])
    plain = plain_of(metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")])
    for options in ({"batch_size": 9}, {"sample_weight": WEIGHT}, {"return_dict": True}):
        ours, theirs = (m.evaluate(X, LABELS, verbose=0, **options) for m in (model, plain))
        if isinstance(theirs, dict):
            assert ours == pytest.approx(theirs, rel=1e-5)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0), plain.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_softmax_head_predicts_probabilities_and_counts_them():
    network = Network(6, [Dense(8, "relu"), Dense(3, "softmax")], "sparse_categorical_crossentropy")
    metrics = [keras.metrics.SparseCategoricalCrossentropy(name="entropy")]
    model = model_of(network=network, metrics=metrics)
    history = model.fit(X, LABELS, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["entropy"], history["loss"], rtol=1e-5)
    np.testing.assert_allclose(model.predict(X, verbose=0).sum(axis=1), 1, rtol=1e-5)


def test_shuffling_follows_the_seed_and_the_epoch():
    first, again = (model_of().fit(X, LABELS, epochs=3, verbose=0).history["loss"] for _ in range(2))
    assert first == again
    unshuffled = model_of().fit(X, LABELS, epochs=3, verbose=0, shuffle=False).history["loss"]
    assert unshuffled != first
    resumed = model_of()
    resumed.fit(X, LABELS, epochs=1, verbose=0)
    assert resumed.fit(X, LABELS, initial_epoch=1, epochs=3, verbose=0).history["loss"] == first[1:]


@pytest.mark.xla
def test_never_traces_again_after_the_first_epoch():
    model = model_of()
    model.fit(X, LABELS, batch_size=16, epochs=1, verbose=0, validation_split=0.3)
    # full and short batches, of training and of validation: a step and its program each
    assert model._tfbp_programs.traces == 8
    model.fit(X, LABELS, batch_size=16, epochs=3, verbose=0, validation_split=0.3, shuffle=False)
    assert model._tfbp_programs.traces == 8


@pytest.mark.xla
@pytest.mark.sampled(3)
@pytest.mark.parametrize("steps", [1, 2, 3, 100])
def test_blocks_of_every_length_give_the_same_weights_and_call_the_callbacks(steps):
    class Batches(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.begun, self.ended = [], []

        def on_train_batch_begin(self, batch, logs=None):
            self.begun.append(batch)

        def on_train_batch_end(self, batch, logs=None):
            assert {"loss", "accuracy"} <= set(logs)
            self.ended.append(batch)

    watch = Batches()
    blocks = model_of(steps_per_execution=steps)
    blocks.fit(X, LABELS, batch_size=16, epochs=1, verbose=0, callbacks=[watch])
    assert watch.begun == list(range(0, 5, steps))
    # also after a last, shorter block: so Keras numbers them
    assert watch.ended == [begun + steps - 1 for begun in watch.begun]
    assert len(watch.begun) == len(watch.ended)
    whole = model_of()
    whole.fit(X, LABELS, batch_size=16, epochs=1, verbose=0)
    for got, expected in zip(blocks.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_lambda_callback_sees_the_batches_too():
    ends = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))
    model_of().fit(X, LABELS, batch_size=1, epochs=1, verbose=0, callbacks=[watch])
    assert len(ends) > 3
    assert ends[-1] == 69


def test_a_callback_that_stops_training_stops_it_inside_the_epoch():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch >= 2

    model = model_of(steps_per_execution=1)
    model.fit(X, LABELS, batch_size=10, epochs=5, verbose=0, callbacks=[Stop()])
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.sampled(2)
def test_weights_do_not_race_with_their_update(jit_compile):
    """Two reads of a variable in one step race with the update, in some runs only: so, many runs of one program."""
    model, weights = model_of(jit_compile=jit_compile), []
    model.optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]
    for _ in range(8):
        for variable, value in zip((*model.variables, *model.optimizer.variables), start, strict=True):
            variable.assign(value)
        model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0, shuffle=False)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    assert not np.array_equal(weights[0], np.concatenate([value.ravel() for value in start[: len(model.weights)]]))
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_float32_weights_and_learns_as_keras_does(policy, rng):
    x = rng.normal(size=(256, 6)).astype(np.float32)
    labels = (x @ rng.normal(size=(6, 3))).argmax(axis=1)
    model = model_of(dtype=policy)
    history = model.fit(x, labels, epochs=20, verbose=0).history
    assert all(w.dtype == np.float32 for w in model.get_weights())
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    full = model_of().fit(x, labels, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    # 160 steps in 8 or 11 bits: the same curve to a few percent
    np.testing.assert_allclose(history["loss"], full["loss"], rtol=0.05)


def test_loss_scaling_skips_a_step_that_overflows():
    model = Model(NETWORK, dtype="mixed_float16")
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**40))
    before = model.get_weights()
    model.fit(X, LABELS, batch_size=70, epochs=1, verbose=0)
    assert float(model.optimizer.dynamic_scale) == 2.0**39
    for got, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_walking_in_from_keras_and_out_again():
    plain = plain_of()
    model = Model.from_keras(plain, "sparse_categorical_crossentropy")
    np.testing.assert_array_equal(model(X), plain(X))
    model.compile("adam")
    model.fit(X, LABELS, verbose=0)
    out = model.to_keras()
    np.testing.assert_array_equal(out(X), model(X))
    assert not any("tfbp" in type(layer).__module__ for layer in out.layers)


def test_saved_loaded_and_trained_on(tmp_path):
    model = model_of()
    model.fit(X, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.network == NETWORK
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    ours, theirs = (each.fit(X, LABELS, initial_epoch=1, epochs=2, verbose=0).history for each in (model, loaded))
    assert ours == theirs
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(X), model.predict(X, verbose=0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: Model("network"), "network: got 'network'; accepted: a tfbp.Network."),
        (lambda: Model(NETWORK, "auto"), "gradients: got 'auto'; accepted: manual, tape."),
        (lambda: Model(NETWORK).compile("adam", "mse"), "loss: got 'mse'; accepted: none, the network's is 'sparse"),
        (lambda: model_of(steps_per_execution=0), "steps_per_execution: got 0; accepted: an integer of at least 1."),
        (lambda: model_of().fit(X, LABELS[:60]), "y: got 60 rows; accepted: 70, as x."),
        (lambda: model_of().fit(X, LABELS, batch_size=0), "batch_size: got 0; accepted: an integer of at least 1."),
        (lambda: model_of().fit(X[:, :5], LABELS), "x: got shape (70, 5); accepted: (B, 6) with a batch B of at"),
        (lambda: model_of().fit(X, LABELS + 1), "y: got the label 3; accepted: integers from 0 to 2."),
        (lambda: model_of().fit(X, LABELS, validation_split=1.0), "validation_split: got 1.0; accepted: above 0 and"),
        (
            lambda: model_of().fit(X, LABELS, class_weight={0: 1.0}, sample_weight=WEIGHT),
            "class_weight: got one beside sample_weight; accepted: one of the two.",
        ),
        (
            lambda: Model.from_keras(
                keras.Sequential([keras.Input((5,)), keras.layers.UnitNormalization(name="unit")]), "huber"
            ),
            "model: got the layer 'unit', a UnitNormalization; accepted: layers that tfbp.Network has.",
        ),
        (lambda: Model(NETWORK).set_parameters([]), "parameters: got 0 layers; accepted: 2, one dict per layer."),
    ],
)
def test_bad_input_is_one_sentence(act, sentence):
    with pytest.raises(InputError) as caught:
        act()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool", "float64"])
@pytest.mark.sampled(5)
def test_class_weights_are_not_of_the_kind_of_x(kind):
    weights = {0: 0.3, 1: 0.7}
    x, labels = (X > 0).astype(kind), LABELS.astype(np.float32)
    model, weighted = model_of(), model_of()
    options = {"batch_size": 16, "epochs": 2, "verbose": 0}
    history = model.fit(x, labels, class_weight=weights, **options).history
    by_sample = np.array([weights.get(label, 1.0) for label in LABELS])
    assert history == weighted.fit(x, labels, sample_weight=by_sample, **options).history


@pytest.mark.parametrize("frozen", ["layer", "variable", "model", "from-keras"])
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.sampled(3)
def test_what_is_frozen_stays_as_it_is(frozen, jit_compile):
    model = model_of()
    if frozen == "layer":
        model.layers[0].trainable = False
    elif frozen == "variable":
        model.layers[0].variables[0].trainable = False
    elif frozen == "model":
        model.trainable = False
    else:
        plain = plain_of()
        plain.layers[0].trainable = False
        model = Model.from_keras(plain, "sparse_categorical_crossentropy")
    model.compile("adam", jit_compile=jit_compile)
    before = model.get_weights()
    model.fit(X, LABELS, verbose=0)
    changed = [not np.array_equal(got, w) for got, w in zip(model.get_weights(), before, strict=True)]
    expected = {
        "layer": [False, False, True, True],
        "from-keras": [False, False, True, True],
        "variable": [False, True, True, True],
        "model": [False] * 4,
    }
    assert changed == expected[frozen]


@pytest.mark.parametrize("given", [3.0, [3.0], {"output": 3.0}])
@pytest.mark.sampled(2)
def test_loss_weights_multiply_the_loss(given):
    model, plain = model_of(), plain_of()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS["momentum-schedule"](), loss_weights=given, weighted_metrics=["accuracy"])
    plain.compile(OPTIMIZERS["momentum-schedule"](), loss, loss_weights=3.0, weighted_metrics=["accuracy"])
    fit_both(model, plain, X, LABELS, sample_weight=WEIGHT)


@pytest.mark.parametrize("method", ["train_step", "test_step", "compute_metrics", "compute_loss", "call"])
@pytest.mark.sampled(3)
def test_what_a_subclass_overrides_is_used_on_arrays_as_on_datasets(method):
    class Mine(Model):
        pass

    calls = []

    def overridden(self, *arguments, **options):
        calls.append(method)
        if method == "compute_loss":
            return keras.ops.mean(arguments[2] ** 2)
        result = getattr(super(Mine, self), method)(*arguments, **options)
        return 2 * result if method == "call" else result

    if method == "call":
        Mine.compute_loss = lambda self, x, y, y_pred, *_, **__: keras.ops.mean(y_pred**2)
    setattr(Mine, method, overridden)
    histories = []
    for arrays in (True, False):
        model = Mine(NETWORK, seed=1)
        model.compile("sgd", metrics=["accuracy"])
        calls.clear()
        data = (X, LABELS) if arrays else (tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(32),)
        model.fit(*data, epochs=1, verbose=0, shuffle=False)
        histories.append([*model.history.history["loss"], *model.evaluate(*data, verbose=0)])
        assert calls
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_apply_gradients_of_an_optimizer_is_used():
    class Halved(keras.optimizers.SGD):
        def apply_gradients(self, grads_and_vars):
            return super().apply_gradients([(0.5 * g, v) for g, v in grads_and_vars])

    model, plain = model_of(), plain_of()
    for each, more in ((model, ()), (plain, (keras.losses.SparseCategoricalCrossentropy(from_logits=True),))):
        each.compile(Halved(0.1), *more, metrics=["accuracy"])
    fit_both(model, plain, X, LABELS)


def test_metrics_that_are_no_single_number():
    network = Network(6, [Dense(3)], "categorical_crossentropy")
    model = Model(network)
    model.compile("sgd", metrics=[keras.metrics.F1Score(name="f1"), keras.metrics.Precision([0.2, 0.5], name="p")])
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    history = model.fit(X, one_hot, epochs=2, verbose=0, validation_split=0.3).history
    assert np.shape(history["f1"]) == (2, 3)
    assert np.shape(history["val_p"]) == (2, 2)
    assert {"f1", "p"} <= set(model.evaluate(X, one_hot, verbose=0, return_dict=True))


@pytest.mark.parametrize("kind", ["list", "weights", "dataset", "memmap"])
@pytest.mark.sampled(3)
def test_validation_data_of_every_kind(kind, tmp_path):
    data = {
        "list": [X_VALIDATION, LABELS_VALIDATION],
        "weights": [X_VALIDATION, LABELS_VALIDATION, WEIGHT[:25]],
        "dataset": tf.data.Dataset.from_tensor_slices((X_VALIDATION, LABELS_VALIDATION)).batch(16),
        "memmap": (np.memmap(tmp_path / "x", np.float32, "w+", shape=(25, 6)), LABELS_VALIDATION),
    }[kind]
    fit_both(model_of(), plain_of(), X, LABELS, validation_data=data)


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16"])
def test_from_keras_keeps_the_dtype_of_the_layers(policy):
    layers = [keras.Input((6,)), keras.layers.Dense(3, dtype=policy)]
    model = Model.from_keras(keras.Sequential(layers), "mean_squared_error")
    assert model.dtype_policy.name == policy
    mixed = keras.Sequential([*layers, keras.layers.Dense(2, dtype="float32")])
    with pytest.raises(InputError, match=f"got layers of {policy} and float32; accepted: one dtype policy for all"):
        Model.from_keras(mixed, "mean_squared_error")


def test_a_loop_of_short_fits_shuffles_anew():
    model, whole = model_of("manual", "sgd"), model_of("manual", "sgd")
    orders = []

    class Order(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            orders.append(tuple(self.model.array_run.order(epoch)))

    for _ in range(3):
        model.fit(X, LABELS, verbose=0, callbacks=[Order()])
    assert len(set(orders)) == 3
    whole.fit(X, LABELS, verbose=0, callbacks=[Order()])
    assert orders[3] == orders[0]


def test_keras_s_wrapper_for_scikit_learn_takes_the_model():
    # it hands one-hot targets to the model
    network = Network(6, [Dense(3)], "categorical_crossentropy")
    classifier = keras.wrappers.SKLearnClassifier(
        lambda X, y: model_of(network=network, metrics=[]), fit_kwargs={"epochs": 1, "verbose": 0}
    )
    assert classifier.fit(X, LABELS).predict(X).shape[0] == 70


def test_the_layers_are_shown():
    model = model_of()
    assert [layer.name for layer in model.layers] == ["layer_0", "layer_1"]
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "layer_0 (Dense)" in text
    assert "(None, 8)" in text
    assert "83" in text  # 6 · 8 + 8 + 8 · 3 + 3 weights


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: model_of().fit(X.astype(object), LABELS), "x: got an array of dtype object; accepted: numbers"),
        (lambda: model_of().fit(X.astype(str), LABELS), "x: got an array of dtype <U"),
        (lambda: model_of().fit(X.astype("datetime64[s]"), LABELS), "x: got an array of dtype datetime64[s]; accepted"),
        (lambda: model_of().fit(X.tolist(), LABELS), "x: got a list of float; accepted: arrays, tensors"),
        (lambda: model_of().fit(X, LABELS, class_weight=[1, 2, 3]), "class_weight: got a list; accepted: a dict"),
        (lambda: model_of(loss_weights=[1.0, 2.0]), "loss_weights: got [1.0, 2.0]; accepted: one number"),
        (
            lambda: model_of().fit(X, LABELS, batch_size="32"),
            "batch_size: got '32'; accepted: an integer of at least 1.",
        ),
    ],
)
def test_more_bad_input_is_one_sentence(act, sentence):
    with pytest.raises(InputError) as caught:
        act()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16", "float16"])
@pytest.mark.sampled(2)
def test_labels_that_are_floats_are_not_rounded_to_a_narrow_dtype(policy, rng):
    labels = np.arange(250, 282)
    x = rng.normal(size=(32, 4))

    def losses(y):
        model = Model(Network(4, [Dense(300)], "sparse_categorical_crossentropy"), dtype=policy, seed=0)
        model.compile("sgd")
        return model.evaluate(x, y, verbose=0), model.fit(x, y, batch_size=8, epochs=2, verbose=0).history["loss"]

    assert losses(labels.astype(np.float32)) == losses(labels) == losses(labels.astype(np.float64))


@pytest.mark.parametrize(
    ("options", "method"),
    [
        (arguments.FitOptions, keras.Model.fit),
        (arguments.EvaluateOptions, keras.Model.evaluate),
        (arguments.CompileOptions, keras.Model.compile),
    ],
    ids=["fit", "evaluate", "compile"],
)
def test_the_typed_options_are_those_of_keras(options, method):
    named = {name for name, each in inspect.signature(method).parameters.items() if each.kind is not each.VAR_KEYWORD}
    of_ours = inspect.signature(getattr(Model, method.__name__)).parameters
    assert set(options.__annotations__) == named - {"self", "x", "y"} - set(of_ours)
