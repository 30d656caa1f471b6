"""Each example runs, and its network learns."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# what `main` returns: an error below, or an accuracy above; each network that does not learn is far off
LEARNED = {
    "tabular": lambda error: error < 0.05,
    "images": lambda accuracy: accuracy > 0.85,
    "text": lambda accuracy: accuracy > 0.8,
}


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(LEARNED)


@pytest.mark.parametrize("name", LEARNED)
def test_an_example_runs_and_learns(name, capsys):
    specification = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(example)
    result = example.main()
    assert LEARNED[name](result), result
    assert "new" in capsys.readouterr().out
