"""The wheel, in an environment of its own and outside the checkout: what a user of a package index gets."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# one process builds the wheel for all of these
pytestmark = [pytest.mark.xdist_group("wheel"), pytest.mark.rare("a wheel is built, and installed")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # from a copy, because a build leaves its traces
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT / "tfbp", source / "tfbp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Runs a program of an environment that has the wheel, and beside it what this one has, but not the checkout."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "env", with_pip=False, symlinks=True)
    python = home / "env" / "bin" / "python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    )
    place = Path(packages.stdout.strip())
    # a path in a .pth file: the files of that kind which lie there, an editable install among them, are not read
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def run(program, *arguments):
        command = [home / "env" / "bin" / program, *arguments]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(home)}
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=600)
        return done.returncode, done.stdout, done.stderr

    return run


def test_it_is_the_wheel_that_is_imported_and_it_is_typed(run):
    code = "import tfbp, pathlib; here = pathlib.Path(tfbp.__file__).parent; print(here, (here / 'py.typed').is_file())"
    status, out, err = run("python", "-c", code)
    assert status == 0, err
    place, typed = out.split()
    assert place.endswith("site-packages/tfbp")
    assert not place.startswith(str(ROOT))
    assert typed == "True"


def test_the_proof_runs(run):
    status, out, err = run("tfbp", "check", "--case", "dense", "--mode", "eager", "--dtype", "float64")
    assert status == 0, err
    assert "Compared: " in out
    status, out, err = run("python", "-m", "tfbp", "seed")
    assert status == 0, err
    assert "First wrong tensor: layer 0 dz" in out


def test_it_trains(run):
    status, out, err = run("tfbp", "train", "--epochs", "1", "--gradients", "reference,manual")
    assert status == 0, err
    assert out.startswith("Training a network of 6,570 weights on digits, 1,438 training and 359 validation samples")
    assert re.search(r"Curves: .*tensorboard(\.main)? --logdir logs/digits-", out)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "tfbp train"),
        (["--version"], 0, "tfbp 0."),
        ([], 0, "tfbp agree"),
        (["trian"], 2, "command: got 'trian' (did you mean 'train'?); accepted: train, agree, gradients, seed"),
        (["gpu-report", "--minutes", "0"], 2, "--minutes: got 0.0; accepted: a finite number above 0."),
        (["train", "--epochs", "0"], 2, "--epochs: got 0; accepted: an integer of at least 1."),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else "",
)
def test_what_the_command_says(run, arguments, status, said):
    found, out, err = run("tfbp", *arguments)
    assert found == status
    assert said in out + err


def test_the_index_shows_links_and_pictures_that_are_absolute(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert not any(name.startswith(("tests", "scripts", "docs", "examples")) for name in names)
    assert "](docs/" not in metadata
    assert "](tfbp/" not in metadata
    assert "/raw/main/docs/agreement.svg)" in metadata
    assert "/blob/main/docs/derivation.md)" in metadata
    for field in ("Author: The tfbp authors", "Project-URL: Repository, https://", "Provides-Extra: scripts"):
        assert field in metadata
