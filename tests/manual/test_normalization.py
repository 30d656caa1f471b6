"""The normalizations, by hand and by tape against the reference, and the reference against complex steps."""

import numpy as np
import pytest
import tensorflow as tf
from writings import CELLS, MODES, compiled, measured, tensor

from tfbp import manual, reference, tape
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
    def run(on):
        weights = {name: None if w is None else on(w) for name, w in given.items()}
        return by_hand(reference.normalization, kind, options, on(x), weights, on(dy))

    return measured(run, Units.of(dtype))


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
