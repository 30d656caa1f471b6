"""fit(clip_per_example=…): on arrays and on tf.data, against a loop over examples in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import L1L2, Dense, InputError, Model, Network, reference

RNG = np.random.default_rng(0)
# four batches of 16 and one of 6
X, LABELS, WEIGHT = RNG.normal(size=(70, 6)), RNG.integers(0, 3, 70), RNG.uniform(0.2, 3, 70)
BATCH, RATE = 16, 0.3
HIDDEN = Dense(8, "tanh", kernel_regularizer=L1L2(l2=0.01))
NETWORK = Network(6, [HIDDEN, Dense(3)], "sparse_categorical_crossentropy")
PLAIN = Network(6, [Dense(8, "tanh"), Dense(3)], "sparse_categorical_crossentropy")
PATHS = ("arrays", "tf.data")


def model_of(optimizer=None, gradients="manual", dtype="float64", network=NETWORK, **options):
    model = Model(network, gradients, seed=1, dtype=dtype)
    model.compile(optimizer or keras.optimizers.SGD(RATE), **options)
    return model


def fit(model, path, weight=None, epochs=2, rows=70, **options):
    arrays = [each[:rows] for each in ((X, LABELS) if weight is None else (X, LABELS, weight))]
    if path == "arrays":
        named = dict(zip(("x", "y", "sample_weight"), arrays, strict=False))
        return model.fit(**named, batch_size=BATCH, epochs=epochs, verbose=0, shuffle=False, **options).history
    data = tf.data.Dataset.from_tensor_slices(tuple(arrays)).batch(BATCH)
    return model.fit(data, epochs=epochs, verbose=0, shuffle=False, **options).history


def by_hand(clip, weight=None, epochs=2, network=NETWORK):
    """Plain SGD on clipped gradients: the weights, and the mean loss of each epoch."""
    parameters, losses = network.init(seed=1), []
    for _ in range(epochs):
        total = 0.0
        for start in range(0, len(X), BATCH):
            rows = slice(start, start + BATCH)
            given = X[rows], LABELS[rows], clip, None if weight is None else weight[rows]
            loss, gradients = reference.per_example.loss_and_clipped_gradients(network, parameters, *given)
            total += loss * len(X[rows]) / len(X)
            # a last, shorter batch is divided by the batch size, too; the penalties are not
            share = len(X[rows]) / BATCH
            for number, (layer, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                for name in layer:
                    penalty = penalties(network, number, name, layer[name])
                    step = share * (gradient[name] - penalty) + penalty
                    layer[name] = layer[name] - RATE * step
        losses.append(total)
    return parameters, losses


def penalties(network, number, name, weight):
    """The gradient of a weight's own penalty: that of the l2 of these networks."""
    regularizer = getattr(network.layers[number], f"{name}_regularizer", None)
    return 0.0 if regularizer is None else 2 * regularizer.l2 * weight


def assert_weights(model, expected, tolerance):
    for got, right in zip(model.get_parameters(), expected, strict=True):
        for name in right:
            np.testing.assert_allclose(got[name], right[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("weight", "jit_compile", "steps"),
    [(None, False, 1), (WEIGHT, True, 3)],
    ids=["unweighted-graph", "weighted-xla-blocks-of-3"],
)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.sampled(3)
def test_fit_is_a_loop_over_the_examples(path, jit_compile, weight, steps):
    model = model_of(jit_compile=jit_compile, steps_per_execution=steps)
    history = fit(model, path, weight, clip_per_example=0.5)
    expected, losses = by_hand(0.5, weight)
    # ten steps of float64, of weights around 1; in float64 Keras keeps the rate and the mean of losses in float32
    assert_weights(model, expected, 2e-7)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    unclipped, _ = by_hand(1e9, weight)
    assert np.abs(unclipped[0]["kernel"] - expected[0]["kernel"]).max() > 1e-3


def test_class_weights_count_before_the_clipping():
    weights = {0: 3.0, 1: 0.5, 2: 1.0}
    model = model_of()
    fit(model, "arrays", class_weight=weights, clip_per_example=0.5)
    assert_weights(model, by_hand(0.5, np.array([weights[label] for label in LABELS]))[0], 2e-7)


@pytest.mark.parametrize(
    ("path", "dtype"),
    [("arrays", "float32"), ("arrays", "mixed_bfloat16"), ("arrays", "mixed_float16"), ("tf.data", "float64")],
)
@pytest.mark.sampled(3)
def test_a_bound_that_none_reaches_changes_nothing(path, dtype):
    clipped, plain = model_of(dtype=dtype), model_of(dtype=dtype)
    # of full batches: a shorter one is divided by the batch size
    fit(clipped, path, rows=64, clip_per_example=1e6)
    fit(plain, path, rows=64)
    # a factor of 1 rounds nothing; the compiled products may differ in their order
    tolerance = {"float64": 1e-14, "float32": 1e-6, "mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}[dtype]
    assert_weights(clipped, plain.get_parameters(), tolerance)


@pytest.mark.parametrize("path", PATHS)
def test_a_small_bound_bounds_the_step(path):
    network = Network(6, [Dense(8, "tanh"), Dense(3)], "sparse_categorical_crossentropy")
    model = model_of(network=network)
    before = np.concatenate([w.ravel() for w in model.get_weights()])
    fit(model, path, epochs=1, clip_per_example=1e-3)
    after = np.concatenate([w.ravel() for w in model.get_weights()])
    # five steps, each of at most RATE · clip
    assert 0 < np.linalg.norm(after - before) <= 5 * RATE * 1e-3 * (1 + 1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scale", [2.0**4, 2.0**10])
def test_loss_scaling_leaves_the_bound_alone(path, scale):
    scaled = model_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=scale))
    fit(scaled, path, clip_per_example=0.5)
    assert_weights(scaled, by_hand(0.5)[0], 2e-7)


@pytest.mark.parametrize("path", PATHS)
def test_an_overflow_skips_the_step_as_without_clipping(path):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=2.0**40)
    model = model_of(optimizer, dtype="mixed_float16")
    before = model.get_weights()
    fit(model, path, epochs=1, clip_per_example=0.5)
    assert float(model.optimizer.dynamic_scale) == 2.0**35
    for got, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_follows_float64(policy):
    model = model_of(dtype=policy)
    history = fit(model, "arrays", epochs=10, clip_per_example=0.5)
    # fifty steps in 8 or 11 bits: the same curve to a percent
    np.testing.assert_allclose(history["loss"], by_hand(0.5, epochs=10)[1], rtol=0.01)


@pytest.mark.parametrize("path", PATHS)
def test_the_bound_belongs_to_the_fit_it_was_given_to(path):
    model, plain = model_of(), model_of()
    start = model.get_parameters()
    fit(model, path, clip_per_example=0.5)
    programs, _, function = model._traced["0.5 16"]
    traces = 0 if programs is None else programs.traces
    model.set_parameters(start)
    fit(model, path)
    fit(plain, path)
    assert_weights(model, plain.get_parameters(), 0)
    model.set_parameters(start)
    model.train_on_batch(X[:BATCH], LABELS[:BATCH])
    plain.set_parameters(start)
    plain.train_on_batch(X[:BATCH], LABELS[:BATCH])
    assert_weights(model, plain.get_parameters(), 0)
    # the programs of a bound are there for its next fit, and none was traced again
    model.set_parameters(start)
    fit(model, path, clip_per_example=0.5)
    assert_weights(model, by_hand(0.5)[0], 2e-7)
    assert model._traced["0.5 16"][0] is programs
    assert model._traced["0.5 16"][2] is function
    assert (0 if programs is None else programs.traces) == traces
    assert (traces > 0) == (path == "arrays")


def test_the_bound_holds_for_every_optimizer_alike():
    """Clipping is of gradients: Adam gets the clipped ones."""
    model, other = model_of(keras.optimizers.Adam(0.01)), model_of(keras.optimizers.Adam(0.01))
    fit(model, "arrays", epochs=1, rows=64, clip_per_example=0.5)
    for start in range(0, 64, BATCH):
        rows = slice(start, start + BATCH)
        gradients = reference.per_example.loss_and_clipped_gradients(
            NETWORK, other.get_parameters(), X[rows], LABELS[rows], 0.5
        )[1]
        other.optimizer.apply(
            [tf.constant(dw) for layer in gradients for dw in layer.values()], other.trainable_weights
        )
    assert_weights(model, other.get_parameters(), 1e-9)


@pytest.mark.parametrize("path", PATHS)
def test_weights_do_not_race_with_their_update(path):
    """Two reads of a variable in one step of a graph race with the update, in some runs only: so, many runs."""
    model = model_of(jit_compile=False)
    start, weights = model.get_parameters(), []
    for _ in range(8):
        model.set_parameters(start)
        fit(model, path, epochs=3, clip_per_example=0.5)
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])


def test_run_eagerly():
    model = model_of(run_eagerly=True)
    fit(model, "arrays", epochs=1, clip_per_example=0.5)
    assert_weights(model, by_hand(0.5, epochs=1)[0], 2e-7)


def test_saved_and_exported_after_it(tmp_path):
    model = model_of(dtype="float32")
    fit(model, "arrays", epochs=1, clip_per_example=0.5)
    fit(model, "tf.data", epochs=1, clip_per_example=0.25)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    ours, theirs = (fit(each, "arrays", clip_per_example=0.5) for each in (model, loaded))
    assert ours == theirs
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(X.astype(np.float32)), model.predict(X, verbose=0), rtol=1e-6, atol=1e-6)


def test_statistics_are_of_the_clipped_gradients():
    from tfbp.training.statistics import Statistics

    found = {}

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            statistics = Statistics(self.model, compare=True)
            scalars, _, _ = statistics((tf.constant(X[:BATCH]), tf.constant(LABELS[:BATCH])))
            found.update(zip(statistics.scalar_tags, scalars, strict=True))

    model = model_of()
    _, expected = reference.per_example.loss_and_clipped_gradients(
        NETWORK, model.get_parameters(), X[:BATCH], LABELS[:BATCH], 0.1
    )
    fit(model, "arrays", epochs=1, clip_per_example=0.1, callbacks=[Watch()])
    for index, layer in enumerate(expected):
        for name, dw in layer.items():
            size = np.sqrt(np.mean(np.square(dw)))
            assert found[f"rms/layer_{index}/d{name}"] == pytest.approx(size, rel=1e-6)
            assert found[f"gradients_apart/layer_{index}/d{name}"] < 1e-14
    # plain SGD adds RATE · gradient
    kernel = Model(NETWORK, seed=1, dtype="float64").get_parameters()[1]["kernel"]
    ratio = RATE * np.linalg.norm(expected[1]["kernel"]) / np.linalg.norm(kernel)
    assert found["update_to_weight/layer_1/kernel"] == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("gradients", "clip", "sentence"),
    [
        ("manual", 0.0, "clip_per_example: got 0.0; accepted: a finite number above 0."),
        ("manual", -1, "clip_per_example: got -1; accepted: a finite number above 0."),
        ("manual", float("nan"), "clip_per_example: got nan; accepted: a finite number above 0."),
        ("manual", "1", "clip_per_example: got '1'; accepted: a finite number above 0."),
        (
            "tape",
            1.0,
            "clip_per_example: got 1.0 with gradients='tape'; accepted: a bound with gradients='manual' only.",
        ),
    ],
)
def test_bad_input_is_one_sentence(path, gradients, clip, sentence):
    with pytest.raises(InputError) as caught:
        fit(model_of(gradients=gradients), path, clip_per_example=clip)
    assert str(caught.value) == sentence


def test_a_model_that_is_not_compiled_is_keras_s_to_complain_about():
    with pytest.raises(ValueError, match="compile"):
        Model(NETWORK).fit(X, LABELS, clip_per_example=1.0)


def test_it_is_taken_by_tfbp_fit_and_refused_for_a_model_that_cannot():
    model, other = model_of(), model_of()
    tfbp.fit(model, X, LABELS, batch_size=BATCH, shuffle=False, verbose=0, clip_per_example=0.5)
    fit(other, "arrays", epochs=1, clip_per_example=0.5)
    assert_weights(model, other.get_parameters(), 0)
    plain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    plain.compile("sgd", "mse")
    with pytest.raises(InputError, match=r"clip_per_example: got 0\.5 for a Sequential"):
        tfbp.fit(plain, X, LABELS, clip_per_example=0.5)


@pytest.mark.parametrize("name", ["call", "compute_loss", "train_step"])
def test_a_method_of_its_own_that_goes_around_the_bound_is_refused(name):
    kind = type("Own", (Model,), {name: lambda self, *arguments, **options: None})
    model = Model.__new__(kind)
    with pytest.raises(InputError, match=f"clip_per_example: got a Own with a {name} of its own"):
        model._check_own_methods("clip_per_example")


@pytest.mark.parametrize("path", PATHS)
def test_frozen_weights_do_not_count_in_the_norm(path):
    model = model_of(network=PLAIN)
    model.layer_weights[0].trainable = False
    model.compile(keras.optimizers.SGD(RATE))
    before = model.get_parameters()
    fit(model, path, epochs=1, rows=BATCH, clip_per_example=0.1)
    norms = reference.per_example.gradient_norms(PLAIN, before, X[:BATCH], LABELS[:BATCH])[:, 1]
    gradients = [
        reference.loss_and_gradients(PLAIN, before, X[row : row + 1], LABELS[row : row + 1])[1][1]
        for row in range(BATCH)
    ]
    factors = np.minimum(1, 0.1 / norms)
    for name, weight in before[1].items():
        step = sum(factor * each[name] for factor, each in zip(factors, gradients, strict=True)) / BATCH
        np.testing.assert_allclose(model.get_parameters()[1][name], weight - RATE * step, atol=2e-7)
    np.testing.assert_array_equal(model.get_parameters()[0]["kernel"], before[0]["kernel"])
    np.testing.assert_allclose(tfbp.per_example_gradient_norms(model_with(before), X[:BATCH], LABELS[:BATCH]), norms)


def model_with(parameters):
    model = model_of(network=PLAIN)
    model.set_parameters(parameters)
    model.layer_weights[0].trainable = False
    return model


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_example_that_is_not_finite_counts_0(wrong):
    x, weight = X[:32].copy(), np.ones(32)
    x[5, 2], weight[5] = wrong, 0
    broken, whole = (model_of(network=PLAIN) for _ in range(2))
    data = tf.data.Dataset.from_tensor_slices((x, LABELS[:32])).batch(BATCH)
    broken.fit(data, verbose=0, shuffle=False, clip_per_example=0.5)
    fit(whole, "tf.data", weight, epochs=1, rows=32, clip_per_example=0.5)
    assert_weights(broken, whole.get_parameters(), 1e-12)


def test_the_bound_holds_where_a_norm_s_square_overflows():
    x = X.astype(np.float32)
    x[3] *= 1e20
    model = model_of(network=PLAIN, dtype="float32")
    before = model.get_weights()
    model.fit(x[:BATCH], LABELS[:BATCH], batch_size=BATCH, verbose=0, clip_per_example=0.5)
    moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(model.get_weights(), before, strict=True)))
    assert 0 < moved <= RATE * 0.5 * (1 + 1e-5)
    assert np.isfinite(tfbp.per_example_gradient_norms(model, x, LABELS)).all()
