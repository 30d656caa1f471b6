"""The convolutions, by hand and by tape against the reference, and the reference against complex steps and SciPy."""

import functools
from dataclasses import dataclass, field

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from writings import CELLS, MODES, assert_agree, compiled, measured, tensor

from tfbp import manual, reference, tape
from tfbp.agreement.problems import round_to
from tfbp.judging.differences import complex_step
from tfbp.judging.tolerances import Units
from tfbp.rehearsal.operations import gradient_kernels, in_graph


@dataclass(frozen=True)
class Case:
    """A kind of convolution, the sizes of x and of the kernel, and the arguments."""

    x: tuple
    kernel: tuple
    options: dict = field(default_factory=dict)
    bias: bool = True
    kind: str = "conv2d"


def depthwise(x, kernel, **options):
    return Case(x, kernel, options, kind="depthwise_conv2d")


CASES = {
    "valid": Case((3, 5, 6, 2), (3, 3, 2, 4)),
    "one-input-same": Case((3, 6, 5, 1), (3, 2, 1, 4), {"padding": "same"}),
    "1x1-no-bias": Case((2, 4, 4, 3), (1, 1, 3, 5), bias=False),
    "same": Case((2, 5, 4, 2), (3, 3, 2, 3), {"padding": "same"}),
    "same-even-kernel": Case((2, 5, 7, 2), (4, 2, 2, 3), {"padding": "same"}),
    "stride2": Case((2, 7, 8, 2), (3, 3, 2, 3), {"strides": (2, 2)}),
    "stride2-same-odd": Case((2, 7, 6, 2), (3, 3, 2, 3), {"strides": (2, 2), "padding": "same"}),
    "stride2-same-even": Case((2, 8, 7, 2), (2, 3, 2, 3), {"strides": (2, 2), "padding": "same"}),
    "stride3x2-kernel5x3": Case((2, 11, 9, 1), (5, 3, 1, 2), {"strides": (3, 2), "padding": "same"}),
    "stride-over-kernel": Case((2, 9, 8, 2), (2, 1, 2, 3), {"strides": (3, 2)}),
    "stride-over-kernel-same": Case((2, 9, 8, 2), (1, 1, 2, 3), {"strides": (2, 3), "padding": "same"}),
    "dilation2": Case((2, 8, 9, 2), (3, 3, 2, 3), {"dilation_rate": (2, 2)}),
    "dilation2x3-same": Case((2, 8, 9, 2), (3, 2, 2, 3), {"dilation_rate": (2, 3), "padding": "same"}),
    "groups2": Case((2, 6, 5, 4), (3, 3, 2, 6), {"groups": 2}),
    "groups3-stride2-same": Case((2, 6, 5, 6), (3, 3, 2, 3), {"groups": 3, "strides": (2, 2), "padding": "same"}),
    "one-sample-one-pixel": Case((1, 3, 3, 2), (3, 3, 2, 2)),
    "long-sum": Case((40, 8, 8, 20), (3, 3, 20, 2), {"padding": "same"}),
    "depthwise": depthwise((2, 6, 5, 3), (3, 3, 3, 1)),
    "depthwise-depth2-same": depthwise((2, 5, 6, 3), (3, 2, 3, 2), padding="same"),
    "depthwise-stride2-same": depthwise((2, 7, 6, 3), (3, 3, 3, 2), strides=(2, 2), padding="same"),
    "depthwise-stride1x2": depthwise((2, 7, 6, 3), (2, 3, 3, 1), strides=(1, 2)),
    "depthwise-dilation2": depthwise((2, 8, 7, 3), (3, 3, 3, 1), dilation_rate=(2, 2), padding="same"),
    "depthwise-long-sum": depthwise((40, 9, 8, 2), (3, 3, 2, 1), padding="same"),
}


def problem(name, dtype="float64"):
    case = CASES[name]
    rng = np.random.default_rng([*name.encode()])
    outputs = case.kernel[-1] if case.kind == "conv2d" else case.kernel[-1] * case.kernel[-2]
    x, kernel, bias = (round_to(rng.normal(size=shape), dtype) for shape in (case.x, case.kernel, (outputs,)))
    bias = bias if case.bias else None
    z = functions(reference, case.kind)[0](x, kernel, bias, **case.options)[0]
    return case, x, kernel, bias, round_to(rng.normal(size=z.shape), dtype)


def functions(writing, kind):
    room = getattr(writing, "convolution", writing)
    return getattr(room, f"{kind}_forward"), getattr(room, f"{kind}_backward", None)


def by_hand(room, case, x, kernel, bias, dz):
    forward, backward = functions(room, case.kind)
    z, residuals = forward(x, kernel, bias, **case.options)
    dx, dkernel, dbias = backward(dz, residuals)
    found = {"z": z, "dx": dx, "dkernel": dkernel, "dbias": dbias}
    return found if bias is not None else {name: found[name] for name in ("z", "dx", "dkernel")}


def by_tape(room, case, x, kernel, bias, dz):
    given = {"dx": x, "dkernel": kernel} | ({} if bias is None else {"dbias": bias})
    with tf.GradientTape() as recorded:
        recorded.watch(given)
        z = functions(room, case.kind)[0](x, kernel, bias, **case.options)
    return {"z": z, **recorded.gradient(z, given, output_gradients=dz)}


def tolerances_of(case, arrays, units):
    return measured(lambda on: by_hand(reference, case, *(None if a is None else on(a) for a in arrays)), units)


@pytest.mark.parametrize(("dtype", "mode"), CELLS)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(13, dtype="float64", mode="eager")
def test_by_hand_agrees_with_the_reference(name, dtype, mode):
    case, *arrays = problem(name, dtype)
    expected = by_hand(reference, case, *arrays)
    tolerances = tolerances_of(case, arrays, Units.of(dtype))
    run = compiled(lambda *given: by_hand(manual, case, *given), mode)
    assert_agree(run(*(tensor(a, dtype) for a in arrays)), expected, tolerances, dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.sampled(7, dtype="float64", mode="eager")
def test_by_tape_agrees_with_the_reference(name, dtype, mode):
    case, *arrays = problem(name, dtype)
    expected = by_hand(reference, case, *arrays)
    tolerances = tolerances_of(case, arrays, Units.of(dtype, "tape"))
    run = compiled(lambda *given: by_tape(tape, case, *given), mode)
    assert_agree(run(*(tensor(a, dtype) for a in arrays)), expected, tolerances, dtype)


@pytest.mark.parametrize("name", CASES)
def test_the_reference_s_gradients_are_those_of_complex_steps(name):
    case, *arrays, dz = problem(name)
    if "long" in name:
        arrays[0], dz = arrays[0][:1, :5, :5], dz[:1, :5, :5]
    expected = by_hand(reference, case, *arrays, dz)
    for index, gradient in enumerate(("dx", "dkernel", "dbias")):
        if arrays[index] is None:
            continue

        def loss(value, index=index):
            given = [*arrays[:index], value, *arrays[index + 1 :]]
            return (dz * functions(reference, case.kind)[0](*given, **case.options)[0]).sum()

        found = complex_step(loss, arrays[index])
        np.testing.assert_allclose(found, expected[gradient], rtol=0, atol=1e-13 * (1 + np.abs(found).max()))


@pytest.mark.parametrize("name", ["valid", "same", "stride2", "dilation2"])
def test_the_reference_s_output_is_scipy_s_correlation(name):
    case, x, kernel, bias, _ = problem(name)
    dilation, strides = case.options.get("dilation_rate", (1, 1)), case.options.get("strides", (1, 1))
    spread = np.zeros([(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)] + [*kernel.shape[2:]])
    spread[:: dilation[0], :: dilation[1]] = kernel
    mode = case.options.get("padding", "valid")
    expected = [
        [sum(scipy.signal.correlate2d(image[..., i], spread[..., i, o], mode) for i in range(x.shape[-1])) + bias[o]]
        for image in x
        for o in range(kernel.shape[-1])
    ]
    expected = np.moveaxis(np.reshape(expected, (len(x), kernel.shape[-1], *np.shape(expected)[2:])), 1, -1)
    got = reference.convolution.conv2d_forward(x, kernel, bias, **case.options)[0]
    np.testing.assert_allclose(got, expected[:, :: strides[0], :: strides[1]], rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("name", ["stride2-same-odd", "groups2", "depthwise-depth2-same"])
@pytest.mark.sampled(1)
def test_a_batch_of_unknown_size(name, mode):
    case, x, kernel, bias, dz = problem(name)
    expected = by_hand(reference, case, x, kernel, bias, dz)
    signature = [tf.TensorSpec([None, *a.shape[1:]], tf.float64) for a in (x, dz)]
    run = tf.function(
        lambda x, dz: by_hand(manual, case, x, tensor(kernel, "float64"), tensor(bias, "float64"), dz),
        input_signature=signature,
        jit_compile=MODES[mode],
    )
    got = run(x, dz)
    assert_agree(
        got,
        expected,
        tolerances_of(case, (x, kernel, bias, dz), Units.of("float64")),
        "float64",
    )
    for sizes in ([None, *x.shape[1:]],):
        assert run.get_concrete_function(*signature).structured_outputs["dx"].shape.as_list() == sizes


@pytest.mark.parametrize("name", ["same", "depthwise"])
def test_a_gradient_that_is_not_asked_for_is_not_made(name):
    case, x, kernel, bias, dz = problem(name)
    forward, backward = functions(manual, case.kind)
    residuals = forward(*(tensor(a, "float64") for a in (x, kernel, bias)), **case.options)[1]
    nothing = backward(dz, residuals, input_gradient=False, kernel_gradient=False, bias_gradient=False)
    assert nothing == (None, None, None)


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d"])
def test_no_gradient_kernel_is_called(kind):
    for name, case in CASES.items():
        if case.kind == kind:
            arrays = [tensor(a, "float32") for a in problem(name)[1:]]
            graph = tf.function(functools.partial(by_hand, manual, case)).get_concrete_function(*arrays).graph
            assert gradient_kernels(in_graph(graph)) == []
