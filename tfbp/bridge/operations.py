"""Converts operations between Keras tensors, such as `x + y`, to layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfbp.bridge.activations import activation_of_operation
from tfbp.bridge.layers import regularizer_from_keras
from tfbp.bridge.opening import Weights
from tfbp.errors import InputError
from tfbp.network import (
    ActivationLayer,
    Add,
    AnyOf,
    Concatenate,
    Dot,
    GetItem,
    Layer,
    LayerScale,
    LogicalOr,
    Maximum,
    Minimum,
    Multiply,
    NotEqual,
    Permute,
    PositionEmbedding,
    Rescaling,
    Reshape,
    Stack,
    Subtract,
    Symbol,
)

# operations between two tensors, by the names of their classes
_OF_TWO: dict[str, Callable[[], Layer]] = {
    "Add": Add,
    "Subtract": Subtract,
    "Multiply": Multiply,
    "Maximum": Maximum,
    "Minimum": Minimum,
    # of masks, 1 and 0
    "LogicalAnd": Multiply,
}
# operations with a number: (scale, offset) of the tensor as first operand, and as second
_WITH_A_NUMBER: dict[str, tuple[Callable[[float], Any], Callable[[float], Any]]] = {
    "Add": (lambda c: (1.0, c), lambda c: (1.0, c)),
    "Subtract": (lambda c: (1.0, -c), lambda c: (-1.0, c)),
    "Multiply": (lambda c: (c, 0.0), lambda c: (c, 0.0)),
    "TrueDivide": (lambda c: (1 / c, 0.0), lambda c: None),
    "Divide": (lambda c: (1 / c, 0.0), lambda c: None),
    "Negative": (lambda c: (-1.0, 0.0), lambda c: None),
}


# what changes no number, or makes a mask of one
PASSES = ("Cast", "Copy", "OnesLike", "ZerosLike")


def passed(node: Any, x: Symbol) -> Symbol:
    """A tensor after Cast or Copy; a mask of ones or zeros, of its shape.

    Raises:
        InputError: a cast from one dtype of numbers to another, or constants that are no mask.
    """
    ((given,), made), kind = (node.input_tensors, node.outputs[0]), type(node.operation).__name__
    if kind in ("OnesLike", "ZerosLike") and made.dtype == "bool":
        # a mask has no 2: all are unequal to it, and none to 1
        ones = NotEqual(2.0)(NotEqual(0.0)(x))
        return ones if kind == "OnesLike" else NotEqual(1.0)(ones)
    if kind in ("Cast", "Copy") and (made.dtype == given.dtype or given.dtype == "bool"):
        return x
    if kind == "Cast" and made.dtype == "bool":
        return NotEqual(0.0)(x)
    if kind not in ("Cast", "Copy"):
        raise InputError(f"model: got the operation {kind} of {made.dtype}; accepted: a mask.")
    raise InputError(f"model: got a Cast from {given.dtype} to {made.dtype}; accepted: one dtype.")


def patches(node: Any, x: Symbol) -> Symbol:
    """The patches of an image, (rows, columns, pixels · channels), by their places.

    Raises:
        InputError: patches that overlap, or do not fill the image.
    """
    given, (height, width, channels) = node.operation, x.shape
    rows, columns = given.size[:2]
    strides = given.strides if isinstance(given.strides, tuple) else (given.strides,) * 2
    fits = strides == given.size and given.dilation_rate in (1, (1, 1)) and given.data_format == "channels_last"
    if not fits or height % rows or width % columns:
        got = f"patches {given.size} of images {x.shape} with strides {strides}"
        raise InputError(f"model: got {got}; accepted: patches side by side that fill the image.")
    apart = Reshape((height // rows, rows, width // columns, columns, channels))(x)
    return Reshape((height // rows, width // columns, -1))(Permute((1, 3, 2, 4, 5))(apart))


def columns(node: Any, x: Symbol) -> Symbol:
    """Numbers of the last axis by their constant indices, as `ops.take` picks them.

    Raises:
        InputError: another axis, or indices that are no list of a row.
    """
    given = [*node.arguments.args, *node.arguments.kwargs.values()][1]
    axis, rank = node.operation.axis, len(x.shape)
    if axis not in (-1, rank) or isinstance(given, keras.KerasTensor | keras.Variable) or np.ndim(given) != 1:
        raise InputError("model: got the operation Take; accepted: constant indices, in a list, of the last axis.")
    whole, size = [slice(None)] * (rank - 1), x.shape[-1]
    parts: list[list[int]] = []
    for index in (int(each) % size for each in given):
        if parts and parts[-1][1] == index:
            parts[-1][1] += 1
        else:
            parts.append([index, index + 1])
    taken = [GetItem((*whole, slice(start, stop)))(x) for start, stop in parts]
    return taken[0] if len(taken) == 1 else Concatenate(-1)(*taken)


def layer_of_operation(node: Any, taken: Sequence[Symbol]) -> tuple[Layer, Weights | None]:
    """Returns the layer of an operation, and the weights that it holds.

    Raises:
        InputError: an operation that a network cannot express.
    """
    operation = node.operation
    kind = type(operation).__name__
    if len(taken) > 1:
        several = _of_several(kind, operation, taken)
        if several is not None:
            return several, None
    else:
        arguments = [*node.arguments.args, *node.arguments.kwargs.values()]
        others = [argument for argument in arguments if not isinstance(argument, keras.KerasTensor | None)]
        if kind == "Multiply" and len(others) == 1 and isinstance(others[0], keras.Variable):
            gamma = others[0]
            if tuple(gamma.shape) == tuple(taken[0].shape[-1:]):
                regularizer = regularizer_from_keras(gamma.name, gamma.regularizer)
                return LayerScale(gamma_regularizer=regularizer), Weights(gamma.name, {"gamma": gamma})
        if kind == "Add" and len(others) == 1 and isinstance(others[0], keras.Variable):
            rows = others[0]
            if tuple(rows.shape) == tuple(taken[0].shape) and len(rows.shape) == 2 and rows.regularizer is None:
                return PositionEmbedding(rows.shape[0]), Weights(rows.name, {"embeddings": rows})
        one = _scaled(kind, arguments, others) or _of_one(kind, operation, others, node.outputs[0].shape)
        if one is not None:
            return one, None
    accepted = ", ".join([*_OF_TWO, *(name for name in _WITH_A_NUMBER if name not in _OF_TWO)])
    raise InputError(f"model: got the operation {kind} ({operation.name!r}); accepted: {accepted}.")


def _of_several(kind: str, operation: Any, taken: Sequence[Symbol]) -> Layer | None:
    count = len(taken)
    if kind == "Matmul" and [len(x.shape) for x in taken] == [2, 2]:
        return Dot((2, 1))
    if count == 2 and kind == "LogicalOr":
        return LogicalOr()
    if count == 2 and kind in _OF_TWO:
        return _OF_TWO[kind]()
    if kind in ("Concatenate", "Stack") and getattr(operation, "axis", -1) != 0:
        return (Concatenate if kind == "Concatenate" else Stack)(getattr(operation, "axis", -1))
    return None


def _scaled(kind: str, arguments: Sequence[Any], others: Sequence[Any]) -> Layer | None:
    """An operation on a tensor and a number."""
    numbers = [float(other_tensor) for other_tensor in others if _is_number(other_tensor)]
    if kind not in _WITH_A_NUMBER or not len(numbers) == len(others) == (kind != "Negative"):
        return None
    is_first = isinstance(arguments[0], keras.KerasTensor)
    scaled = _WITH_A_NUMBER[kind][not is_first](numbers[0] if numbers else 0.0)
    return None if scaled is None else Rescaling(*scaled)


def _of_one(kind: str, operation: Any, others: Sequence[Any], made: Any) -> Layer | None:
    """An operation on one tensor that returns the shape `made`."""
    activation = activation_of_operation(operation, len(made))
    if activation is not None:
        return ActivationLayer(activation)
    # the batch's size is unknown, and its axis stays the first
    if kind in ("Reshape", "ExpandDims", "Squeeze") and made[0] is None and None not in made[1:] and len(made) > 1:
        return Reshape(tuple(made[1:]))
    if kind == "NotEqual" and len(others) == 1 and _is_number(others[0]):
        return NotEqual(float(others[0]))
    # Keras has one axis as a list
    if kind == "Any" and operation.axis is not None and len(operation.axis) == 1 and operation.axis[0] != 0:
        return AnyOf(operation.axis[0], bool(operation.keepdims))
    if kind == "Transpose" and operation.axes is not None and operation.axes[0] == 0:
        return Permute(tuple(operation.axes[1:]))
    if kind == "Swapaxes":
        rank = len(made)
        first, second = (axis % rank for axis in (operation.axis1, operation.axis2))
        order = [{first: second, second: first}.get(axis, axis) for axis in range(rank)]
        return Permute(tuple(order[1:])) if order[0] == 0 else None
    if kind == "GetItem" and len(others) == 1:
        key = others[0] if isinstance(others[0], tuple) else (others[0],)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            whole = len(made) + sum(isinstance(part, int) for part in key) - (len(key) - 1)
            key = (*key[:at], *[slice(None)] * whole, *key[at + 1 :])
        if key[0] == slice(None) and None in key and all(part in (None, slice(None)) for part in key):
            return Reshape(tuple(made[1:]))
        if key[0] == slice(None) and len(key) > 1:
            return GetItem(key[1:])
    return None


def _is_number(given: Any) -> bool:
    is_tensor = not isinstance(given, keras.KerasTensor | keras.Variable) and getattr(given, "shape", None) == ()
    return (isinstance(given, int | float | np.number) or is_tensor) and not isinstance(given, bool)
