"""Norms and moments of the examples' own gradients on a tfbp.Model, against one backward pass for each example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import L1L2, Dense, InputError, Model, Network, reference
from tfbp.agreement.problems import Problem, round_to
from tfbp.agreement.suites.per_example import tolerances
from tfbp.judging.comparison import compare
from tfbp.judging.tolerances import Units

RNG = np.random.default_rng(0)
X, LABELS, WEIGHT = RNG.normal(size=(23, 6)), RNG.integers(0, 3, 23), RNG.uniform(0.2, 3, 23)
HIDDEN = Dense(8, "tanh", kernel_regularizer=L1L2(l2=0.1))
NETWORK = Network(6, [HIDDEN, Dense(3, "softmax", use_bias=False)], "sparse_categorical_crossentropy")
DTYPES = {"float64": "float64", "float32": "float32", "mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def numbers_of(policy):
    """The numbers, rounded to what the pass computes in; how far a right answer may lie from the reference's."""
    dtype = DTYPES[policy]
    parameters = [{name: round_to(w, dtype) for name, w in layer.items()} for layer in NETWORK.init(seed=0)]
    numbers = Problem(parameters, round_to(X, dtype), LABELS, round_to(WEIGHT, "float32"))
    return numbers, tolerances(NETWORK, numbers, 1.0, Units.of(dtype))


def model_of(policy, numbers, gradients="manual"):
    model = Model(NETWORK, gradients, dtype=policy)
    model.set_parameters(numbers.parameters)
    return model


@pytest.mark.parametrize("batch_size", [7, 23, 256])
@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.parametrize("policy", DTYPES)
@pytest.mark.sampled(5)
def test_norms_are_those_of_a_loop_over_the_examples(policy, gradients, batch_size):
    numbers, bounds = numbers_of(policy)
    arguments = (numbers.x, LABELS, numbers.sample_weight)
    right = reference.per_example.gradient_norms(NETWORK, numbers.parameters, *arguments)
    model = model_of(policy, numbers, gradients)
    for per_layer in (True, False):
        got = tfbp.per_example_gradient_norms(model, *arguments, per_layer=per_layer, batch_size=batch_size)
        expected, tolerance = (a if per_layer else np.linalg.norm(a, axis=1) for a in (right, bounds["norms"]))
        found = compare("norms", got, expected, tolerance, "float64" if policy == "float64" else "float32")
        assert found.agrees, found


@pytest.mark.parametrize("batch_size", [7, 256])
@pytest.mark.parametrize("policy", DTYPES)
def test_moments_are_those_of_a_loop_over_the_examples(policy, batch_size):
    numbers, bounds = numbers_of(policy)
    arguments = (numbers.x, LABELS, numbers.sample_weight)
    mean, variance = reference.per_example.gradient_mean_and_variance(NETWORK, numbers.parameters, *arguments)
    statistics = tfbp.gradient_statistics(model_of(policy, numbers), *arguments, batch_size=batch_size)
    for index, layer in enumerate(NETWORK.parameter_shapes()):
        for name in layer:
            for moment, expected in (("mean", mean), ("variance", variance)):
                tensor, got = f"{moment} layer {index} d{name}", getattr(statistics, moment)[index][name]
                found = compare(tensor, got, expected[index][name], bounds[tensor])
                assert found.agrees, found
            if policy == "float64":
                expected = mean[index][name] ** 2 / variance[index][name]
                np.testing.assert_allclose(statistics.signal_to_noise[index][name], expected, rtol=1e-9)


def test_the_mean_of_many_equal_examples_has_no_noise():
    model = Model(Network(2, [Dense(2, "relu"), Dense(1)], "mean_squared_error"), dtype="float64")
    # the first hidden unit is dead
    kernel, bias = np.array([[-1.0, 1.0], [-1.0, 0.5]]), np.array([0.0, 0.25])
    model.set_parameters([{"kernel": kernel, "bias": bias}, {"kernel": [[1.0], [2.0]], "bias": [0.5]}])
    found = tfbp.gradient_statistics(model, np.ones((64, 2)), np.full((64, 1), 8.0))
    assert found.signal_to_noise[0]["bias"].tolist() == [0.0, np.inf]
    assert all((variance == 0).all() for layer in found.variance for variance in layer.values())


def test_the_mean_is_the_gradient_that_training_follows():
    model = Model(Network(6, [Dense(4, "relu"), Dense(3)], "sparse_categorical_crossentropy"), dtype="float64")
    before = model.get_parameters()
    mean = tfbp.gradient_statistics(model, X, LABELS).mean
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(X, LABELS, batch_size=23, verbose=0)
    for old, new, step in zip(before, model.get_parameters(), mean, strict=True):
        for name in old:
            np.testing.assert_allclose(old[name] - new[name], step[name], rtol=0, atol=1e-15)


def test_one_program_for_all_models_of_a_network():
    from tfbp.training.passes import _program

    _program.cache_clear()
    for seed in range(3):
        model = Model(NETWORK, seed=seed)
        tfbp.per_example_gradient_norms(model, X, LABELS)
    assert _program.cache_info().misses == 1
    trained = (True,) * len(model.trainable_variables)
    program = _program("norms", NETWORK, "float32", bool(model.jit_compile), trained)
    assert program.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("model", X, LABELS), {}, "model: got a str; accepted: a "),
        (
            (Model(NETWORK), X[:, :5], LABELS),
            {},
            "x: got shape (23, 5); accepted: (B, 6) with a batch B",
        ),
        ((Model(NETWORK), X, LABELS + 1), {}, "y: got the label 3; accepted: integers from 0 to 2."),
        ((Model(NETWORK), X, LABELS, WEIGHT[:4]), {}, "sample_weight: got shape (4,); accepted: (23,), one for each"),
        ((Model(NETWORK), X, LABELS), {"batch_size": 0}, "batch_size: got 0; accepted: an integer of at least 1."),
    ],
)
@pytest.mark.parametrize("function", ["per_example_gradient_norms", "gradient_statistics"])
def test_bad_input_is_one_sentence(function, arguments, options, sentence):
    with pytest.raises(InputError) as caught:
        getattr(tfbp, function)(*arguments, **options)
    assert str(caught.value).startswith(sentence)


def test_tensors_are_taken_as_arrays_are():
    model = Model(NETWORK)
    got = tfbp.per_example_gradient_norms(model, tf.constant(X), tf.constant(LABELS))
    np.testing.assert_array_equal(got, tfbp.per_example_gradient_norms(model, X, LABELS))
