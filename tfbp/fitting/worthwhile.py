"""Whether XLA's program is done compiling before its steps have won that time back: of "auto" the rule.

What is known before the first step decides, and never the clock, so that the same call trains by the same arithmetic on
every run: how many steps are to come, and how many operations the traced step has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf

# Measured with models of scripts/benchmarks/benchmark_fit.py on one core's worth of an AMD EPYC.
# The seconds of a program: of tracing the loop around the step, and of compiling, by the operations of the step's graph
SECONDS_A_PROGRAM = 0.6
SECONDS_AN_OPERATION = 2.5e-3
# the seconds that a step is shorter by, for each operation that TensorFlow's executor no longer starts
SAVED_AN_OPERATION = 3e-6
# a loop's turns where the graph does not say how many there are at most
TURNS = 8
# operations that cost no time in TensorFlow's executor, or that it computes once
FREE = {"Const", "Placeholder", "NoOp", "Identity", "Shape", "ReadVariableOp"}


class Size(NamedTuple):
    """A step's operations.

    Attributes:
        distinct: of the graph and of its functions: what is compiled.
        started: in a call, those of a loop at every turn.
    """

    distinct: int
    started: int


def pays(size: Size, steps: int) -> bool:
    """Whether so many steps win back what compiling one takes.

    Args:
        size: of the step.
        steps: that are to be run, and that were run without XLA before: a loop of short fits ends up compiled, too.

    Example:
        >>> step = tf.function(lambda x: tf.reduce_sum(tf.tanh(x)) ** 2).get_concrete_function(tf.zeros([3]))
        >>> pays(size_of(step.graph), 100), pays(size_of(step.graph), 1_000_000)
        (False, True)
    """
    return steps * SAVED_AN_OPERATION * size.started > SECONDS_A_PROGRAM + SECONDS_AN_OPERATION * size.distinct


def size_of(graph: Any) -> Size:
    """The operations of a graph."""
    own = _counted(graph)
    distinct = started = len(own)
    for operation in own:
        for inner, turns in _inner(graph, operation):
            size = size_of(inner)
            distinct, started = distinct + size.distinct, started + turns * size.started
    return Size(distinct, started)


def _counted(graph: Any) -> list[Any]:
    return [operation for operation in graph.get_operations() if operation.type not in FREE]


def _inner(graph: Any, operation: Any) -> Iterable[tuple[Any, int]]:
    """The graphs of an operation's functions, and how often each is run."""
    is_loop = operation.type in ("While", "StatelessWhile")
    turns = 1
    if is_loop:
        # the second input of a tf.while_loop is how many turns it has at most
        most = tf.get_static_value(operation.inputs[1])
        turns = TURNS if most is None or most.size != 1 or most < 0 else int(most)
    names = ("cond", "body") if is_loop else ("f", "then_branch")
    for name in names:
        if name in operation.node_def.attr:
            function = graph._functions.get(operation.node_def.attr[name].func.name)
            inner = getattr(function, "_cached_graph", None) or getattr(function, "graph", None)
            if inner is not None:
                yield inner, turns
