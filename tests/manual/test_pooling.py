"""Pooling, by hand and by tape against the reference, and the reference against complex steps."""

import numpy as np
import pytest
import tensorflow as tf
from writings import CELLS, MODES, assert_agree, compiled, measured, tensor

from tfbp import manual, reference, tape
from tfbp.agreement.problems import round_to
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import Units
from tfbp.rehearsal.operations import gradient_kernels, in_graph

# name: (kind, shape of x, arguments)
CASES = {
    "max": ("max_pool2d", (3, 6, 4, 3), {}),
    "max-odd": ("max_pool2d", (2, 7, 5, 3), {}),
    "max-same-odd": ("max_pool2d", (2, 7, 5, 3), {"padding": "same"}),
    "max-overlap": ("max_pool2d", (2, 7, 6, 2), {"pool_size": (3, 3), "strides": (2, 2)}),
    "max-overlap-same": ("max_pool2d", (2, 8, 7, 2), {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    "max-stride1": ("max_pool2d", (2, 5, 5, 2), {"pool_size": (3, 3), "strides": (1, 1), "padding": "same"}),
    "max-gaps": ("max_pool2d", (2, 8, 7, 2), {"pool_size": (2, 1), "strides": (3, 2)}),
    "max-ties": ("max_pool2d", (2, 7, 6, 3), {"pool_size": (3, 3), "strides": (2, 2), "padding": "same"}),
    "max-all-equal": ("max_pool2d", (2, 4, 4, 2), {}),
    "max-large": ("max_pool2d", (1, 13, 12, 1), {"pool_size": (12, 12), "strides": (1, 1)}),
    "average": ("average_pool2d", (3, 6, 4, 3), {}),
    "average-same-odd": ("average_pool2d", (2, 7, 5, 3), {"padding": "same"}),
    "average-overlap-same": (
        "average_pool2d",
        (2, 8, 7, 2),
        {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"},
    ),
    "average-gaps": ("average_pool2d", (2, 8, 7, 2), {"pool_size": (2, 1), "strides": (3, 2)}),
    "average-large": ("average_pool2d", (2, 40, 41, 2), {"pool_size": (20, 20), "strides": (9, 9)}),
    "global-average": ("global_average_pool2d", (3, 5, 4, 3), {}),
    "global-average-large": ("global_average_pool2d", (2, 50, 40, 3), {}),
    "global-max": ("global_max_pool2d", (3, 5, 4, 3), {}),
    "global-max-ties": ("global_max_pool2d", (3, 20, 30, 3), {}),
}


def problem(name, dtype="float64"):
    kind, shape, options = CASES[name]
    rng = np.random.default_rng([*name.encode()])
    x = round_to(rng.normal(size=shape), dtype)
    if "ties" in name:
        x = np.maximum(np.round(x), -1)
    if "equal" in name:
        x = np.full_like(x, -2.0)
    y = getattr(reference.pooling, f"{kind}_forward")(x, **options)[0]
    return kind, options, x, round_to(rng.normal(size=y.shape), dtype)


def by_hand(room, kind, options, x, dy):
    y, residuals = getattr(room, f"{kind}_forward")(x, **options)
    return {"y": y, "dx": getattr(room, f"{kind}_backward")(dy, residuals)}


def by_tape(kind, options, x, dy):
    with tf.GradientTape() as recorded:
        recorded.watch(x)
        y = getattr(tape.pooling, f"{kind}_forward")(x, **options)
    return {"y": y, "dx": recorded.gradient(y, x, output_gradients=dy)}


def tolerances_of(kind, options, x, dy, dtype):
    return measured(lambda on: by_hand(reference.pooling, kind, options, on(x), on(dy)), Units.of(dtype))


@pytest.mark.parametrize(("dtype", "mode"), CELLS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(13, dtype="float64", mode="eager")
def test_by_hand_agrees_with_the_reference(name, dtype, mode):
    kind, options, x, dy = problem(name, dtype)
    expected = by_hand(reference.pooling, kind, options, x, dy)
    run = compiled(lambda x, dy: by_hand(manual.pooling, kind, options, x, dy), mode)
    tolerances = tolerances_of(kind, options, x, dy, dtype)
    assert_agree(run(tensor(x, dtype), tensor(dy, dtype)), expected, tolerances, dtype)


@pytest.mark.parametrize(
    ("name", "mode"),
    # under XLA TensorFlow's kernel decides a few ties of windows that overlap otherwise than its own on the CPU
    [(name, mode) for name in CASES for mode in MODES if (name, mode) != ("max-ties", "xla")],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.sampled(7, dtype="float64", mode="eager")
def test_by_tape_agrees_with_the_reference(name, dtype, mode):
    """Of ties, too: a window's gradient goes to the first, that of a whole image to all in equal parts."""
    kind, options, x, dy = problem(name, dtype)
    expected = by_hand(reference.pooling, kind, options, x, dy)
    run = compiled(lambda x, dy: by_tape(kind, options, x, dy), mode)
    tolerances = tolerances_of(kind, options, x, dy, dtype)
    assert_agree(run(tensor(x, dtype), tensor(dy, dtype)), expected, tolerances, dtype)


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_of_one_pixel_is_the_pixel(mode, rng):
    """A graph turns a division into a product with reciprocals, and that of 1 is not 1 in its kernel."""
    x = tensor(rng.normal(size=(2, 16, 5, 4)), "float32")
    run = compiled(lambda x: manual.pooling.average_pool2d_forward(x, pool_size=(1, 2), padding="same")[0], mode)
    # the last window reaches over the image's edge
    np.testing.assert_array_equal(run(x)[:, :, -1], x[:, :, -1])


@pytest.mark.parametrize("name", [name for name in CASES if not {"ties", "equal", "large"} & {*name.split("-")}])
def test_the_reference_s_gradient_is_that_of_complex_steps(name):
    kind, options, x, dy = problem(name)
    forward = getattr(reference.pooling, f"{kind}_forward")
    found = complex_step(lambda x: (dy * forward(x, **options)[0]).sum(), x)
    np.testing.assert_allclose(found, by_hand(reference.pooling, kind, options, x, dy)["dx"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("writing", ["reference", "manual", "tape"])
def test_a_window_s_tie_goes_to_the_first_and_an_image_s_is_shared(writing):
    """The convention, in numbers: TensorFlow's kernel of a window has the first by rows, its reduction has all."""
    x, dy = np.array([1.0, 5, 5, 5]).reshape(1, 2, 2, 1), np.array([3.0])
    if writing == "tape":
        given = tensor(x, "float64")
        window = by_tape("max_pool2d", {}, given, dy.reshape(1, 1, 1, 1))["dx"]
        image = by_tape("global_max_pool2d", {}, given, dy.reshape(1, 1))["dx"]
    else:
        room = {"reference": reference, "manual": manual}[writing].pooling
        given = x if writing == "reference" else tensor(x, "float64")
        shaped = np.reshape if writing == "reference" else tf.reshape
        window = by_hand(room, "max_pool2d", {}, given, shaped(dy, (1, 1, 1, 1)))["dx"]
        image = by_hand(room, "global_max_pool2d", {}, given, shaped(dy, (1, 1)))["dx"]
    assert np.ravel(window).tolist() == [0, 3, 0, 0]
    assert np.ravel(image).tolist() == [0, 1, 1, 1]


def test_what_is_added_around_the_image_is_never_the_largest():
    x = np.full((1, 3, 3, 1), -np.inf)
    x[0, 0, 0] = -1e308
    got = manual.pooling.max_pool2d_forward(tensor(x, "float64"), padding="same")[0]
    assert np.ravel(got).tolist() == [-1e308, -np.inf, -np.inf, -np.inf]


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("name", ["max-overlap-same", "average-same-odd", "global-max", "global-average"])
@pytest.mark.sampled(1)
def test_a_batch_of_unknown_size(name, mode):
    kind, options, x, dy = problem(name)
    signature = [tf.TensorSpec([None, *a.shape[1:]], tf.float64) for a in (x, dy)]
    run = tf.function(
        lambda x, dy: by_hand(manual.pooling, kind, options, x, dy), input_signature=signature, jit_compile=MODES[mode]
    )
    expected = by_hand(reference.pooling, kind, options, x, dy)
    assert_agree(run(x, dy), expected, tolerances_of(kind, options, x, dy, "float64"), "float64")


@pytest.mark.parametrize("name", ["max", "average", "global-max", "global-average"])
def test_no_gradient_kernel_is_called(name):
    kind, options, x, dy = problem(name)
    run = tf.function(lambda x, dy: by_hand(manual.pooling, kind, options, x, dy))
    graph = run.get_concrete_function(tensor(x, "float32"), tensor(dy, "float32")).graph
    assert gradient_kernels(in_graph(graph)) == []


@pytest.mark.parametrize("keepdims", [False, True])
def test_the_mean_of_a_sequence(keepdims):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 2))
    room = manual.pooling
    y, shape = room.global_average_pool1d_forward(tf.constant(x), keepdims=keepdims)
    dx = room.global_average_pool1d_backward(tf.reshape(dy, y.shape), shape)
    expected, kept = reference.pooling.global_average_pool1d_forward(x)
    expected_dx = reference.pooling.global_average_pool1d_backward(dy, kept)
    np.testing.assert_allclose(y, expected[:, None] if keepdims else expected, rtol=1e-14)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-14)
    np.testing.assert_allclose(expected_dx, complex_step(lambda x: (dy * x.mean(axis=1)).sum(), x), rtol=0, atol=1e-14)
