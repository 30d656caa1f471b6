#!/usr/bin/env python3
"""Run Keras's own tests with tfbp.layers in the place of Keras's layers, and with Keras's own, and compare.

The tests are those that ship inside the installed Keras. Dense, Activation, ReLU, LeakyReLU, ELU, PReLU and Softmax are
replaced. They check how a layer behaves, and hardly a gradient: that is what `scripts/check.py` is for. The exit status
is 0 when no test fails that passes with Keras's own layers, 1 when one does, 2 for bad input.

    --what layers    the tests of these layers alone (default)
    --what all       also of Sequential, Functional, Model, trainers, TimeDistributed, Wrapper and saving: minutes
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

from tfbp import InputError
from tfbp.checks import check_choice

LAYERS = ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax")
TESTS = {
    "layers": ("layers/core/dense_test.py", "layers/activations"),
    "all": (
        *("layers/core/dense_test.py", "layers/activations", "layers/core/wrapper_test.py"),
        *("layers/rnn/time_distributed_test.py", "models", "trainers/trainer_test.py", "saving"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default="layers", help="layers or all (default: layers)")
    arguments = parser.parse_args()
    try:
        check_choice("what", arguments.what, TESTS)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        outcomes = {which: run(which, TESTS[arguments.what], Path(directory)) for which in ("keras", "tfbp")}
    for which, found in outcomes.items():
        counts = {word: list(found.values()).count(word) for word in ("passed", "failed", "skipped")}
        print(f"{which}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
    worse = [
        test for test, outcome in outcomes["keras"].items() if outcome == "passed" != outcomes["tfbp"].get(test, "lost")
    ]
    print(*(f"Fails with tfbp.layers alone: {test}" for test in worse), sep="\n", end="\n" if worse else "")
    return 1 if worse or "passed" not in outcomes["keras"].values() else 0


def run(which: str, tests: tuple[str, ...], directory: Path) -> dict[str, str]:
    """Every test's outcome, in a process of its own."""
    source = Path(find_spec("keras").origin).parent / "src"
    report = directory / f"{which}.xml"
    # Keras's tests import beside what is replaced here, and write into the directory that they run in
    command = [sys.executable, __file__, "--as-pytest", which, "-q", "--no-header", "-p", "no:cacheprovider"]
    command += [
        "-c",
        os.devnull,
        "--rootdir",
        str(source),
        "--import-mode=importlib",
        "--disable-warnings",
        f"--junitxml={report}",
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([*command, *(str(source / test) for test in tests)], cwd=directory, env=environment, check=False)
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return outcomes


def as_pytest(which: str, options: list[str]) -> int:
    """pytest in this process, after Keras's layers have been replaced wherever its tests take them from."""
    import keras
    import pytest
    from keras.src.layers import activations

    from tfbp import layers

    if find_spec("jax") is None:
        sys.modules["jax"] = ModuleType("jax")  # trainer_test.py imports it, and uses it on that backend alone
    if which == "tfbp":
        for name in ("Dense", "Activation", *LAYERS):
            for module in (keras.layers, keras.src.layers):
                setattr(module, name, getattr(layers, name))
        for name in LAYERS:
            setattr(
                getattr(activations, {"LeakyReLU": "leaky_relu"}.get(name, name.lower())), name, getattr(layers, name)
            )
    return pytest.main(options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-pytest"]:
        sys.exit(as_pytest(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
