"""A sample of the mistakes in hand-coded gradients, found at the right argument; `mutation_benchmark.py` has all."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "trials"))

import mutation_benchmark
from gradient_mutants import peers, trial
from gradient_mutants.contestants import CONTESTANTS, DTYPES, compute_gradient, flat_allclose, this_checker

KINDS = {kind.name: kind for kind in trial.kinds()}
# one of each kind of function
SAMPLE = [(name, kind.mutants[i % len(kind.mutants)]) for i, (name, kind) in enumerate(KINDS.items())][::2]


def test_the_script_knows_the_kinds_names():
    assert tuple(KINDS) == mutation_benchmark.KINDS


def test_there_are_enough_mistakes_and_no_name_twice():
    names = [(kind.name, mutant.name) for kind in KINDS.values() for mutant in kind.mutants]
    assert len(names) == len(set(names)) >= 80


@pytest.mark.parametrize(("kind", "mutant"), SAMPLE, ids=lambda value: getattr(value, "name", value).replace(" ", "-"))
@pytest.mark.sampled(3)
def test_it_is_found_at_the_right_argument(kind, mutant):
    kind = KINDS[kind]
    answer = this_checker(kind, kind.function(mutant.backward), kind.good(np.random.default_rng(0)))
    assert answer.wrong["float64"], answer.report
    assert answer.report.findings[0].argument.split(" ")[0] in mutant.arguments, answer.report


def test_a_lazy_point_is_flagged_and_what_is_right_is_not():
    kind = KINDS["dense"]
    right = this_checker(kind, kind.function(), kind.good(np.random.default_rng(0)))
    assert not any(right.wrong.values()), right.report
    assert right.report.grade == "good"
    assert this_checker(kind, kind.function(), kind.lazy(np.random.default_rng(0))).report.grade == "blind"


def test_the_other_contestants_find_what_is_plain():
    kind = KINDS["tanh"]
    inputs = kind.good(np.random.default_rng(0))
    wrong = next(mutant.backward for mutant in kind.mutants if mutant.name == "sign")
    for contestant in (compute_gradient, flat_allclose):
        assert contestant(kind, kind.function(wrong), inputs).wrong == dict.fromkeys(DTYPES, True)
        assert not contestant(kind, kind.function(), inputs).wrong["float64"]


def test_the_chart_has_a_row_for_each_checker(run, tmp_path):
    chart = tmp_path / "mistakes.svg"
    status, out, err = run(
        "trials/mutation_benchmark.py", "--only", "tanh", "--every", 9, "--correct", 1, "--chart", chart
    )
    assert status == 0, err
    drawn = chart.read_text()
    for name in CONTESTANTS:
        assert f"<!-- {name} -->" in drawn
        assert name.split()[0][:8] in out
    assert "<!-- right ones refused, % -->" in drawn


PEERS = sorted(peers.installed())


@pytest.mark.skipif(
    not PEERS, reason="PyTorch and JAX are not here: `make benchmark` installs them beside, in .venv-benchmark"
)
@pytest.mark.filterwarnings("ignore")  # PyTorch's, of drivers and of what is not float64
@pytest.mark.parametrize("name", ["check_grads", "gradcheck", "gradcheck, fast"])
@pytest.mark.parametrize("kind", ["tanh", "dense", "embedding", "attention"])
def test_other_frameworks_checkers_see_the_same_function(name, kind):
    kind = KINDS[kind]
    inputs = kind.good(np.random.default_rng(0))
    assert not CONTESTANTS[name](kind, kind.function(), inputs).wrong["float64"]
    first = next(i for i, each in enumerate(inputs) if each.dtype.kind == "f")
    for wrong in (
        kind.but(first, lambda g, *_: -g),
        lambda dy, *a: (*kind.backward(dy, *a), dy),  # one too many
        kind.but(first, lambda g, *_: g[None, ..., :1] if g.shape.rank else g[None]),  # another shape
    ):
        assert CONTESTANTS[name](kind, kind.function(wrong), inputs).wrong["float64"]
