"""One warning where TensorFlow or Keras is newer than the tests have seen: it may work, and nothing here shows that."""

import re
import warnings
from importlib.metadata import PackageNotFoundError, version

# the newest that `make test` passes with; the oldest is what pyproject.toml asks for and `make test-all` tries
TESTED = {"tensorflow": (2, 21), "keras": (3, 15)}


def warn_of_untested() -> None:
    """Warn, in one sentence for both, of an installed version that is newer than the tested ones."""
    newer = [f"{package} {found}" for package in TESTED if (found := _newer(package))]
    if newer:
        last = " and ".join(f"{package} {major}.{minor}" for package, (major, minor) in TESTED.items())
        warnings.warn(f"{', '.join(newer)}: tfbp is tested up to {last}.", stacklevel=2)


def _newer(package: str) -> str:
    """The installed version where it is newer than the tested ones, otherwise ""."""
    try:
        found = version(package)
    except PackageNotFoundError:
        # a build by another name, as tf-nightly
        return ""
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    return found if numbers > TESTED[package] else ""
