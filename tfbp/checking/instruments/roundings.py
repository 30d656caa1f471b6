"""A graph in which every result of arithmetic is moved at random by what a rounding could do.

    result + amount · draw · scale        scale = weight · u · |result| + others

with u the unit roundoff of the type under test and `others` what a sum's or an opaque operation's inner roundings add.

What an operation needs for this, some thirty small operations, is one function for each dtype and form, traced once
in the process and called in every graph: traced again at each operation, it took most of a gradient check's time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.editing import EXACT
from tfbp.checking.subject import NUMPY
from tfbp.judging.tolerances import UNIT_ROUNDOFF

# of these S is made: the same operation on absolute values
SUMS = frozenset(
    [
        "MatMul",
        "BatchMatMul",
        "BatchMatMulV2",
        "BatchMatMulV3",
        "Sum",
        "Mean",
        "BiasAddGrad",
        "Conv2D",
        "Conv2DBackpropInput",
        "Conv3D",
        "Conv3DBackpropInputV2",
        "Conv3DBackpropFilterV2",
        "AddN",
        "Einsum",
        "Conv2DBackpropFilter",
        "DepthwiseConv2dNative",
        "DepthwiseConv2dNativeBackpropInput",
        "DepthwiseConv2dNativeBackpropFilter",
        "AvgPool",
        "AvgPoolGrad",
        "Cumsum",
        "UnsortedSegmentSum",
        "SegmentSum",
        "SegmentMean",
        "TensorScatterAdd",
        "L2Loss",
    ]
)
SIMPLE = frozenset(
    ["Add", "AddV2", "Sub", "Mul", "RealDiv", "Square", "Sqrt", "Reciprocal", "SquaredDifference", "Div"]
)
# of many steps that are not seen: programs inside the program, factorizations, functions with roots of their own
OPAQUE = frozenset(
    (
        *("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf", "XlaLaunch"),
        *("Svd", "SelfAdjointEigV2", "Qr", "Lu", "Cholesky", "MatrixInverse", "MatrixSolve", "MatrixTriangularSolve"),
        *("MatrixDeterminant", "LogMatrixDeterminant", "MatrixExponential", "MatrixSquareRoot", "MatrixSolveLs"),
        *("Digamma", "Lgamma", "Polygamma", "Zeta", "Igamma", "Igammac", "IgammaGradA", "Betainc", "Ndtri", "Erfinv"),
        *("Cross", "CumulativeLogsumexp", "Eig"),
    )
)
# every number of theirs has part in all roundings, and there are few
TRANSFORMS = frozenset(f"{kind}FFT{rank}" for kind in ("", "I", "R", "IR") for rank in ("", "2D", "3D", "ND"))
DTYPES = tuple(NUMPY)


class Roundings:
    """Moves every result of arithmetic by what a rounding can do, in the dtype that `which` picks.

    Args:
        base: the dtype that the graph computes in.
        seed: of the draws, two integers; the first is 0 for the sample that is not moved.
        which: 1 at the place of the dtype under test in `DTYPES`, else 0.
        in_few_bits: sums are added up in the type under test.
    """

    def __init__(self, base: str, seed: Any, which: Any, in_few_bits: bool) -> None:
        units = [UNIT_ROUNDOFF[dtype] for dtype in DTYPES]
        self.base, self.seed, self.which, self.count = base, seed, which, 0
        self.unit = tf.reduce_sum(which * tf.constant(units, tf.float64))
        self.accumulator = self.unit if in_few_bits else tf.minimum(self.unit, UNIT_ROUNDOFF["float32"])

    def edit(self, op_type: str, inputs: Any, output: Any) -> Any:
        if op_type == "Const":
            return self._constant(output)
        if op_type in EXACT or output.op.type.startswith("Random") or output.op.type.startswith("Stateless"):
            return output
        # what the function itself computes in another type stays there
        name = output.dtype.real_dtype.name
        own = name == self.base
        unit = self.unit if own else tf.constant(UNIT_ROUNDOFF[name], tf.float64)
        if op_type in OPAQUE or op_type in TRANSFORMS:
            weight, more = 16.0 if op_type in OPAQUE else 2.0, "root mean square"
        elif op_type in SUMS:
            weight, more = 1.25, "sum of absolutes"
        else:
            weight, more = 1.25 if op_type in SIMPLE else 4.0, ""
        self.count += 1
        arguments = [output, unit, self.seed, tf.constant(2 * self.count)]
        self.count += output.dtype.is_complex
        if more == "sum of absolutes":
            accumulator = self.accumulator if own else unit
            arguments += [accumulator * tf.constant(_walk(output), tf.float64), _of_absolutes(output)]
        if op_type not in SUMS and output.dtype.is_floating:
            alike = [i for i in inputs if isinstance(i, tf.Tensor) and i.dtype == output.dtype]
            arguments += [i for i in alike if i.shape in ((), output.shape)]
        by = _moved(weight, more, *[argument.dtype for argument in arguments])
        # its gradient stops here, so that no tape asks for the function's
        return output + tf.stop_gradient(tf.raw_ops.PartitionedCall(args=arguments, Tout=[output.dtype], f=by)[0])

    def _constant(self, output: Any) -> Any:
        """A constant as the narrower type holds it: ½ and 1 exactly."""
        value = tf.get_static_value(output)
        if value is None or output.dtype.name != self.base:
            return output
        moved = 0.0
        for i, dtype in enumerate(DTYPES):
            with np.errstate(over="ignore"):
                held = value.astype(NUMPY[dtype]).astype(value.dtype)
            # a large negative number, which masks, has no finite neighbour in 16 bits
            if np.isfinite(held).all() and (held != value).any():
                moved += tf.cast(self.which[i], output.dtype) * (held - value)
        return output + _amount(self.seed, output) * moved if isinstance(moved, tf.Tensor) else output


@cache
def _moved(weight: float, more: str, dtype: Any, *others: Any) -> Any:
    """The function that draws how far a result is moved, for any shapes, traced outside of every graph."""

    def moved(output: Any, unit: Any, seed: Any, count: Any, *rest: Any) -> Any:
        real, size = dtype.real_dtype, tf.abs(output)
        unit = tf.cast(unit, real)
        if more == "root mean square":
            scale = weight * unit * (size + tf.sqrt(tf.reduce_mean(size * size)))
        elif more == "sum of absolutes":
            scale, rest = weight * unit * size + tf.cast(rest[0], real) * rest[1], rest[2:]
        else:
            scale = weight * unit * size
        by = _drawn(output, seed + tf.stack([0, count])) * scale
        if dtype.is_complex:
            return _amount(seed, output) * tf.complex(by, _drawn(output, seed + tf.stack([0, count + 2])) * scale)
        # small integers are exact in every type; and a power that is moved off one is a NaN for a negative base
        exact = _is_small_integer(size)
        for taken in rest:
            # 1 as the tanh of 19, or as 1 + 1e-20, is rounded
            exact &= _is_small_integer(tf.abs(taken))
        return tf.where(exact, tf.zeros_like(by), _amount(seed, output) * by)

    shapes = [None, [], [2], []] + [None] * (len(others) - 3)
    with tf.init_scope(), tf.device(None):
        signature = [tf.TensorSpec(shape, each) for shape, each in zip(shapes, (dtype, *others), strict=True)]
        return tf.function(moved, input_signature=signature, autograph=False).get_concrete_function()


def _drawn(output: Any, seed: Any) -> Any:
    # numbers that are equal are rounded equally: a part of the draw is common to all
    alone = tf.random.stateless_uniform(tf.shape(output), seed, -1, 1, tf.float32)
    common = tf.random.stateless_uniform([], seed + tf.constant([0, 1]), -1, 1, tf.float32)
    return tf.cast(0.8 * alone + 0.6 * common, output.dtype.real_dtype)


def _amount(seed: Any, output: Any) -> Any:
    """0 for the sample that is not moved."""
    return tf.cast(seed[0] > 0, output.dtype)


def _is_small_integer(size: Any) -> Any:
    return (tf.round(size) == size) & (size <= 256)


def _walk(output: Any) -> float:
    """How far the roundings of a sum walk, in units of S: as the root of its length, where that is long."""
    sizes = [tensor.shape.num_elements() for tensor in (*[i for i in output.op.inputs if _is_number(i)], output)]
    if None in sizes or not sizes[-1]:
        return 4.0
    # B·K and K·O numbers give B·O sums of K; N numbers give O sums of N/O
    length = sizes[0] / sizes[-1] if len(sizes) == 2 else (sizes[0] * sizes[1] / sizes[-1]) ** 0.5
    return 4.0 * max(1.0, length**0.5 / 4)


def _of_absolutes(output: Any) -> Any:
    """S: the operation on its inputs' absolute values."""
    op = output.op
    absolutes = [tf.cast(tf.abs(i), i.dtype) if _is_number(i) else i for i in op.inputs]
    types = [output.dtype for output in op.outputs]
    operation = op.graph.create_op(op.type, absolutes, types, attrs=dict(op.node_def.attr), op_def=op.op_def)
    return tf.abs(operation.outputs[output.value_index])


def _is_number(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating or tensor.dtype.is_complex)
