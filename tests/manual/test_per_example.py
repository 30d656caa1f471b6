"""Norms, clipping and moments of the examples' own gradients, against one backward pass for each example."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tfbp import (
    L1L2,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GroupNormalization,
    InputError,
    LayerNormalization,
    MaxPooling2D,
    Network,
    Residual,
    RMSNormalization,
    manual,
    reference,
    tape,
)
from tfbp.agreement.cases import all_cases
from tfbp.agreement.precision import ACCEPTED_RATIO
from tfbp.agreement.problems import DTYPES, numpy_dtype, problem, round_to
from tfbp.agreement.suites.per_example import answers, clip_of, tolerances
from tfbp.judging.comparison import compare
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units, product_tolerance
from tfbp.network import Options, Private

MODES = {"eager": None, "graph": False, "xla": True}
CASES = {case.name: case for case in all_cases()}
# penalties, no bias, depth, one example, and a softmax inside, whose dz mixes a row
MANUAL = ["regularized-B8-I5-O4", "no-bias-B8-I5-O3", "deep5-B20-I12-O5", "one-sample-B1-I5-O3", "softmax-B12-I7-O5"]
# vectorized_map takes seconds to compile
TAPE = ["regularized-B8-I5-O4"]
# a bound carried through five layers says nothing in 8 or 11 bits
CELLS = [
    (writing, case, dtype)
    for writing, cases in ((manual, MANUAL), (tape, TAPE))
    for case in cases
    for dtype in (DTYPES[:2] if case.startswith("deep") else DTYPES)
]


def compiled(function, mode):
    return function if MODES[mode] is None else tf.function(function, jit_compile=MODES[mode], autograph=False)


def tensors_of(numbers, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    return (
        tf.nest.map_structure(lambda w: tf.constant(w.astype(numpy_dtype(dtype))), numbers.parameters),
        tf.constant(numbers.x.astype(numpy_dtype(dtype))),
        tf.constant(numbers.y if numbers.y.dtype.kind == "i" else numbers.y.astype(wide)),
        tf.constant(numbers.sample_weight.astype(wide)),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("writing", "case", "dtype"), CELLS, ids=[f"{w.__name__.split('.')[1]}-{case}-{dtype}" for w, case, dtype in CELLS]
)
@pytest.mark.sampled(7, dtype="float64", mode="eager")
def test_agrees_with_a_loop_over_the_examples(writing, case, dtype, mode):
    network, numbers = CASES[case].network, problem(CASES[case], dtype)
    clip = clip_of(network, numbers)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    expected = answers(reference, network, arguments, clip)
    units = Units.of(dtype, writing.__name__.split(".")[1])
    bounds = tolerances(network, numbers, clip, units, stored=units.out if writing is tape else 0.0)
    got = compiled(lambda *a: answers(writing, network, a, clip), mode)(*tensors_of(numbers, dtype))
    assert got.keys() == expected.keys() == bounds.keys()
    for name, value in got.items():
        wide = "float64" if dtype == "float64" else "float32"
        kept = {"norms": wide, "clipped": dtype}.get(name.split()[0], "float64")
        found = compare(name, value.numpy(), expected[name], bounds[name], kept)
        assert found.agrees, (name, found)
    if len(numbers.x) > 1:
        norms = np.linalg.norm(expected["norms"], axis=1)
        assert (norms > clip).any()
        assert (norms < clip).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 7, 64, 1030, 1031])
@pytest.mark.sampled(7, mode="eager")
def test_norms_of_given_tensors_are_those_of_the_outer_products(width, dtype, mode):
    """Local: only the norm's own roundings, all of them in float32 or wider, whatever dtype x and dz come in."""
    rng = np.random.default_rng(width)
    network = Network(5, [Dense(width), Dense(3, use_bias=False)], "half_squared_error")
    layers = [
        {"x": round_to(rng.normal(size=(6, i)), dtype), "dz": round_to(0.1 * rng.normal(size=(6, o)), dtype)}
        for i, o in ((5, width), (width, 3))
    ]
    fed = tf.nest.map_structure(lambda a: tf.constant(a.astype(numpy_dtype(dtype))), layers)
    got = compiled(lambda tensors: manual.per_example.norms_from(network, tensors, 4.0), mode)(fed)
    expected = np.zeros((6, 2))
    for index, (layer, ones) in enumerate(zip(layers, (1, 0), strict=True)):
        for b in range(6):
            rows = np.append(layer["x"][b], [1.0] * ones)
            expected[b, index] = np.linalg.norm(6 / 4 * np.outer(rows, layer["dz"][b]))
    wide = "float64" if dtype == "float64" else "float32"
    found = compare("norms", got.numpy(), expected, 8 * UNIT_ROUNDOFF[wide] * expected, wide)
    assert found.agrees, found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_of_given_tensors_are_added_up_in_float64(dtype, mode):
    """Local: whatever dtype x and dz come in, nothing but the sums' own roundings to 53 bits."""
    rng = np.random.default_rng(5)
    network = Network(5, [Dense(7)], "half_squared_error")
    layer = {"x": round_to(rng.normal(size=(40, 5)), dtype), "dz": round_to(0.1 * rng.normal(size=(40, 7)), dtype)}
    fed = [{name: tf.constant(a.astype(numpy_dtype(dtype))) for name, a in layer.items()}]
    got = compiled(lambda tensors: manual.per_example.moments_from(network, tensors, 4.0), mode)(fed)
    dz = 40 / 4 * layer["dz"]
    gradients = {"kernel": layer["x"][:, :, None] * dz[:, None, :], "bias": dz}
    for power, moments in zip((1, 2), got, strict=True):
        for name, g in gradients.items():
            tolerance = 8 * 2.0**-53 * (np.abs(g) ** power).sum(axis=0)
            found = compare(name, moments[0][name].numpy(), (g**power).sum(axis=0), tolerance)
            assert found.agrees, (power, found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.sampled(5)
def test_clipping_rounds_the_clipped_dz_and_the_products_and_nothing_else(dtype, mode):
    """Local: one linear layer on small integers, whose x and dz are exact in every dtype."""
    rng = np.random.default_rng(9)
    network = Network(6, [Dense(4)], "half_squared_error")
    x, dz = rng.integers(-4, 5, (16, 6)), rng.integers(-4, 5, (16, 4))
    parameters = [{"kernel": rng.integers(-2, 3, (6, 4)), "bias": rng.integers(-2, 3, 4)}]
    y = x @ parameters[0]["kernel"] + parameters[0]["bias"] - dz
    clip = 32.25
    typed = [{name: tf.constant(w.astype(numpy_dtype(dtype))) for name, w in parameters[0].items()}]
    wide = "float64" if dtype == "float64" else "float32"
    run = compiled(lambda *a: manual.per_example.loss_and_clipped_gradients(network, *a, clip)[1], mode)
    got = run(typed, tf.constant(x.astype(numpy_dtype(dtype))), tf.constant(y.astype(wide)))
    _, expected = reference.per_example.loss_and_clipped_gradients(network, parameters, x, y, clip)
    norms = np.linalg.norm(dz, axis=1) * np.sqrt((x**2).sum(axis=1) + 1)
    clipped = np.minimum(1, clip / np.maximum(norms, 1e-9))[:, None] * dz / 16
    assert 3 < (norms > clip).sum() < 16
    units = Units.of(dtype)
    moved = (units.out + 8 * units.loss) * np.abs(clipped)
    bounds = {
        "kernel": np.abs(x).T @ moved + product_tolerance(lambda of: of(x.T) @ of(clipped), x.T @ clipped, units),
        "bias": moved.sum(axis=0) + product_tolerance(lambda of: of(clipped).sum(axis=0), clipped.sum(axis=0), units),
    }
    for name, tolerance in bounds.items():
        found = compare(name, got[0][name].numpy(), expected[0][name], tolerance, dtype)
        assert found.agrees, found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("case", ["regularized-B8-I5-O4", "softmax-B12-I7-O5"])
@pytest.mark.sampled(1)
def test_is_no_less_exact_than_making_every_gradient(case, dtype):
    """End to end below float64: the error against the reference, beside that of the tape's vectorized_map."""
    network, numbers = CASES[case].network, problem(CASES[case], dtype)
    clip = clip_of(network, numbers)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    expected = answers(reference, network, arguments, clip)
    errors = {}
    for writing in (manual, tape):
        got = compiled(lambda *a, w=writing: answers(w, network, a, clip), "graph")(*tensors_of(numbers, dtype))
        squares = [compare(n, v.numpy(), expected[n], 1.0, v.dtype.name).relative_error ** 2 for n, v in got.items()]
        errors[writing] = np.sqrt(np.mean(squares))
    assert errors[manual] <= ACCEPTED_RATIO * max(errors[tape], UNIT_ROUNDOFF[dtype])


IMAGES = {
    "conv": [Conv2D(4, 3, activation="tanh"), MaxPooling2D()],
    "conv-strides-no-bias": [Conv2D(3, (3, 2), strides=(2, 1), padding="same", use_bias=False)],
    "conv-dilated-groups": [Conv2D(4, 2, padding="same", dilation_rate=2, groups=2)],
    "depthwise": [DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same", activation="silu")],
    "layer-normalization": [LayerNormalization(), Conv2D(3, 2)],
    "layer-normalization-no-beta": [Conv2D(3, 2), LayerNormalization(center=False)],
    "rms-normalization": [Conv2D(3, 2), RMSNormalization()],
    "group-normalization": [Conv2D(4, 2), GroupNormalization(2)],
    "residual": [Residual([Conv2D(4, 3, padding="same"), GroupNormalization(2)])],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.sampled(5, mode="eager")
def test_layers_of_images_agree_with_a_loop_over_the_examples(kind, mode):
    """Norms, clipping and moments; in float64, to 12 digits of a tensor's largest number."""
    network = Network((6, 5, 2), [*IMAGES[kind], Flatten(), Dense(3)], "sparse_categorical_crossentropy")
    rng = np.random.default_rng(4)
    parameters = tf.nest.map_structure(lambda w: w + 0.3 * rng.normal(size=w.shape), network.init(seed=2))
    arguments = parameters, rng.normal(size=(7, 6, 5, 2)), rng.integers(0, 3, 7), rng.uniform(0.5, 2, 7)
    room = reference.per_example
    norms = room.gradient_norms(network, *arguments)
    clip = 0.9 * np.median(np.linalg.norm(norms, axis=1))

    def answers_of(writing):
        room = writing.per_example
        clipped = room.loss_and_clipped_gradients(network, *arguments[:3], clip, arguments[3])[1]
        return room.gradient_norms(network, *arguments), clipped, room.gradient_mean_and_variance(network, *arguments)

    got = tf.nest.flatten(compiled(lambda: answers_of(manual), mode)())
    expected = tf.nest.flatten(answers_of(reference))
    assert len(got) == len(expected)
    for mine, right in zip(got, expected, strict=True):
        found = compare(kind, mine.numpy(), right, 1e-12 * np.abs(right).max())
        assert found.agrees, found


def problem_of(loss="sparse_categorical_crossentropy", rows=9, scale=1.0):
    rng = np.random.default_rng(3)
    network = Network(4, [Dense(6, "tanh", kernel_regularizer=L1L2(l2=0.01)), Dense(3)], loss)
    parameters = [{name: w + 0.1 * rng.normal(size=w.shape) for name, w in p.items()} for p in network.init(seed=1)]
    return network, parameters, scale * rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)


@pytest.mark.parametrize("writing", [manual, reference, tape], ids=["manual", "reference", "tape"])
def test_the_private_step_is_numpys_in_each_writing(writing):
    network, parameters, x, y = problem_of()
    rng = np.random.default_rng(4)
    weight, expected = rng.uniform(0.2, 3, len(x)), 7
    examples = reference.per_example.example_gradients(network, parameters, x, y, weight)
    norms = np.linalg.norm(reference.per_example.gradient_norms(network, parameters, x, y, weight), axis=1)
    clip = float(np.median(norms))
    factors = np.minimum(1, clip / norms)
    noise = [{name: rng.normal(size=w.shape) for name, w in layer.items()} for layer in parameters]
    got = writing.per_example.private_gradients(network, parameters, x, y, Private(clip, noise, expected), weight)
    for layer, (mine, each, added) in enumerate(zip(got, examples, noise, strict=True)):
        assert list(mine) == list(each)
        for name, g in each.items():
            right = (np.tensordot(factors, g, axes=1) + added[name]) / expected
            if (layer, name) == (0, "kernel"):
                right = right + 2 * 0.01 * parameters[0]["kernel"]
            np.testing.assert_allclose(mine[name], right, rtol=0, atol=1e-14)


def test_the_clipped_path_makes_each_kernel_s_gradient_once():
    network, parameters, x, y = problem_of()

    def products(function):
        graph = tf.function(function, autograph=False).get_concrete_function(tf.constant(x), tf.constant(y)).graph
        # those that an output needs: TensorFlow runs no others
        needed, waiting = set(), [tensor.op for tensor in graph.outputs]
        while waiting:
            op = waiting.pop()
            if op not in needed:
                needed.add(op)
                waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
        return sum(op.type == "MatMul" for op in needed)

    plain = products(lambda x, y: manual.loss_and_gradients(network, parameters, x, y))
    clipped = products(lambda x, y: manual.per_example.loss_and_clipped_gradients(network, parameters, x, y, 1.0))
    # two layers: two products forward, one dx, two dkernel
    assert clipped == plain == 5


@pytest.mark.parametrize("loss_scale", [1024.0, 2.0**-10])
def test_a_loss_scale_scales_the_clipped_gradients_and_not_the_norms(loss_scale):
    network, parameters, x, y = problem_of()
    room = manual.per_example

    def clipped(scale):
        reweight = room.reweighting(network, room.clipping(0.3), scale)
        return manual.scaled_pass(network, parameters, tf.constant(x), y, None, Options(loss_scale=scale), reweight)

    (loss, expected, tensors), (scaled_loss, got, scaled) = clipped(None), clipped(loss_scale)
    assert float(loss) == float(scaled_loss)
    # a power of two scales without rounding
    tf.nest.map_structure(lambda g, e: np.testing.assert_array_equal(g, e * loss_scale), got, expected)
    np.testing.assert_array_equal(room.norms_from(network, scaled, loss_scale), room.norms_from(network, tensors))


def test_float16_needs_no_loss_scale_for_norms():
    """1/B and small weights take dz below float16's smallest number; the pass for norms does without 1/B."""
    network, parameters, x, y = problem_of(rows=4096)
    weight = np.full(4096, 2.0**-9)
    args = [{name: round_to(w, "float16") for name, w in layer.items()} for layer in parameters], round_to(x, "float16")
    expected = reference.per_example.gradient_norms(network, *args, y, weight)
    got = manual.per_example.gradient_norms(network, args[0], tf.constant(args[1], tf.float16), y, weight)
    # seven roundings to 11 bits on the way, of terms as large as the norm
    np.testing.assert_allclose(got, expected, rtol=0, atol=8 * 2.0**-11 * expected.max())
    assert np.linalg.norm(got - expected) < 2e-3 * np.linalg.norm(expected)


def test_an_example_without_gradient_is_not_divided_by_its_norm():
    network = Network(2, [Dense(1)], "half_squared_error")
    parameters = [{"kernel": np.zeros((2, 1)), "bias": np.zeros(1)}]
    x, y = tf.constant([[1.0, 2.0], [2.0, 4.0]], tf.float64), tf.constant([[0.0], [5.0]], tf.float64)
    _, gradients = manual.per_example.loss_and_clipped_gradients(network, parameters, x, y, 2.0)
    # the second's is -5 · (2, 4, 1), clipped to the norm 2; the mean halves it
    expected = -np.array([2.0, 4.0, 1.0]) / np.sqrt(21)
    np.testing.assert_allclose(np.append(gradients[0]["kernel"], gradients[0]["bias"]), expected, rtol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_a_gradient_that_overflowed_stays_not_finite(mode):
    """So that loss scaling sees it and skips the step."""
    network, parameters, x, y = problem_of()
    x = tf.constant(x.astype(np.float16))
    room, scale = manual.per_example, 2.0**40
    reweight = room.reweighting(network, room.clipping(1.0), scale)
    given = (network, parameters, x, y, None, Options(loss_scale=scale), reweight)
    run = compiled(lambda: manual.scaled_pass(*given)[1], mode)
    assert not all(np.isfinite(g).all() for g in tf.nest.flatten(run()))


@pytest.mark.parametrize("clip", [0, 0.0, -1.0, float("nan"), float("inf"), True, None, "1"])
@pytest.mark.parametrize("writing", [manual, reference, tape], ids=["manual", "reference", "tape"])
def test_a_bad_clip_is_one_sentence(writing, clip):
    network, parameters, x, y = problem_of()
    with pytest.raises(InputError) as caught:
        writing.per_example.loss_and_clipped_gradients(network, parameters, x, y, clip)
    assert str(caught.value) == f"clip: got {clip!r}; accepted: a finite number above 0."


def test_a_half_precision_kernel_s_gradient_keeps_its_dtype():
    network, parameters, x, y = problem_of()
    x = tf.constant(x.astype(ml_dtypes.bfloat16))
    _, gradients = manual.per_example.loss_and_clipped_gradients(network, parameters, x, y, 0.1)
    assert {g.dtype for g in tf.nest.flatten(gradients)} == {tf.bfloat16}
