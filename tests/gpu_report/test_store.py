"""The report's file is whole at any moment, and numbers of two machines never mix."""

import json
import os

import pytest

from tfbp.errors import InputError
from tfbp.gpu_report.store import JSON, Store

HERE = {"device": "one", "keras": "3.15.1"}


def test_what_was_measured_is_there_the_next_time(tmp_path):
    Store(tmp_path / "new" / "one", HERE).add("steps a", {"result": 1})
    again = Store(tmp_path / "new" / "one", HERE)
    assert again.has("steps a")
    assert not again.has("steps b")


@pytest.mark.parametrize("kind", ["error", "unavailable"])
def test_what_broke_or_was_missing_is_tried_again(tmp_path, kind):
    Store(tmp_path, HERE).add("steps a", {kind: "why"})
    assert not Store(tmp_path, HERE).has("steps a")


def test_a_write_that_is_cut_off_leaves_what_was_there(tmp_path, monkeypatch):
    store = Store(tmp_path, HERE)
    store.add("steps a", {"result": 1})

    def cut_off(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", cut_off)
        with pytest.raises(KeyboardInterrupt):
            store.add("steps b", {"result": 2})
    assert list(json.loads((tmp_path / JSON).read_text())["units"]) == ["steps a"]


def test_the_report_of_another_machine_is_refused(tmp_path):
    Store(tmp_path, HERE).add("steps a", {"result": 1})
    before = (tmp_path / JSON).read_text()
    with pytest.raises(InputError, match=r"^output: got .* configuration \(device: one, here two\); accepted"):
        Store(tmp_path, {**HERE, "device": "two"})
    assert (tmp_path / JSON).read_text() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"units": 1, "machine": {}}', '{"units": {}}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, text):
    (tmp_path / JSON).write_text(text)
    with pytest.raises(InputError, match=r"^output: got .* is not a report; accepted: a directory of its own\.$"):
        Store(tmp_path, HERE)
