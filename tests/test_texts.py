"""Texts: every character is in one window, and its label is the character after it."""

import numpy as np
import pytest

from tfbp import InputError, texts


def test_windows_hold_the_text_and_labels_the_same_one_further(tmp_path):
    text = "to be or not to be, that is the question: whether 'tis nobler"
    (tmp_path / "text").write_text(text, encoding="utf-8")
    data = texts.load(str(tmp_path / "text"), context=4)
    assert data.characters == "".join(sorted(set(text)))
    assert (data.classes, data.inputs, data.shape) == (len(set(text)), 4, (4,))
    x, labels = (np.concatenate(pair).ravel() for pair in ((data.x_train, data.x_validation), _labels(data)))
    assert "".join(data.characters[i] for i in x) == text[:60]
    assert "".join(data.characters[i] for i in labels) == text[1:61]
    assert (len(data.x_train), len(data.x_validation)) == (14, 1)
    assert data.x_train.dtype == np.int32


def _labels(data):
    return data.labels_train, data.labels_validation


def test_python_s_own_text_needs_no_file():
    data = texts.load()
    assert data.x_train.shape == (1406, 64)
    assert 60 < data.classes < 200
    # no character is lost, and none is its own label by mistake
    assert (data.x_train[:, 1:] == data.labels_train[:, :-1]).all()
    assert (data.x_train[1:, 0] == data.labels_train[:-1, -1]).all()


@pytest.mark.parametrize(
    ("content", "context", "sentence"),
    [
        (b"four", 2, "text: got 4 characters; accepted: at least 5, for two windows"),
        (b"\xff\xfe\x00", 1, "text: got '.*' .it is not UTF-8.; accepted: a file of UTF-8 text"),
        (None, 1, "text: got '.*' .No such file or directory.; accepted: a file of UTF-8 text"),
        (b"text", 0, "context: got 0; accepted: an integer of at least 1"),
    ],
    ids=["short", "not-utf-8", "missing", "context"],
)
def test_bad_input_is_one_sentence(tmp_path, content, context, sentence):
    if content is not None:
        (tmp_path / "text").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        texts.load(str(tmp_path / "text"), context)
