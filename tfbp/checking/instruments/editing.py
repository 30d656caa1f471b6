"""A function's graph, traced with every operation's result edited: for rounding on purpose, and mistakes on purpose.

TensorFlow calls back at every operation that it adds to a graph (`op_callbacks`, with which its own debugger works),
and takes what comes back in place of the operation's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tfbp.checking.tensorflow_internals import op_callbacks

# operations without arithmetic: a result is one of the inputs' numbers, exactly
EXACT = frozenset(
    [
        "Identity",
        "IdentityN",
        "Reshape",
        "Transpose",
        "Neg",
        "Relu",
        "Relu6",
        "ReluGrad",
        "Relu6Grad",
        "Abs",
        "Sign",
        "GatherV2",
        "GatherNd",
        "Gather",
        "Slice",
        "StridedSlice",
        "StridedSliceGrad",
        "ConcatV2",
        "Pad",
        "PadV2",
        "MirrorPad",
        "Select",
        "SelectV2",
        "StopGradient",
        "Fill",
        "Tile",
        "BroadcastTo",
        "Max",
        "Min",
        "Maximum",
        "Minimum",
        "Floor",
        "Ceil",
        "Round",
        "Rint",
        "Placeholder",
        "ReadVariableOp",
        "ExpandDims",
        "Squeeze",
        "ZerosLike",
        "OnesLike",
        "Pack",
        "Unpack",
        "Split",
        "SplitV",
        "ScatterNd",
        "TensorScatterUpdate",
        "ReverseV2",
        "Where",
        "OneHot",
        "MaxPool",
        "MaxPoolGrad",
        "ClipByValue",
        "MatrixDiagV3",
        "MatrixDiagPartV3",
        "MatrixBandPart",
        "PreventGradient",
        "CheckNumerics",
        "ResourceGather",
        "TopKV2",
        "Cast",
        "Const",
        "PlaceholderWithDefault",
        "EnsureShape",
        "Roll",
        "Bitcast",
        "ReverseSequence",
        "MatrixSetDiagV3",
        "SpaceToBatchND",
        "BatchToSpaceND",
        "Empty",
        "NoOp",
        "AssignVariableOp",
        "Assert",
        "Range",
        "Shape",
        "Switch",
        "Merge",
        "InvertPermutation",
        "Snapshot",
        "Real",
        "Imag",
        "Complex",
        "Conj",
        "ConjugateTranspose",
    ]
)
Edit = Callable[[str, Any, Any], Any]


@contextmanager
def edited(edit: Edit, *, complex_too: bool = False) -> Iterator[None]:
    """While open, `edit(type, inputs, output)` gives every float output of an operation that a graph takes up.

    With `complex_too`, every complex one as well.

    Operations that `edit` adds are not edited in their turn.
    """
    inside = False

    def is_edited(output: Any) -> bool:
        return isinstance(output, tf.Tensor) and (output.dtype.is_floating or (complex_too and output.dtype.is_complex))

    def callback(
        op_type: str, inputs: Any, attributes: Any, outputs: Any, op_name: Any = None, graph: Any = None
    ) -> Any:
        nonlocal inside
        if graph is None or inside or not any(map(is_edited, outputs)):
            return None
        inside = True
        try:
            return [edit(op_type, inputs, o) if is_edited(o) else o for o in outputs]
        finally:
            inside = False

    op_callbacks.add_op_callback(callback)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(callback)


@contextmanager
def unoptimized() -> Iterator[None]:
    """While open, graphs run as they were traced: an edited graph runs a few times, and to optimize it takes longer."""
    options, name = tf.config.optimizer, "disable_meta_optimizer"
    before = options.get_experimental_options().get(name, False)
    options.set_experimental_options({name: True})
    try:
        yield
    finally:
        options.set_experimental_options({name: before})
