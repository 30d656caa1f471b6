"""A type checker sees the public names with their signatures: it finds slips in a user's script."""

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")

ROOT = Path(__file__).parents[1]
SCRIPT = (ROOT / "tests" / "typed" / "script.py").read_text()
# a line of the script, what a user might write by mistake, and what mypy says
SLIPS = {
    "a misspelled argument of fit": ("y, epochs=3, verbose=0", "y, epoch=3, verbose=0", '"epoch" for "fit"'),
    "a name that tfbp does not have": ("tfbp.predict(", "tfbp.prediction(", 'no attribute "prediction"'),
    "a number for a list of dtypes": ('dtypes=["float64"]', "dtypes=64", '"dtypes" to "check_gradients"'),
    "an argument that swap does not have": ("swap(plain)", 'swap(plain, layers="Dense")', '"layers" for "swap"'),
    "an attribute that a finding does not have": ("].cause", "].reason", 'no attribute "reason"'),
    "a forgotten argument": (
        "(network, parameters, x, y)",
        "(network, parameters, x)",
        'Missing positional argument "y"',
    ),
    "a number for an activation": ('Dense(8, "relu")', "Dense(8, 1.5)", 'Argument 2 to "Dense"'),
    "a word for a seed": ("init(seed=0)", 'init(seed="zero")', 'Argument "seed" to "init"'),
    "an argument that norms has not": ("norms(model, x, y)", "norms(model, x, y, weight=y)", "Unexpected keyword"),
    "an argument that Model does not have": ('gradients="manual")', 'gradient="manual")', '"gradient" for "Model"'),
    "a misspelled argument of compile": ('metrics=["accuracy"]', 'metric=["accuracy"]', '"metric" for "compile"'),
    "a misspelled argument of Model.fit": ("fit(x, y, epochs=3)", "fit(x, y, epoch=3)", '"epoch" for "fit"'),
    "a word for a number of rows": ("batch_size=8", 'batch_size="8"', 'Argument "batch_size" to "evaluate"'),
    "an argument that from_keras does not have": ("seed=1)", "sead=1)", '"sead" for "from_keras"'),
    "a misspelled method": ("picture.save(", "picture.write(", 'no attribute "write"'),
}


def checked(script, folder):
    """The errors of mypy in the script, line by line, with the options and the cache of this project."""
    path = folder / "script.py"
    path.write_text(script)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    output, errors, _ = api.run([*options, str(path)])
    assert errors == ""
    return [line.removeprefix(f"{path}:") for line in output.splitlines() if ": error: " in line]


def test_slips_in_a_typed_script_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    monkeypatch.chdir(ROOT)
    assert checked(SCRIPT, tmp_path) == []
    script, lines = SCRIPT, {}
    for name, (right, wrong, _) in SLIPS.items():
        assert SCRIPT.count(right) == 1, name
        script = script.replace(right, wrong)
        lines[name] = SCRIPT[: SCRIPT.index(right)].count("\n") + 1
    found = checked(script, tmp_path)
    for name, (_, _, message) in SLIPS.items():
        assert any(re.match(rf"{lines[name]}: error: .*{message}", line) for line in found), (name, found)
    # and nothing else: each line with a slip, once
    assert sorted(int(line.split(":")[0]) for line in found) == sorted(lines.values())
