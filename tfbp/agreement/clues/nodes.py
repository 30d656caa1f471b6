"""Clues for each tensor of a single layer. A clue counts only if it explains a difference to the tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.clues.both_ways import of_both_ways
from tfbp.agreement.clues.geometry import in_another_order, of_another, other_masks, sizes_of
from tfbp.agreement.clues.heads import of_sources
from tfbp.agreement.clues.moved import moved
from tfbp.agreement.clues.otherwise import otherwise, with_other_arguments
from tfbp.agreement.clues.statistics import of_statistics
from tfbp.agreement.clues.windows import of_windows
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt
from tfbp.network import Node

Named = dict[str, Any]


def of_node(node: Node, fed: Named, run: partial[Named]) -> dict[str, Callable[[], Clues]]:
    """Clues for each tensor of a single layer: z, dx, its gradients, its new weights.

    Args:
        run: the reference on a node and its inputs; its keyword is `training`.
    """
    known: dict[str, Any] = {}
    if node.layer.takes_several or getattr(node.layer, "return_state", False):
        return _of_several(node, fed, run)

    def of_tensor(name: str) -> Clues:
        if not known:
            known["right"] = run(node, fed)
            known["others"] = _made(otherwise(node, fed, run))
            known["others"] |= of_windows(node, fed, run, known["right"])
            known["moved"] = _made(moved(node, fed, run))
        right = known["right"]
        mistakes = (
            _differing(name, known["others"], right)
            | of_another(name, right)
            | in_another_order(name, right[name], fed["x"].shape, node.layer)
        )
        mistakes |= {"the mask is the other way round": 1 - right[name]} if node.layer.makes_mask else {}
        mistakes |= _handed_on(node, fed, run, right, name)
        factors = {}
        if node.layer.draws and isinstance(rate := node.layer.arguments().get("rate"), float) and 0 < rate < 1:
            factors = {"1 / (1 - rate)": np.full(np.shape(right[name]), 1 / (1 - rate))}
        both = of_both_ways(node, fed, run.keywords["training"], name)
        own = of_statistics(node, fed, right, name)
        mistakes |= {**both.mistakes, **own.mistakes}
        sources = of_sources(node, fed, run) if name == "dx" else {}
        mistakes |= {f"{said} alone": part for said, part in sources.items()}
        terms = {**both.terms, **own.terms, **sources}
        others = _differing(name, known["moved"], right)
        return Clues(
            mistakes,
            terms,
            {**factors, **own.factors},
            sizes_of(fed["x"].shape, node.layer),
            summed=len(fed["x"]),
            others=others,
        )

    names = ["z", "dx", *(f"d{name}" for name in fed["weights"]), *(f"new {name}" for name in fed["weights"])]
    return {name: partial(of_tensor, name) for name in names}


def _made(others: Iterable[tuple[str, Callable[[], Named]]]) -> Named:
    """Runs each; a mask may show nothing, and a mistake may divide by 0."""
    with np.errstate(all="ignore"):
        return {said: attempt(make) for said, make in others}


def _handed_on(node: Node, fed: Named, run: Any, right: Named, name: str) -> Named:
    """z that is x and dx that is dz, or that goes forward; what noise would be, and dropout of the others."""
    x, dz, z = fed["x"], fed["dz"], right["z"]
    if name not in ("z", "dx") or x.shape != z.shape or x.dtype.kind != "f":
        return {}
    if name == "dx":
        forth = attempt(run, node, {**fed, "x": dz})
        ahead = {} if isinstance(forth, Failure) or fed["weights"] else {"dz goes forth through the layer": forth["z"]}
        if node.layer.keras_name == "Dropout" and (rate := node.layer.arguments()["rate"]) < 1:
            ahead["what is dropped has a gradient, too"] = dz / (1 - rate)
        return {"dz is handed on as it is": dz, **ahead}
    others = {"x is handed on as it is": x}
    if node.layer.keras_name == "GaussianNoise":
        others |= {"the noise counts twice": 2 * z - x, "the noise has the wrong sign": 2 * x - z}
    if node.layer.keras_name == "Dropout":
        scaled = x / (1 - rate) if (rate := node.layer.arguments()["rate"]) < 1 else x
        others["what should be kept is dropped, and the rest is kept"] = scaled - z
    return {said: value for said, value in others.items() if not _is_rounding(value, z)}


def _differing(name: str, others: Named, right: Named) -> Named:
    """The tensor of each other run that has it and not the right numbers: what changes roundings alone is no cause."""
    found = {said: one[name] for said, one in others.items() if not isinstance(one, Failure) and name in one}
    return {said: value for said, value in found.items() if not _is_rounding(value, right[name])}


def _is_rounding(value: Any, right: Any) -> bool:
    return np.shape(value) == np.shape(right) and bool(np.linalg.norm(value - right) <= 1e-12 * np.linalg.norm(right))


def _of_several(node: Node, fed: Named, run: partial[Named]) -> dict[str, Callable[[], Clues]]:
    """Clues for a layer of several inputs or outputs: other arguments, and no gradient of one of the last states."""
    others = {
        said: partial(run, dataclasses.replace(node, layer=layer), fed)
        for said, layer in with_other_arguments(node.layer)
    }
    count = node.layer.states if getattr(node.layer, "return_state", False) else 0  # type: ignore[attr-defined]
    for number, state in zip(range(count), "hc", strict=False):
        dz = fed["dz"].copy()
        dz[:, number - count] = 0
        others[f"the gradient of last {state} is left out"] = partial(run, node, {**fed, "dz": dz})
    if count == 2:
        dz = np.concatenate([fed["dz"][:, :-2], fed["dz"][:, :-3:-1]], axis=1)
        others["the gradients of last h and c are exchanged"] = partial(run, node, {**fed, "dz": dz})
    first = _places_of(node.layer, "initial_state")
    for place in first:
        x = (*fed["x"][:place], 0 * fed["x"][place], *fed["x"][place + 1 :])
        others[f"the first state, x{place}, is left out"] = partial(run, node, {**fed, "x": x})
    if len(first) == 2:
        h, c = first
        x = (*fed["x"][:h], fed["x"][c], fed["x"][h], *fed["x"][c + 1 :])
        others["the first states are exchanged"] = partial(run, node, {**fed, "x": x})
    for place, name in _places_of_masks(node.layer):
        for said, mask in other_masks(name, fed["x"][place]).items():
            x = (*fed["x"][:place], mask, *fed["x"][place + 1 :])
            others[said] = partial(run, node, {**fed, "x": x})
    places = dict(_places_of_masks(node.layer))
    if len(places) > 1:
        x = tuple(np.logical_not(each).astype(each.dtype) if at in places else each for at, each in enumerate(fed["x"]))
        others["every mask is taken the other way round"] = partial(run, node, {**fed, "x": x})
    for alone in places if len(places) > 1 else ():
        x = tuple(np.ones_like(each) if at in places and at != alone else each for at, each in enumerate(fed["x"]))
        others[f"{places[alone]} alone counts of the masks"] = partial(run, node, {**fed, "x": x})

    known: dict[str, Any] = {}

    def of_tensor(name: str) -> Clues:
        if not known:
            made = _made(others.items()), _made(moved(node, fed, run))
            known.update(right=run(node, fed), others=made[0], moved=made[1])
        both, right = of_both_ways(node, fed, run.keywords["training"], name), known["right"]
        found, elsewhere = (_differing(name, known[which], right) for which in ("others", "moved"))
        shape = np.shape(fed["x"][0] if node.layer.takes_several else fed["x"])
        found |= in_another_order(name, right[name], shape, node.layer)
        return Clues({**found, **both.mistakes}, both.terms, others=elsewhere)

    of_x = [f"dx{number}" for number in range(len(fed["x"]))] if node.layer.takes_several else ["dx"]
    of_weights = [f"{of} {weight}" if of else f"d{weight}" for weight in fed["weights"] for of in ("", "new")]
    return {name: partial(of_tensor, name) for name in ("z", *of_x, *of_weights)}


def _places_of_masks(layer: Any) -> Iterator[tuple[int, str]]:
    """Yields the place among a layer's tensors, and the name, of each mask."""
    for name in getattr(getattr(layer, "layer", layer), "takes", ()):
        if name.endswith("mask"):
            yield _places_of(layer, name)[0], name


def _places_of(layer: Any, wanted: str) -> list[int]:
    """Returns the places among a layer's tensors of those that it takes by this name."""
    layer, place = getattr(layer, "layer", layer), 1
    for name in getattr(layer, "takes", ()):
        count = layer.tensors_of(name)
        if name == wanted:
            return [*range(place, place + count)]
        place += count
    return []
