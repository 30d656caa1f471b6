"""Attention with masks of every shape, more keys than queries and fewer, whole and in chunks.

B batch, T queries, S keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfbp import manual, tape
from tfbp.agreement.programs import Named
from tfbp.agreement.suites.call import SEED, Call, file_of

# queries, keys, query heads, key heads, causal, shapes of masks
_ATTENTIONS: dict[str, tuple[int, int, int, int, bool, tuple[tuple[int, ...], ...]]] = {
    "plain": (7, 9, 2, 2, False, ()),
    "causal": (9, 9, 4, 2, True, ()),
    "causal, fewer keys": (9, 6, 2, 1, True, ()),
    "causal, fewer queries": (6, 9, 2, 2, True, ()),
    "masked keys": (7, 9, 4, 2, False, ((2, 1, 1, 9),)),
    "blind queries": (9, 7, 4, 1, True, ((2, 1, 1, 7), (2, 1, 9, 1))),
    "masks of heads": (9, 7, 4, 2, True, ((1, 4, 9, 7),)),
}
_CHUNKS = {"attention.LONG": 0, "attention.LONG_FOR_XLA": 0, "chunks.BANDS": 3, "chunks.BANDS_OF_XLA": 3}
_CHUNKS |= {f"chunks.CHUNK{of}": 4 for of in ("", "_OF_XLA", "_ON_GPU")}


def attentions() -> Iterator[Call]:
    """Masks of every shape, more keys than queries and fewer, whole and in chunks, with known and unknown lengths."""
    for name in _ATTENTIONS:
        yield _attention(name)
        yield _attention(name, constants=_CHUNKS)
    for name in ("blind queries", "causal, fewer keys"):
        yield _attention(name, unknown=True)
        yield _attention(name, constants=_CHUNKS, unknown=True)
    for name in ("causal", "masks of heads"):
        yield _attention(name, drops=True)


def _attention(
    name: str, constants: Named | None = None, unknown: bool = False, drops: bool = False, **others: Any
) -> Call:
    queries, keys, heads, key_heads, causal, masks = _ATTENTIONS[name]
    causal, seed = others.get("causal", causal), others.get("seed", SEED)
    width, value_width, batch = 3, 5, 2
    shapes = {
        "query": (batch, queries, heads, width),
        "key": (batch, keys, key_heads, width),
        "value": (batch, keys, key_heads, value_width),
    }
    rng = np.random.default_rng([*name.encode()])
    fixed = {f"mask {number}": rng.random(shape) > 0.4 for number, shape in enumerate(masks)}
    rate = 0.3

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        seen: Any = list(fixed.values())
        options: Named = {}
        if room is manual:
            if drops:
                options["dropped"] = (
                    file_of(manual, "dropout").dropout_mask([batch, heads, queries, keys], seed, rate),
                    rate,
                )
        else:
            seen = np.logical_and.reduce(np.broadcast_arrays(*seen)) if seen else None
            seen = others["edge"](queries, keys, seen) if "edge" in others else seen
            options = {"rate": rate, "seed": seed} if drops else {}
        y, residuals = file_of(room, "attention").attention_forward(
            a["query"], a["key"], a["value"], seen, causal=causal, **options
        )
        if not upstream:
            return {"y": y}
        gradients = file_of(room, "attention").attention_backward(upstream["y"], residuals)
        return {"y": y, **{f"d{n}": g for n, g in zip(("query", "key", "value"), gradients, strict=True)}}

    def by_tape(a: Named, fixed: Named) -> Named:
        seen: Any = None
        for mask in fixed.values():
            seen = mask if seen is None else seen & mask
        options = {"rate": rate, "seed": seed} if drops else {}
        return {
            "y": file_of(tape, "attention").attention_forward(
                a["query"], a["key"], a["value"], seen, causal=causal, **options
            )
        }

    def otherwise() -> Named:
        def shown(further: int) -> Any:
            edge = np.tri(queries, keys, further, dtype=bool)
            return lambda queries, keys, seen: edge if seen is None else edge & seen

        mistakes: dict[str, Named] = {f"the causal mask is {'left out' if causal else 'taken'}": {"causal": not causal}}
        if causal:
            mistakes["the causal edge is a key too early"] = {"causal": False, "edge": shown(-1)}
            mistakes["the causal edge is a key too late"] = {"causal": False, "edge": shown(1)}
        if drops:
            mistakes["the seed's words are exchanged"] = {"seed": SEED[::-1]}
        functions = {
            sentence: _attention(name, drops=drops, **changed).by_hand for sentence, changed in mistakes.items()
        }
        if drops:
            functions["dropout is left out"] = _attention(name).by_hand
        return functions

    words = [name, *(["in chunks"] if constants else []), *(["of unknown length"] if unknown else [])]
    words += ["with dropout"] if drops else []
    return Call(f"attention {' '.join(words)}", shapes, by_hand, by_tape, fixed, constants or {}, unknown, otherwise)
