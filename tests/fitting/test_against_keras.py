"""Random models under random options: tfbp.fit, evaluate and predict give what Keras's own give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TRIALS = Path(__file__).parents[2] / "scripts" / "trials"
# of every kind of model, both kinds of compile, and most optimizers
SEEDS = (1, 3, 4, 6, 7, 8, 9, 10, 12, 20)
# whose sums TensorFlow took in another order where it saw that x, y and weights have as many rows each
AS_MANY_ROWS = (2385, 2454, 2479)


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(TRIALS)
    from fuzzing import fit_cases

    return fit_cases


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.sampled(3)
def test_a_random_model_is_trained_as_by_keras(seed, cases):
    case = cases.case_of(seed)
    assert cases.difference(case, exact=False) is None, str(case)
    assert "refused" not in case.notes, str(case)


@pytest.mark.parametrize("seed", AS_MANY_ROWS)
def test_sums_are_in_keras_s_order(seed, cases):
    assert cases.difference(cases.case_of(seed)) is None


def test_what_differs_is_found(cases, monkeypatch):
    own = cases.tfbp.fit
    monkeypatch.setattr(cases.tfbp, "fit", lambda *data, shuffle, **options: own(*data, shuffle=True, **options))
    assert "by up to" in cases.difference(cases.case_of(8))


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "told"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0.0, None),
        ({"a": 1.0}, {"a": 1.0 + 1e-6}, 1e-4, None),
        ({"a": 1.0}, {"a": 1.5}, 1e-4, "['a']: by up to 0.5 of 1.5"),
        ({"a": 1.0, "b": 1.0}, {"b": 1.0, "a": 1.0}, 1e-4, ": keys ['a', 'b'], not ['b', 'a']"),
        ([1.0], [1.0, 2.0], 1e-4, ": [1.0], not [1.0, 2.0]"),
        ([1.0], [1], 1e-4, "[0]: a float, not a int"),
        ([("end", 1)], [("end", 2)], 1e-4, "[0][1]: 1, not 2"),
        (np.ones(2), np.ones(2, np.float32), 1e-4, ": float64(2,), not float32(2,)"),
    ],
)
def test_a_difference_is_told_by_its_place(got, expected, tolerance, told, cases):
    assert cases.unequal(got, expected, tolerance) == told


def test_the_script_names_what_differs_and_fails(cases, monkeypatch, capsys):
    import fuzz_fit

    found = iter([None, "history: by up to 0.5 of 1.5"])
    monkeypatch.setattr(cases, "difference", lambda case: next(found))
    monkeypatch.setattr(sys, "argv", ["fuzz_fit.py", "--seed", "7", "--count", "2"])
    assert fuzz_fit.main() == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("seed 8: table, ")
    assert first.endswith("history: by up to 0.5 of 1.5")
    assert last == "2 cases; 1 differ; 0 that Keras refuses."


def test_no_cases_are_no_success():
    command = [sys.executable, TRIALS / "fuzz_fit.py", "--count", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "--count")
