"""Clues of geometry: a tensor's values in another order, cut at an edge, or those of another tensor.

B batch; axes of an example are named by their number: T a sequence's steps; H and W an image's, C its channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfbp.network import GRU, LSTM, Layer

Array = np.ndarray
Named = dict[str, Any]
_AXES = {2: ("B", "C"), 3: ("B", "T", "C"), 4: ("B", "H", "W", "C"), 5: ("B", "H", "W", "D", "C")}
GATES = {"LSTM": "ifgo", "GRU": "zrn"}


def letters_of(array: Array) -> tuple[str, ...]:
    """Returns the letters of an example's axes, B first; tokens are (B, T)."""
    return ("B", "T") if array.dtype.kind == "i" and array.ndim == 2 else _AXES.get(array.ndim, ())


def of_another(name: str, right: Named) -> dict[str, Array]:
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
        # of two, a shift and an exchange are the reverse order
        for step in (1, -1) if size > 2 else ():
            values[f"shifted by {step} along {letter}"] = np.roll(right, step, axis)
        if size > 2 and size % 2 == 0:
            values[f"the halves along {letter} are exchanged"] = np.roll(right, size // 2, axis)
        for place, what in ((slice(0, 1), "first"), (slice(size - 1, size), "last")):
            edge = right.copy()
            np.moveaxis(edge, axis, 0)[place] = 0
            values[f"the {what} along {letter} is missing, left at 0"] = edge
    if isinstance(layer, LSTM | GRU) and not is_of_batch:
        letters = GATES[layer.keras_name]
        blocks = np.split(right, len(letters), axis=-1)
        for i in range(len(letters)):
            for j in range(i + 1, len(letters)):
                order = list(range(len(letters)))
                order[i], order[j] = j, i
                exchanged = np.concatenate([blocks[k] for k in order], axis=-1)
                values[f"the gates {letters[i]} and {letters[j]} are exchanged"] = exchanged
    return values


def other_masks(name: str, mask: Array) -> dict[str, Array]:
    """Returns a mask with a mistake, by the sentence that names it."""
    return {
        f"{name} is ignored": np.ones_like(mask),
        f"{name} is taken the other way round": np.logical_not(mask).astype(mask.dtype),
        f"{name} of another example": np.roll(mask, 1, 0),
        f"{name}: its halves of the batch are exchanged": np.roll(mask, len(mask) // 2, 0),
        f"{name} in the reverse order of the steps": mask[:, ::-1],
        f"{name} from the last example on": mask[::-1],
    }


def sizes_of(shape: tuple[int, ...], layer: Any = None) -> dict[str, int]:
    """Returns the sizes of x by their letters, the numbers of all rows and positions, and that of a layer's window."""
    sizes = dict(zip(_AXES.get(len(shape), ("B",)), shape, strict=False))
    if len(shape) > 3:
        sizes["(H W)"] = int(np.prod(shape[1:-1]))
    if len(shape) > 2:
        sizes["N"] = int(np.prod(shape[:-1]))
    windows = {name: getattr(layer, name, None) for name in ("pool_size", "kernel_size", "size")}
    return sizes | {name: int(np.prod(window)) for name, window in windows.items() if window}
