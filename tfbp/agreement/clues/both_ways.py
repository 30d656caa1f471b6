"""Clues of Bidirectional: dx of one way, a way back that is not turned, one draw for both ways."""

from __future__ import annotations

from typing import Any

from tfbp.agreement.local import SEED
from tfbp.judging.diagnosis import Clues
from tfbp.network import Node
from tfbp.reference.bidirectional import forward, merge_backward, merge_forward
from tfbp.reference.chain import chain_backward, chain_forward

Named = dict[str, Any]


def of_both_ways(node: Node, fed: Named, training: bool, name: str) -> Clues:
    """Clues for z and dx; none for another tensor or kind."""
    layer: Any = node.layer
    if layer.keras_name != "Bidirectional" or name not in ("z", "dx", "dx0"):
        return Clues()
    options: Named = {"training": training, "seed": (SEED, node.draws_before)}
    z, residuals, _ = forward(layer, fed["weights"], fed["x"], **options)
    there, back = residuals["merged"]
    turned = back[:, ::-1] if back.ndim == 3 else back
    if name == "z":
        part = "backward_layer"
        alike, *_ = chain_forward(layer.parts[part], fed["weights"][part], fed["x"], **options)
        in_step = alike[:, ::-1] if layer.layer.return_sequences else alike
        others = {"both ways draw the same": in_step, "the way back is not turned": turned}
        mistakes = {said: merge_forward(there, other, layer.merge_mode)[0] for said, other in others.items()}
        return Clues({said: value for said, value in mistakes.items() if (value != z).any()})

    def dx_of(dthere: Any, dback: Any) -> dict[str, Any]:
        found = {}
        for way, d in (("forward_layer", dthere), ("backward_layer", dback)):
            tensors, kept = residuals[way]
            dx, _ = chain_backward(layer.parts[way], tensors, kept, d)
            found[way] = dx[0] if layer.takes_several else dx
        return found

    dthere, dback = merge_backward(fed["dz"], residuals["merged"], layer.merge_mode)
    in_step = dback[:, ::-1] if layer.layer.return_sequences else dback
    of_ways = dx_of(dthere, in_step)
    terms = {"dx of the way there": of_ways["forward_layer"], "dx of the way back": of_ways["backward_layer"]}
    mistakes = {
        "dy of the two ways is exchanged": sum(dx_of(dback, dthere if dback is in_step else dthere[:, ::-1]).values())
    }
    if dback is not in_step:
        mistakes["dy of the way back is not turned"] = sum(dx_of(dthere, dback).values())
    return Clues(mistakes, terms)
