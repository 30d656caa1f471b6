"""Where the numbers of a step's graph come from, and what is known of them before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

# what an index is moved by without a change of its value; the first input is the one
MOVED = {
    *("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Transpose", "Snapshot", "StridedSlice"),
    *("Slice", "Tile", "BroadcastTo", "PlaceholderWithDefault", "PreventGradient", "Pack", "ConcatV2"),
}
# of a tensor they give its size alone
SIZES = {"Shape", "ShapeN", "Size", "Rank", "VariableShape", "TensorListLength"}


class FromData:
    """Whether a tensor's values follow from the step's data, and not from sizes and constants alone."""

    def __init__(self) -> None:
        self._known: dict[Any, bool] = {}

    def __call__(self, tensor: Any) -> bool:
        stack = [tensor.op]
        while stack:
            operation = stack[-1]
            if operation in self._known:
                stack.pop()
                continue
            if operation.type in SIZES or operation.type == "Const":
                self._known[operation] = False
            elif not operation.inputs:
                self._known[operation] = operation.type not in ("EmptyTensorList", "TensorListReserve", "NoOp")
            elif unknown := [taken.op for taken in operation.inputs if taken.op not in self._known]:
                stack += unknown
                continue
            else:
                self._known[operation] = any(self._known[taken.op] for taken in operation.inputs)
            stack.pop()
        return self._known[tensor.op]


def source_of(tensor: Any) -> Any:
    """Where a tensor's numbers come from, that are moved on the way and no more."""
    while tensor.op.type in MOVED:
        # several tensors have no one source; the last input of ConcatV2 is its axis
        joined = {"Pack": tensor.op.inputs, "ConcatV2": tensor.op.inputs[:-1]}.get(tensor.op.type, [])
        if len({id(each) for each in joined}) > 1:
            return tensor
        tensor = tensor.op.inputs[0]
    return tensor


def known_range(index: Any) -> tuple[float, float] | None:
    """Between which numbers an index is by the way in which it was computed."""
    value = tf.get_static_value(index)
    if value is not None and value.size:
        return float(value.min()), float(value.max())
    operation = source_of(index).op
    if operation.type in ("ArgMax", "ArgMin"):
        axis = tf.get_static_value(operation.inputs[1])
        size = None if axis is None else operation.inputs[0].shape[int(axis)]
        return None if size is None else (0, size - 1)
    if operation.type in ("TopKV2", "TopK"):
        size = operation.inputs[0].shape[-1]
        return None if size is None else (0, size - 1)
    if operation.type == "FloorMod" and (value := tf.get_static_value(operation.inputs[1])) is not None:
        return (0, float(value.max()) - 1) if value.min() > 0 else None
    if operation.type == "ClipByValue":
        low, high = (tf.get_static_value(taken) for taken in operation.inputs[1:])
        return None if low is None or high is None else (float(low.min()), float(high.max()))
    return None


def is_lifted(root: Any) -> bool:
    """Whether a root was taken of something to which a positive number was added, or that is at least one."""
    operation = root.op
    if operation.type not in ("Sqrt", "Rsqrt", "Reciprocal", "Inv"):
        return False
    below = operation.inputs[0].op
    if below.type not in ("AddV2", "Add", "Maximum"):
        return False
    added = [tf.get_static_value(term) for term in below.inputs]
    return any(term is not None and bool((np.asarray(term) > 0).all()) for term in added)


def counted_from_the_end(index: Any, size: int) -> Any:
    """The index before Keras's `take` added the size to negative ones; None where it was not that."""
    operation = source_of(index).op
    if operation.type not in ("Select", "SelectV2"):
        return None
    is_negative, moved = (each.op for each in operation.inputs[:2])
    if is_negative.type != "Less" or moved.type not in ("AddV2", "Add") or len(is_negative.inputs) != 2:
        return None
    same = is_negative.inputs[0] is moved.inputs[0] is operation.inputs[2]
    taken = source_of(moved.inputs[1])
    is_shape = taken.op.type == "Shape"
    added = taken.op.inputs[0].shape.as_list() if is_shape else tf.get_static_value(taken)
    zero = tf.get_static_value(is_negative.inputs[1])
    return operation.inputs[2] if same and zero == 0 and size in np.ravel(added) else None


def counts(index: Any) -> bool:
    """Whether an index in a loop only counts its turns: a scalar made of constants and of what the loop carries."""
    if index.shape.rank != 0:
        return False
    seen, stack = set(), [index]
    while stack:
        tensor = stack.pop()
        if tensor.ref() in seen:
            continue
        seen.add(tensor.ref())
        if tensor.op.type not in ("Placeholder", "Const", "AddV2", "Add", "Sub", "Identity", "Cast"):
            return tensor.op.type in SIZES
        if tensor.shape.rank != 0 or not tensor.dtype.is_integer:
            return False
        stack += list(tensor.op.inputs)
    return True


def inner_graphs(graph: Any) -> Iterable[Any]:
    """The graphs of all functions, loops and branches of a graph."""
    graphs, seen = [graph], {id(graph)}
    while graphs:
        for function in graphs.pop()._functions.values():
            inner = getattr(function, "_cached_graph", None) or getattr(function, "graph", None)
            if inner is not None and id(inner) not in seen:
                seen.add(id(inner))
                graphs.append(inner)
                yield inner
