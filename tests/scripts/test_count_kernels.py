"""scripts/benchmarks/count_kernels.py counts the kernels of one turn of a compiled loop over steps."""

from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PROGRAM = """HloModule epoch

%branch (arg: f32[4]) -> f32[4] {
  %arg = f32[4]{0} parameter(0)
  ROOT %negate.1 = f32[4]{0} negate(%arg)
}

%step (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  %arg.1 = (s32[], f32[4]{0}) parameter(0)
  %w = f32[4]{0} get-tuple-element(%arg.1), index=1
  %copy.1 = f32[4]{0} copy(%w)
  %dot.1 = f32[4]{0} dot(%copy.1, %w), lhs_contracting_dims={}
  %fusion.1 = (f32[4]{0}, f32[]) fusion(%dot.1), kind=kLoop, calls=%fused
  %call.1 = f32[4]{0} call(%dot.1), to_apply=%branch
  ROOT %tuple.1 = (s32[], f32[4]{0}) tuple(%i, %call.1)
}

%more (arg: (s32[], f32[4])) -> pred[] {
  ROOT %compare.1 = pred[] compare(%i, %n), direction=LT
}

%epoch (arg: (s32[], f32[4])) -> (s32[], f32[4]) {
  ROOT %while.1 = (s32[], f32[4]{0}) while(%arg.2), condition=%more, body=%step
}

ENTRY %main (arg: f32[4]) -> (s32[], f32[4]) {
  %copy.9 = f32[4]{0} copy(%arg.3)
  ROOT %while.2 = (s32[], f32[4]{0}) while(%tuple.3), condition=%more, body=%epoch
}
"""


def test_what_one_turn_of_the_inner_loop_starts_is_counted(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from benchmarks.count_kernels import step_of

    assert step_of(PROGRAM) == {"copy": 1, "dot": 1, "fusion": 1, "negate": 1, "compare": 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ways", "NumPy"), "--ways: got 'NumPy'; accepted: tfbp.Model, JAX."),
        (("--text", "nowhere"), "text: got 'nowhere'; accepted: a directory that exists."),
    ],
)
def test_bad_input_is_one_sentence(run, arguments, sentence):
    status, _, told = run("benchmarks/count_kernels.py", *arguments)
    assert status == 2
    assert sentence in told
    assert len(told.strip().splitlines()) == 1
