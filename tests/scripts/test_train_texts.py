"""train.py on a text: three writings in lockstep, and what they write after every epoch."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import LSTM, Dense, Embedding, Network, Tokens
from tfbp.commands.text_samples import continued

TEXT = "the cat sat on the mat. the rat ate the oat. " * 40


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def texts_of(directory, writing):
    events = EventAccumulator(str(directory / writing / "text"), size_guidance={"tensors": 0}).Reload()
    return [(each.step, each.tensor_proto.string_val[0].decode()) for each in events.Tensors("sample")]


@pytest.mark.parametrize("kind", ["recurrent", "attention"])
@pytest.mark.sampled(3)
def test_the_writings_learn_alike_and_write_alike(run, tmp_path, text, kind):
    from tfbp.commands import models

    characters = len(set(TEXT))
    recurrent = [Embedding(characters, 6), LSTM(12, return_sequences=True), Dense(characters)]
    layers = recurrent if kind == "recurrent" else models.gpt(10, characters, blocks=1, width=8, heads=2)
    network = Network(Tokens(10, characters), layers, "sparse_categorical_crossentropy")
    (tmp_path / "net.json").write_text(network.to_json())
    options = ["--model", tmp_path / "net.json", "--text", text, "--context", 10, "--dtype", "float64"]
    # 162 windows train: two full batches an epoch
    options += ["--epochs", 3, "--batch-size", 81, "--learning-rate", 0.03, "--log-dir", tmp_path / "run"]
    status, out, err = run("train.py", *options)
    assert status == 0, err
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("ref", "man", "tape"))}
    assert rows["manual"][1:3] == rows["tape"][1:3] == rows["reference"][1:3]
    assert float(rows["reference"][1]) < np.log(characters)
    for writing in ("manual", "tape"):
        assert float(rows[writing][5]) < 1e-11
    written = {writing: texts_of(tmp_path / "run", writing) for writing in rows}
    assert [step for step, _ in written["reference"]] == [0, 1, 2]
    assert written["manual"] == written["tape"] == written["reference"]
    assert len({sample for _, sample in written["reference"]}) == 3
    assert "Text of reference: " in out


def test_a_text_goes_on_as_the_network_has_it():
    """One whose next character is the one after it in the alphabet, whatever came before."""
    network = Network(Tokens(3, 5), [Embedding(5, 5), Dense(5)], "sparse_categorical_crossentropy")
    parameters = [{"embeddings": np.eye(5)}, {"kernel": 50 * np.roll(np.eye(5), 1, axis=1), "bias": np.zeros(5)}]
    found = continued(network, parameters, np.array([0, 1, 2]), 7, np.random.default_rng(0))
    assert found == [3, 4, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "cnn", "--dataset", "text"], "model: got 'cnn' with the dataset 'text'; accepted: with digits,"),
        (
            ["--model", "lstm", "--dataset", "digits"],
            "model: got 'lstm' with the dataset 'digits'; accepted: with text.",
        ),
        (["--context", "8"], "context: got 8 with the dataset 'digits'; accepted: with text."),
        (["--model", "gpt", "--context", "0"], "context: got 0; accepted: an integer of at least 1."),
        (["--model", "gpt", "--text", "/no/file"], "text: got '/no/file' (No such file or directory); accepted:"),
    ],
    ids=["cnn", "digits", "context-of-digits", "context", "file"],
)
def test_bad_input_is_one_sentence(run, options, sentence):
    status, out, err = run("train.py", *options)
    assert status == 2
    assert sentence in err
    assert out == ""
