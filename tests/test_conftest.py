"""Sampling of a grid: by default, with --quick and with --all; and that a test's numbers follow from its id alone."""

import random
import zlib
from types import SimpleNamespace

import numpy as np
import pytest


class Item:
    """As much of a collected test as the choice looks at."""

    def __init__(self, test, marker=None, **params):
        self.nodeid, self.callspec = f"{test}[{'-'.join(map(str, params.values()))}]", SimpleNamespace(params=params)
        self.marker = marker

    def get_closest_marker(self, name):
        return self.marker.mark if self.marker and self.marker.name == name else None


@pytest.fixture
def kept(pytestconfig):
    conftest = next(each for each in pytestconfig.pluginmanager.get_plugins() if hasattr(each, "leave_out"))

    def kept(items, *options, named=()):
        config = SimpleNamespace(
            getoption=lambda name: name in options,
            args=list(named),
            hook=SimpleNamespace(pytest_deselected=lambda items: None),
        )
        conftest.pytest_collection_modifyitems(config, items)
        return [item.nodeid for item in items]

    return kept


GRID = [(dtype, mode) for dtype in ("float64", "float32") for mode in ("eager", "graph", "xla")]


def grid(marker):
    return [Item("test", marker, dtype=dtype, mode=mode) for dtype, mode in GRID]


@pytest.mark.parametrize(
    ("marker", "options", "left"),
    [
        (pytest.mark.sampled(4), (), [0, 4]),
        (pytest.mark.sampled(4), ("--quick",), [0]),
        (pytest.mark.sampled(4), ("--all",), [0, 1, 2, 3, 4, 5]),
        (pytest.mark.sampled(1), (), [0, 1, 2, 3, 4, 5]),
        (pytest.mark.sampled(1), ("--quick",), [0]),
        (pytest.mark.sampled(3, mode="eager"), (), [0, 1, 3, 5]),
        (pytest.mark.sampled(3, mode="eager"), ("--quick",), [0]),
        (pytest.mark.rare("slow"), (), []),
        (pytest.mark.rare("slow"), ("--all",), [0, 1, 2, 3, 4, 5]),
        (None, ("--quick",), [0, 1, 2, 3, 4, 5]),
    ],
    ids=lambda value: "",
)
def test_what_stays_of_a_grid(kept, marker, options, left):
    assert kept(grid(marker), *options) == [grid(None)[index].nodeid for index in left]


def test_what_is_rare_runs_where_it_is_named(kept):
    items = grid(pytest.mark.rare("slow"))[:1]
    assert kept(items, named=["tests/test_a.py::test"]) == ["test[float64-eager]"]


def test_cases_that_are_named_run(kept):
    items, named = grid(pytest.mark.sampled(4)), ["test[float64-graph]", "test[float64-xla]"]
    assert kept(items, named=[f"tests/test_a.py::{name}" for name in named]) == ["test[float64-eager]", *named]


def test_numbers_follow_from_the_id_alone(rng, request, pytestconfig):
    name = f"test_conftest::{request.node.name}"
    seed = (zlib.crc32(name.encode()) + pytestconfig.getoption("--chance")) % 2**31
    assert rng.random() == np.random.default_rng(seed).random()
    assert random.random() == random.Random(seed).random()
    assert np.random.random() == np.random.RandomState(seed).random_sample()  # noqa: NPY002
