"""Clues of geometry: values of a tensor with other arguments, in another order, or of other rows.

The reference computes these values. A clue counts only if it explains a difference to the tolerance.
B batch; axes of an example are named by their number: T a sequence's steps; H and W an image's, C its channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt
from tfbp.network import GRU, LSTM, Layer, Node
from tfbp.vocabulary import Activation

Array = np.ndarray
Named = dict[str, Any]
_AXES = {2: ("B", "C"), 3: ("B", "T", "C"), 4: ("B", "H", "W", "C"), 5: ("B", "H", "W", "D", "C")}
_GATES = {"LSTM": "ifgo", "GRU": "zrn"}


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
            known["others"] = {sentence: attempt(make) for sentence, make in _otherwise(node, fed, run)}
        right, others = known["right"], known["others"]
        found = {
            sentence: other[name]
            for sentence, other in others.items()
            if not isinstance(other, Failure) and name in other
        }
        mistakes = found | _of_another(name, right) | in_another_order(name, right[name], fed["x"].shape, node.layer)
        mistakes |= _of_statistics(node, fed, right) if name == "z" else {}
        factors = {}
        if node.layer.draws and isinstance(rate := node.layer.arguments().get("rate"), float) and 0 < rate < 1:
            factors = {"1 / (1 - rate)": np.full(np.shape(right[name]), 1 / (1 - rate))}
        terms = _through_statistics(node, fed, right) if name == "dx" else {}
        return Clues(mistakes, terms, factors, sizes_of(fed["x"].shape), summed=len(fed["x"]))

    names = ["z", "dx", *(f"d{name}" for name in fed["weights"]), *(f"new {name}" for name in fed["weights"])]
    return {name: partial(of_tensor, name) for name in names}


def _of_several(node: Node, fed: Named, run: Callable[[Node, Named], Named]) -> dict[str, Callable[[], Clues]]:
    """Clues for a layer of several inputs or outputs: other arguments, and no gradient of one of the last states."""
    otherwise = {
        said: partial(run, dataclasses.replace(node, layer=layer), fed)
        for said, layer in _with_other_arguments(node.layer)
    }
    count = node.layer.states if getattr(node.layer, "return_state", False) else 0  # type: ignore[attr-defined]
    for number, state in zip(range(count), "hc", strict=False):
        dz = fed["dz"].copy()
        dz[:, number - count] = 0
        otherwise[f"the gradient of last {state} is left out"] = partial(run, node, {**fed, "dz": dz})

    def of_tensor(name: str) -> Clues:
        found = {said: attempt(make) for said, make in otherwise.items()}
        return Clues({said: one[name] for said, one in found.items() if not isinstance(one, Failure) and name in one})

    of_x = [f"dx{number}" for number in range(len(fed["x"]))] if node.layer.takes_several else ["dx"]
    return {name: partial(of_tensor, name) for name in ("z", *of_x, *(f"d{weight}" for weight in fed["weights"]))}


def _otherwise(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Callable[[], Named]]]:
    """Each argument with another value; without each weight; fewer rows."""
    for sentence, layer in _with_other_arguments(node.layer):
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
    if "query_kernel" in fed["weights"]:
        yield from _of_heads(node, fed, run)
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
    letters = _GATES.get(node.layer.keras_name, "")
    for number, gate in enumerate(letters):
        for row in range(2 if name == "bias" and weight.ndim == 2 else 1):
            part = weight.copy()
            at = np.split(part, len(letters), axis=-1)[number]
            (at if name != "bias" or weight.ndim == 1 else at[row])[...] = 0
            sentence = f"{name} of the gate {gate} is left out" + (
                f", in row {row}" if part.ndim == 2 and name == "bias" else ""
            )
            yield sentence, partial(run, node, {**fed, "weights": {**fed["weights"], name: part}})


def _of_heads(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Any]]:
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


def _of_statistics(node: Node, fed: Named, right: Named) -> dict[str, Array]:
    """For a normalization by constants with a separate shift: the shift subtracted from x unscaled, or added."""
    weights = fed["weights"]
    if "moving_mean" not in weights:
        return {}
    mean, gamma = weights["moving_mean"], weights.get("gamma", np.ones(1))
    inverse = 1 / np.sqrt(weights["moving_variance"] + node.layer.arguments()["epsilon"])
    shift = mean * inverse * gamma
    return {
        "the shift lacks its factor gamma / σ: the mean is taken off as it is": right["z"] + shift - mean,
        "the shift lacks its factor gamma": right["z"] + shift - mean * inverse,
        "the shift lacks its factor 1 / σ": right["z"] + shift - mean * gamma,
        "the mean is added, not taken off": right["z"] + 2 * shift,
        "the mean is not taken off": right["z"] + shift,
    }


def _through_statistics(node: Node, fed: Named, right: Named) -> dict[str, Array]:
    """The parts of a normalization's dx: straight through, by way of the mean, and by way of the variance."""
    weights, x = fed["weights"], fed["x"]
    name = type(node.layer).__name__
    if name not in ("BatchNormalization", "LayerNormalization") or ("moving_mean" in weights and not _renews(right)):
        return {}
    axes: Any = tuple(range(x.ndim - 1)) if name == "BatchNormalization" else (-1,)
    epsilon = node.layer.arguments()["epsilon"]
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    inverse, dn = 1 / np.sqrt(variance + epsilon), fed["dz"] * weights.get("gamma", 1.0)
    normalized = (x - mean) * inverse
    return {
        "through the mean": -inverse * dn.mean(axis=axes, keepdims=True) * np.ones(x.shape),
        "through the variance": -inverse * normalized * (dn * normalized).mean(axis=axes, keepdims=True),
    }


def _renews(right: Named) -> bool:
    return any(name.startswith("new ") for name in right)


def _with_other_arguments(layer: Layer) -> Iterator[tuple[str, Layer]]:
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
        elif isinstance(value, tuple) and len(value) == 2 and all(isinstance(item, int) for item in value):
            others[f"{name} is left out, as if it were 1"] = (1, 1)
            others[f"the two numbers of {name} are exchanged"] = value[::-1]
        elif name == "padding":
            others[f"padding is taken for {'valid' if value == 'same' else 'same'!r}"] = (
                "valid" if value == "same" else "same"
            )
        elif name == "merge_mode":
            others |= {f"merge_mode is taken for {each!r}": each for each in ("concat", "sum", "mul", "ave")}
        elif name in ("momentum", "rate"):
            others[f"1 - {name} stands for {name}"] = 1 - value
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


def _of_another(name: str, right: Named) -> dict[str, Array]:
    """Other gradients of the same shape."""
    return {
        f"it is {other}": value
        for other, value in right.items()
        if other != name and np.shape(value) == np.shape(right[name]) and not np.array_equal(value, right[name])
    }


def in_another_order(name: str, right: Array, shape: tuple[int, ...], layer: Layer | None = None) -> dict[str, Array]:
    """Reversed along an axis, shifted by one, cut at an edge; gates and halves exchanged."""
    values: dict[str, Array] = {}
    is_of_batch = right.ndim > 1 and len(right) == shape[0] and not name.startswith("new")
    axes = _AXES.get(right.ndim, ()) if is_of_batch else tuple(map(str, range(right.ndim)))
    for axis, letter in enumerate(axes):
        size = right.shape[axis]
        if size < 2:
            continue
        values[f"in the reverse order along {letter}"] = np.flip(right, axis)
        for step in (1, -1):
            values[f"shifted by {step} along {letter}"] = np.roll(right, step, axis)
        if size % 2 == 0:
            values[f"the halves along {letter} are exchanged"] = np.roll(right, size // 2, axis)
        for place, what in ((slice(0, 1), "first"), (slice(size - 1, size), "last")):
            edge = right.copy()
            np.moveaxis(edge, axis, 0)[place] = 0
            values[f"the {what} along {letter} is missing, left at 0"] = edge
    if isinstance(layer, LSTM | GRU) and not is_of_batch:
        letters = _GATES[layer.keras_name]
        blocks = np.split(right, len(letters), axis=-1)
        for i in range(len(letters)):
            for j in range(i + 1, len(letters)):
                order = list(range(len(letters)))
                order[i], order[j] = j, i
                exchanged = np.concatenate([blocks[k] for k in order], axis=-1)
                values[f"the gates {letters[i]} and {letters[j]} are exchanged"] = exchanged
    return values


def sizes_of(shape: tuple[int, ...]) -> dict[str, int]:
    """Returns the sizes of x by their letters, and the numbers of all rows and positions."""
    names = _AXES.get(len(shape), ("B",))
    sizes = dict(zip(names, shape, strict=False))
    if len(shape) > 3:
        sizes["(H W)"] = int(np.prod(shape[1:-1]))
    if len(shape) > 2:
        sizes["N"] = int(np.prod(shape[:-1]))
    # one length, one name
    return {name: size for i, (name, size) in enumerate(sizes.items()) if size not in list(sizes.values())[:i]}
