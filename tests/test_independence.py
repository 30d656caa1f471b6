"""Rules that import-linter cannot see: the manual writing never names a tape, the reference never names TensorFlow."""

import ast
import re
from pathlib import Path

import pytest

import tfbp

PACKAGE = Path(tfbp.__file__).parent
FORBIDDEN = {
    "manual": r"GradientTape|tf\.gradients|custom_gradient|tape",
    "reference": r"\btf\.|tensorflow as|import tensorflow(?!\n)",
}


def code_of(path):
    """The file without docstring examples and comments."""
    text = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"#.*", "", text)


@pytest.mark.parametrize("writing", FORBIDDEN)
def test_a_writing_does_not_name_what_it_must_not_use(writing):
    files = sorted((PACKAGE / writing).glob("*.py"))
    assert len(files) >= 8
    for path in files:
        assert not re.search(FORBIDDEN[writing], code_of(path)), path


def test_the_writings_hold_the_same_files():
    names = {w: {path.name for path in (PACKAGE / w).glob("*.py")} for w in ("reference", "manual", "tape")}
    # TensorFlow's own kernels, each beside its spelled-out twin; the window, the gates, the steps and the chunks inside
    # the tape's operations;
    # what a form of a sum is chosen by; and the checks before a pass, which the others have in backprop
    assert names["manual"] - names["tape"] == {
        "chunks.py",
        "compiled.py",
        "fused.py",
        "gates.py",
        "halves.py",
        "inputs.py",
        "kernels.py",
        "sizes.py",
        "steps.py",
        "window.py",
    }
    assert not names["tape"] - names["manual"]
    # the reference also trains itself, by Keras's rules
    assert names["reference"] - names["manual"] == {"optimizers.py", "trainer.py"}


def test_no_two_test_files_have_one_name():
    """pytest cannot collect both at once."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_no_test_draws_from_a_generator_of_its_module():
    """Its numbers would depend on the tests that ran before: `rng`, a fixture, is each test's own."""
    for path in Path(__file__).parent.rglob("test_*.py"):
        lines = ast.parse(path.read_text()).body
        made = {
            line.targets[0].id
            for line in lines
            if isinstance(line, ast.Assign) and re.fullmatch(r"\w+ = np\.random\.default_rng\(\d*\)", ast.unparse(line))
        }
        inside = [each for line in lines if isinstance(line, ast.FunctionDef) for each in line.body]
        names = {node.id for each in inside for node in ast.walk(each) if isinstance(node, ast.Name)}
        assert made.isdisjoint(names), path
