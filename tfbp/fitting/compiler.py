"""Whether a step's program is compiled by XLA: as the model was compiled, and for "auto" where that pays, and where XLA
computes what TensorFlow does."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting import faithful, worthwhile
from tfbp.fitting.keras_internals import model_supports_jit
from tfbp.remembered_compile import told

# for every "auto" of a process: XLA wherever it computes what TensorFlow does, never, or by the rule
VARIABLE = "TFBP_AUTO_XLA"
MODES = ("auto", "on", "off")
# Operations that XLA's loops on a CPU compute many times slower than TensorFlow's own kernels
# (scripts/benchmarks/benchmark_fit.py): gradients, and convolutions where they come with them
SLOW_GRADIENTS = {
    "Conv2DBackpropFilter",
    "Conv2DBackpropInput",
    "Conv3DBackpropFilterV2",
    "Conv3DBackpropInputV2",
    "DepthwiseConv2dNativeBackpropFilter",
    "DepthwiseConv2dNativeBackpropInput",
    "MaxPoolGrad",
}
SLOW_ON_CPU = {"Conv2D", "Conv3D", "DepthwiseConv2dNative"} | SLOW_GRADIENTS


class Way(NamedTuple):
    """The batches of a call that XLA compiles: the full ones, and the last, that is not full."""

    full: bool
    rest: bool


def is_asked_for(model: Any) -> bool | None:
    """The jit_compile of `compile`: True, False, or None for "auto"."""
    asked = told(model)
    return bool(model.jit_compile) if asked != "auto" or model.jit_compile else None


def check_mode() -> str:
    """The environment's setting of "auto".

    Raises:
        InputError: none of the words that it may be.
    """
    mode = os.environ.get(VARIABLE, "auto")
    if mode not in MODES:
        raise InputError(f"{VARIABLE}: got {mode!r}; accepted: 'auto', 'on' or 'off'.")
    return mode


def way_of(
    model: Any,
    traced: Any,
    under_xla: Callable[[], Any],
    data: Sequence[tf.Tensor],
    batch_size: int,
    counts: Sequence[int],
    compiled: Sequence[bool],
) -> Way:
    """The meaning of "auto" for a call.

    On a CPU a batch's program is compiled where it was before or where that pays for so many batches; and if the step
    has no operation that XLA is slow with, or for which it computes something else. Elsewhere Keras's own "auto" says.

    Args:
        traced: the step, as it is without XLA.
        under_xla: traces it for XLA, where layers may take other operations.
        data: what it is to be run on. batch_size: rows of a full batch.
        counts: how many full batches there are, and how many last ones.
        compiled: whether there is a program of XLA's for them.
    """
    if tf.config.list_logical_devices("GPU"):
        return Way(bool(model.jit_compile), bool(model.jit_compile))
    mode = check_mode()
    if mode == "off" or not model_supports_jit(model):
        return Way(False, False)
    pays = [
        count > 0 and (known or mode == "on" or worthwhile.pays(traced.size(batch_size), count))
        for count, known in zip(counts, compiled, strict=True)
    ]
    if not any(pays) or traced.refusal or not are_met(traced, data):
        return Way(False, False)
    if mode != "on" and not any(compiled) and operations(traced.graph) & SLOW_ON_CPU:
        # a layer by hand makes its gradients of other operations for XLA, convolutions forward among them
        is_by_hand = _has_layers_by_hand(model) and not operations(under_xla().graph) & SLOW_GRADIENTS
        return Way(*pays) if is_by_hand else Way(False, False)
    return Way(*pays)


def are_met(traced: Any, data: Sequence[tf.Tensor]) -> bool:
    """Whether the data, and the constants that a step holds, are what it asks of them."""
    graph = traced.graph
    given = {id(inner): outer for outer, inner in graph.captures}
    given |= {id(inner): outer for inner, outer in zip(graph.inputs, data, strict=False)}
    spans: dict[int, faithful.Span | None] = {}
    for demand in traced.demands:
        source = given.get(id(demand.source))
        if not isinstance(source, tf.Tensor):
            return False
        if id(source) not in spans:  # several demands on the same data
            spans[id(source)] = faithful.span_of(source)
        if not demand.is_met_by(spans[id(source)]):
            return False
    return True


def _has_layers_by_hand(model: Any) -> bool:
    return any(type(layer).__module__.startswith("tfbp.") for layer in model._flatten_layers(include_self=False))


def operations(graph: tf.Graph) -> set[str]:
    """The types of all operations of a graph, those of its functions, loops and branches among them."""
    definition = graph.as_graph_def()
    functions = [node for function in definition.library.function for node in function.node_def]
    return {node.op for node in [*definition.node, *functions]}
