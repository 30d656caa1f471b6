"""A layer's values of attention otherwise: projections, scores, heads and the causal edge, by the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp.network import Node

Array = np.ndarray
Named = dict[str, Any]


def of_heads(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Any]]:
    """Attention with projections exchanged, scores scaled by another factor, heads in another order."""
    weights = fed["weights"]

    def with_weights(others: Named) -> Any:
        return partial(run, node, {**fed, "weights": {**weights, **others}})

    for one, other in (("key", "value"), ("query", "key"), ("query", "value")):
        exchanged = {
            name.replace(a, b, 1): w
            for a, b in ((one, other), (other, one))
            for name, w in weights.items()
            if name.startswith(a)
        }
        if all(w.shape == weights[name].shape for name, w in exchanged.items()):
            yield f"{one} and {other} are exchanged", with_weights(exchanged)
    _, heads, width = weights["query_kernel"].shape
    query = {name: w for name, w in weights.items() if name.startswith("query")}
    for sentence, factor in (
        ("the scores are not scaled", width**0.5),
        ("the scores are scaled twice", width**-0.5),
        ("the scores are scaled by the number of heads for their width", (width / heads) ** 0.5),
    ):
        yield sentence, with_weights({name: factor * w for name, w in query.items()})
    output, groups = weights["attention_output_kernel"], weights["key_kernel"].shape[1]
    yield "the heads come in the reverse order", with_weights({"attention_output_kernel": output[::-1]})
    if 1 < groups < heads:
        order = np.arange(heads).reshape(groups, -1).T.ravel()
        for sentence, each in (("of a group", order), ("of the groups", np.argsort(order))):
            yield f"the heads {sentence} are interleaved", with_weights({"attention_output_kernel": output[each]})


def of_edges(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Any]]:
    """Causal attention with another edge, by a mask of its own; its dx is the first of two."""
    causal: Any = node.layer
    if not getattr(causal, "use_causal_mask", False):
        return
    layer = dataclasses.replace(causal, use_causal_mask=False, takes=("attention_mask",))
    rows, steps = fed["x"].shape[:2]
    for further, sentence in ((-1, "early"), (1, "late")):
        mask = np.tile(np.tri(steps, steps, further), (rows, 1, 1))

        def with_edge(mask: Array = mask) -> Named:
            found: Named = run(dataclasses.replace(node, layer=layer, takes=(0, 1)), {**fed, "x": (fed["x"], mask)})
            return {**found, "dx": found["dx0"]}

        yield f"the causal edge is a key too {sentence}", with_edge


def of_sources(node: Node, fed: Named, run: Any) -> Named:
    """The parts of dx of attention that takes x alone: by way of the queries, the values and the keys."""
    layer: Any = node.layer
    if "query_kernel" not in fed["weights"]:
        return {}
    apart = dataclasses.replace(node, layer=dataclasses.replace(layer, takes=("value", "key")), takes=(0, 1, 2))
    found = run(apart, {**fed, "x": (fed["x"],) * 3})
    return {f"dx of the {source}": found[f"dx{number}"] for number, source in enumerate(("queries", "values", "keys"))}
