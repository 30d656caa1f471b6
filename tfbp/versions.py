"""Warns once where TensorFlow or Keras is newer than the tested versions."""

import re
import warnings
from importlib.metadata import PackageNotFoundError, version

# the newest versions that `make test` passes with; pyproject.toml has the oldest, which `make test-all` tests
TESTED = {"tensorflow": (2, 21), "keras": (3, 15)}


def warn_of_untested() -> None:
    """Warns, in one sentence for both, of an installed version that is newer than the tested ones."""
    newer = [f"{package} {found}" for package in TESTED if (found := _newer(package))]
    if newer:
        last = " and ".join(f"{package} {major}.{minor}" for package, (major, minor) in TESTED.items())
        warnings.warn(f"{', '.join(newer)}: tfbp is tested up to {last}.", stacklevel=2)


def _newer(package: str) -> str:
    """Returns the installed version where it is newer than the tested ones, otherwise ""."""
    try:
        found = version(package)
    except PackageNotFoundError:
        # a build with another name, such as tf-nightly
        return ""
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    return found if numbers > TESTED[package] else ""
