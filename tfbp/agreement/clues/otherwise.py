"""A layer's values under other arguments, weights, rows and draws, computed by the reference."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.clues.geometry import GATES
from tfbp.agreement.clues.heads import of_edges, of_heads
from tfbp.agreement.clues.tokens import from_1, of_tokens
from tfbp.judging.failures import Failure, attempt
from tfbp.network import Layer, Node
from tfbp.vocabulary import Activation

Array = np.ndarray
Named = dict[str, Any]


def otherwise(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Callable[[], Named]]]:
    """Each argument with another value; without each weight; fewer rows."""
    for sentence, layer in with_other_arguments(node.layer):
        yield sentence, partial(run, dataclasses.replace(node, layer=layer), fed)
    for name, weight in fed["weights"].items():
        if isinstance(weight, np.ndarray):
            neutral = np.ones_like(weight) if name in ("gamma", "scale") else np.zeros_like(weight)
            yield f"{name} is left out", partial(run, node, {**fed, "weights": {**fed["weights"], name: neutral}})
            if weight.ndim > 1:
                turned = weight[(slice(None, None, -1),) * 2]
                sentence = f"{name} is turned by half a turn"
                yield sentence, partial(run, node, {**fed, "weights": {**fed["weights"], name: turned}})
            for axis, size in enumerate(weight.shape if weight.ndim > 1 else ()):
                for place, what in ((0, "first"), (size - 1, "last")):
                    part = weight.copy()
                    np.moveaxis(part, axis, 0)[place] = 0
                    sentence = f"the {what} of {name} along its axis {axis} is left out"
                    yield sentence, partial(run, node, {**fed, "weights": {**fed["weights"], name: part}})
            yield from _without_gates(node, fed, run, name, weight)
    for moved in (-2, -1, 1) if node.layer.draws else ():
        before = dataclasses.replace(node, draws_before=node.draws_before + moved)
        yield (
            f"drawn as if {abs(moved)} {'more' if moved > 0 else 'fewer'} had been drawn before",
            partial(run, before, fed),
        )
    if node.layer.draws and node.draws_before > 2:
        yield "drawn as if none had been drawn before", partial(run, dataclasses.replace(node, draws_before=0), fed)
    if node.layer.draws or node.layer.without_gradient:
        training = run.keywords["training"]
        yield f"as in {'inference' if training else 'training'}", partial(run, node, fed, training=not training)
    own: Any = node.layer
    if getattr(own, "noise_shape", ()) is None:
        one = dataclasses.replace(own, noise_shape=(1, *[None] * (fed["x"].ndim - 1)))
        yield "one mask is drawn for the whole batch", partial(run, dataclasses.replace(node, layer=one), fed)
    if node.layer.keras_name in ("RotaryEmbedding", "PositionEmbedding"):
        yield "the positions are counted from 1", partial(from_1, node, fed, run)
    if node.layer.takes_tokens:
        yield from of_tokens(node, fed, run)
    if "query_kernel" in fed["weights"]:
        yield from of_heads(node, fed, run)
        yield from of_edges(node, fed, run)
    if fed["x"].ndim == 4:
        yield "what is added around lies on the other side", partial(_turned, node, fed, run)
    rows = len(fed["x"])
    if rows > 1 and not node.layer.draws:
        for sentence, rows_kept in (
            ("the last example is missing from the sum", slice(0, rows - 1)),
            ("the first example is missing from the sum", slice(1, rows)),
            ("the first example alone is in the sum", slice(0, 1)),
        ):
            yield sentence, partial(run, node, {**fed, "x": fed["x"][rows_kept], "dz": fed["dz"][rows_kept]})


def _without_gates(node: Node, fed: Named, run: Any, name: str, weight: Array) -> Iterator[tuple[str, Any]]:
    """A weight of an LSTM or a GRU without one gate's part; for two rows of a bias, in one of them."""
    letters = GATES.get(node.layer.keras_name, "")
    for number, gate in enumerate(letters):
        for row in range(2 if name == "bias" and weight.ndim == 2 else 1):
            part = weight.copy()
            at = np.split(part, len(letters), axis=-1)[number]
            (at if name != "bias" or weight.ndim == 1 else at[row])[...] = 0
            sentence = f"{name} of the gate {gate} is left out" + (
                f", in row {row}" if part.ndim == 2 and name == "bias" else ""
            )
            yield sentence, partial(run, node, {**fed, "weights": {**fed["weights"], name: part}})


def _turned(node: Node, fed: Named, run: Any) -> Named:
    """The layer on images rotated by half a turn, and rotated back; its kernel too, so that an odd row is above."""
    turn = np.s_[:, ::-1, ::-1]
    kernel = {name: w[::-1, ::-1] for name, w in fed["weights"].items() if name == "kernel" and w.ndim == 4}
    dz = fed["dz"][turn] if fed["dz"].ndim == 4 else fed["dz"]
    found = run(node, {**fed, "x": fed["x"][turn], "dz": dz, "weights": {**fed["weights"], **kernel}})
    return {
        name: value[turn]
        if name in ("z", "dx") and value.ndim == 4
        else value[::-1, ::-1]
        if name == "dkernel"
        else value
        for name, value in found.items()
    }


def _of_numbers(name: str, value: tuple[Any, ...]) -> dict[str, Any]:
    """Other numbers for the axes, or other pairs of them for both ends of each axis."""
    if not all(isinstance(item, int) for item in value):
        pairs = [item for item in value if isinstance(item, tuple)]
        turned = tuple(item[::-1] for item in pairs)
        return {f"the two ends of {name} are exchanged": turned} if len(pairs) == len(value) else {}
    others = {f"{name} is left out, as if it were 1": (1,) * len(value)}
    if len(value) == 2:
        others[f"the two numbers of {name} are exchanged"] = value[::-1]
    for axis, number in enumerate(value if len(value) > 1 else ()):
        others[f"{name} of axis {axis} is taken for all axes"] = (number,) * len(value)
        others[f"{name} of axis {axis} is left out"] = (*value[:axis], 1, *value[axis + 1 :])
    if len(value) > 2:
        for order in itertools.permutations(value):
            others.setdefault(f"the numbers of {name} come as {order}", order)
    return others


def with_other_arguments(layer: Layer) -> Iterator[tuple[str, Layer]]:
    given = layer.arguments()
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(layer)  # type: ignore[arg-type]
        if field.default is not dataclasses.MISSING
    }
    for name, value in given.items():
        others: dict[str, Any] = {}
        if isinstance(value, bool):
            others[f"{name} is taken for {not value}"] = not value
        elif name == "noise_shape" and value:
            others["noise_shape is left out"] = None
            others["noise_shape is taken for 1 where it is None"] = tuple(n or 1 for n in value)
        elif isinstance(value, tuple) and value:
            others |= _of_numbers(name, value)
            if name == "strides" and "pool_size" in given:
                others["strides is taken for pool_size"] = given["pool_size"]
        elif name == "padding":
            others[f"padding is taken for {'valid' if value == 'same' else 'same'!r}"] = (
                "valid" if value == "same" else "same"
            )
        elif name == "merge_mode":
            others |= {f"merge_mode is taken for {each!r}": each for each in ("concat", "sum", "mul", "ave")}
        elif name in ("momentum", "rate"):
            others |= {f"1 - {name} stands for {name}": 1 - value, f"{name} is left out, as if it were 0": 0.0}
        elif isinstance(value, float):
            others[f"{name} is left out, as if it were 1"] = 1.0
        elif isinstance(value, Activation):
            others[f"{name} is left out"] = Activation("linear")
        elif name == "groups":
            others |= {f"groups is taken for {count}": count for count in (1, -1)}
        if isinstance(value, float | int) and not isinstance(value, bool) and name in defaults:
            others[f"{name} is taken for its default, {defaults[name]}"] = defaults[name]
        for sentence, other in others.items():
            if other != value:
                changed_layer = attempt(dataclasses.replace, layer, **{name: other})
                if not isinstance(changed_layer, Failure):
                    yield sentence, changed_layer
    if "activation" in given and "recurrent_activation" in given:
        exchanged = {"activation": given["recurrent_activation"], "recurrent_activation": given["activation"]}
        yield "activation and recurrent_activation are exchanged", dataclasses.replace(layer, **exchanged)  # type: ignore[type-var]
