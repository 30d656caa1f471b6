"""A layer's values where what it takes is in another order, or where dz counts in part, computed by the reference.

B batch; other axes by their letters, see `geometry`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tfbp.agreement.clues.geometry import GATES, letters_of
from tfbp.network import Node

Array = np.ndarray
Named = dict[str, Any]


def moved(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Callable[[], Named]]]:
    """x, dz and the weights in another order; dz without its first or last place, or these alone."""
    for name, array, put in _taken(node, fed):
        for axis, letter in enumerate(letters_of(array)):
            for how, other in orders(array, axis):
                yield f"{name} {how} along {letter}", partial(run, node, put(other))
        if array.dtype.kind == "f":
            yield f"{name} is left out, as if it were 1", partial(run, node, put(np.ones_like(array)))
            yield f"{name} is left out, as if it were 0", partial(run, node, put(np.zeros_like(array)))
    dz = fed["dz"]
    for axis, letter in enumerate(letters_of(dz)):
        size = dz.shape[axis]
        for place, what in ((0, "first"), (size - 1, "last")) if size > 1 and axis else ():
            here = np.expand_dims(np.arange(size) == place, tuple(range(1, dz.ndim - axis)))
            without, alone = ({**fed, "dz": np.where(each, dz, 0)} for each in (~here, here))
            yield f"the {what} of dz along {letter} is left out", partial(run, node, without)
            if size > 2:
                yield f"the {what} of dz along {letter} counts alone", partial(run, node, alone)
    yield from _of_weights(node, fed, run)


def _taken(node: Node, fed: Named) -> Iterator[tuple[str, Array, Callable[[Array], Named]]]:
    """Yields x, or each of several, and dz: by name, and a function that puts another one into fed."""
    yield "dz", fed["dz"], lambda other: {**fed, "dz": other}
    if not node.layer.takes_several:
        yield "x", fed["x"], lambda other: {**fed, "x": other}
        return
    for number, array in enumerate(fed["x"]):

        def put(other: Array, number: int = number) -> Named:
            return {**fed, "x": (*fed["x"][:number], other, *fed["x"][number + 1 :])}

        yield f"x{number}", array, put


def orders(array: Array, axis: int) -> Iterator[tuple[str, Array]]:
    size = array.shape[axis]
    if size > 1:
        yield "in the reverse order", np.flip(array, axis)
    if size > 2:
        yield "shifted by 1", np.roll(array, 1, axis)
        yield "shifted by -1", np.roll(array, -1, axis)
    if size > 3 and size % 2 == 0:
        yield "with its halves exchanged", np.roll(array, size // 2, axis)


def _of_weights(node: Node, fed: Named, run: Any) -> Iterator[tuple[str, Callable[[], Named]]]:
    weights = {name: weight for name, weight in fed["weights"].items() if isinstance(weight, np.ndarray)}

    def with_weights(others: Named) -> Any:
        return partial(run, node, {**fed, "weights": {**fed["weights"], **others}})

    for name, weight in weights.items():
        for axis in range(weight.ndim):
            for how, other in orders(weight, axis):
                yield f"{name} {how} along its axis {axis}", with_weights({name: other})
            if weight.shape[axis] > 1:
                first = np.take(weight, [0], axis) * np.ones_like(weight)
                yield f"the first of {name} along its axis {axis} stands for all", with_weights({name: first})
    letters = GATES.get(node.layer.keras_name, "")
    for i, one in enumerate(letters):
        for j in range(i + 1, len(letters)):
            order = [{i: j, j: i}.get(k, k) for k in range(len(letters))]
            exchanged = {name: _in_blocks(weight, order) for name, weight in weights.items()}
            yield f"the gates {one} and {letters[j]} are exchanged", with_weights(exchanged)


def _in_blocks(weight: Array, order: list[int]) -> Array:
    blocks = np.split(weight, len(order), axis=-1)
    return np.concatenate([blocks[k] for k in order], axis=-1)
