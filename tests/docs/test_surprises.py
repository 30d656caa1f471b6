"""Each line of the page "Surprises of Keras and TensorFlow" holds for the versions that are installed.

A line's name in the page, with its dashes as underscores, is that of its test here.
"""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import layers
from tfbp.bridge.activations import keras_activation
from tfbp.fitting.contract import KERAS

DOCS = Path(__file__).parents[2] / "docs"
LINE = re.compile(r"^\| `([a-z0-9-]+)` \|", re.MULTILINE)
OPTIONS = {"verbose": 0, "shuffle": False}


def lines(page):
    return LINE.findall((DOCS / page).read_text())


@pytest.mark.parametrize("page", ["guides/surprises.md", "zh/surprises.md"])
def test_every_line_of_the_page_has_its_test_and_every_test_its_line(page):
    names = lines(page)
    tests = [name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")]
    assert sorted(names) == sorted(set(tests) - {"every-line-of-the-page-has-its-test-and-every-test-its-line"})
    assert len(names) == len(set(names))


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def model_of(*shape, optimizer="sgd", **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", **{"jit_compile": False, **options})
    return model


def without_and_with_xla(function, *tensors):
    return [tf.function(function, jit_compile=compiled)(*tensors).numpy().tolist() for compiled in (False, True)]


# fit


# seconds each, and they change only with Keras's version
OF_A_VERSION = pytest.mark.rare("a behavior of Keras that only another version of it can change")


@OF_A_VERSION
def test_weights_of_steps():
    x, weight = numbers(6, 3, 2), np.arange(1.0, 7)
    of_steps = np.tile([1.0, 2.0, 3.0], (3, 1)), np.tile([4.0, 5.0, 6.0], (3, 1))
    ours, theirs, spelled_out = (model_of(3, 2) for _ in range(3))
    KERAS["fit"](theirs, x, x[..., :1], sample_weight=weight, batch_size=3, **OPTIONS)
    KERAS["fit"](spelled_out, x, x[..., :1], sample_weight=np.concatenate(of_steps), batch_size=3, **OPTIONS)
    with pytest.warns(UserWarning, match="Keras weighs the time steps"):
        tfbp.fit(ours, x, x[..., :1], sample_weight=weight, batch_size=3, **OPTIONS)
    for model in (ours, spelled_out):
        np.testing.assert_allclose(model.get_weights()[0], theirs.get_weights()[0], rtol=1e-6)


def test_weights_of_no_axis():
    x = numbers(8, 3, 2)
    for fit in (KERAS["fit"], tfbp.fit):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
            fit(model_of(3, 2), x, x[..., :1], sample_weight=np.ones(8), batch_size=4, **OPTIONS)


@OF_A_VERSION
def test_rank_of_weights():
    x, ones = numbers(8, 3, 2), np.ones((8, 3))
    ours, theirs = model_of(3, 2), model_of(3, 2)
    KERAS["fit"](theirs, x, x[..., :1], sample_weight=ones, batch_size=4, **OPTIONS)
    with pytest.raises(ValueError, match="unknown rank"):
        KERAS["fit"](theirs, x, x[..., :1], sample_weight=ones[..., None], batch_size=4, **OPTIONS)
    for weight in (ones, ones[..., None]):
        history = tfbp.fit(ours, x, x[..., :1], sample_weight=weight, batch_size=4, **OPTIONS).history
    assert np.isfinite(history["loss"]).all()


def test_masked_metrics():
    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Masking()(inputs)))
    model.compile("sgd", "mse", metrics=["mse"])
    x = numbers(8, 3, 2)
    x[:, 2] = 0
    y = np.ones((8, 3, 1), np.float32)
    expected = np.mean((model.predict(x, verbose=0)[:, :2] - 1) ** 2)
    for evaluate in (KERAS["evaluate"], tfbp.evaluate):
        assert evaluate(model, x, y, verbose=0, return_dict=True)["mse"] == pytest.approx(expected, rel=1e-5)


class Step(keras.optimizers.schedules.LearningRateSchedule):
    """The number of the step, as a rate."""

    def __call__(self, step):
        return tf.cast(step, tf.float32)

    def get_config(self):
        return {}


@pytest.mark.parametrize("fit", [KERAS["fit"], tfbp.fit], ids=["keras", "tfbp"])
def test_accumulated_schedule(fit):
    def accumulating():
        return keras.optimizers.SGD(Step(), gradient_accumulation_steps=4)

    x, model = numbers(8, 2), model_of(2, optimizer=accumulating())
    first = model.get_weights()[0].copy()
    gradient = np.mean([2 * x[i] * (x[i] @ first[:, 0] - x[i, 0]) for i in range(4)], axis=0)
    fit(model, x[:4], x[:4, :1], batch_size=1, **OPTIONS)
    assert int(model.optimizer.iterations) == 1
    # the rate of the update is that of batch 3
    np.testing.assert_allclose(model.get_weights()[0][:, 0], first[:, 0] - 3 * gradient, rtol=1e-5)


@OF_A_VERSION
@pytest.mark.parametrize("fit", [KERAS["fit"], tfbp.fit], ids=["keras", "tfbp"])
def test_accumulated_rest(fit):
    x = numbers(4, 2)
    parts, whole = (model_of(2, optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)) for _ in range(2))
    before = parts.get_weights()[0].copy()
    fit(parts, x[:3], x[:3, :1], batch_size=1, **OPTIONS)
    np.testing.assert_array_equal(parts.get_weights()[0], before)
    fit(parts, x[3:], x[3:, :1], batch_size=1, **OPTIONS)
    fit(whole, x, x[:, :1], batch_size=1, **OPTIONS)
    np.testing.assert_allclose(parts.get_weights()[0], whole.get_weights()[0], rtol=1e-6)


def test_train_on_batch_metrics():
    x, model = numbers(4, 2), model_of(2, optimizer=keras.optimizers.SGD(0.0))
    found = [float(model.train_on_batch(x[i : i + 2], x[i : i + 2, :1])) for i in (0, 2)]
    expected = [model.evaluate(x[i : i + 2], x[i : i + 2, :1], verbose=0) for i in (0, 2)]
    assert found == pytest.approx(expected, rel=1e-6)


class Rows(keras.Model):
    """Its logs are the rows of the batch."""

    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(1)

    def call(self, x):
        return self.layer(x)

    def train_step(self, data):
        return {f"row_{i}": data[0][i, 0] for i in range(4)}


@pytest.mark.parametrize("fit", [KERAS["fit"], tfbp.fit], ids=["keras", "tfbp"])
def test_shuffle_of_batches(fit):
    keras.utils.set_random_seed(2)
    model = Rows()
    model.compile("sgd", jit_compile=False)
    rows, seen = np.arange(12, dtype=np.float32)[:, None], []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append([int(value) for value in logs.values()])
    )
    fit(model, rows, rows, batch_size=4, epochs=3, shuffle="batch", verbose=0, callbacks=[watch])
    assert [sorted(batch) for batch in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]] * 3
    assert any(batch != sorted(batch) for batch in seen)


class EvaluatesLast(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.loss = self.model.evaluate(100 * numbers(4, 2), numbers(4, 1), verbose=0)


@OF_A_VERSION
def test_evaluate_in_a_callback():
    x, alone = numbers(8, 2), model_of(2)
    expected = KERAS["fit"](alone, x, x[:, :1], batch_size=4, **OPTIONS).history["loss"]
    theirs, ours = EvaluatesLast(), EvaluatesLast()
    replaced = KERAS["fit"](model_of(2), x, x[:, :1], batch_size=4, callbacks=[theirs], **OPTIONS).history["loss"]
    kept = tfbp.fit(model_of(2), x, x[:, :1], batch_size=4, callbacks=[ours], **OPTIONS).history["loss"]
    assert replaced == pytest.approx([theirs.loss])
    assert kept == pytest.approx(expected)
    assert ours.loss == pytest.approx(theirs.loss)


@OF_A_VERSION
def test_schedule_free_average():
    def weights(fit, build=False):
        model = model_of(2, optimizer=keras.optimizers.ScheduleFreeAdamW(0.05))
        if build:
            model.optimizer.build(model.trainable_variables)
        fit(model, numbers(8, 2), numbers(8, 1), batch_size=4, epochs=5, **OPTIONS)
        return model.get_weights()

    built_by_fit, built_before = weights(KERAS["fit"]), weights(KERAS["fit"], build=True)
    assert np.abs(built_by_fit[0] - built_before[0]).max() > 1e-3
    for ours, theirs in zip(weights(tfbp.fit), built_before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_shuffle_of_a_dataset():
    data = tf.data.Dataset.from_tensor_slices((numbers(8, 2), numbers(8, 1))).batch(4)
    for fit in (KERAS["fit"], tfbp.fit):
        with pytest.warns(UserWarning, match="`shuffle=True` was passed, but will be ignored"):
            fit(model_of(2), data, verbose=0)


# jit_compile=True on a CPU


@OF_A_VERSION
def test_xla_keras_random():
    def drawn(compiled):
        seed = keras.random.SeedGenerator(3)
        return tf.function(lambda: keras.random.normal((3,), seed=seed), jit_compile=compiled)().numpy()

    plain, again, compiled, compiled_again = (drawn(compiled) for compiled in (False, False, True, True))
    np.testing.assert_array_equal(plain, again)
    np.testing.assert_array_equal(compiled, compiled_again)
    assert not np.allclose(plain, compiled)


def _checked(assertion, x):
    def function(x):
        with tf.control_dependencies([assertion(x)] if assertion(x) is not None else []):
            return tf.identity(x)

    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(function, input_signature=[tf.TensorSpec([None])])(x)
    compiled = tf.function(function, jit_compile=True, input_signature=[tf.TensorSpec([None])])
    np.testing.assert_array_equal(compiled(x), x)


def test_xla_assertions():
    _checked(tf.debugging.assert_positive, tf.constant([-1.0]))


def test_xla_assertions_of_shapes():
    _checked(lambda x: tf.debugging.assert_equal(tf.shape(x)[0], 5), tf.constant([1.0]))


def test_xla_check_numerics():
    x = tf.constant([np.nan])
    check = lambda x: tf.debugging.check_numerics(x, "here")  # noqa: E731
    with pytest.raises(tf.errors.InvalidArgumentError, match="here"):
        tf.function(check)(x)
    assert np.isnan(tf.function(check, jit_compile=True)(x))


def test_xla_gather():
    table, rows = tf.constant([1.0, 2.0, 3.0]), tf.constant([-1, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
        tf.function(tf.gather)(table, rows)
    assert tf.function(tf.gather, jit_compile=True)(table, rows).numpy().tolist() == [1.0, 3.0]


def test_xla_division():
    divide = lambda a, b: a // b  # noqa: E731
    with pytest.raises(tf.errors.InvalidArgumentError, match="by zero"):
        tf.function(divide)(tf.constant([7]), tf.constant([0]))
    assert tf.function(divide, jit_compile=True)(tf.constant([7]), tf.constant([0])).numpy().tolist() == [-1]


def test_xla_maximum():
    plain, compiled = without_and_with_xla(tf.reduce_max, tf.constant([1.0, np.nan]))
    assert np.isnan(plain)
    assert compiled == 1.0


def test_xla_sqrt():
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.where(x > 0, tf.sqrt(x), 0))
        return tape.gradient(y, x)

    plain, compiled = without_and_with_xla(slope, tf.constant([0.0, 4.0]))
    assert plain == [0.0, 0.25]
    assert np.isnan(compiled[0])


def test_xla_tensor_array():
    def grown():
        array = tf.TensorArray(tf.float32, 0, dynamic_size=True)
        for i in range(3):
            array = array.write(i, float(i))
        return array.stack()

    assert without_and_with_xla(grown) == [[0.0, 1.0, 2.0], []]


def test_xla_tf_random():
    def drawn(compiled):
        tf.random.set_seed(5)
        return tf.function(lambda: tf.random.normal((3,)), jit_compile=compiled)().numpy().tolist()

    assert drawn(False) == drawn(False)
    assert drawn(True) != drawn(True)


def test_xla_label_out_of_range():
    loss = lambda labels, logits: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)  # noqa: E731
    labels, logits = tf.constant([5]), tf.zeros([1, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="valid range"):
        tf.function(loss)(labels, logits)
    assert np.isnan(tf.function(loss, jit_compile=True)(labels, logits).numpy()).all()


# layers and optimizers

TOKENS = np.full((1, 16), 3)
# Muon leaves an Embedding to AdamW by default
ROWS_ONE_BY_ONE = ("Adam", "AdamW", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Ftrl", "Adafactor", "Muon")
ROWS_ADDED_UP = ("SGD", "Adamax", "Lion", "Lamb")


def moved(layer, optimizer, dense=False):
    """The change of the table by a step on a token that occurs 16 times."""
    layer.build((1, 16))
    layer.set_weights([np.linspace(-1, 1, 20).reshape(5, 4)])
    before = layer.get_weights()[0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(TOKENS) * tf.constant([1.0, -2.0, 0.5, 3.0]))
    gradient = tape.gradient(loss, layer.embeddings.value)
    optimizer.build([layer.embeddings])
    optimizer.apply([tf.convert_to_tensor(gradient) if dense else gradient])
    return layer.get_weights()[0] - before


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in (*ROWS_ONE_BY_ONE, *ROWS_ADDED_UP)),
        ("SGD", {"momentum": 0.9}),
        ("Muon", {"exclude_embeddings": False}),
        *(("SGD", {clip: 0.1}) for clip in ("clipnorm", "global_clipnorm", "clipvalue")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_optimizers_of_a_table(name, options):
    def optimizer():
        return getattr(keras.optimizers, name)(learning_rate=0.1, **options)

    one_by_one = (name in ROWS_ONE_BY_ONE and not options) or any("clip" in option for option in options)
    theirs, right = (moved(keras.layers.Embedding(5, 4), optimizer(), dense) for dense in (False, True))
    assert (np.abs(theirs - right).max() > 1e-3 * np.abs(right).max()) == one_by_one
    # ours hands over a token's sum, and zeros for its other places
    ours = moved(layers.Embedding(5, 4), optimizer())
    np.testing.assert_allclose(ours[3], right[3], rtol=1e-5, atol=1e-7)


def test_muon_on_attention():
    layer = keras.layers.MultiHeadAttention(2, 4)
    layer.build((None, 3, 8), (None, 3, 8))
    optimizer = keras.optimizers.Muon()
    optimizer.build(layer.trainable_variables)
    by_muon = {v.path.partition("/")[2] for v in layer.trainable_variables if not optimizer._should_use_adamw(v)}
    assert by_muon == {"query/bias", "key/bias", "value/bias"}


@pytest.mark.parametrize("room", [keras.layers, layers], ids=["keras", "tfbp"])
@pytest.mark.parametrize("how", ["plain", "dropout", "scores"])
def test_attention_of_nothing(how, room):
    """The mean of all values; 0 where the scores are returned or the layer has dropout."""
    layer = room.MultiHeadAttention(1, 4, dropout=0.5 if how == "dropout" else 0.0)
    x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    nothing = np.zeros((1, 3, 3), bool)
    y = layer(x, x, attention_mask=nothing, return_attention_scores=how == "scores")
    y = y[0] if how == "scores" else y
    values = layer._value_dense(x)
    mean = tf.broadcast_to(tf.reduce_mean(values, axis=1, keepdims=True), values.shape)
    expected = layer._output_dense(mean if how == "plain" else tf.zeros_like(values))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("steps", "times"), [(4, 4), (None, 1)], ids=["known", "unknown"])
def test_statistics_of_time_distributed(steps, times):
    layer = keras.layers.TimeDistributed(keras.layers.BatchNormalization(momentum=0.5))
    layer.build((2, 4, 3))
    x = tf.ones([2, 4, 3])
    tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec([2, steps, 3])])(x)
    # the mean of ones is 1: each time half of the way to it
    np.testing.assert_allclose(layer.layer.moving_mean, 1 - 0.5**times, rtol=1e-6)


def test_glu_shape():
    x = np.ones((3, 6), np.float32)
    for room in (keras.layers, layers):
        model = keras.Sequential([keras.Input((6,)), room.Dense(8, "glu")])
        assert (model.output_shape, model(x).shape) == ((None, 8), (3, 4))
    with pytest.raises(tfbp.InputError, match=r"^activation: got 'glu', which halves the last axis; accepted:"):
        tfbp.Activation("glu")


def test_sparsemax_sums():
    z = np.array([[1.0, 0.5, 0.0]])
    np.testing.assert_allclose(keras.activations.sparsemax(z), [[0.25, 0, 0]])
    np.testing.assert_allclose(layers.Activation("sparsemax")(z), [[0.25, 0, 0]])
    np.testing.assert_allclose(keras_activation(tfbp.Activation("sparsemax"))(tf.constant(z)), [[0.75, 0.25, 0]])


@pytest.mark.parametrize(("kind", "masks"), [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_dropout_masks(kind, masks):
    cell = getattr(keras.layers, f"{kind}Cell")(5, recurrent_dropout=0.5)
    drawn = cell.get_recurrent_dropout_mask(tf.ones([2, 5]))
    drawn = drawn if isinstance(drawn, list) else [drawn]
    assert len(drawn) == masks
    assert len({tuple(np.ravel(mask)) for mask in drawn}) == masks


def test_depthwise_strides():
    """oneDNN takes them; without it (TF_ENABLE_ONEDNN_OPTS=0), and in float64, TensorFlow does not."""
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    options = {"kernel_size": 2, "strides": (1, 2), "dtype": "float64"}
    ours, theirs = layers.DepthwiseConv2D(**options), keras.layers.DepthwiseConv2D(**options)
    with pytest.raises(tf.errors.InvalidArgumentError, match="only supports equal length strides"):
        theirs(x)
    y = ours(x)
    # every second column of the convolution by strides of 1
    every = keras.layers.DepthwiseConv2D(2, dtype="float64")
    every.build(x.shape)
    every.set_weights(ours.get_weights())
    np.testing.assert_allclose(y, every(x)[:, :, ::2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("room", [keras.layers, layers], ids=["keras", "tfbp"])
def test_second_derivatives_of_moments(room):
    x, weights = tf.constant([[0.2, -1.0, 0.7]], tf.float64), tf.constant([[0.5, 1.0, 1.5]], tf.float64)
    norm = room.LayerNormalization(dtype="float64")

    def penalty(weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(norm(tf.tanh(weights * x)) ** 3)
        return tf.reduce_sum(tape.gradient(loss, x) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = penalty(weights)
    slope = tape.gradient(loss, weights)[0, 1]
    step = tf.constant([[0.0, 1e-6, 0.0]], tf.float64)
    expected = (penalty(weights + step) - penalty(weights - step)) / 2e-6
    assert (abs(slope - expected) < 1e-5 * abs(expected)) == (room is layers), (slope, expected)


def test_frozen_by_the_constructor():
    x = keras.Input((3, 4))
    by_constructor, by_attribute = (
        keras.layers.MultiHeadAttention(2, 4, trainable=False),
        keras.layers.MultiHeadAttention(2, 4),
    )
    models = [keras.Model(x, layer(x, x)) for layer in (by_constructor, by_attribute)]
    by_attribute.trainable = False
    assert [len(model.trainable_variables) for model in models] == [8, 0]
