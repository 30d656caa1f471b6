"""A verdict on any function's gradient: what is right agrees, what is wrong is named with its argument and cause."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from functions import dense, softmax

import tfbp
from tfbp.checking.api import check_gradients

RNG = np.random.default_rng(7)
X, KERNEL, BIAS = RNG.normal(size=(9, 7)), RNG.normal(size=(7, 5)), RNG.normal(size=5)
QUICK = {"dtypes": ["float64"], "modes": ["eager"]}


def first(function, inputs, **options):
    report = check_gradients(function, inputs, **{**QUICK, **options})
    assert not report.agrees
    return report.findings[0]


def test_a_right_backward_agrees_in_every_dtype_and_mode():
    report = check_gradients(dense(), [X, KERNEL, BIAS], dtypes=["float64", "float32", "bfloat16", "float16"])
    assert report.agrees, report
    assert report.grade == "good"
    assert len(report.worst) == 16
    assert max(report.worst.values()) <= 1
    assert len(str(report).splitlines()) < 30
    assert 0.001 < report.visible["bfloat16"]["bias"] < 0.5


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (tf.linalg.cross, [(5, 3), (5, 3)]),
        (lambda a, k: tf.nn.conv3d(a, k, [1] * 5, "VALID"), [(1, 4, 4, 4, 2), (2, 3, 2, 2, 3)]),
        (lambda a: tf.math.cumulative_logsumexp(a, 1), [(6, 4)]),
        (lambda a: tf.image.resize(a, [9, 4]), [(2, 6, 6, 4)]),
        (lambda a: tf.image.resize(a, [9, 4], "bicubic"), [(2, 6, 6, 4)]),
    ],
    ids=["products-that-cancel", "conv3d", "many-steps-in-one", "float32-inside", "float32-inside-everywhere"],
)
def test_what_operations_do_inside_is_no_mistake(function, shapes):
    rng = np.random.default_rng(0)
    for _ in range(3):
        report = check_gradients(function, [rng.normal(size=shape) for shape in shapes], modes=["eager"])
        assert report.agrees, report


def test_a_mistake_of_a_function_that_computes_in_float32_is_found():
    @tf.custom_gradient
    def scaled(x):
        return tf.cast(x, tf.float32) * 3, lambda dy: tf.cast(dy, x.dtype) * 3.01

    assert first(scaled, [X]).argument == "x"


@pytest.mark.parametrize(
    ("mistake", "argument", "said"),
    [
        ("upstream", "x", "the upstream gradient is ignored"),
        ("sign", "x", "the sign is flipped"),
        ("derivative", "x", "the derivative of Tanh is left out"),
        ("mean", "bias", "a factor 1/x.shape[0] too many (x.shape[0] = 9)"),
        ("axis", "bias", "not summed over the first axis; shape (9, 5), where (5,) is expected"),
        ("none", "bias", "None, where a gradient is expected"),
        ("dtype", "bias", "dtype float32, where float64 is expected"),
        ("float32", "bias", "rounded to float32"),
        ("element", "kernel", "1 of 35 elements is wrong, at [0, 3]"),
        ("number", "every argument", "a wrong number of gradients"),
    ],
)
def test_a_mistake_is_named_at_its_argument(mistake, argument, said):
    report = check_gradients(dense(mistake), [X, KERNEL, BIAS], **QUICK)
    found = {each.argument: f"{each.cause}; {each.where}" for each in report.findings}
    assert argument in found, report
    assert said in found[argument]
    if mistake in ("mean", "axis", "none", "dtype", "element"):
        assert list(found) == [argument]


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [("term", "the term through Sum is missing"), ("axis", "")],
)
def test_a_term_that_is_missing_is_named_by_what_it_goes_through(mistake, cause, rng):
    found = first(softmax(mistake), [rng.normal(size=(4, 3))])
    assert found.argument == "x"
    assert cause in found.cause


def test_what_is_wrong_in_one_dtype_alone():
    found = first(dense("only float32"), [X, KERNEL, BIAS], dtypes=["float64", "float32"])
    assert (found.argument, found.dtype, found.mode) == ("bias", "float32", "eager")
    assert found.cause.startswith("only in float32; ")


def test_what_is_wrong_in_graphs_alone():
    report = check_gradients(dense("only graphs"), [X, KERNEL, BIAS], dtypes=["float64"])
    assert {f.argument for f in report.findings} == {"bias"}
    (found,) = report.findings
    assert found.cause == "only in graph, graph, batch unknown, xla; a factor 2 too many, or ½ missing"


def test_one_wrong_element_of_ten_thousand_is_found_and_located_by_differences_alone(rng):
    @tf.custom_gradient
    def square(x):
        def backward(dy):
            return 2 * x * dy * (1 - tf.one_hot(7_531, 10_000, dtype=x.dtype))

        return x * x, backward

    # hidden from the oracle that a tf.custom_gradient has in itself
    found = first(lambda x: square(x), [rng.normal(size=10_000)])
    assert "at [7531]" in found.where


@pytest.mark.parametrize(("shape", "given"), [((3,), (1,)), ((2, 3), (3, 2))], ids=["1-for-3", "3x2-for-2x3"])
def test_a_gradient_of_another_shape(shape, given, rng):
    @tf.custom_gradient
    def function(x):
        return tf.reduce_sum(x * x), lambda dy: tf.ones(given, x.dtype) * dy

    found = first(function, [rng.normal(size=shape)])
    assert found.kind == "contract"
    assert f"shape {given}, where {shape} is expected" in found.where


def test_a_scalar_output_s_upstream_gradient_is_not_1(rng):
    @tf.custom_gradient
    def function(x):
        return tf.reduce_sum(x * x), lambda dy: 2 * x

    assert first(function, [rng.normal(size=3)]).cause == "the upstream gradient is ignored"


def test_what_accumulates_from_call_to_call(rng):
    total = []

    @tf.custom_gradient
    def function(x):
        def backward(dy):
            total.append(2 * x * dy)
            return tf.add_n(total)

        return x * x, backward

    assert first(function, [rng.normal(size=3)]).cause == "accumulates from call to call"


def test_nested_inputs_and_outputs_and_integers():
    def function(weights, labels):
        logits = tf.matmul(weights["a"], weights["b"])
        return {"loss": tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), "logits": logits, "count": 3}

    report = check_gradients(function, [{"a": X, "b": KERNEL}, np.arange(9) % 5], **QUICK)
    assert report.agrees, report


def test_an_outlier_is_named_also_where_it_is_the_oracle_or_the_reference():
    inputs = [X, KERNEL, BIAS]

    def twin(x, kernel, bias):
        return tf.tanh(x @ kernel + bias) + 0 * tf.stop_gradient(x[:1, :1])

    def wrong(x, kernel, bias):
        return tf.tanh(x @ kernel + tf.stop_gradient(bias))

    def by_numpy(x, kernel, bias):
        return np.tanh(x @ kernel + bias)

    assert check_gradients(dense(), inputs, oracle=twin, reference=by_numpy, **QUICK).agrees
    found = first(dense(), inputs, oracle=wrong, reference=by_numpy)
    assert found.argument == "oracle: bias"
    found = first(dense(), inputs, oracle=twin, reference=lambda x, kernel, bias: np.tanh(x @ kernel - bias))
    assert (found.kind, found.argument) == ("forward", "output")
    assert found.cause.startswith("the forward value of the reference differs")


def test_a_straight_through_estimator_needs_an_oracle_and_agrees_with_one(rng):
    @tf.custom_gradient
    def straight(x):
        return tf.round(x), lambda dy: dy

    inputs = [rng.normal(size=(4, 3))]
    assert first(straight, inputs).argument == "x"
    report = check_gradients(straight, inputs, oracle=lambda x: x + tf.stop_gradient(tf.round(x) - x), **QUICK)
    assert report.agrees, report
    assert any("taken as meant so" in note for note in report.notes)


def test_a_layer_s_weights_are_checked_and_its_statistics_put_back(rng):
    layer = keras.layers.BatchNormalization()
    layer.build((9, 7))
    layer.gamma.assign(rng.uniform(0.5, 1.5, 7))
    before = [w.copy() for w in layer.get_weights()]
    report = check_gradients(layer, [X], modes=["eager", "xla"])
    assert report.agrees, report
    assert {name.split("/")[-1] for name in report.visible["float32"]} == {"inputs", "gamma", "beta"}
    assert all((a == b).all() for a, b in zip(before, layer.get_weights(), strict=True))


def test_a_closed_over_variable_is_an_argument_too(rng):
    scale = tf.Variable(rng.normal(size=7))

    @tf.custom_gradient
    def function(x):
        def backward(dy, variables):
            return dy * scale, [tf.reduce_sum(dy, axis=0)]  # forgets the factor x

        return x * scale, backward

    found = first(function, [X])
    assert found.argument == scale.name.split(":")[0]


def test_a_random_function_is_replayed_and_one_that_never_repeats_is_refused():
    report = check_gradients(lambda x: tf.nn.dropout(x, 0.4), [X], **QUICK)
    assert report.agrees, report
    assert any("seeds are replayed" in note for note in report.notes)
    generator = np.random.default_rng()
    with pytest.raises(tfbp.InputError, match="do not repeat from run to run"):
        check_gradients(lambda x: x * generator.normal(), [X], **QUICK)


def test_second_order_and_forward_mode(rng):
    @tf.custom_gradient
    def cube(x):
        return x**3, lambda dy: 3 * tf.stop_gradient(x) ** 2 * dy

    inputs = [rng.normal(size=4)]
    assert check_gradients(cube, inputs, **QUICK).agrees
    found = first(cube, inputs, second_order=True)
    assert (found.kind, found.argument) == ("second order", "x")
    assert check_gradients(lambda x: x**3, inputs, second_order=True, **QUICK).agrees


def test_a_kink_is_accepted_and_said():
    report = check_gradients(tf.nn.relu, [np.array([[0.0, -1.0, 2.0], [1.5, 0.0, -0.3]])], **QUICK)
    assert report.agrees, report
    assert any("on a kink" in note for note in report.notes)


def test_a_lazy_point_is_graded_and_mended():
    inputs = [np.ones((4, 4)), np.zeros((4, 4))]
    report = check_gradients(lambda x, w: tf.matmul(x, w), inputs, **QUICK)
    assert report.grade == "blind"
    assert any("w is all zero" in note for note in report.notes)
    mended = check_gradients(lambda x, w: tf.matmul(x, w), inputs, auto_perturb=True, **QUICK)
    assert mended.grade == "weak"  # square it stays
    assert any("the test point was mended: x, w" in note for note in mended.notes)


def test_assert_gradients_agree_raises_the_report():
    with pytest.raises(AssertionError, match=r"dense: 1 finding; test point: good\n  bias \[float64, eager\]: None"):
        tfbp.assert_gradients_agree(dense("none"), [X, KERNEL, BIAS], **QUICK)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: check_gradients(3, [X]), "function: got 3; accepted: a callable"),
        (lambda: check_gradients(tf.nn.relu, [np.arange(3)]), "inputs: got int64; accepted: at least one"),
        (lambda: check_gradients(tf.nn.relu, ["a"]), "inputs: got dtype <U1; accepted: arrays"),
        (lambda: check_gradients(tf.nn.relu, [np.array([np.nan, 1])]), "inputs: got features with a NaN"),
        (lambda: check_gradients(tf.argmax, [X], **QUICK), "function: got no output of floating-point"),
        (lambda: check_gradients(tf.stop_gradient, [X], **QUICK), "function: got no gradient with respect to input"),
        (lambda: check_gradients(tf.nn.relu, [X], dtypes=["float46"]), "(did you mean 'float64'?)"),
        (lambda: check_gradients(tf.nn.relu, [X], modes=["jit"]), "modes: got 'jit'; accepted: eager, graph, xla."),
        (lambda: check_gradients(tf.nn.relu, [X], dtypes=32), "dtypes: got 32; accepted: float64, float32, "),
        (lambda: check_gradients(tf.nn.relu, [X], seed=None), "seed: got None; accepted: an integer."),
        (lambda: check_gradients(tf.nn.relu, [X], constants=1), "constants: got 1; accepted: names of inputs, of "),
        (lambda: check_gradients(tf.nn.relu, [X], progress=True), "progress: got True; accepted: a function of the"),
        (lambda: check_gradients(tf.nn.relu, [X], device="tpu"), "device: got 'tpu' (did you mean 'cpu'?)"),
        (lambda: check_gradients(tf.nn.relu, [X], oracle=lambda x: x[:2]), "oracle: got outputs of shape (2, 7)"),
        (lambda: check_gradients(tf.nn.relu, [X], reference=np.sum), "reference: got outputs of shape ()"),
        (lambda: check_gradients(lambda x: x @ x, [X]), "function: got InvalidArgumentError"),
    ],
    ids=lambda value: value[:24].replace(" ", "-") if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_input_is_one_sentence(call, said):
    with pytest.raises(tfbp.InputError) as raised:
        call()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_factor_close_to_1_is_found_in_16_bits_though_each_element_s_roundings_hide_it(rng):
    @tf.custom_gradient
    def tanh(x):
        def backward(dy):
            factor = 1.02 if x.dtype == tf.bfloat16 else 1.0
            return factor * dy * (1 - tf.tanh(x) ** 2)

        return tf.tanh(x), backward

    (found,) = check_gradients(
        tanh, [rng.normal(size=(40, 30))], dtypes=["float32", "bfloat16"], modes=["eager"]
    ).findings
    assert (found.argument, found.dtype) == ("x", "bfloat16")


def test_each_output_s_upstream_gradient_counts():
    @tf.custom_gradient
    def both(x):
        def backward(da, db):
            return 2 * x * da + tf.cos(x) * da  # not db

        return (x * x, tf.sin(x)), backward

    assert first(both, [X]).argument == "x"


def test_a_missing_factor_is_named_by_what_the_forward_computed():
    @tf.custom_gradient
    def swish(x):
        s = tf.sigmoid(x)
        return x * s, lambda dy: dy * (s + x * s)  # (1 - s) is missing

    found = first(swish, [X])
    assert "in the term through Sigmoid the factor 1 - Sigmoid is missing" in found.cause


def test_a_side_effect_on_a_variable_is_undone_and_said():
    count = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def function(x):
        count.assign_add(1.0)
        return tf.tanh(x) * count

    report = check_gradients(function, [X], **QUICK)
    assert report.agrees, report
    assert any(note.startswith("each call changes Variable") for note in report.notes)
    assert count.numpy() == 0


def test_a_scalar_output_in_16_bits():
    report = check_gradients(
        lambda x, y: tf.reduce_mean((x - y) ** 2), [X, 2 * X[::-1]], dtypes=["bfloat16", "float16"], modes=["eager"]
    )
    assert report.agrees, report


def test_a_table_s_rows_are_no_batch():
    @tf.custom_gradient
    def embedding(table, ids):
        def backward(dy):
            return tf.math.unsorted_segment_sum(dy, ids, table.shape[0]), None  # a size that is known

        return tf.gather(table, ids), backward

    report = check_gradients(embedding, [X, np.array([1, 0, 1, 5])], dtypes=["float64"], modes=["eager", "graph"])
    assert report.agrees, report
    assert "float64 graph, batch unknown" in report.worst


def test_a_backward_that_needs_to_know_the_batch_is_found():
    @tf.custom_gradient
    def mean_over_batch(x):
        def backward(dy):
            return tf.ones([x.shape[0], 1], x.dtype) * dy / tf.cast(tf.shape(x)[0], x.dtype)

        return tf.reduce_mean(x, axis=0), backward

    (found,) = check_gradients(mean_over_batch, [X], dtypes=["float64"], modes=["eager", "graph"]).findings
    assert found.mode == "graph, batch unknown"
    assert found.cause.startswith("only in graph, batch unknown; the backward raises")


def test_tf32_is_off_meanwhile_and_as_before_afterwards():
    seen = []

    def function(x):
        seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return tf.tanh(x)

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    assert check_gradients(function, [X[:2]], device="cpu", **QUICK).agrees
    assert set(seen) == {False}
    assert tf.config.experimental.tensor_float_32_execution_enabled() == before


def test_what_xla_cannot_compile_at_all_is_no_finding_of_the_gradient_s(rng):
    matrices = rng.normal(size=(2, 3, 3)) + 2 * np.eye(3)
    report = check_gradients(tf.linalg.det, [matrices], dtypes=["float64"], modes=["eager", "xla"])
    assert report.agrees, report
    assert any("xla: not run, because the forward itself raises" in note for note in report.notes)
