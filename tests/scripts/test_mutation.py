"""A sample of the planted mistakes: found, named at the tensor, never misled; scripts/trials/mutation.py plants all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "trials"))

from planting.judge import Coverage, grade, verdict
from planting.mutations import HARMLESS, MUTATIONS
from planting.plant import PACKAGE, planted
from tfbp import Dense
from tfbp.agreement.cases import all_cases

# one of each kind: shape, None, axis, rows, a term, a factor, a kink, far out, a seed, 16 bits, and each writing
SAMPLE = [
    "manual-kernel-gradient-transposed",
    "manual-kernel-gradient-none",
    "manual-kernel-not-transposed-where-square",
    "manual-bias-of-1024-rows",
    "manual-bias-in-float16",
    "manual-input-gradient-off-by-1e-13",
    "manual-kernel-gradient-one-element",
    "manual-tanh-at-z",
    "manual-sigmoid-without-y",
    "manual-mish-without-sigmoid",
    "manual-relu6-at-6",
    "manual-softplus-overflows",
    "manual-squareplus-default",
    "manual-categorical-targets-sum-to-1",
    "manual-1/B-missing",
    "manual-upstream-not-handed-on",
    "manual-l1-at-0",
    "manual-clip-of-one-layer",
    "tape-gradient-stopped",
    "reference-tanh-at-y",
    "layers-logits-forgotten",
]
# one process sees what the cases run, which takes longer than most mutations
pytestmark = pytest.mark.xdist_group("mutations")
BY_ID = {mutation.id: mutation for mutation in MUTATIONS}


@pytest.fixture(scope="module")
def coverage():
    """Of the networks that have dense layers alone, as all of the sample is planted in what these run."""
    return Coverage.seen(case for case in all_cases() if all(type(layer) is Dense for layer in case.network.layers))


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.sampled(3)
def test_it_is_found_located_and_not_misnamed(name, coverage):
    with planted(BY_ID[name]) as codes:
        complaint = verdict(codes, coverage, modes=["eager"])
    found, located, cause = grade(BY_ID[name], complaint)
    assert (found, located) == (True, True), complaint
    assert cause == ("right" if BY_ID[name].cause else "silent"), complaint


def test_what_is_planted_is_taken_out_again(coverage):
    mutation = BY_ID["manual-kernel-gradient-none"]
    with planted(mutation) as codes:
        assert verdict(codes, coverage, modes=["eager"])
    case = next(iter(coverage.cases))
    from tfbp.agreement.matrix import Cell, first_wrong, run_cell

    right = next(each for each in all_cases() if each.name == case)
    assert first_wrong(run_cell(Cell(right, "float64", "eager"))) is None


def test_there_are_sixty_and_each_names_one_place():
    assert len(MUTATIONS) >= 60
    assert len({mutation.id for mutation in (*MUTATIONS, *HARMLESS)}) == len(MUTATIONS) + len(HARMLESS)
    for mutation in (*MUTATIONS, *HARMLESS):
        assert (PACKAGE / mutation.file).read_text().count(mutation.old) == 1, mutation.id
