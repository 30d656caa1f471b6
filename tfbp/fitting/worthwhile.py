"""Whether XLA's program is done compiling before its steps have won that time back: of "auto" the rule.

Facts known before the first step decide, and never the clock, so that the same call trains by the same arithmetic on
every run: how many steps are to come, and how many operations the traced step has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf

# Fitted to the models of scripts/benchmarks/benchmark_fit.py that XLA is faster with, on an AMD EPYC (TensorFlow 2.21).
# The seconds of a program by the operations of the step: another trace of it, the loop around it, and the compiler
SECONDS_A_PROGRAM = 0.8
SECONDS_AN_OPERATION = 4e-3
# the seconds that a step is shorter by, for each operation that TensorFlow's executor need not start, and for each
# element that stays in the processor's registers between two of them
SAVED_AN_OPERATION = 0.5e-6
SAVED_AN_ELEMENT = 0.2e-9
# of what is saved in a loop: XLA's loops take their time, too
IN_A_LOOP = 0.4
LOOPS = {"While", "StatelessWhile"}
# a loop's turns where no loop of the graph says how many there are at most
TURNS = 8
# operations that cost no time in TensorFlow's executor, or that it computes once
FREE = {"Const", "Placeholder", "NoOp", "Identity", "Shape", "ReadVariableOp"}


class Size(NamedTuple):
    """A step's operations.

    Attributes:
        distinct: of the graph and of its functions: what is compiled.
        started: in a call, those of a loop at every turn, by `IN_A_LOOP`.
        elements: of their results, which TensorFlow's kernels write to memory and read again.
    """

    distinct: int
    started: float
    elements: float


def pays(size: Size, steps: int) -> bool:
    """Whether so many steps win back what compiling one takes.

    Args:
        size: of the step.
        steps: that are to be run, and that were run without XLA before: a loop of short fits ends up compiled, too.

    Example:
        >>> step = tf.function(lambda x: tf.reduce_sum(tf.tanh(x)) ** 2).get_concrete_function(tf.zeros([3]))
        >>> pays(size_of(step.graph, 3), 100), pays(size_of(step.graph, 3), 10_000_000)
        (False, True)
    """
    saved = SAVED_AN_OPERATION * size.started + SAVED_AN_ELEMENT * size.elements
    return steps * saved > SECONDS_A_PROGRAM + SECONDS_AN_OPERATION * size.distinct


def size_of(graph: Any, rows: int) -> Size:
    """The operations of a graph, and the elements of their results for so many rows."""
    own = [operation for operation in graph.get_operations() if operation.type not in FREE]
    turns = max([known for each in own if each.type in LOOPS and (known := _turns(each))], default=TURNS)
    distinct, started = len(own), float(len(own))
    elements: float = sum(_elements(each, rows) for each in own)
    for operation in own:
        is_loop = operation.type in LOOPS
        for inner in _inner(graph, operation, ("cond", "body") if is_loop else ("f", "then_branch")):
            size = size_of(inner, rows)
            # the loop back does not say how many turns it has: those of the loop forward
            times = IN_A_LOOP * (_turns(operation) or turns) if is_loop else 1
            distinct += size.distinct
            started, elements = started + times * size.started, elements + times * size.elements
    return Size(distinct, started, elements)


def _elements(operation: Any, rows: int) -> int:
    """Of the largest result of an operation, where its rank is known; sizes that are not are those of a batch."""
    shapes = [
        output.shape for output in operation.outputs if output.dtype.is_floating and output.shape.rank is not None
    ]
    return max((math.prod(rows if size is None else size for size in shape) for shape in shapes), default=0)


def _turns(loop: Any) -> int | None:
    """How many turns a tf.while_loop has at most, its second input, where the graph says so."""
    if len(loop.inputs) < 2:
        return None
    most = loop.inputs[1]
    # Keras takes the largest of the examples' lengths, which is a constant
    value = tf.get_static_value(most.op.inputs[0] if most.op.type == "Max" else most)
    return None if value is None or value.size == 0 or value.max() < 0 else int(value.max())


def _inner(graph: Any, operation: Any, names: Iterable[str]) -> Iterable[Any]:
    """The graphs of an operation's functions."""
    for name in names:
        if name in operation.node_def.attr:
            function = graph._functions.get(operation.node_def.attr[name].func.name)
            inner = getattr(function, "_cached_graph", None) or getattr(function, "graph", None)
            if inner is not None:
                yield inner
