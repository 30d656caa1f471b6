"""Where XLA's program for a CPU would compute something else than TensorFlow's kernels, read off a step's graph.

XLA is another arithmetic in extremes: it clamps an index out of range, drops checks, skips a NaN in a maximum, gives
NaN for the gradient of a root at 0. The user of jit_compile="auto" did not choose that. Three answers, by operation
(each was run with extreme values in both, TensorFlow 2.21):

- `refusal`: a step with this operation is not compiled;
- `demands`: indices and labels that are the data's own are looked up once, before the first step;
- `alarms`: what is computed on the way is looked at inside the program. A block ends at the first alarm; what it did is
  taken back and done again without XLA, which computes or raises what TensorFlow does.

Left alone: numbers below 1e-38, which XLA takes for 0; a NaN that stays a NaN in both, at other places; an accuracy of
predictions that are NaN, whose loss is NaN, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

# checks that XLA drops, draws that do not follow keras.utils.set_random_seed there, sizes that follow from values,
# functions with too many different extremes to name, and operations that raise in TensorFlow and return a number in XLA
REFUSED = {
    *("Assert", "CheckNumerics", "CheckNumericsV2"),
    *("PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "StringFormat"),
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("RandomShuffle", "RandomGamma", "RandomPoissonV2", "Multinomial", "StatefulStandardNormalV2", "StatefulUniform"),
    *("Where", "Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2", "DynamicPartition", "ListDiff"),
    *("Igamma", "Igammac", "IgammaGradA", "Zeta", "Polygamma", "Betainc", "Bucketize", "Bincount", "DenseBincount"),
    *("MatrixInverse", "MatrixSolve", "SelfAdjointEigV2", "Svd", "ReverseSequence"),
}
LISTS = {"TensorListGetItem", "TensorListSetItem"}
# what an index is moved by without a change of its value; the first input is the one
MOVED = {
    *("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Transpose", "Snapshot", "StridedSlice"),
    *("Slice", "Tile", "BroadcastTo", "PlaceholderWithDefault", "PreventGradient", "Pack", "ConcatV2"),
}
# of a tensor they give its size alone
SIZES = {"Shape", "ShapeN", "Size", "Rank", "VariableShape", "TensorListLength"}
INTEGER_DIVISIONS = {"Div", "FloorDiv", "FloorMod", "Mod", "TruncateDiv", "TruncateMod"}
# NaN where the gradient from above is 0 and the kernel gives 0
ROOTS = {"SqrtGrad", "RsqrtGrad", "ReciprocalGrad", "InvGrad"}
# by their inputs that hide a NaN; of Maximum and Minimum the second, the first one's NaN stays
SKIP_NAN = {"Max": 0, "Min": 0, "TopKV2": 0, "TopK": 0, "Maximum": 1, "Minimum": 1}
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
class Demand:
    """A condition on the data under which XLA computes what TensorFlow's kernels do.

    Attributes:
        source: the tensor of the step's graph that holds the data.
        low, high: each of its elements is a number from low to high.
    """

    source: Any
    low: float
    high: float

    def is_met_by(self, values: Any) -> bool:
        if values.dtype.is_bool or values.shape.num_elements() == 0:
            return True
        low, high = (float(each) for each in (tf.reduce_min(values), tf.reduce_max(values)))
        return bool(low >= self.low and high <= self.high and np.isfinite(low + high))


def refusal(graph: Any) -> str | None:
    """The type of an operation because of which a step is not compiled; None where there is none."""
    for operation in graph.get_operations():
        if operation.type in REFUSED or _grows(operation):
            return str(operation.type)
    for inner in _inner_graphs(graph):
        for operation in inner.get_operations():
            refused = operation.type in REFUSED or _grows(operation) or _is_risky(operation)
            if refused or (operation.type in LISTS and not _counts(operation.inputs[1])):
                return str(operation.type)
    return None


def demands(graph: Any) -> list[Demand]:
    """The conditions of a step on its data and on its constants."""
    found = {}
    for check in _checks(graph.get_operations()):
        source = _source(check.tensor)
        if source.op.type == "Placeholder" and check.low is not None:
            found[source.name, check.low, check.high] = Demand(source, check.low, check.high)
    return list(found.values())


def alarms(operations: Sequence[Any], exempt: tuple[str, ...] = ()) -> list[Any]:
    """Booleans, made in the graph that is being traced, that are true where XLA computes otherwise.

    Args:
        operations: of a step, in the order in which they were made.
        exempt: beginnings of the names of operations that do not count: an optimizer's maxima of gradients, whose NaN
            reaches the weights by another way.
    """
    inside = set(operations)
    found = []
    for check in _checks(operations):
        if check.operation.name.startswith(exempt):
            continue
        source = _source(check.tensor)
        if check.low is not None and (source.op not in inside or source.op.type == "Placeholder"):
            continue  # looked up in the data
        found.append(check.alarm())
    return found


@dataclass(frozen=True, eq=False)
class _Check:
    operation: Any
    tensor: Any
    alarm: Callable[[], Any]
    # what the tensor's elements are to be, where that can be looked up beforehand
    low: float | None = None
    high: float = 0.0


def _checks(operations: Iterable[Any]) -> Iterable[_Check]:
    from_data = _FromData()
    for operation in operations:
        kind = operation.type
        if kind in ROOTS:
            if not _is_lifted(operation.inputs[0]):
                yield _Check(operation, operation.inputs[1], _root_alarm(operation))
        elif kind in SKIP_NAN:
            tensor = operation.inputs[SKIP_NAN[kind]]
            if tensor.dtype.is_floating and from_data(tensor):
                yield _Check(operation, tensor, partial(_holds_nan, tensor))
        elif kind in INTEGER_DIVISIONS and operation.inputs[1].dtype.is_integer:
            tensor = operation.inputs[1]
            if from_data(tensor):
                yield _Check(operation, tensor, partial(_is_any, lambda each: tf.equal(each, 0), tensor))
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


def _of_indices(operation: Any, from_data: _FromData) -> Iterable[_Check]:
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
            yield _Check(operation, index, lambda: _nd_alarm(operation, index))
        return
    else:
        return
    if not from_data(index):
        return
    if size is not None and (inner := _counted_from_the_end(index, int(size))) is not None:
        index, low = inner, min(low, -int(size))
    if size is not None:
        known = _known_range(index)
        if known is None or known[0] < low or known[1] > int(size) - 1:
            yield _within(operation, index, low, int(size) - 1)
    else:
        yield _Check(operation, index, lambda: tf.reduce_any((index < low) | (index >= tf.cast(number(), index.dtype))))


def _counted_from_the_end(index: Any, size: int) -> Any:
    """The index before Keras's `take` added the size to negative ones; None where it was not that."""
    operation = _source(index).op
    if operation.type not in ("Select", "SelectV2"):
        return None
    is_negative, moved = (each.op for each in operation.inputs[:2])
    if is_negative.type != "Less" or moved.type not in ("AddV2", "Add") or len(is_negative.inputs) != 2:
        return None
    same = is_negative.inputs[0] is moved.inputs[0] is operation.inputs[2]
    taken = _source(moved.inputs[1])
    is_shape = taken.op.type == "Shape"
    added = taken.op.inputs[0].shape.as_list() if is_shape else tf.get_static_value(taken)
    zero = tf.get_static_value(is_negative.inputs[1])
    return operation.inputs[2] if same and zero == 0 and size in np.ravel(added) else None


def _size(tensor: Any, axis: int) -> Any:
    return tf.shape(tensor)[axis]


def _within(operation: Any, tensor: Any, low: float, high: float) -> _Check:
    def alarm() -> Any:
        # written so that NaN is not within
        least, most = (
            tf.constant(each, tensor.dtype) if tensor.dtype.is_floating else int(each) for each in (low, high)
        )
        return ~tf.reduce_all((tensor >= least) & (tensor <= most))

    return _Check(operation, tensor, alarm, low, high)


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
    # a sum for each of the last axis: XLA takes several at a time, of the whole one after the other
    axes = None if tensor.shape.rank is None else list(range(tensor.shape.rank - 1))
    counts = tf.reduce_sum(tf.cast(tf.math.is_nan(tensor), tensor.dtype), axes)
    return tf.reduce_any(counts > 0)


def _is_any(holds: Callable[[Any], Any], tensor: Any) -> Any:
    return tf.reduce_any(holds(tensor))


class _FromData:
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
            elif unknown := [each.op for each in operation.inputs if each.op not in self._known]:
                stack += unknown
                continue
            else:
                self._known[operation] = any(self._known[each.op] for each in operation.inputs)
            stack.pop()
        return self._known[tensor.op]


def _source(tensor: Any) -> Any:
    """Where a tensor's numbers come from, that are moved on the way and no more."""
    while tensor.op.type in MOVED:
        if tensor.op.type in ("Pack", "ConcatV2") and len({id(each) for each in tensor.op.inputs}) > 2:
            return tensor
        tensor = tensor.op.inputs[0]
    return tensor


def _known_range(index: Any) -> tuple[float, float] | None:
    """Between which numbers an index is by the way in which it was computed."""
    value = tf.get_static_value(index)
    if value is not None and value.size:
        return float(value.min()), float(value.max())
    operation = _source(index).op
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
        low, high = (tf.get_static_value(each) for each in operation.inputs[1:])
        return None if low is None or high is None else (float(low.min()), float(high.max()))
    return None


def _is_lifted(root: Any) -> bool:
    """Whether a root was taken of something to which a positive number was added, or that is at least one."""
    operation = root.op
    if operation.type not in ("Sqrt", "Rsqrt", "Reciprocal", "Inv"):
        return False
    below = operation.inputs[0].op
    if below.type not in ("AddV2", "Add", "Maximum"):
        return False
    added = [tf.get_static_value(each) for each in below.inputs]
    return any(each is not None and bool((np.asarray(each) > 0).all()) for each in added)


def written(graph: Any) -> list[Any]:
    """The variables that a step may change."""
    inner = {id(outer): name for outer, name in graph.captures}
    handles = {id(variable.handle): variable for variable in graph.variables}
    reads = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"}
    found = []
    for key, variable in handles.items():
        placeholder = inner.get(key)
        if placeholder is not None and any(each.type not in reads for each in placeholder.consumers()):
            found.append(variable)
    return found


def _grows(operation: Any) -> bool:
    """Whether a list gets longer as it runs: XLA gives an empty one."""
    kind = operation.type
    if kind == "TensorListSetItem":
        return bool(operation.get_attr("resize_if_index_out_of_bounds"))
    return bool(kind in ("TensorListResize", "TensorListConcatV2", "TensorArrayV3"))


def _is_risky(operation: Any) -> bool:
    """Of an operation in a loop or branch, which no alarm reaches: whether it might need one."""
    return any(True for _ in _checks([operation])) if operation.type not in LISTS else False


def _counts(index: Any) -> bool:
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


def _inner_graphs(graph: Any) -> Iterable[Any]:
    """The graphs of all functions, loops and branches of a graph."""
    graphs, seen = [graph], {id(graph)}
    while graphs:
        for function in graphs.pop()._functions.values():
            inner = getattr(function, "_cached_graph", None) or getattr(function, "graph", None)
            if inner is not None and id(inner) not in seen:
                seen.add(id(inner))
                graphs.append(inner)
                yield inner
