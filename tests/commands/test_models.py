"""train's networks: what they make of each data set, and what of a file is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfbp import Conv2D, Dense, Flatten, InputError, Network, Tokens
from tfbp.commands import models
from tfbp.datasets import Dataset
from tfbp.network import named_weights

LOSS = "sparse_categorical_crossentropy"
SHAPES = {"digits": (8, 8, 1), "fashion_mnist": (28, 28, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3), "xor": (2,)}


def data(name):
    x = np.zeros((10, np.prod(SHAPES[name])))
    labels = np.arange(10) if name != "xor" else np.arange(10) % 2
    return Dataset(name, x, labels, x, labels, SHAPES[name])


def network(model, name, units="16,8"):
    return models.network_for(model, units, "tanh", LOSS)(data(name))


def weights(network):
    return sum(int(np.prod(shape)) for _, _, shape in named_weights(network.parameter_shapes()))


@pytest.mark.parametrize("name", SHAPES)
def test_mlp_is_dense_layers_on_rows(name):
    classes, inputs = 2 if name == "xor" else 10, int(np.prod(SHAPES[name]))
    expected = Network(inputs, [Dense(16, "tanh"), Dense(8, "tanh"), Dense(classes)], LOSS)
    assert network("mlp", name) == expected
    assert network("mlp", name, units="") == Network(inputs, [Dense(classes)], LOSS)


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "xor"])
@pytest.mark.parametrize("model", models.OF_IMAGES)
def test_those_of_images_fit_every_set(model, name):
    made = network(model, name)
    assert (made.input_shape, made.outputs) == (SHAPES[name], 10)
    assert Network.from_json(made.to_json()) == made
    kinds = {node.layer.keras_name for node in made.nodes}
    wanted = {"cnn": {"Conv2D", "MaxPooling2D", "Dropout"}, "resnet": {"Conv2D", "BatchNormalization", "Residual"}}
    assert wanted[model] <= kinds


@pytest.mark.parametrize(("model", "weighs"), [("lstm", 5 * 32 + 160 * 512 + 512 + 129 * 5), ("gpt", 795_525)])
def test_those_of_texts_have_a_score_for_each_character_at_each_place(model, weighs):
    x = np.zeros((2, 7), np.int32)
    made = models.network_for(model, None, None, LOSS)(Dataset("text", x, x, x, x, (7,), "abcde"))
    assert (made.inputs, made.output_shape) == (Tokens(7, 5), (7, 5))
    assert Network.from_json(made.to_json()) == made
    assert weights(made) == weighs


def test_they_are_as_small_as_they_look():
    assert weights(network("cnn", "fashion_mnist")) == 421_642
    # kernels: the first, then of each block two and a projection; four numbers a channel normalize it; the last layer
    kernels = 9 * 3 * 16 + 9 * (16 + 16) * 16 + 9 * (16 + 32) * 32 + 16 * 32 + 9 * (32 + 64) * 64 + 32 * 64
    assert weights(network("resnet", "cifar10")) == kernels + 4 * (3 * 16 + 3 * 32 + 3 * 64) + 64 * 10 + 10


def test_a_file_s_network_takes_rows_or_images(tmp_path):
    for inputs, layers in ((64, [Dense(10)]), ((8, 8, 1), [Conv2D(2, 3), Flatten(), Dense(10)])):
        written = Network(inputs, layers, "categorical_crossentropy")
        (tmp_path / "net.json").write_text(written.to_json())
        assert network(str(tmp_path / "net.json"), "digits") == written


FILES = {
    "there is none": (
        None,
        r"\(No such file or directory\); accepted: mlp, cnn, resnet, lstm, gpt, or a file that Network.to_j",
    ),
    "no text": (b"\xff\xfe\x00", r"\('utf-8' codec can't decode"),
    "no JSON": (b"{", r"\(text: got JSON that is no network \(JSONDecodeError"),
    "another JSON": (b"[1]", r"\(text: got JSON that is no network \(TypeError"),
    "no layer": (b'{"inputs": 2, "layers": [3], "loss": {"name": "huber"}}', r"\(text: got JSON that is no network"),
    "a wrong layer": (
        json.dumps({"inputs": 2, "layers": [{"class_name": "Flatten"}, {"class_name": "Reshape", "target_shape": 3}]}),
        r"\(target_shape: got 3; accepted: a tuple of integers",
    ),
    "other inputs": (
        Network((28, 28, 1), [Flatten(), Dense(10)], LOSS).to_json(),
        r", a network of inputs \(28, 28, 1\); accepted: one of \(64,\) or \(8, 8, 1\), the examples of digits\.$",
    ),
    "other classes": (
        Network(64, [Dense(3)], LOSS).to_json(),
        r", a network of 3 outputs; accepted: one of 10, the classes of digits\.$",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_does_not_do_is_one_sentence(tmp_path, kind, monkeypatch):
    # a short name: a long sentence is cut in its middle
    monkeypatch.chdir(tmp_path)
    content, said = FILES[kind]
    path = Path("net.json")
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=rf"^model: got '{path}'{'' if said.startswith(',') else ' '}{said}") as caught:
        network(str(path), "digits")
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("model", "dataset", "sentence"),
    [
        ("cnm", "digits", "model: got 'cnm' (did you mean 'cnn'?); accepted: mlp, cnn, resnet, lstm, gpt, or a"),
        (
            "cnn",
            "xor",
            "model: got 'cnn' with the dataset 'xor'; accepted: with digits, fashion_mnist, mnist, cifar10.",
        ),
        ("lstm", "digits", "model: got 'lstm' with the dataset 'digits'; accepted: with text."),
        ("mlp", "text", "model: got 'mlp' with the dataset 'text'; accepted: with digits, fashion_mnist,"),
        ("resnet", "spirals", "model: got 'resnet' with the dataset 'spirals'; accepted: with digits, fashion_mnist,"),
    ],
)
def test_a_model_that_is_not_there_or_not_for_such_data(model, dataset, sentence):
    with pytest.raises(InputError) as caught:
        models.check_model(model, dataset)
    assert str(caught.value).startswith(sentence)
