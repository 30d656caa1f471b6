"""An untested newer TensorFlow or Keras gives one warning; a tested or an unknown one gives none."""

import re
import tomllib
import warnings
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tfbp import versions

ROOT = Path(__file__).parents[1]


def warned(monkeypatch, **installed):
    def version(package):
        if package not in installed:
            raise PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(versions, "version", version)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        versions.warn_of_untested()
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    "installed",
    [
        {"tensorflow": "2.20.0", "keras": "3.13.0"},
        {"tensorflow": "2.21.4", "keras": "3.15.1"},
        {"tensorflow": "2.21.0rc1", "keras": "3.9.2"},
        {},
    ],
    ids=["lowest", "newest", "candidate", "other-names"],
)
def test_what_is_tested_or_unknown_gives_no_warning(monkeypatch, installed):
    assert warned(monkeypatch, **installed) == []


@pytest.mark.parametrize(
    ("installed", "newer"),
    [
        ({"tensorflow": "2.22.0", "keras": "3.15.1"}, "tensorflow 2.22.0"),
        ({"tensorflow": "2.21.0", "keras": "3.16.0.dev2"}, "keras 3.16.0.dev2"),
        ({"tensorflow": "3.0.0", "keras": "4.0"}, "tensorflow 3.0.0, keras 4.0"),
    ],
    ids=["tensorflow", "keras", "both"],
)
def test_what_is_newer_gives_one_warning(monkeypatch, installed, newer):
    assert warned(monkeypatch, **installed) == [f"{newer}: tfbp is tested up to tensorflow 2.21 and keras 3.15."]


def test_the_readme_and_the_lowest_lock_name_the_same_versions():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = dict(re.match(r"(\w+)>=(\d+\.\d+)", each).groups() for each in needed)
    lock = (ROOT / "requirements-lowest.lock").read_text()
    readme = (ROOT / "README.md").read_text()
    for package, title in (("tensorflow", "TensorFlow"), ("keras", "Keras")):
        assert re.search(rf"^{package}=={re.escape(lowest[package])}\.", lock, re.MULTILINE)
        newest = ".".join(map(str, versions.TESTED[package]))
        assert f"{title} {lowest[package]} to {newest}" in readme
