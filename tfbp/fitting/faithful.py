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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.fitting.extremes import LISTS, checks
from tfbp.fitting.sources import counts, inner_graphs, source_of

# checks that XLA drops, draws that do not follow keras.utils.set_random_seed there, sizes that follow from values,
# functions with too many different extremes to name, and operations that raise in TensorFlow and return a number in XLA
REFUSED = {
    *("Assert", "CheckNumerics", "CheckNumericsV2"),
    *("PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "StringFormat"),
    *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "ParameterizedTruncatedNormal"),
    *("RandomShuffle", "RandomGamma", "RandomPoissonV2", "Multinomial", "StatefulStandardNormalV2", "StatefulUniform"),
    *("Where", "Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2", "DynamicPartition", "ListDiff"),
    *("Igamma", "Igammac", "IgammaGradA", "Zeta", "Polygamma", "Betainc", "Bucketize", "Bincount", "DenseBincount"),
    *("MatrixInverse", "MatrixSolve", "SelfAdjointEigV2", "Svd", "Cholesky", "Qr", "ReverseSequence"),
    *("Ndtri", "CumulativeLogsumexp", "Cumprod", "RGBToHSV", "LRNGrad", "ResizeBilinear", "ResizeBilinearGrad"),
    *("MatrixTriangularSolve", "TridiagonalSolve", "MatrixDeterminant", "LogMatrixDeterminant"),
}


# the smallest and the largest number of some data
Span = tuple[float, float]


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

    def is_met_by(self, span: Span | None) -> bool:
        """Whether numbers of a span, as `span_of` returns it, are what is demanded."""
        return span is None or bool(span[0] >= self.low and span[1] <= self.high and np.isfinite(span[0] + span[1]))


def span_of(values: tf.Tensor) -> Span | None:
    """The smallest and the largest number of a tensor in the host's memory; NaN if there is one, None of no numbers."""
    if values.dtype.is_bool or values.shape.num_elements() == 0:
        return None
    # TensorFlow's own reductions take longer to start than most data to be read; a view is no copy
    is_numpys = np.dtype(values.dtype.as_numpy_dtype).kind in "iuf"
    array = np.asarray(memoryview(values)) if is_numpys else values.numpy()
    return float(array.min()), float(array.max())


def refusal(graph: Any) -> str | None:
    """The type of an operation because of which a step is not compiled; None where there is none."""
    for operation in graph.get_operations():
        if operation.type in REFUSED or _grows(operation):
            return str(operation.type)
    for inner in inner_graphs(graph):
        for operation in inner.get_operations():
            refused = operation.type in REFUSED or _grows(operation) or _is_risky(operation)
            if refused or (operation.type in LISTS and not counts(operation.inputs[1])):
                return str(operation.type)
    return None


def demands(graph: Any) -> list[Demand]:
    """The conditions of a step on its data and on its constants."""
    found = {}
    for check in checks(graph.get_operations()):
        source = source_of(check.tensor)
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
    for check in checks(operations):
        if check.operation.name.startswith(exempt):
            continue
        source = source_of(check.tensor)
        if check.low is not None and (source.op not in inside or source.op.type == "Placeholder"):
            continue  # looked up in the data
        found.append(check.alarm())
    return found


def written(graph: Any) -> list[Any]:
    """The variables that a step may change."""
    inner = {id(outer): name for outer, name in graph.captures}
    handles = {id(variable.handle): variable for variable in graph.variables}
    reads = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"}
    found = []
    for key, variable in handles.items():
        placeholder = inner.get(key)
        if placeholder is not None and any(consumer.type not in reads for consumer in placeholder.consumers()):
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
    return operation.type not in LISTS and any(True for _ in checks([operation]))
