"""A run on a GPU, rehearsed without one: green on what we ship, red where a kernel is missing, wherever it hides."""

import random

import pytest
import tensorflow as tf

from tfbp import Dense, Network, manual, tape
from tfbp.agreement.cases import all_cases
from tfbp.commands import agree as check
from tfbp.rehearsal import findings as rehearsal
from tfbp.rehearsal import operations as kernels
from tfbp.rehearsal import programs as gpu_programs
from tfbp.rehearsal.findings import Rehearsed, rehearse

SEED = 2026


@pytest.mark.parametrize("part", gpu_programs.PARTS)
def test_what_we_ship_has_a_gpu_kernel_everywhere(part):
    chosen = random.Random(SEED)
    cases, dtype = chosen.sample(all_cases(), 2), chosen.choice(check.DTYPES)
    found = [f for program in gpu_programs.programs(cases, dtype, [part]) for f in rehearse(program)]
    assert {finding.program.part for finding in found} == {part}
    modes = {"graph", "xla"} if part == "training" else {"eager", "graph", "xla"}
    assert {finding.mode for finding in found} == modes
    assert [finding.complaint for finding in found if finding.complaint] == []
    # the identity is none
    assert {f.program.name for f in found if not f.operations} <= {"Activation linear"}


@pytest.mark.parametrize("name", ["softplus-B", "softsign-B", "mish", "log_sigmoid"])
def test_bfloat16_runs_where_the_gpu_has_no_kernel_of_it(name):
    cases = [case for case in all_cases() if case.name.startswith(name)]
    found = [f for p in gpu_programs.programs(cases, "bfloat16", ["writings"]) for f in rehearse(p)]
    assert len(found) == 6
    assert [finding.complaint for finding in found if finding.complaint] == []


def softplus(x):
    return tf.raw_ops.Softplus(features=x)


def in_a_loop(x):
    return tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, softplus(x)), (0, x))[1]


def in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: softplus(x), lambda: x)


def in_a_function(x):
    return tf.function(softplus)(x)


inner = tf.function(softplus)


def in_a_function_of_a_function(x):
    inner(x)  # traced before
    return tf.function(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: inner(x), lambda: x))(x)


def in_its_gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.raw_ops.Softplus(features=x)
    return tape.gradient(y, x)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(
    "planted", [softplus, in_a_loop, in_a_branch, in_a_function, in_a_function_of_a_function, in_its_gradient]
)
def test_a_planted_operation_without_a_kernel_is_named(planted, mode):
    def run(fed):
        return planted(fed["x"])

    for dtype, missing in (("float32", False), ("bfloat16", True)):
        program = Rehearsed("layers", "planted", dtype, run, {"x": tf.ones([2, 3], dtype)})
        (finding,) = rehearse(program, [mode])
        named = f"layers: planted-{dtype}-{mode}: no GPU kernel for " in finding.complaint
        assert named == missing
        assert ("Softplus (T bfloat16)" in finding.complaint) == missing


def test_what_xla_cannot_compile_is_named():
    program = Rehearsed("layers", "planted", "float32", lambda fed: tf.strings.length(tf.as_string(fed)), tf.ones([2]))
    (finding,) = rehearse(program, ["xla"])
    assert "no GPU kernel for AsString (T float32), StringLength" in finding.complaint
    assert "does not lower" in finding.reason


def test_a_program_with_variables_is_looked_through():
    weight = tf.Variable(tf.ones([2], tf.bfloat16))

    def step(fed):
        weight.assign(softplus(weight) + fed)
        return tf.constant(0)

    program = Rehearsed("training", "planted", "bfloat16", step, tf.ones([2], tf.bfloat16), ("graph",), True)
    (finding,) = rehearse(program)
    assert finding.complaint == "training: planted-bfloat16-graph: no GPU kernel for Softplus (T bfloat16)"


def test_what_raises_is_told():
    def run(fed):
        raise ValueError("planted")

    (finding,) = rehearse(Rehearsed("layers", "planted", "float32", run, tf.ones([2])), ["graph"])
    assert finding.complaint.startswith("layers: planted-float32-graph: it raises ValueError: planted, raised at")


def test_float64_sparse_cross_entropy_has_no_kernel_of_its_own():
    operation = kernels.Operation
    types = {dtype: (("T", (dtype,)), ("Tlabels", ("int64",))) for dtype in ("float32", "float64")}
    operations = {operation("SparseSoftmaxCrossEntropyWithLogits", each) for each in types.values()}
    (missing,) = kernels.without_kernel(operations, "GPU")
    assert dict(missing.types)["T"] == ("float64",)


def test_the_command_prints_the_table_and_exits_with_0(capsys):
    assert check.main(["--rehearse", "gpu", "--case", "square-B5", "--dtype", "float32"]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith("writings")]
    assert [row[1:3] for row in rows] == [["eager", "2"], ["graph", "2"], ["xla", "2"]]
    assert rows[2][-3:] == ["2", "of", "2"]
    assert "every operation has one" in out
    listed = " ".join(out.partition("Written by hand, 1 programs of ")[2].split())
    assert {"MatMul,", "BiasAdd,", "Sum,"} <= set(listed.split())
    assert "none is a gradient kernel." in listed


def test_the_command_exits_with_1_and_names_what_is_missing(capsys, monkeypatch):
    planted = Rehearsed("writings", "planted", "bfloat16", softplus, tf.ones([2, 3], tf.bfloat16))
    monkeypatch.setattr(gpu_programs, "programs", lambda *_: [planted])
    assert check.main(["--rehearse", "gpu", "--dtype", "bfloat16", "--mode", "graph"]) == 1
    out = capsys.readouterr().out
    assert "1 would not run there" in out
    assert out.splitlines()[-1] == "writings: planted-bfloat16-graph: no GPU kernel for Softplus (T bfloat16)"


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_gradient_kernel_in_what_is_written_by_hand_is_named(mode, capsys, monkeypatch):
    pair = manual.smooth_activations.sigmoid_forward, lambda dy, y: tf.raw_ops.SigmoidGrad(dy=dy, y=y)
    monkeypatch.setitem(manual.activations.ACTIVATIONS, "sigmoid", pair)
    chosen = ["--rehearse", "gpu", "--case", "sigmoid", "--dtype", "float32", "--mode", mode]
    assert check.main(chosen) == 1
    out = capsys.readouterr().out
    assert "gradient kernels: SigmoidGrad." in " ".join(out.split())
    complaints = [line for line in out.splitlines() if "it calls the gradient kernel" in line]
    assert complaints
    assert all("-manual-float32" in line and "SigmoidGrad (T float32)" in line for line in complaints)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rehearse", "tpu"], "--rehearse: got 'tpu' (did you mean 'gpu'?); accepted: gpu.\n"),
        (["--device", "tpu"], "--device: got 'tpu' (did you mean 'gpu'?); accepted: cpu, gpu.\n"),
        (["--rehearse", "gpu", "--json", "a.json"], "--json: got 'a.json' beside --rehearse; accepted: "),
    ],
    ids=["no-such-rehearsal", "no-such-device", "numbers-of-a-rehearsal"],
)
def test_bad_input_is_one_sentence(options, sentence, capsys):
    assert check.main(options) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_the_table_counts_programs_and_what_is_missing():
    x = tf.ones([2, 3], tf.bfloat16)
    found = [f for name in "ab" for f in rehearse(Rehearsed("layers", name, "bfloat16", softplus, x), ["graph", "xla"])]
    cells = [list(column.cells) for column in rehearsal.table(found).columns]
    assert cells[:3] == [["layers"] * 2, ["graph", "xla"], ["2", "2"]]
    assert cells[5:] == [["1", "0"], ["", "2 of 2"]]


def test_a_planted_operation_in_the_writings_is_named(monkeypatch):
    pair = lambda z: (tf.raw_ops.Softplus(features=z), z), manual.smooth_activations.softplus_backward
    monkeypatch.setitem(manual.activations.ACTIVATIONS, "softplus", pair)
    case = next(case for case in all_cases() if case.name.startswith("softplus"))
    programs = gpu_programs.programs([case], "bfloat16", ["writings"])
    found = [finding for program in programs for finding in rehearse(program, ["eager", "graph"])]
    complaints = [finding.complaint for finding in found if finding.complaint]
    assert len(complaints) == 2
    assert all("-manual-bfloat16" in line and "Softplus (T bfloat16)" in line for line in complaints)


def test_loops_and_branches_are_seen_as_what_they_are_made_into():
    loop = kernels.Operation("While", (("T", ("float32", "bfloat16")),))
    assert kernels.without_kernel({loop}, "GPU") == []
    assert kernels.without_kernel({kernels.Operation("Enter", (("T", ("no such dtype",)),))}, "GPU")


@pytest.mark.parametrize("dtype", check.DTYPES)
@pytest.mark.sampled(5)
def test_no_operation_of_the_manual_writing_is_a_gradient_kernel(dtype, pytestconfig):
    """By the operations of the traced graphs, loops and functions included: of cases, and the examples' own gradients.

    That manual's modules name no such kernel is tests/test_independence.py's.
    """
    cases = all_cases()[:: 1 if pytestconfig.getoption("--all") else 7]
    programs = [p for case in cases for p in gpu_programs.writings_of(case, dtype, ["manual"])]
    programs += gpu_programs.per_example(dtype)
    findings = [finding for program in programs for finding in rehearse(program, ["graph"])]
    assert [finding.reason for finding in findings if finding.reason] == []
    found = {operation for finding in findings for operation in finding.operations}
    assert {operation.name for operation in found} >= {"MatMul", "SelectV2", "Exp", "Log", "Tanh", "Sigmoid", "OneHot"}
    assert kernels.gradient_kernels(found) == []


@pytest.mark.parametrize("dtype", check.DTYPES)
def test_no_operation_of_a_layer_s_or_a_loss_s_backward_is_a_gradient_kernel(dtype):
    programs = [*gpu_programs.layers_of(dtype), *gpu_programs.linear_cross_entropies(dtype)]
    by_hand = [program for program in programs if not program.name.startswith("tape")]
    for program in by_hand:
        (finding,) = rehearse(program, ["graph"])
        assert kernels.gradient_kernels(set(finding.operations)) == [], program.name
        assert finding.complaint == ""


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
