"""Clues for a network's tensors: each layer's own, and those of the whole pass: penalties, weights, 1/B."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.clues.activations import activation_backward, activation_forward
from tfbp.agreement.clues.layers import dense_backward, dense_forward, residual_backward, residual_forward
from tfbp.agreement.clues.losses import loss_backward, loss_forward
from tfbp.agreement.clues.nodes import of_node
from tfbp.agreement.problems import of_each_loss
from tfbp.judging.diagnosis import Clues
from tfbp.network import Dense, Layer, LinearCrossEntropy, Residual, at
from tfbp.reference.embedding import embedding_backward
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.tied import tied_forward
from tfbp.vocabulary import L1L2

Array = np.ndarray
ByName = dict[str, Callable[[], Clues]]
ByNumbers = dict[str, Array]
_GRADIENTS = ("dx", "dkernel", "dbias")


def local(network: Any, inputs: Any, run: Any) -> ByName:
    """Clues for every tensor of the local comparison; `run`: the reference on a node and its inputs."""
    out: ByName = {}
    for node, fed in zip(network.nodes, inputs, strict=False):
        put, activation = f"layer {node.name}", network.activation_before_loss(node)
        found_of = _of_layer(node.layer, fed) or of_node(node, fed, run)
        out.update({f"{put} {name}": found for name, found in found_of.items()})
        out[f"{put} y"] = partial(activation_forward, activation, fed["z"])
        out[f"{put} dz"] = partial(activation_backward, activation, fed["dy"], fed["z"])
    for number, loss in enumerate(network.losses):
        several = len(network.losses) > 1
        put = f" {number}" if several else ""
        last = {name: value[number] for name, value in inputs[-1].items()} if several else inputs[-1]
        out[f"losses{put}"] = partial(loss_forward, loss, last["y"], last["outputs"])
        out[f"doutputs{put}"] = partial(loss_backward, loss, last["dlosses"], last["y"], last["outputs"])
    return out


def _of_layer(layer: Layer, fed: Any) -> ByName:
    """Clues for z, dx and the gradients of a single layer."""
    if isinstance(layer, Dense | LinearCrossEntropy) and fed["x"].ndim == 2:
        x, kernel, dz = fed["x"], fed["weights"]["kernel"], fed["dz"]
        return {
            "z": partial(dense_forward, x, kernel, fed["weights"].get("bias")),
            **{name: partial(dense_backward, name, x, kernel, dz) for name in _GRADIENTS},
        }
    if isinstance(layer, Residual):
        return {"z": partial(residual_forward, layer, fed), "dx": partial(residual_backward, layer, fed)}
    return {}


def end_to_end(network: Any, numbers: Any, tensors: Any, run: Any) -> ByName:
    """Clues for every tensor of a whole pass."""
    last = tensors[-1]
    parameters = tied_forward(network, numbers.parameters)
    each: list[Any] = []
    for node in network.nodes:
        # a layer's next call continues from the values that this one renews
        before = [fed for one, fed in zip(network.nodes, each, strict=False) if one.place == node.place]
        weights = {**at(parameters, node.place), **(before[-1].get("new_weights", {}) if before else {})}
        each.append({**at(tensors, node.at), "weights": weights})
    out = local(network, [*each, {**last, "y": numbers.y}], run)
    several = len(network.losses) > 1
    if not several:
        out["loss"] = partial(_whole_loss, network, numbers, last["losses"], last["mask"])
    for number, counts in enumerate(network.loss_weights):
        given, mask = ((a[number] if several else a) for a in (numbers.sample_weight, last["mask"]))
        weight = of_each_loss(network, given, number)
        outputs = network.output_shapes[number][-1]
        out[f"dlosses{f' {number}' if several else ''}"] = partial(_seeds, weight, mask, outputs, counts)
    nodes = {node.place: (node, fed) for node, fed in zip(network.nodes, each, strict=True)}
    for place, name, regularizer in network.penalties if network.is_chain else []:
        node, fed = nodes[place]
        put = f"layer {node.name} d{name}"
        if put in out:
            w = at(numbers.parameters, place)[name]
            right = partial(_right_with_penalty, run, node, fed, name, regularizer, w)
            out[put] = partial(_with_penalty, out[put], regularizer, w, right)
    if network.tied:
        out["layer 0 dembeddings"] = partial(_of_both_uses, network.layers[0].input_dim, tensors[0], tensors[-2])
    for node in network.top_nodes if network.is_chain else []:
        (i,) = node.place
        handed = tensors[i + 1]["dz"] if i + 1 < len(network.layers) else last["doutputs"]
        out[f"layer {i} dy"] = partial(_handed_on, handed, len(numbers.x))
    return out


def _whole_loss(network: Any, numbers: Any, losses: Array, mask: Any) -> Clues:
    weight, penalties = of_each_loss(network, numbers.sample_weight), 0.0
    terms = {}
    for place, name, regularizer in network.penalties:
        one = float(penalty_forward(regularizer, at(numbers.parameters, place)[name])[0])
        terms[f"layer {'.'.join(map(str, place))}'s penalty of {name}"] = np.array(one)
        penalties += one
    if penalties:
        terms["of all penalties"] = np.array(penalties)
    weighted = weight * losses
    mistakes = {
        "sample weights are ignored": np.array(losses.mean() + penalties),
        "divided by the sum of the sample weights, in place of B": np.array(weighted.sum() / weight.sum() + penalties),
        "a sum over the batch in place of the mean: 1/B is missing": np.array(weighted.sum() + penalties),
    }
    if mask is not None:
        mistakes = {
            "the mask is ignored": np.array(weighted.mean() + penalties),
            "divided by all rows, in place of those that the mask shows": np.array(
                (mask * weighted).mean() + penalties
            ),
            "sample weights are ignored": np.array((mask * losses).sum() / mask.sum() + penalties),
            **{said: np.array(part.sum() + penalties) for said, part in _shares(mask, weight, losses).items()},
        }
    return Clues(mistakes, terms)


def _seeds(weight: Array, mask: Any, outputs: int, counts: float) -> Clues:
    losses = weight.size
    mistakes = {
        "sample weights are ignored": np.full(weight.shape, 1 / losses),
        "divided by the sum of the sample weights, in place of B": weight / weight.sum(),
        "sample weights and 1/B are ignored": np.ones(weight.shape),
        "sample weights are squared": weight**2 / losses,
    }
    if mask is not None:
        mistakes = {
            "the mask is ignored": weight / losses,
            "divided by all rows, in place of those that the mask shows": weight * mask / losses,
            "sample weights are ignored": mask / mask.sum(),
            **_shares(mask, weight, np.ones(weight.shape)),
        }
    mistakes = {said: counts * value for said, value in mistakes.items()}
    factors = {"of this output in the loss, its loss weight,": np.full(weight.shape, counts)} if counts != 1 else {}
    tokens = {} if weight.ndim == 1 else {"T": losses // len(weight)}
    return Clues(mistakes, factors=factors, sizes={"B": len(weight), **tokens, "O": outputs})


def _shares(mask: Array, weight: Array, losses: Array) -> ByNumbers:
    """Each loss's part of a masked mean that is taken otherwise."""
    parts, shown = mask * weight * losses, mask.reshape(len(mask), -1).sum(axis=1)
    of_example = np.maximum(shown, 1).reshape(-1, *[1] * (mask.ndim - 1)) * len(mask)
    return {
        "each example has the mean of its own steps, whatever their number": parts / of_example,
        "divided by the sum of the weights that the mask shows": parts / (mask * weight).sum(),
    }


def _right_with_penalty(run: Any, node: Any, fed: Any, name: str, regularizer: L1L2, w: Array) -> Array:
    right: Array = run(node, fed)[f"d{name}"] + penalty_backward(regularizer, w)
    return right


def _with_penalty(without: Callable[[], Clues], regularizer: L1L2, w: Array, right: Callable[[], Array]) -> Clues:
    known = without()
    terms = {
        "of the L1 penalty": penalty_backward(L1L2(l1=regularizer.l1), w),
        "of the L2 penalty": penalty_backward(L1L2(l2=regularizer.l2), w),
        "of the penalties": penalty_backward(regularizer, w),
    }
    factors = {
        "2": np.full(w.shape, 2.0),
        "l1": np.full(w.shape, regularizer.l1),
        "l2": np.full(w.shape, regularizer.l2),
    }
    terms = {name: term for name, term in terms.items() if np.any(term)}
    regions = {"the weight is below 0": w < 0, "the weight is above 0": w > 0}
    kinks = {"|w| at w = 0": w == 0}
    mistakes = {
        "|w|' is taken without its sign, as 1 everywhere": right() + regularizer.l1 * (1 - np.sign(w)),
    }
    return Clues({**known.mistakes, **mistakes}, terms, factors, known.sizes, regions, kinks, known.summed)


def _of_both_uses(rows: int, first: Any, last: Any) -> Clues:
    width = last["x"].shape[-1]
    of_last = last["dz"].reshape(-1, rows).T @ last["x"].reshape(-1, width)
    terms = {"of the lookups": embedding_backward(first["dz"], (first["x"], rows)), "of the last layer": of_last}
    return Clues(terms=terms, sizes={"B": len(first["x"])})


def _handed_on(handed: Array, rows: int) -> Clues:
    return Clues({"dz of the layer above, handed past its kernel": handed}, sizes={"B": rows})
