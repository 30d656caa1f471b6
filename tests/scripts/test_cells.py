"""Work shared by processes: in order, and when one of them dies, a sentence and not a wait without an end."""

import os
import signal
import time
from functools import partial
from operator import methodcaller

import pytest

from tfbp.console import cells


@pytest.mark.rare("two processes import TensorFlow; the table of `check.py --processes 2` has this order, too")
def test_what_is_found_comes_in_order():
    with cells.mapping(2) as each:
        assert list(each(partial(pow, 2), range(40))) == [2**i for i in range(40)]


def process_id(_):
    return os.getpid()


@pytest.mark.rare("three more processes import TensorFlow")
def test_a_process_does_as_many_as_it_is_given():
    with cells.mapping(2, tasks_each=1) as each:
        assert len(set(each(process_id, range(3)))) == 3


@pytest.mark.parametrize(
    "how", [partial(os._exit, 3), partial(signal.raise_signal, signal.SIGKILL)], ids=["exit", "killed"]
)
@pytest.mark.rare("two processes import TensorFlow; the next but one kills one, too")
def test_a_process_that_dies_is_told(how):
    works = [partial(abs, -1), partial(time.sleep, 0), how]
    with cells.mapping(2) as each, pytest.raises(cells.ProcessGone) as gone:
        list(each(methodcaller("__call__"), works))
    assert str(gone.value).startswith("One of 2 processes is gone (killed, out of memory, ")
    assert " of 3 done, at one of " in str(gone.value)


def die(cell, **options):
    os._exit(9)


def test_check_counts_what_was_found_before_it(run, monkeypatch):
    from tfbp.agreement import matrix

    monkeypatch.setattr(matrix, "run_cell", die)
    status, out, _ = run("check.py", "--case", "deep5", "--mode", "eager", "--dtype", "float64", "--processes", "2")
    assert status == 1
    assert "One of 2 processes is gone" in out
    assert "with 0 of " in out
    assert "deep5" in out
