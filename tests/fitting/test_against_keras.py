"""Random models under random options: tfbp.fit, evaluate and predict give what Keras's own give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies

SCRIPTS = Path(__file__).parents[2] / "scripts" / "trials"


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from fuzzing import fit_cases

    return fit_cases


def test_random_models_are_trained_as_by_keras(cases, pytestconfig):
    """The same cases each time; a failing one is reported after Hypothesis has made it smaller."""

    @settings(
        max_examples=50 if pytestconfig.getoption("--all") else 3,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.data())
    def alike(data):
        case = cases.Case(data=data)
        assert cases.difference(case, exact=False) is None, str(case)

    alike()


def test_what_differs_is_found(cases, monkeypatch):
    own = cases.tfbp.fit
    monkeypatch.setattr(cases.tfbp, "fit", lambda *data, shuffle, **options: own(*data, shuffle=True, **options))
    assert "by up to" in cases.difference(cases.Case({"batch_size": 5}))


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


def test_the_script_makes_what_differs_smaller_and_fails(cases, monkeypatch, capsys):
    import fuzz_fit

    def difference(case):
        late = case.choose("kind", cases.KINDS) != "two" and case.choose("epochs", [2, 3, 4]) > 2
        return "history: by up to 0.5 of 1.5" if late and case.number("seed", 100) > 10 else None

    monkeypatch.setattr(cases, "difference", difference)
    monkeypatch.setattr(sys, "argv", ["fuzz_fit.py", "--count", "200"])
    assert fuzz_fit.main() == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "Case({'kind': 'table', 'epochs': 3, 'seed': 11}): history: by up to 0.5 of 1.5"
    assert last.endswith(" cases; one differs; 0 that Keras refuses.")


def test_no_cases_are_no_success():
    command = [sys.executable, SCRIPTS / "fuzz_fit.py", "--count", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "--count")
