"""linear_cross_entropy: against the reference and the tape, in every dtype and mode; what it holds; what it refuses."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import InputError
from tfbp.agreement.suites.linear_cross_entropy import expected
from tfbp.judging.comparison import compare
from tfbp.losses import linear_cross_entropy
from tfbp.manual import linear_cross_entropy as manual
from tfbp.tape.linear_cross_entropy import linear_cross_entropy as on_tape

DTYPES = ("float64", "float32", "bfloat16", "float16")
MODES = {"eager": None, "graph": False, "xla": True}
NAMES = ("loss", "dx", "dkernel", "dbias")
TOKENS, INPUTS, OUTPUTS = 13, 7, 11
ALL = {"ignore_index": -100, "label_smoothing": 0.1, "z_loss": 0.05, "soft_cap": 2.0}
OPTIONS = {
    "plain": {},
    "ignore_index": {"ignore_index": -100},
    "ignored-class": {"ignore_index": 4},
    "label_smoothing": {"label_smoothing": 0.3},
    "z_loss": {"z_loss": 0.2},
    "soft_cap": {"soft_cap": 1.5},
    "smoothing-z_loss": {"label_smoothing": 0.1, "z_loss": 0.05},
    "all": ALL,
}
DLOSS = -1.75  # what comes from above: signed, and not 1


@pytest.fixture(autouse=True)
def blocks_of_classes(monkeypatch):
    monkeypatch.setattr(manual, "FEWEST_CLASSES", 4)  # of 11: two, and a remainder of three


def problem(dtype, options, weighted=True, bias=True, tokens=TOKENS, scale=1.0):
    """x, kernel, labels and bias rounded to dtype, as float64 arrays, and keywords with sample weights."""
    rng = np.random.default_rng(11)

    def rounded(*shape):
        return tf.cast(tf.cast(scale * rng.normal(size=shape), dtype), tf.float64).numpy()

    x, kernel, b = rounded(tokens, INPUTS), rounded(INPUTS, OUTPUTS), rounded(OUTPUTS)
    labels = rng.integers(0, OUTPUTS, tokens)
    keywords = dict(options)
    if options.get("ignore_index") == -100:
        labels[::4] = -100
    if weighted:
        keywords["sample_weight"] = tf.cast(tf.cast(rng.normal(size=tokens), dtype), tf.float64).numpy()
    return (x, kernel, labels, b if bias else None), keywords


def value_and_gradients(function, x, kernel, labels, bias, **keywords):
    inputs = [tensor for tensor in (x, kernel, bias) if tensor is not None]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = function(x, kernel, labels, bias=bias, **keywords)
    gradients = tape.gradient(loss, inputs, tf.constant(DLOSS, loss.dtype))
    return [loss, *gradients, *([] if bias is not None else [None])]


def run(function, mode, dtype, arrays, keywords):
    tensors = [a if a is None else tf.constant(a, tf.int32 if a.dtype == np.int64 else dtype) for a in arrays]
    step = functools.partial(value_and_gradients, function, **keywords)
    return (step if MODES[mode] is None else tf.function(step, jit_compile=MODES[mode], autograph=False))(*tensors)


def assert_agree(got, right, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    for name, a, value, tolerance in zip(NAMES, got, right.values, right.tolerances, strict=True):
        if value is None:
            assert a is None
            continue
        found = compare(name, a, value, tolerance, wide if name == "loss" else dtype)
        assert found.agrees, found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.sampled(7, dtype="float64", mode="eager")
def test_loss_and_gradients_agree_with_the_reference(options, dtype, mode):
    (x, kernel, labels, bias), keywords = problem(dtype, OPTIONS[options])
    right = expected(dtype, DLOSS, x, kernel, labels, bias=bias, **keywords)
    got = run(linear_cross_entropy, mode, dtype, (x, kernel, labels, bias), {**keywords, "chunk_size": 5})
    assert_agree(got, right, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_tape_agrees_with_the_reference_to_the_same_tolerance(options, dtype):
    (x, kernel, labels, bias), keywords = problem(dtype, OPTIONS[options])
    right = expected(dtype, DLOSS, x, kernel, labels, bias=bias, **keywords)
    assert_agree(run(on_tape, "graph", dtype, (x, kernel, labels, bias), keywords), right, dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_16_bits_it_is_closer_to_float64_than_the_plain_pair(dtype):
    (x, kernel, labels, bias), keywords = problem(dtype, ALL)
    right = expected(dtype, DLOSS, x, kernel, labels, bias=bias, **keywords).values

    def errors(function):
        got = run(function, "graph", dtype, (x, kernel, labels, bias), keywords)
        return [np.linalg.norm(np.asarray(a, np.float64) - e) for a, e in zip(got, right, strict=True)]

    for name, by_hand, by_tape in zip(NAMES, errors(linear_cross_entropy), errors(on_tape), strict=True):
        assert by_hand < by_tape, name


@pytest.mark.parametrize(
    ("gpu", "tokens"), [(False, {32768: 256, 65536: 128}), (True, {32768: 2048, 65536: 1024})], ids=["cpu", "gpu"]
)
def test_a_gpu_is_given_longer_chunks(monkeypatch, gpu, tokens):
    monkeypatch.setattr("tfbp.manual.linear_cross_entropy.has_gpu", lambda: gpu)
    assert {classes: manual.chunk_size_for(classes, tf.float32) for classes in tokens} == tokens


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chunk_size", [1, 12, 13, 50, None], ids="chunk-{}".format)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.sampled(7, mode="eager")
def test_every_chunk_size_gives_the_same(bias, chunk_size, mode):
    (x, kernel, labels, b), keywords = problem("float64", ALL, weighted=False, bias=bias)
    right = expected("float64", DLOSS, x, kernel, labels, bias=b, **keywords)
    got = run(linear_cross_entropy, mode, "float64", (x, kernel, labels, b), {**keywords, "chunk_size": chunk_size})
    assert_agree(got, right, "float64")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_many_tokens_in_many_chunks(dtype):
    (x, kernel, labels, bias), keywords = problem(dtype, ALL, tokens=3001, scale=2.0)
    right = expected(dtype, DLOSS, x, kernel, labels, bias=bias, **keywords)
    got = run(linear_cross_entropy, "graph", dtype, (x, kernel, labels, bias), {**keywords, "chunk_size": 64})
    assert_agree(got, right, dtype)


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_number_of_tokens_that_is_unknown_until_it_runs(mode):
    traces = []

    def step(x, kernel, labels):
        traces.append(1)
        return value_and_gradients(linear_cross_entropy, x, kernel, labels, None, chunk_size=5)[:3]

    signature = [tf.TensorSpec([None, INPUTS], tf.float64), tf.TensorSpec([INPUTS, OUTPUTS], tf.float64)]
    step = tf.function(
        step, input_signature=[*signature, tf.TensorSpec([None], tf.int32)], jit_compile=MODES[mode], autograph=False
    )
    for tokens in (13, 3, 5, 10):
        (x, kernel, labels, _), _ = problem("float64", {}, tokens=tokens)
        right = expected("float64", DLOSS, x, kernel, labels)
        assert_agree([*step(x, kernel, labels.astype("int32")), None], right, "float64")
    assert len(traces) == 1


@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (1, 3, 2)], ids=str)
@pytest.mark.parametrize("label_axis", [False, True], ids=["labels", "labels-1"])
def test_x_of_any_rank(shape, label_axis):
    count = int(np.prod(shape))
    (x, kernel, labels, _), _ = problem("float64", {}, tokens=count)
    weight = np.linspace(-1, 2, shape[0]) if shape else np.array(0.5)
    flat_weight = np.repeat(weight.reshape(-1), count // weight.size)
    right = expected("float64", DLOSS, x, kernel, labels, sample_weight=flat_weight)
    labels = labels.reshape(*shape, 1) if label_axis else labels.reshape(shape)
    arrays = (x.reshape(*shape, INPUTS), kernel, labels, None)
    got = run(linear_cross_entropy, "eager", "float64", arrays, {"sample_weight": weight})
    assert got[1].shape == (*shape, INPUTS)
    assert_agree([got[0], tf.reshape(got[1], [-1, INPUTS]), *got[2:]], right, "float64")


@pytest.mark.parametrize("ignore_index", [None, 4], ids=["", "ignored-class"])
def test_the_mean_divides_as_keras_does(ignore_index):
    (x, kernel, labels, bias), keywords = problem("float64", {})
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignore_index, dtype="float64")
    got = linear_cross_entropy(x, kernel, labels, bias=bias, ignore_index=ignore_index, **keywords)
    right = plain(labels, tf.constant(x @ kernel + bias), keywords["sample_weight"])
    np.testing.assert_allclose(got, right, rtol=64 * 2**-53)


def test_dtypes_may_differ_and_each_gradient_has_its_arguments():
    (x, kernel, labels, bias), _ = problem("bfloat16", {})
    tensors = tf.constant(x, tf.bfloat16), tf.constant(kernel, tf.float32), labels, tf.constant(bias, tf.float16)
    got = value_and_gradients(linear_cross_entropy, *tensors)
    assert [tensor.dtype.name for tensor in got] == ["float32", "bfloat16", "float32", "float16"]
    right = expected("float32", DLOSS, x, kernel, labels, bias=bias)
    assert compare("dkernel", got[2], right.values[2], right.tolerances[2], "float32").agrees


def test_a_loss_scale_saves_small_gradients_in_float16():
    x, kernel = tf.ones((4096, 1), tf.float16), tf.zeros((1, 2), tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = 2.0**12 * linear_cross_entropy(x + kernel[0, 0], kernel + 2.0**-8, tf.zeros(4096, tf.int32))
    assert tape.gradient(loss, x).dtype == tf.float16
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = 2.0**20 * linear_cross_entropy(2.0**-20 * x, kernel, tf.zeros(4096, tf.int32))
    np.testing.assert_allclose(tape.gradient(loss, kernel), [[-0.5, 0.5]], rtol=2**-10)


@pytest.mark.parametrize("mode", MODES)
def test_all_tokens_ignored_is_0_and_not_nan(mode):
    (x, kernel, labels, bias), _ = problem("float32", {})
    got = run(linear_cross_entropy, mode, "float32", (x, kernel, 0 * labels - 1, bias), {"ignore_index": -1})
    assert all(not np.any(tensor) for tensor in got)


@pytest.mark.parametrize("mode", MODES)
def test_logits_of_a_million_do_not_overflow(mode):
    x, kernel = np.array([[1000.0]]), np.array([[1000.0, -1000.0, 999.0]])
    got = run(linear_cross_entropy, mode, "float32", (x, kernel, np.array([1]), None), {})
    np.testing.assert_allclose(got[0], 2e6, rtol=2**-22)
    np.testing.assert_allclose(got[1], [[DLOSS * 2000.0]], rtol=2**-22)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.sampled(2)
def test_second_derivatives_agree_with_the_tape(mode):
    (x, kernel, labels, bias), keywords = problem("float64", ALL)

    def second(function, x, kernel, labels, bias):
        with tf.GradientTape() as outer:
            outer.watch((x, kernel, bias))
            _, *gradients = value_and_gradients(function, x, kernel, labels, bias, **keywords)
            total = sum(tf.reduce_sum(tf.sin(g)) for g in gradients)
        return outer.gradient(total, (x, kernel, bias))

    keywords_of = {linear_cross_entropy: {"chunk_size": 5}, on_tape: {}}
    tensors = [tf.constant(array) for array in (x, kernel, labels, bias)]
    by_hand, by_tape = (
        (tf.function(second, autograph=False) if mode == "graph" else second)(
            functools.partial(function, **keywords_of[function]), *tensors
        )
        for function in (linear_cross_entropy, on_tape)
    )
    for name, a, b in zip(NAMES[1:], by_hand, by_tape, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOKENS * OUTPUTS * 8 * 2**-53 * np.abs(b).max(), err_msg=name)


@pytest.mark.optimized
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_without_a_tape_no_gradient_is_computed(mode, monkeypatch):
    (x, kernel, labels, bias), _ = problem("float32", {})
    chunk_backward = manual.chunk_backward

    def broken(dlosses, residuals, **options):
        found = chunk_backward(dlosses, residuals, **options)
        trap = tf.gather(tf.zeros(1), tf.size(dlosses))  # fails, where it is run
        return tf.nest.map_structure(lambda gradient: gradient + trap, found)

    monkeypatch.setattr(manual, "chunk_backward", broken)
    tensors = tf.constant(x, tf.float32), tf.constant(kernel, tf.float32), labels
    bias = tf.constant(bias, tf.float32)
    keywords = {"chunk_size": 3, "label_smoothing": 0.123}  # a trace of its own
    loss = functools.partial(linear_cross_entropy, **keywords)
    loss = tf.function(loss, autograph=False) if mode == "graph" else loss
    assert np.isfinite(loss(*tensors, bias=bias))
    with pytest.raises(tf.errors.InvalidArgumentError):
        value_and_gradients(loss, *tensors, bias)


@pytest.mark.parametrize(("wanted", "products"), [(["loss"], 1), (NAMES[:3], 3)], ids=["inference", "training"])
def test_no_tensor_has_the_size_of_the_logits_and_no_product_is_made_twice(wanted, products):
    tokens, outputs, chunk = 69, 96, 8

    def step(x, kernel, labels):
        results = value_and_gradients(linear_cross_entropy, x, kernel, labels, None, chunk_size=chunk)
        return results[: len(wanted)]

    specs = [tf.TensorSpec([tokens, 4]), tf.TensorSpec([4, outputs]), tf.TensorSpec([tokens], tf.int32)]
    compiled = tf.function(step, jit_compile=True, autograph=False)
    hlo = compiled.experimental_get_compiler_ir(*specs)(stage="optimized_hlo")
    assert f"f32[{chunk},{outputs // manual.BLOCKS}]" in hlo
    assert f"f32[{tokens},{outputs}]" not in hlo
    # once for the remainder, and once in the loop over the full chunks, for each block of classes
    dots = hlo.count(" dot(") + hlo.count('custom_call_target="__onednn$matmul"')
    assert dots == 2 * products * manual.BLOCKS


def test_eager_calls_of_many_lengths_trace_once_per_kind(recwarn):
    kernel = tf.ones((INPUTS, OUTPUTS))
    for tokens in range(1, 30):
        linear_cross_entropy(tf.ones((tokens, INPUTS)), kernel, tf.zeros(tokens, tf.int32), z_loss=0.0625)
    from tfbp.losses import _mean_loss

    chunk = manual.chunk_size_for(OUTPUTS, tf.float32)
    assert _mean_loss(INPUTS, OUTPUTS, tf.float32, chunk, 0.0, 0.0625, None).experimental_get_tracing_count() <= 2


def test_a_label_out_of_range_never_passes_silently_in_a_graph():
    (x, kernel, labels, _), _ = problem("float32", {})
    labels[2] = OUTPUTS
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"indices\[2\] = .*\b{OUTPUTS}\b"):
        run(linear_cross_entropy, "graph", "float32", (x, kernel, labels, None), {})
    assert np.isnan(run(linear_cross_entropy, "xla", "float32", (x, kernel, labels, None), {})[0])


X, KERNEL, LABELS = np.ones((2, 3), "float32"), np.ones((3, 4), "float32"), np.array([0, 3])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"x": np.ones((2, 3), int)}, "x: got dtype int64; accepted: float64, float32, bfloat16 or float16."),
        ({"x": np.ones((2, 4))}, "x: got shape (2, 4); accepted: (…, 3), as the kernel, with at least one token."),
        ({"x": X[:0], "labels": LABELS[:0]}, "x: got shape (0, 3); accepted: (…, 3), as the kernel, with at least"),
        ({"x": np.array(1.0)}, "x: got shape (); accepted: (…, 3)"),
        ({"kernel": np.ones(3)}, "kernel: got shape (3,); accepted: (I, O), both known and at least 1."),
        ({"kernel": np.ones((3, 4), int)}, "kernel: got dtype int64; accepted: float64,"),
        ({"labels": np.ones(2)}, "labels: got dtype float64; accepted: integers."),
        ({"labels": np.array([0, 1, 2])}, "labels: got shape (3,); accepted: (2,), one for each row of x."),
        ({"labels": np.array([0, 4])}, "labels: got the label 4; accepted: integers from 0 to 3."),
        (
            {"labels": np.array([-2, -1]), "ignore_index": -1},
            "labels: got the label -2; accepted: integers from 0 to 3, or the ignore_index -1.",
        ),
        ({"bias": np.ones(3)}, "bias: got shape (3,); accepted: (4,), as the kernel."),
        ({"sample_weight": np.ones(3)}, "sample_weight: got shape (3,); accepted: (2,), or the first axes of it."),
        ({"sample_weight": [1.0, np.nan]}, "sample_weight: got a number that is not finite; accepted: finite numbers."),
        ({"ignore_index": 1.0}, "ignore_index: got 1.0; accepted: an integer, or None."),
        ({"label_smoothing": 1.0}, "label_smoothing: got 1.0; accepted: a number from 0 to below 1."),
        ({"z_loss": -1.0}, "z_loss: got -1.0; accepted: a finite number of at least 0."),
        ({"soft_cap": 0.0}, "soft_cap: got 0.0; accepted: a finite number above 0, or None."),
        ({"chunk_size": 0}, "chunk_size: got 0; accepted: an integer of at least 1, or None."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(InputError) as caught:
        linear_cross_entropy(**{"x": X, "kernel": KERNEL, "labels": LABELS, **arguments})
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
