"""Every error for bad input has the argument, the value and what is accepted, in at most 240 characters."""

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import tfbp
from tfbp.agreement.cases import all_cases
from tfbp.console.options import part_of
from tfbp.errors import LONGEST, InputError, check_choice, likely, one_of
from tfbp.vocabulary import ACTIVATIONS

ROOT = Path(__file__).parents[1]


def sentences():
    """The text of every error that the package raises by itself, with {} for what is filled in."""
    for path in sorted((ROOT / "tfbp").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError" and node.args:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text_of(node.args[0])


def text_of(node):
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return text_of(node.body)
    return "{}"


def test_every_sentence_has_the_argument_the_value_and_what_is_accepted():
    found = dict(sentences())
    assert len(found) > 150
    # one that is put together elsewhere is a single {}
    whole = {place: text for place, text in found.items() if re.sub(r"\{\}|\W", "", text)}
    # some end in what is accepted as a name that several sentences share
    accepting = re.compile(r"; accepted: |[;:] \{\}\.?$")
    assert {place: text for place, text in whole.items() if not accepting.search(text)} == {}
    assert {place: text for place, text in whole.items() if " got " not in text and "{}" not in text} == {}
    assert {place: text for place, text in whole.items() if "\n" in text} == {}
    # what is written by hand leaves room for what is filled in
    assert {place: len(text) for place, text in whole.items() if len(text) > LONGEST - 15} == {}


LONG = "x" * 1000
BAD = {
    "an activation": (lambda: tfbp.Dense(3, "softsigm"), "activation: got 'softsigm' (did you mean 'softsign'?)"),
    "a long activation": (lambda: tfbp.Dense(3, LONG), "activation: got 'xxx"),
    "an activation's argument": (
        lambda: tfbp.Activation("leaky_relu", {"negative_slop": 0.1}),
        "activation 'leaky_relu': got the argument 'negative_slop' (did you mean 'negative_slope'?)",
    ),
    "a loss": (lambda: tfbp.Loss("mean_square_error"), "loss: got 'mean_square_error' (did you mean 'mean_squared_e"),
    "part of a case's name": (
        lambda: part_of("case", "resnit", [case.name for case in all_cases()]),
        "case: got 'resnit', which no name contains",
    ),
    "a data set": (lambda: tfbp.datasets.load("mnst"), "dataset: got 'mnst' (did you mean 'mnist'?)"),
    "a model": (lambda: tfbp.Network.from_keras(keras.Model(), "huber"), "model: got "),
    "a huge array": (
        lambda: tfbp.per_example_gradient_norms(np.ones((100, 100)), None, None),
        "model: got a ndarray; accepted: a keras.Model",
    ),
}


@pytest.mark.parametrize(("make", "start"), BAD.values(), ids=BAD)
def test_an_error_names_what_is_likely_in_a_short_sentence(make, start):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(start)
    assert "; accepted: " in str(caught.value)
    assert len(str(caught.value)) <= LONGEST


@pytest.mark.parametrize(
    "sentence",
    [
        f"x: got {LONG}; accepted: a short one.",
        f"x: got 'y'; accepted: {', '.join(ACTIVATIONS)}, {LONG}.",
        f"x: got {LONG}; accepted: {LONG}.",
        LONG,
        "x: got\n  several   lines" + 250 * " " + "; accepted: one.",
    ],
    ids=["value", "list", "both", "no-sentence", "lines"],
)
def test_a_long_sentence_is_shortened_and_keeps_its_start(sentence):
    short = str(InputError(sentence))
    assert len(short) <= LONGEST
    assert short[:8] == sentence[:6] + short[6:8]
    assert "\n" not in short
    if "accepted: a short one." in sentence:
        assert short.endswith("xxx; accepted: a short one.")


def test_an_address_in_memory_is_left_out():
    assert str(InputError(f"x: got {object()!r}; accepted: 2.")) == "x: got <object>; accepted: 2."


def test_a_short_sentence_stays_as_it_is():
    assert str(InputError("x: got 1; accepted: 2.")) == "x: got 1; accepted: 2."


def test_a_long_list_is_its_start_its_number_and_where_it_is():
    assert one_of(["a", "b"]) == "a, b"
    names = one_of(ACTIVATIONS, see="tfbp.vocabulary.ACTIVATIONS")
    first = names.split(" and ")[0].split(", ")
    assert first == list(ACTIVATIONS)[: len(first)]
    assert names.endswith(f" and {len(ACTIVATIONS) - len(first)} others, see tfbp.vocabulary.ACTIVATIONS")


def test_what_is_likely_is_the_most_similar_name_or_nothing():
    assert likely("Gelu", ["relu", "gelu"]) == " (did you mean 'gelu'?)"
    assert likely("zzz", ["relu"]) == likely(3, ["relu"]) == ""
    with pytest.raises(InputError, match=r"^mode: got 'egar' \(did you mean 'eager'\?\); accepted: eager, graph\.$"):
        check_choice("mode", "egar", ["eager", "graph"])
