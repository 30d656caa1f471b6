"""Right gradients that are easily refused, and wrong ones with a cause that is easily mistaken."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp.checking.api import check_gradients
from tfbp.errors import InputError

QUICK = {"dtypes": ["float64"], "modes": ["eager"]}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def checked(function, inputs, **options):
    return check_gradients(function, inputs, **{**QUICK, **options})


WIDE = np.exp(np.random.default_rng(0).uniform(-25, 1, (30, 30)))
TINY = {
    "log": (tf.math.log, [np.array([1e-10, 0.7])]),
    "reciprocal": (lambda x: 1 / x, [np.array([1e-8, 0.7])]),
    "sqrt": (tf.sqrt, [np.array([1e-12, 0.7, 3.0])]),
    "atan2": (tf.atan2, [np.array([1e-6, 0.7]), np.array([-1e-6, 0.4])]),
    "power": (lambda x: x**-1.5, [np.array([[1e-7, 2.0], [0.3, 1e-4]])]),
    "log-of-many": (tf.math.log, [WIDE]),
    "product": (lambda x, y: tf.reduce_sum(x * y), [np.array([1e-9, 0.7, -2.0]), np.array([3.0, 1e-9, 1.0])]),
    "relu": (tf.nn.relu, [np.array([1e-9, -1e-9, 0.7, -2.0])]),
    "norm-of-rows": (lambda x: tf.norm(x, axis=-1), [normal(3, 3) * [[1e-9], [1.0], [1e9]]]),
    "beside-a-pole": (tf.math.lgamma, [np.array([-1 + 1e-6, 0.3, 5.0])]),
    "beside-an-edge": (tf.asin, [np.array([1 - 1e-12, -1 + 1e-7, 0.3])]),
    "edges-of-many": (tf.acos, [np.append(1 - 1e-9, np.linspace(-0.9, 0.9, 60))]),
    "one-sided": (lambda x: x**1.5, [np.append(0.0, np.linspace(0.1, 0.9, 60))]),
    "lost-beside-1": (tf.math.expm1, [np.array([-40.0, 1e-12, 5.0])]),
    "rounded-to-1": (tf.tanh, [np.array([-20.0, 19.0, 3.0])]),
    "large-that-cancel": (lambda x: tf.math.reduce_variance(x, -1), [1e4 + normal(3, 5)]),
    "essential-singularity": (lambda x: tf.exp(-1 / x), [np.array([0.01, 0.3, 5.0])]),
}


@pytest.mark.parametrize("name", TINY)
def test_an_entry_that_is_tiny_beside_others_is_no_mistake(name):
    report = checked(*TINY[name])
    assert report.agrees, report


FORMULAS = {
    "log": (tf.math.log, lambda x: 1 / x),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / x**2),
    "root": (tf.sqrt, lambda x: 0.5 / tf.sqrt(x)),
}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("x", [np.array([1e-10, 0.7]), WIDE], ids=["two", "many"])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_wrong_one_among_magnitudes_has_a_place_and_a_value(name, x, place):
    at = (place,) if x.ndim == 1 else (place, 3)
    formula, derivative = FORMULAS[name]

    @tf.custom_gradient
    def one_wrong(x):
        wrong = np.ones(x.shape)
        wrong[at] = 1.1
        return formula(x), lambda dy: dy * derivative(x) * tf.constant(wrong, x.dtype)

    for function in (one_wrong, lambda x: one_wrong(x)):  # with autodiff of its body, and by differences alone
        (finding,) = checked(function, [x]).findings
        assert f"at {list(at)}: " in finding.where
        assert "is expected" in finding.where


def test_a_nan_that_comes_each_time_is_a_nan_and_not_random():
    @tf.custom_gradient
    def third(x):
        return 2 * x, lambda dy: dy * tf.constant([2, 2, np.nan], x.dtype)

    (finding,) = checked(third, [normal(3)]).findings
    assert (finding.kind, finding.where) == ("contract", "nan at [2]")


def test_a_backward_through_float16_is_judged_alike_at_kinks():
    @tf.custom_gradient
    def squared(x):
        y = tf.nn.relu(x)

        def backward(dy):
            return tf.cast(tf.cast(dy, tf.float16) * tf.cast(2 * y, tf.float16), x.dtype)

        return y * y, backward

    report = check_gradients(lambda x: squared(x), [normal(24)], **QUICK)
    assert report.agrees, report


@tf.custom_gradient
def cross_entropy(labels, logits):
    value = -tf.reduce_sum(labels * tf.nn.log_softmax(logits))
    return value, lambda dy: (None, dy * (tf.nn.softmax(logits) - 2 * labels))


LABELS = np.eye(3)[[0, 2, 1, 1]] * 0.9 + 0.03


def test_labels_without_a_gradient_come_after_the_mistake():
    report = checked(cross_entropy, [LABELS, normal(4, 3)])
    assert [f.argument for f in report.findings] == ["logits", "labels"]
    assert "constants=['labels']" in report.findings[1].where
    report = checked(cross_entropy, [LABELS, normal(4, 3)], constants="labels")
    assert [f.argument for f in report.findings] == ["logits"]


def test_a_mask_of_floats_is_to_be_booleans():
    @tf.custom_gradient
    def masked(x, mask):
        return x * mask, lambda dy: (dy * mask, None)

    mask = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    (finding,) = checked(masked, [normal(5), mask]).findings
    assert "a mask is handed over as Booleans" in finding.where


def test_constants_are_names_of_inputs():
    with pytest.raises(InputError, match="constants: got 'label'; accepted: names of inputs, of labels, logits"):
        checked(cross_entropy, [LABELS, normal(4, 3)], constants=["label"])
    with pytest.raises(InputError, match="inputs: got"):
        checked(tf.tanh, [normal(3)], constants=["x"])


def test_a_function_of_float32_alone_is_told_what_to_do():
    report = check_gradients(lambda x: x * tf.constant(2.0), [normal(5)], dtypes=["float32"], modes=["eager"])
    assert report.agrees
    assert "where it makes a constant, give that x.dtype" in report.notes[-1] + str(report)


def by_hand(forward, backward):
    @tf.custom_gradient
    def function(*arguments):
        return forward(*arguments), lambda dy: backward(dy, *arguments)

    return function


def normalized(x, epsilon=1e-3):
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_mean(centred**2, -1, keepdims=True) + epsilon)


def normalized_backward(dy, x):
    mean = lambda a: tf.reduce_mean(a, -1, keepdims=True)  # noqa: E731
    centred = x - mean(x)
    inverse = tf.math.rsqrt(mean(centred**2))
    y = centred * inverse
    return inverse * (dy - mean(dy) - y * mean(dy * y))


ANGLES = np.random.default_rng(3).uniform(0, 6, (5, 4))


def turned(x, sign=1):
    first, second = tf.split(x, 2, -1)
    cos, sin = tf.cast(np.cos(ANGLES), x.dtype), tf.cast(sign * np.sin(ANGLES), x.dtype)
    return tf.concat([first * cos - second * sin, second * cos + first * sin], -1)


def in_order(x):
    return tf.gather(x, tf.argsort(x, -1), batch_dims=1)


def ranks(x):
    """The place of each in the order."""
    return tf.argsort(tf.argsort(x, -1), -1)


def gated(a):
    i, f, g, o = tf.split(a, 4, -1)
    return tf.sigmoid(o) * tf.tanh(tf.sigmoid(f) * 0.5 + tf.sigmoid(i) * tf.tanh(g))


def gated_backward(dh, a):
    i, f, g, o = tf.split(a, 4, -1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    s = tf.tanh(f * 0.5 + i * g)
    dc = dh * o * (1 - s * s)
    return tf.concat([dc * g * i * (1 - i), dc * 0.5 * f * (1 - f), dc * i * (1 - g), dh * s * o * (1 - o)], -1)


def softmax_backward(dy, y, axis):
    return y * (dy - tf.reduce_sum(y * dy, axis, keepdims=True))


SAID = {
    "minus-one-half": (
        by_hand(lambda x: x**3, lambda dy, x: -1.5 * dy * x * x),
        [normal(7)],
        "the sign is flipped, and a factor ½ too many, or 2 missing",
    ),
    "a-factor": (
        by_hand(lambda x: x**3, lambda dy, x: -0.6 * dy * x * x),
        [normal(7)],
        "every element is -0.2 times what it should be",
    ),
    "epsilon": (by_hand(normalized, normalized_backward), [normal(6, 8)], "the constant 0.001 is left out"),
    "permutation": (
        by_hand(in_order, lambda dy, x: tf.gather(dy, ranks(-x), batch_dims=1)),
        [normal(4, 7)],
        "in another order along axis 1: a permutation is wrong, or its inverse",
    ),
    "inverse-permutation": (
        by_hand(in_order, lambda dy, x: tf.gather(dy, tf.argsort(x, -1), batch_dims=1)),
        [normal(4, 7)],
        "goes forwards: the Jacobian",
    ),
    "rotation": (by_hand(turned, lambda dy, x: turned(dy)), [normal(5, 8)], "goes forwards: the Jacobian"),
    "softmax-over-another-axis": (
        by_hand(tf.nn.softmax, lambda dy, x: softmax_backward(dy, tf.nn.softmax(x), 0)),
        [normal(4, 5)],
        "the term of what normalizes along it is missing or wrong",
    ),
    "bfloat16": (
        by_hand(lambda x: x**3, lambda dy, x: tf.cast(tf.cast(3 * x * x * dy, tf.bfloat16), x.dtype)),
        [normal(9)],
        "rounded to bfloat16",
    ),
    "gate": (by_hand(gated, gated_backward), [normal(5, 8)], "the derivative of Tanh is taken for 1 - y"),
}


@pytest.mark.parametrize("name", SAID)
def test_the_cause_is_what_the_numbers_show(name):
    function, inputs, said = SAID[name]
    (finding,) = checked(function, inputs).findings
    assert said in finding.cause


def test_an_epsilon_that_nothing_speaks_for_is_no_rounding():
    """By differences alone nobody knows the constant."""
    function = by_hand(normalized, normalized_backward)
    (finding,) = checked(lambda x: function(x), [normal(6, 8)]).findings
    assert "float16" not in finding.cause
    assert "or one that is left out" in finding.cause


def test_a_factorization_s_convention_is_named():
    a = normal(3, 3)
    a = a @ a.T + np.eye(3)
    (finding,) = checked(tf.linalg.cholesky, [a]).findings
    assert "split over both triangles, as of a symmetric matrix: f((x + xᵀ) / 2) agrees" in finding.cause
    assert checked(lambda a: tf.linalg.cholesky((a + tf.transpose(a)) / 2), [a]).agrees
