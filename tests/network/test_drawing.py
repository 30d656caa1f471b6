"""A network's picture holds every unit, every connection and every number of its arguments."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tfbp import GRU, Bidirectional, Dense, Embedding, InputError, Network, Tokens, reference
from tfbp.commands import worked_example

_, _, TENSORS = reference.loss_gradients_and_tensors(
    worked_example.NETWORK, worked_example.parameters(), worked_example.X, worked_example.TARGET
)


def texts(drawing):
    return [each.text for each in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_number_of_the_worked_example_is_on_it():
    network, parameters = worked_example.NETWORK, worked_example.parameters()
    _, gradients, tensors = reference.loss_gradients_and_tensors(
        network, parameters, worked_example.X, worked_example.TARGET
    )
    drawing = network.draw(parameters, tensors, gradients)
    found = texts(drawing)
    arrays = [layer["kernel"] for layer in [*parameters, *gradients]] + [tensors[0]["x"]]
    arrays += [layer["y"] for layer in tensors[:-1]]
    for number in np.concatenate([np.ravel(array) for array in arrays]):
        assert f"{number:.4g}" in found
    for delta in np.concatenate([np.ravel(layer["dz"]) for layer in tensors[:-1]]):
        assert f"dz {delta:.4g}" in found
    assert drawing.svg.count("<line") == 2 * 2 + 2 * 1
    assert drawing.svg.count("<circle") == 5
    dark = network.draw(parameters, tensors, gradients, dark=True)
    assert dark.svg != drawing.svg
    assert re.sub("#[0-9a-f]{6}", "", dark.svg) == re.sub("#[0-9a-f]{6}", "", drawing.svg)


def test_a_wide_layer_is_drawn_in_part():
    network = Network(64, [Dense(300, "relu"), Dense(10)], "sparse_categorical_crossentropy")
    drawing = network.draw()
    assert drawing.svg.count("<circle") == 3 * 7
    assert texts(drawing).count("⋮") == 3
    assert "300 relu" in texts(drawing)
    assert network._repr_svg_() == drawing.svg


def test_a_network_of_tokens_is_drawn_in_boxes():
    network = Network(Tokens(6, 9), [Embedding(9, 4), Bidirectional(GRU(3)), Dense(2)], "huber")
    assert {"Embedding", "Bidirectional", "GRU", "6 × 4"} <= set(texts(network.draw()))


def test_what_does_not_fit_is_refused():
    network = worked_example.NETWORK
    with pytest.raises(InputError, match="parameters: got 1 layers; accepted: 2"):
        network.draw([{"kernel": np.ones((2, 2))}])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tensors": np.ones((1, 2))}, "tensors: got ndarray of shape (1, 2); accepted: the tensors of reference."),
        ({"tensors": [{}]}, "tensors: got 1 layers; accepted: the tensors of reference.loss_gradients_and_tensors"),
        ({"tensors": [{}, {}]}, "tensors[0]: got the names []; accepted: the tensors of reference."),
        ({"tensors": [TENSORS[0], {"x": TENSORS[1]["x"]}]}, "tensors[1]: got the names ['x']; accepted: the tensors"),
        ({"tensors": [{"x": np.ones((2, 2))}, {}]}, "tensors[0]['x']: got shape (2, 2); accepted: (1, 2), one row."),
        ({"gradients": [{}]}, "gradients: got 1 layers; accepted: 2, one dict per layer."),
    ],
    ids=["array", "short", "empty", "names", "rows", "gradients"],
)
def test_the_argument_that_does_not_fit_is_named(arguments, sentence):
    with pytest.raises(InputError) as caught:
        worked_example.NETWORK.draw(worked_example.parameters(), **arguments)
    assert str(caught.value).startswith(sentence)
    # by place, the first that does not fit
    with pytest.raises(InputError, match=r"^tensors: got ndarray"):
        worked_example.NETWORK.draw(worked_example.parameters(), worked_example.X, worked_example.TARGET)


def test_a_screen_reader_reads_what_is_drawn():
    network, parameters = worked_example.NETWORK, worked_example.parameters()
    drawing = network.draw(parameters, TENSORS)
    assert len(repr(drawing)) < 80
    svg = ElementTree.fromstring(drawing.svg)
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == f"{network!r}, with weights, outputs and deltas"
    assert svg[0].text == repr(network)
    assert ElementTree.fromstring(network.draw().svg).get("aria-label") == repr(network)
