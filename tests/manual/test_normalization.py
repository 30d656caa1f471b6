"""The normalizations, by hand and by tape against the reference, and the reference against complex steps."""

import numpy as np
import pytest
import tensorflow as tf
from writings import CELLS, MODES, compiled, planted, tensor

from tfbp import manual, reference, tape
from tfbp.agreement.image_errors import normalization_errors
from tfbp.agreement.problems import round_to
from tfbp.judging.comparison import compare
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units
from tfbp.rehearsal.operations import gradient_kernels, in_graph

# name: (kind, shape of x, weights, arguments)
BOTH = ("gamma", "beta")
CASES = {
    "batch": ("batch", (7, 5), BOTH, {"training": True}),
    "batch-images": ("batch", (3, 4, 5, 2), BOTH, {"training": True, "momentum": 0.75, "epsilon": 0.01}),
    "batch-no-gamma": ("batch", (3, 4, 5, 2), ("beta",), {"training": True}),
    "batch-no-beta": ("batch", (6, 3), ("gamma",), {"training": True}),
    "batch-no-weights": ("batch", (6, 3), (), {"training": True}),
    "batch-inference": ("batch", (3, 4, 5, 2), BOTH, {"training": False}),
    "batch-inference-no-weights": ("batch", (6, 3), (), {"training": False}),
    "batch-large": ("batch", (60, 8, 8, 3), BOTH, {"training": True}),
    "layer": ("layer", (6, 5), BOTH, {}),
    "layer-images": ("layer", (2, 3, 4, 5), BOTH, {"epsilon": 1e-6}),
    "layer-axes": ("layer", (4, 3, 2, 5), BOTH, {"axes": (1, 2, 3)}),
    "layer-no-weights": ("layer", (6, 5), (), {}),
    "layer-no-gamma": ("layer", (6, 5), ("beta",), {}),
    "layer-wide": ("layer", (9, 700), BOTH, {}),
    "rms": ("rms", (6, 5), ("gamma",), {}),
    "rms-images": ("rms", (2, 3, 4, 5), ("gamma",), {"epsilon": 1e-3}),
    "rms-axes": ("rms", (4, 3, 5), ("gamma",), {"axes": (1, 2)}),
    "rms-no-scale": ("rms", (6, 5), (), {}),
    "rms-wide": ("rms", (9, 700), ("gamma",), {}),
    "group": ("group", (3, 4, 5, 6), BOTH, {"groups": 3}),
    "group-of-one": ("group", (2, 3, 4, 4), BOTH, {"groups": 4}),
    "group-all": ("group", (2, 5, 4), BOTH, {"groups": 1}),
    "group-vectors": ("group", (5, 8), BOTH, {"groups": 2}),
    "group-no-weights": ("group", (2, 4, 4, 6), (), {"groups": 2}),
}
EPSILON = {"batch": 1e-3, "layer": 1e-3, "rms": 1e-6, "group": 1e-3}


def problem(name, dtype="float64", far=0.0):
    """x, dy, and what else the kind takes, by name."""
    kind, shape, names, options = CASES[name]
    rng = np.random.default_rng([*name.encode()])
    x = round_to(far + 0.5 + 1.5 * rng.normal(size=shape), dtype)
    width = shape[len(shape) - len(options.get("axes", (-1,))) :]
    given = {each: round_to(1 + 0.5 * rng.normal(size=width), dtype) if each in names else None for each in BOTH}
    if kind == "rms":
        del given["beta"]
    # statistics stay in float32 where x is of 16 bits, as in Keras
    wide = "float64" if dtype == "float64" else "float32"
    if kind == "batch":
        given["moving_mean"] = round_to(rng.normal(size=width), wide)
        given["moving_variance"] = round_to(0.5 + rng.random(width), wide)
    return kind, options, x, given, round_to(rng.normal(size=shape), dtype)


def tensors_of(given, dtype):
    wide = "float64" if dtype == "float64" else "float32"
    return {name: tensor(a, wide if name.startswith("moving") else dtype) for name, a in given.items()}


def by_hand(room, kind, options, x, given, dy):
    y, residuals, *moved = getattr(room, f"{kind}_normalization_forward")(x, *given.values(), **options)
    dx, *dweights = getattr(room, f"{kind}_normalization_backward")(dy, residuals)
    named = zip((name for name in ("gamma", "beta") if name in given), dweights, strict=True)
    return found_of(y, {"dx": dx, **{f"d{name}": dw for name, dw in named}}, *moved)


def by_tape(kind, options, x, given, dy):
    watched = {"dx": x, **{f"d{name}": given[name] for name in BOTH if given.get(name) is not None}}
    with tf.GradientTape() as recorded:
        recorded.watch(watched)
        y = getattr(tape.normalization, f"{kind}_normalization_forward")(x, *given.values(), **options)
        y, *moved = y if isinstance(y, tuple) else (y,)
    return found_of(y, recorded.gradient(y, watched, output_gradients=dy), *moved)


def found_of(y, gradients, moved=None):
    found = {"y": y, **{name: value for name, value in gradients.items() if value is not None}}
    return found if moved is None else {**found, "moving_mean": moved[0], "moving_variance": moved[1]}


def tolerances_of(kind, options, x, given, dy, dtype):
    units = Units.of(dtype)
    axes, whole = tuple(a % x.ndim for a in options.get("axes", (-1,))), x.shape
    weights = {name: given.get(name) for name in BOTH}
    constants = None
    if kind == "batch":
        axes = tuple(range(x.ndim - 1))
        if not options["training"]:
            constants = given["moving_mean"], given["moving_variance"]
    if kind == "group":
        x, dy = (a.reshape(*a.shape[:-1], options["groups"], -1) for a in (x, dy))
        weights = {n: None if w is None else w.reshape(options["groups"], -1) for n, w in weights.items()}
        axes = (*range(1, x.ndim - 2), x.ndim - 1)
    epsilon = options.get("epsilon", EPSILON[kind])
    errors = normalization_errors(
        x,
        weights["gamma"],
        weights["beta"],
        dy,
        units,
        axes=axes,
        epsilon=epsilon,
        centred=kind != "rms",
        constants=constants,
    )
    tolerances = {name: errors[name].reshape(whole) for name in ("y", "dx")}
    for name, terms in {"gamma": "dgamma each", "beta": "dbeta each"}.items():
        if given.get(name) is not None:
            each = errors[terms].reshape(whole)
            summed = each.sum(axis=tuple(range(each.ndim - given[name].ndim)))
            tolerances[f"d{name}"] = summed
    if kind == "batch":
        momentum, wide = options.get("momentum", 0.99), units.loss
        for name, of in (("moving_mean", "mean"), ("moving_variance", "variance")):
            before = np.abs(given[name])
            tolerances[name] = (1 - momentum) * errors[of].reshape(-1) + 4 * wide * before
    return tolerances


def assert_agree(name, dtype, got, expected, tolerances):
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        wide = "float64" if dtype == "float64" else "float32"
        kept = wide if key.startswith("moving") else dtype
        # a weight's gradient is rounded to its dtype once more
        tolerance = tolerances[key] + (UNIT_ROUNDOFF[dtype] * np.abs(value) if key in ("dgamma", "dbeta") else 0)
        found = compare(key, got[key], value, tolerance, kept)
        assert found.agrees, f"{name} {key}: {found.ratio:.3g} of its tolerance; {found.mistake}"


@pytest.mark.parametrize(("dtype", "mode"), CELLS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(13, dtype="float64", mode="eager")
def test_by_hand_and_by_tape_agree_with_the_reference(name, dtype, mode):
    kind, options, x, given, dy = problem(name, dtype)
    expected = by_hand(reference.normalization, kind, options, x, given, dy)
    tolerances = tolerances_of(kind, options, x, given, dy, dtype)
    fed = tensor(x, dtype), tensors_of(given, dtype), tensor(dy, dtype)
    hand = compiled(lambda x, given, dy: by_hand(manual.normalization, kind, options, x, given, dy), mode)
    assert_agree("manual", dtype, hand(*fed), expected, tolerances)
    if dtype in ("float64", "float32"):
        run = compiled(lambda x, given, dy: by_tape(kind, options, x, given, dy), mode)
        assert_agree("tape", dtype, run(*fed), expected, tolerances)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["batch", "layer", "group"])
def test_a_mean_far_from_zero_does_not_cancel(name, dtype):
    """x around 1000: Σ x² / N - mean² would lose six digits of the variance."""
    kind, options, x, given, dy = problem(name, dtype, far=1000.0)
    expected = by_hand(reference.normalization, kind, options, x, given, dy)
    got = by_hand(manual.normalization, kind, options, tensor(x, dtype), tensors_of(given, dtype), tensor(dy, dtype))
    assert_agree(name, dtype, got, expected, tolerances_of(kind, options, x, given, dy, dtype))
    naive = (x**2).astype(dtype).mean(axis=0) - x.astype(dtype).mean(axis=0) ** 2
    assert np.abs(naive / x.var(axis=0) - 1).max() > 100 * UNIT_ROUNDOFF[dtype]


@pytest.mark.parametrize("name", [name for name in CASES if "large" not in name and "wide" not in name])
def test_the_reference_s_gradients_are_those_of_complex_steps(name):
    kind, options, x, given, dy = problem(name)
    forward = getattr(reference.normalization, f"{kind}_normalization_forward")
    expected = by_hand(reference.normalization, kind, options, x, given, dy)
    tried = {"x": x, **{n: w for n, w in given.items() if w is not None and n in BOTH}}
    for of, at in tried.items():

        def loss(value, of=of):
            return (dy * forward(*({"x": x, **given} | {of: value}).values(), **options)[0]).sum()

        np.testing.assert_allclose(complex_step(loss, at), expected[f"d{of}"], rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("name", ["batch-images", "batch-inference", "layer-axes", "rms-images", "group"])
@pytest.mark.sampled(1)
def test_a_batch_of_unknown_size(name, mode):
    kind, options, x, given, dy = problem(name)
    signature = [tf.TensorSpec([None, *x.shape[1:]], tf.float64)] * 2
    weights = tensors_of(given, "float64")
    run = tf.function(
        lambda x, dy: by_hand(manual.normalization, kind, options, x, weights, dy),
        input_signature=signature,
        jit_compile=MODES[mode],
    )
    expected = by_hand(reference.normalization, kind, options, x, given, dy)
    assert_agree(name, "float64", run(x, dy), expected, tolerances_of(kind, options, x, given, dy, "float64"))
    assert run.get_concrete_function(*signature).structured_outputs["y"].shape.as_list() == [None, *x.shape[1:]]


@pytest.mark.parametrize("name", ["batch", "batch-inference", "layer", "rms", "group"])
def test_no_gradient_kernel_is_called(name):
    kind, options, x, given, dy = problem(name)
    run = tf.function(lambda x, given, dy: by_hand(manual.normalization, kind, options, x, given, dy))
    graph = run.get_concrete_function(tensor(x, "float32"), tensors_of(given, "float32"), tensor(dy, "float32")).graph
    assert gradient_kernels(in_graph(graph)) == []


def test_moving_statistics_are_those_that_keras_keeps():
    import keras

    layer = keras.layers.BatchNormalization(momentum=0.75, dtype="float64")
    _, _, x, given, _ = problem("batch-images")
    layer.build(x.shape)
    for name, value in given.items():
        getattr(layer, name).assign(value)
    layer(x, training=True)
    moved = reference.normalization.batch_normalization_forward(x, *given.values(), training=True, momentum=0.75)[2]
    np.testing.assert_allclose(layer.moving_mean, moved[0], rtol=1e-14)
    np.testing.assert_allclose(layer.moving_variance, moved[1], rtol=1e-14)


BATCH_DX = "(wide_dy - (sum_dy + normalized * sum_dy_x) / n)"
SHARED = "inverse * (dnormalized - along_one - normalized * along_x)"
GROUP_DX = "inverse * (weight * wide_dy - along_one - normalized * along_x)"
RMS_DX = "inverse * (dnormalized - normalized * along)"
# name: (exchanged texts, the tensors that must be wrong, of which kinds)
MISTAKES = {
    "the batch's mean is a constant": ([(BATCH_DX, "(wide_dy - normalized * sum_dy_x / n)")], {"dx"}, {"batch"}),
    "the batch's variance is a constant": ([(BATCH_DX, "(wide_dy - sum_dy / n)")], {"dx"}, {"batch"}),
    "the unbiased variance's factor": (
        [(BATCH_DX, "(wide_dy - sum_dy / n - normalized * sum_dy_x / (n - 1))")],
        {"dx"},
        {"batch"},
    ),
    "n is the batch's size alone": ([("tf.size(dy) // dy.shape[-1]", "tf.shape(dy)[0]")], {"dx"}, {"batch"}),
    "moving statistics are those of the batch": (
        [("return moving * momentum + _as(now, moving) * (1 - momentum)", "return _as(now, moving)")],
        {"moving_mean", "moving_variance"},
        {"batch"},
    ),
    "momentum is the batch's part": (
        [
            (
                "moving * momentum + _as(now, moving) * (1 - momentum)",
                "moving * (1 - momentum) + _as(now, moving) * momentum",
            )
        ],
        {"moving_mean", "moving_variance"},
        {"batch"},
    ),
    "the moving variance is unbiased": (
        [("_moved(moving_variance, variance, momentum)", "_moved(moving_variance, variance * 8 / 7, momentum)")],
        {"moving_variance"},
        {"batch"},
    ),
    "inference has training's backward": (
        [("    if training:\n        # x̂", "    if True:\n        # x̂")],
        {"dx"},
        {"batch"},
    ),
    "gamma is left out of the batch's dx": (
        [
            ("(C,) (C,)\n    sum_dy", "(C,)\n    sum_dy"),
            (
                "    factor = inverse if gamma is None else inverse * _as(gamma, inverse)\n    if training:\n        # x̂",
                "    factor = inverse\n    if training:\n        # x̂",
            ),
        ],
        {"dx"},
        {"batch"},
    ),
    "dgamma is of x": (
        [("_sum_to(gamma, dy * normalized)", "_sum_to(gamma, dy)")],
        {"dgamma"},
        {"layer", "rms"},
    ),
    "gamma is left out of dx": (
        [("return dy if gamma is None else dy * _as(gamma, dy), dgamma", "return dy, dgamma")],
        {"dx"},
        {"layer", "rms"},
    ),
    "a layer's mean is a constant": (
        [(SHARED, "inverse * (dnormalized - normalized * along_x)")],
        {"dx"},
        {"layer"},
    ),
    "a layer's variance is a constant": ([(SHARED, "inverse * (dnormalized - along_one)")], {"dx"}, {"layer"}),
    "the root mean square is a constant": ([(RMS_DX, "inverse * dnormalized")], {"dx"}, {"rms"}),
    "1/σ is left out of dx": ([(RMS_DX, "dnormalized - normalized * along")], {"dx"}, {"rms"}),
    "epsilon stands outside the root": (
        [
            (
                "tf.square(wide_x), list(axes), keepdims=True) + epsilon)",
                "tf.square(wide_x), list(axes), keepdims=True)) + epsilon",
            )
        ],
        {"y", "dx", "dgamma"},
        {"rms"},
    ),
    "a group's channels are every G-th": (
        [
            (
                "parts = tf.reshape(a, [-1, groups, channels // groups])\n    mean = tf.reduce_mean(parts, axis=-1",
                "parts = tf.reshape(a, [-1, channels // groups, groups])\n    mean = tf.reduce_mean(parts, axis=1",
            )
        ],
        {"y", "dx", "dgamma"},
        {"group"},
    ),
    "a group's mean is a constant": (
        [(GROUP_DX, "inverse * (weight * wide_dy - normalized * along_x)")],
        {"dx"},
        {"group"},
    ),
    "a group's variance is a constant": ([(GROUP_DX, "inverse * (weight * wide_dy - along_one)")], {"dx"}, {"group"}),
    "a group's sums lack gamma": (
        [("_mean_of_groups(weight * sum_dy_x", "_mean_of_groups(sum_dy_x")],
        {"dx"},
        {"group"},
    ),
    "a group's sums are not divided": ([("weight * sum_dy / count", "weight * sum_dy")], {"dx"}, {"group"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.sampled(1)
def test_a_planted_mistake_is_found_at_its_tensor_and_kind(mistake):
    changes, tensors, kinds = MISTAKES[mistake]
    room, wrong = planted("normalization", *changes), {}
    for name in CASES:
        kind, options, x, given, dy = problem(name)
        expected = by_hand(reference.normalization, kind, options, x, given, dy)
        got = by_hand(room, kind, options, tensor(x, "float64"), tensors_of(given, "float64"), tensor(dy, "float64"))
        tolerances = tolerances_of(kind, options, x, given, dy, "float64")
        found = {n for n, v in expected.items() if not compare(n, got[n], v, tolerances[n] + 2**-52 * np.abs(v)).agrees}
        if found:
            wrong[kind] = wrong.get(kind, set()) | found
    assert wrong.keys() == kinds
    assert set().union(*wrong.values()) == tensors
