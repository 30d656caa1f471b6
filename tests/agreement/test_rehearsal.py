"""What is proven of a GPU run without one: every operation has a kernel there, and every program lowers for it."""

import random

import pytest
import tensorflow as tf

from tfbp import InputError, Network, manual, tape
from tfbp.agreement import gpu_programs, kernels, rehearsal
from tfbp.agreement.cases import DTYPES, all_cases
from tfbp.agreement.kernels import Operation
from tfbp.agreement.matrix import MODES
from tfbp.agreement.rehearsal import Program, rehearse
from tfbp.network import Dense

# the whole matrix by `scripts/check.py --rehearse gpu`: here one case in each dtype, and everything that is not a case
SAMPLE = random.Random(2026).sample(all_cases(), len(DTYPES))


@pytest.mark.parametrize(
    ("case", "dtype"), list(zip(SAMPLE, DTYPES, strict=True)), ids=lambda value: getattr(value, "name", value)
)
def test_what_runs_on_a_gpu_has_its_kernels_there(case, dtype):
    findings = list(rehearse(gpu_programs.programs([case], [dtype], ("writings", "per example", "training")), MODES))
    assert not [finding.complaint for finding in findings if finding.complaint]
    assert {(f.program.part, f.mode) for f in findings} >= {("writings", mode) for mode in MODES}
    assert all(len(finding.operations) > 10 for finding in findings)


@pytest.mark.parametrize("part", ["layers", "linear_cross_entropy"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_so_do_layers_and_the_last_layer_with_its_loss(part, dtype):
    findings = list(rehearse(gpu_programs.programs([], [dtype], (part,)), ("eager", "graph")))
    assert not [finding.complaint for finding in findings if finding.complaint]


def in_a_loop(x):
    return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, tf.raw_ops.Softplus(features=x)), (0, x))[1]


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.raw_ops.Softsign(features=x), lambda: x)


def in_the_library(x):
    return tf.function(lambda x: tf.raw_ops.Softplus(features=x))(x)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(
    ("planted", "name"),
    [
        (lambda x: tf.raw_ops.Softplus(features=x), "Softplus"),
        (in_a_loop, "Softplus"),
        (in_a_branch, "Softsign"),
        (in_the_library, "Softplus"),
    ],
    ids=["plain", "loop", "branch", "library"],
)
def test_a_planted_operation_without_a_gpu_kernel_is_named(planted, name, mode):
    if (planted, mode) == (in_the_library, "eager"):
        mode = "graph"  # a call of a function is one operation, eagerly
    for dtype, missing in (("bfloat16", [f"{name} (T bfloat16)"]), ("float32", [])):
        (finding,) = rehearse([Program("layers", "planted", dtype, planted, (tf.ones(2, dtype),))], (mode,))
        assert [str(operation) for operation in finding.missing] == missing
        assert finding.complaint == (
            f"layers: planted-{dtype}-{mode}: no GPU kernel for {name} (T {dtype})" if missing else ""
        )


def test_a_planted_operation_in_the_writings_is_named(monkeypatch):
    monkeypatch.setattr(manual.smooth_activations, "softplus_forward", lambda z: (tf.raw_ops.Softplus(features=z), z))
    monkeypatch.setitem(
        manual.activations._FUNCTIONS, "softplus_forward", lambda z: (tf.raw_ops.Softplus(features=z), z)
    )
    case = next(case for case in all_cases() if case.name.startswith("softplus"))
    findings = rehearse(gpu_programs.programs([case], ["bfloat16"], ("writings",)), ("eager", "graph"))
    complaints = [finding.complaint for finding in findings if finding.complaint]
    assert len(complaints) == 2
    assert all("-manual-bfloat16" in line and "Softplus (T bfloat16)" in line for line in complaints)


def test_what_xla_cannot_compile_for_a_gpu_is_named():
    program = Program("layers", "planted", "float32", lambda x: tf.strings.as_string(x), (tf.ones(2),))
    (finding,) = rehearse([program], ("xla",))
    assert "AsString (T float32)" in finding.complaint
    finding = rehearsal.Finding(finding.program, "xla", finding.operations, (), finding.reason)
    assert "does not lower for a GPU: " in finding.complaint


def test_loops_and_branches_are_seen_as_what_they_are_made_into():
    loop = Operation("While", (("T", ("float32", "bfloat16")),))
    assert kernels.without_kernel({loop}, "GPU") == []
    # no kernel of Enter for a string lies on a GPU, nor a default one but for the host's strings
    assert kernels.without_kernel({Operation("Enter", (("T", ("no such dtype",)),))}, "GPU")


@pytest.mark.parametrize("target", ["tpu", "", "GPU:0"])
def test_no_other_rehearsal_is_known(target):
    with pytest.raises(InputError, match=rf"^rehearse: got '{target}'; accepted: gpu\.$"):
        rehearsal.check_target(target)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_operation_of_the_manual_writing_is_a_gradient_kernel(dtype):
    """By the operations of the traced graphs, loops and functions included: each case, the examples' own gradients."""
    programs = [p for case in all_cases() for p in gpu_programs.writings_of(case, dtype, ("manual",))]
    programs += gpu_programs.per_example(dtype)
    found = {operation for finding in rehearse(programs, ("graph",)) for operation in finding.operations}
    assert {operation.name for operation in found} >= {"MatMul", "SelectV2", "Exp", "Log", "Tanh", "Sigmoid", "OneHot"}
    assert kernels.gradient_kernels(found) == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_operation_of_a_layer_s_or_a_loss_s_backward_is_a_gradient_kernel(dtype):
    programs = [*gpu_programs.layers_of(dtype), *gpu_programs.linear_cross_entropies(dtype)]
    by_hand = [program for program in programs if not program.name.startswith("by tape")]
    for finding in rehearse(by_hand, ("graph",)):
        assert kernels.gradient_kernels(set(finding.operations)) == [], finding.program.id


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softsign", "elu", "selu", "relu6"])
def test_the_tape_s_gradient_kernels_are_seen(name):
    """The check above can fail: where the same network's tape calls them, they are found."""
    network = Network(3, [Dense(2, name), Dense(2)], "sparse_categorical_crossentropy")
    parameters = network.init(0)
    run = tf.function(lambda x: tape.loss_and_gradients(network, parameters, x, [0, 1]), autograph=False)
    graph = run.get_concrete_function(tf.ones([2, 3])).graph
    found = {operation.name for operation in kernels.gradient_kernels(kernels.in_graph(graph))}
    kernel = {"selu": "EluGrad"}.get(name, f"{name.capitalize()}Grad")
    assert found == {kernel, "BiasAddGrad", "SparseSoftmaxCrossEntropyWithLogits"}
