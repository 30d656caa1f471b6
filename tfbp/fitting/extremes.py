"""What XLA for a CPU computes otherwise in extremes: what an operation's inputs must be, and how to see them fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.fitting.sources import FromData, counted_from_the_end, is_lifted, known_range, source_of

LISTS = {"TensorListGetItem", "TensorListSetItem"}
INTEGER_DIVISIONS = {"Div", "FloorDiv", "FloorMod", "Mod", "TruncateDiv", "TruncateMod"}
# NaN where the gradient from above is 0 and the kernel gives 0
ROOTS = {"SqrtGrad", "RsqrtGrad", "ReciprocalGrad", "InvGrad"}
# by their inputs that hide a NaN; of Maximum and Minimum the second, the first one's NaN stays; of the gradients the
# output, at whose NaN the kernel passes on what comes from above
SKIP_NAN = {
    **{"Max": 0, "Min": 0, "TopKV2": 0, "TopK": 0, "UnsortedSegmentMax": 0, "UnsortedSegmentMin": 0},
    **{"Maximum": 1, "Minimum": 1, "EluGrad": 1, "ArgMax": 0, "ArgMin": 0},
}
# of numbers that are not finite they take others for the largest
RANKING = {"MaxPool", "MaxPoolV2", "MaxPool3D", "InTopK", "InTopKV2"}
# the slope at an infinite gradient from above, times 0 in the kernel
BOUNDED = {"Relu6Grad"}
# a NaN of the first input is there after them, and no other
NAN_STAYS = {"GatherV2", "Gather", "Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose"}
# the sum of many half floats may overflow
_SUMMED = {tf.float16: tf.float32, tf.bfloat16: tf.float32}
SEGMENTS = {"UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin"}
SCATTERED = {
    **dict.fromkeys(("ScatterNd",), 0),
    **dict.fromkeys(("TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub"), 1),
    **dict.fromkeys(("TensorScatterMax", "TensorScatterMin"), 1),
    **dict.fromkeys(("ResourceScatterNdUpdate", "ResourceScatterNdAdd", "ResourceScatterNdSub"), 1),
    **dict.fromkeys(("ResourceScatterUpdate", "ResourceScatterAdd", "ResourceScatterSub", "ResourceScatterMul"), 1),
    **dict.fromkeys(("ResourceScatterDiv", "ResourceScatterMax", "ResourceScatterMin"), 1),
}


@dataclass(frozen=True, eq=False)
class Check:
    operation: Any
    tensor: Any
    alarm: Callable[[], Any]
    # what the tensor's elements are to be, where that can be looked up beforehand
    low: float | None = None
    high: float = 0.0


def checks(operations: Iterable[Any]) -> Iterable[Check]:
    from_data = FromData()
    for operation in operations:
        kind = operation.type
        if kind in ROOTS:
            if not is_lifted(operation.inputs[0]):
                yield Check(operation, operation.inputs[1], _root_alarm(operation))
        elif kind in SKIP_NAN:
            tensor = operation.inputs[SKIP_NAN[kind]]
            if tensor.dtype.is_floating and from_data(tensor):
                if source_of(tensor).op.type != "Softmax":  # which has its own check
                    yield Check(operation, tensor, partial(_holds_nan, tensor), -np.inf, np.inf)
                if kind.startswith("TopK"):
                    # XLA takes -0 for less than 0
                    yield Check(operation, tensor, partial(_is_any, lambda value: 1 / value == -np.inf, tensor))
            yield from _of_indices(operation, from_data)
        elif kind == "SeluGrad":
            # at an output of 0 XLA takes the other side's slope
            tensor = operation.inputs[1]
            if from_data(tensor):
                yield Check(operation, tensor, partial(_is_any, lambda value: (value == 0) | (value != value), tensor))
        elif kind == "Softmax" and from_data(operation.outputs[0]):
            # a NaN or an infinity makes all of a row NaN: looking at its first number shows it
            first = partial(_is_any, lambda value: tf.math.is_nan(value[..., :1]), operation.outputs[0])
            yield Check(operation, operation.outputs[0], first)
        elif kind == "SoftmaxCrossEntropyWithLogits" and from_data(operation.inputs[0]):
            minus = partial(_is_any, lambda value: value == -np.inf, operation.inputs[0])
            yield Check(operation, operation.inputs[0], minus)
        elif kind in RANKING | BOUNDED:
            tensor = operation.inputs[0]
            if tensor.dtype.is_floating and from_data(tensor):
                yield Check(operation, tensor, partial(_is_any, lambda value: ~tf.math.is_finite(value), tensor))
        elif kind in INTEGER_DIVISIONS and operation.inputs[1].dtype.is_integer:
            tensor = operation.inputs[1]
            if from_data(tensor):
                yield Check(operation, tensor, partial(_is_any, lambda value: tf.equal(value, 0), tensor))
        elif kind == "RealDiv" and operation.outputs[0].dtype.is_floating:
            for factors in _joined(operation):
                if all(map(from_data, factors)):
                    yield Check(operation, factors[1], partial(_leaves_range, *factors))
        elif kind == "Pow" and operation.outputs[0].dtype.is_floating:
            power = tf.get_static_value(operation.inputs[1])
            if from_data(operation.inputs[0]) and (power is None or bool((np.abs(power) == 0.5).any())):
                # a root's answer is another one
                minus = partial(_is_any, lambda value: value == -np.inf, operation.inputs[0])
                yield Check(operation, operation.inputs[0], minus)
        elif kind in ("Pow", "LeftShift", "RightShift") and operation.inputs[1].dtype.is_integer:
            if from_data(operation.inputs[1]):
                top = operation.inputs[0].dtype.size * 8 - 1
                yield _within(operation, operation.inputs[1], 0, 2.0**31 if kind == "Pow" else top)
        elif kind == "Cast" and operation.inputs[0].dtype.is_floating and operation.outputs[0].dtype.is_integer:
            if from_data(operation.inputs[0]):
                dtype = operation.outputs[0].dtype
                # the largest that is a number of every float's; the smallest unsigned is 0
                yield _within(operation, operation.inputs[0], float(dtype.min), float(dtype.max) * (1 - 2.0**-8))
        else:
            yield from _of_indices(operation, from_data)


def _of_indices(operation: Any, from_data: FromData) -> Iterable[Check]:
    kind, inputs = operation.type, operation.inputs
    number: Callable[[], Any]
    if kind in ("GatherV2", "Gather"):
        axis = tf.get_static_value(inputs[2]) if kind == "GatherV2" else 0
        if axis is None:
            return
        low, index, size = 0, inputs[1], inputs[0].shape[int(axis)]
        number = partial(_size, inputs[0], int(axis))
    elif kind == "ResourceGather":
        shape = tf.TensorShape(inputs[0]._handle_data.shape_and_type[0].shape)
        low, index, size, number = 0, inputs[1], shape[0], lambda: shape[0]
    elif kind == "SparseSoftmaxCrossEntropyWithLogits":
        low, index, size, number = 0, inputs[1], inputs[0].shape[-1], partial(_size, inputs[0], -1)
    elif kind in SEGMENTS:
        # a negative one is left out by both
        low, index, size, number = -(2**31), inputs[1], tf.get_static_value(inputs[2]), lambda: inputs[2]
    elif kind in LISTS or kind in SCATTERED or kind in ("GatherNd", "ResourceGatherNd", "InvertPermutation"):
        index = inputs[SCATTERED.get(kind, 0 if kind == "InvertPermutation" else 1)]
        if from_data(index):
            yield Check(operation, index, lambda: _nd_alarm(operation, index))
        return
    else:
        return
    if not from_data(index):
        return
    if size is not None and (inner := counted_from_the_end(index, int(size))) is not None:
        index, low = inner, min(low, -int(size))
    if size is not None:
        known = known_range(index)
        if known is None or known[0] < low or known[1] > int(size) - 1:
            yield _within(operation, index, low, int(size) - 1)
    else:
        yield Check(operation, index, lambda: tf.reduce_any((index < low) | (index >= tf.cast(number(), index.dtype))))


def _size(tensor: Any, axis: int) -> Any:
    return tf.shape(tensor)[axis]


def _within(operation: Any, tensor: Any, low: float, high: float) -> Check:
    def alarm() -> Any:
        # written so that NaN is not within
        least, most = (
            tf.constant(bound, tensor.dtype) if tensor.dtype.is_floating else int(bound) for bound in (low, high)
        )
        return ~tf.reduce_all((tensor >= least) & (tensor <= most))

    return Check(operation, tensor, alarm, low, high)


def _joined(division: Any) -> Iterable[tuple[Any, Any]]:
    """The numbers that XLA multiplies first: of (a / b) / c the two divisors, of a / (b / c) the first and the last."""
    above, below = (each.op for each in division.inputs)
    if above.type == "RealDiv":
        yield above.inputs[1], division.inputs[1]
    if below.type == "RealDiv":
        yield division.inputs[0], below.inputs[1]


def _leaves_range(a: Any, b: Any) -> Any:
    """Whether a product is infinite or 0 of numbers that are not."""
    product, zero = a * b, tf.zeros([], a.dtype)
    lost = (tf.math.is_inf(product) & tf.math.is_finite(a) & tf.math.is_finite(b)) | (
        tf.equal(product, zero) & tf.not_equal(a, zero) & tf.not_equal(b, zero)
    )
    return tf.reduce_any(lost)


def _root_alarm(operation: Any) -> Callable[[], Any]:
    return lambda: tf.reduce_any(tf.equal(operation.inputs[1], 0) & tf.math.is_nan(operation.outputs[0]))


def _nd_alarm(operation: Any, index: Any) -> Any:
    """Of the last axis of `index` a row of numbers, each below the size of an axis of what is looked up or changed."""
    kind = operation.type
    if kind == "InvertPermutation":
        sizes = tf.size(index)
    elif kind in LISTS:
        sizes = tf.raw_ops.TensorListLength(input_handle=operation.inputs[0])
    elif kind == "ScatterNd":
        sizes = operation.inputs[2][: index.shape[-1]]
    elif operation.inputs[0].dtype == tf.resource:
        shape = tf.TensorShape(operation.inputs[0]._handle_data.shape_and_type[0].shape)
        sizes = tf.constant(shape.as_list()[: index.shape[-1] if "Nd" in kind else 1], tf.int32)
    else:
        sizes = tf.shape(operation.inputs[0])[: index.shape[-1]]
    return tf.reduce_any((index < 0) | (index >= tf.cast(sizes, index.dtype)))


def _holds_nan(tensor: Any) -> Any:
    tensor = _narrowest(tensor)
    # a sum of NaN is NaN: looking at one sum for each of the last axis takes a fifth of looking at every element
    known = None if tensor.shape.rank is None else list(range(tensor.shape.rank - 1))
    return tf.reduce_any(tf.math.is_nan(tf.reduce_sum(tf.cast(tensor, _SUMMED.get(tensor.dtype, tensor.dtype)), known)))


def _narrowest(tensor: Any) -> Any:
    """The smallest tensor that holds a NaN wherever this one does: a table instead of the rows taken of it."""
    smallest = tensor
    while tensor.op.type in NAN_STAYS:
        tensor = tensor.op.inputs[0]
        sizes = tensor.shape.num_elements(), smallest.shape.num_elements()
        if tensor.dtype.is_floating and None not in sizes and sizes[0] < sizes[1]:
            smallest = tensor
    return smallest


def _is_any(holds: Callable[[Any], Any], tensor: Any) -> Any:
    return tf.reduce_any(holds(tensor))
