"""Facts that the graph alone shows: random numbers, and constants that were float32 before float64 saw them.

TensorFlow makes many a Python number float32 first, and casts it then: seven digits are left of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.subject import Program
from tfbp.checking.tensorflow_internals import op_callbacks
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF


def rounded(program: Program) -> list[str]:
    """One sentence for each constant of a float64 program that float32 has rounded.

    A number is suspected where it is exactly float32's, is not one of few binary digits, and is float32's nearest to a
    decimal of few digits.
    """
    names: dict[str, None] = {}
    nodes = _nodes(program) if program.dtype == "float64" else []
    for node in nodes:
        wide = node.attr["T"].type == tf.float64.as_datatype_enum
        for name, attribute in node.attr.items():
            if attribute.WhichOneof("value") == "f" and wide and (decimal := _decimal(np.float32(attribute.f))):
                names[
                    f"the {name} of {node.op}, {decimal}, is float32's in float64: wrong from the eighth digit on"
                ] = None
        if node.op == "Const" and node.attr["dtype"].type in (tf.float32.as_datatype_enum, tf.float64.as_datatype_enum):
            value = attempt(tf.make_ndarray, node.attr["value"].tensor)
            if isinstance(value, Failure) or value.size != 1:
                continue
            number = np.float32(value.item())
            used = node.attr["dtype"].type == tf.float64.as_datatype_enum or _is_cast(node.name, nodes)
            if float(number) == float(value.item()) and used and (decimal := _decimal(number)):
                names[f"the constant {decimal} is float32's in float64: wrong from the eighth digit on"] = None
    return list(names)


def draws(program: Program) -> bool:
    """Whether it draws random numbers, which another dtype or mode may draw otherwise."""
    return any("Random" in node.op or "Multinomial" in node.op for node in _nodes(program))


def inner_unit(program: Program) -> float:
    """The unit roundoff of the narrowest type that the forward goes over to; the program's own at least.

    Casts do so, and operations of one type only, as image resizing in float32.
    """
    units = [UNIT_ROUNDOFF[program.dtype]]
    # a single number may be a constant, unless there are no others
    least = min(2, max(program.values[i].size for i in program.where))

    def seen(op_type: str, inputs: Any, attributes: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:
        floats = [i for i in inputs if isinstance(i, tf.Tensor) and i.dtype.is_floating]
        given = [i.dtype.size for i in floats if (i.shape.num_elements() or least) >= least]
        narrow = [o for o in outputs if isinstance(o, tf.Tensor) and given and o.dtype.size < max(given)]
        units.extend(UNIT_ROUNDOFF.get(o.dtype.name, 0.0) for o in narrow)

    program.restore()
    op_callbacks.add_op_callback(seen)
    try:
        attempt(program.call, program.tensors(program.values))
    finally:
        op_callbacks.remove_op_callback(seen)
        program.restore()
    return max(units)


def _nodes(program: Program) -> list[Any]:
    """The operations of the forward's graph, and of its functions; none where it cannot be traced."""
    if program.seeded:
        return []
    program.restore()
    tensors = program.tensors(program.subject.values)
    traced = attempt(tf.function(program.forward, autograph=False).get_concrete_function, *tensors)
    program.restore()
    if isinstance(traced, Failure):
        return []
    graph = traced.graph.as_graph_def()
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


def _is_cast(name: str, nodes: list[Any]) -> bool:
    return any(
        n.op == "Cast" and n.attr["DstT"].type == tf.float64.as_datatype_enum and n.input[0].split(":")[0] == name
        for n in nodes
    )


def _decimal(number: np.float32) -> str:
    """The short decimal that float32 has rounded; empty where it holds the number itself, or nothing short is near."""
    shortest = np.format_float_positional(number, unique=True, trim="-")
    if not np.isfinite(number) or float(shortest) == float(number):
        return ""
    return shortest if len(shortest.replace(".", "").replace("-", "").lstrip("0")) <= 7 else ""
