"""Clues for each tensor of a single layer. A clue counts only if it explains a difference to the tolerance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.clues.geometry import in_another_order, of_another, sizes_of
from tfbp.agreement.clues.otherwise import otherwise, with_other_arguments
from tfbp.agreement.clues.statistics import of_statistics, through_statistics
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt
from tfbp.network import Node

Named = dict[str, Any]


def of_node(node: Node, fed: Named, run: Callable[[Node, Named], Named]) -> dict[str, Callable[[], Clues]]:
    """Clues for each tensor of a single layer: z, dx, its gradients, its new weights.

    Args:
        run: the reference on a node and its inputs.
    """
    known: dict[str, Any] = {}
    if node.layer.takes_several or getattr(node.layer, "return_state", False):
        return _of_several(node, fed, run)

    def of_tensor(name: str) -> Clues:
        if not known:
            known["right"] = run(node, fed)
            known["others"] = {sentence: attempt(make) for sentence, make in otherwise(node, fed, run)}
        right, others = known["right"], known["others"]
        found = {
            sentence: other[name]
            for sentence, other in others.items()
            if not isinstance(other, Failure) and name in other
        }
        mistakes = found | of_another(name, right) | in_another_order(name, right[name], fed["x"].shape, node.layer)
        mistakes |= of_statistics(node, fed, right) if name == "z" else {}
        factors = {}
        if node.layer.draws and isinstance(rate := node.layer.arguments().get("rate"), float) and 0 < rate < 1:
            factors = {"1 / (1 - rate)": np.full(np.shape(right[name]), 1 / (1 - rate))}
        terms = through_statistics(node, fed, right) if name == "dx" else {}
        return Clues(mistakes, terms, factors, sizes_of(fed["x"].shape), summed=len(fed["x"]))

    names = ["z", "dx", *(f"d{name}" for name in fed["weights"]), *(f"new {name}" for name in fed["weights"])]
    return {name: partial(of_tensor, name) for name in names}


def _of_several(node: Node, fed: Named, run: Callable[[Node, Named], Named]) -> dict[str, Callable[[], Clues]]:
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

    def of_tensor(name: str) -> Clues:
        found = {said: attempt(make) for said, make in others.items()}
        return Clues({said: one[name] for said, one in found.items() if not isinstance(one, Failure) and name in one})

    of_x = [f"dx{number}" for number in range(len(fed["x"]))] if node.layer.takes_several else ["dx"]
    return {name: partial(of_tensor, name) for name in ("z", *of_x, *(f"d{weight}" for weight in fed["weights"]))}
