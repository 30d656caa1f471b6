"""Whether a step's program is compiled by XLA: as the model was compiled, and for "auto" by what is faster here."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras.src.trainers.trainer import model_supports_jit

from tfbp.remembered_compile import told

# What XLA's loops on a CPU take many times as long for as TensorFlow's own kernels
# (scripts/benchmarks/benchmark_fit.py)
SLOW_ON_CPU = {
    "Conv2D",
    "Conv2DBackpropFilter",
    "Conv2DBackpropInput",
    "Conv3D",
    "Conv3DBackpropFilterV2",
    "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative",
    "DepthwiseConv2dNativeBackpropFilter",
    "DepthwiseConv2dNativeBackpropInput",
    "MaxPoolGrad",
}
# What XLA does not know, or drops without a word
UNKNOWN_TO_XLA = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "Assert", "Where", "Unique", "UniqueV2"}


def is_asked_for(model: Any) -> bool | None:
    """What `compile` was told: True, False, or None for "auto"."""
    asked = told(model)
    return bool(model.jit_compile) if asked != "auto" or model.jit_compile else None


def pays(model: Any, step: Any) -> bool:
    """Whether "auto" means XLA for a step that was traced.

    On a CPU it does unless the step has a convolution or max pooling, or an operation that XLA does not know;
    elsewhere Keras's own "auto" says.
    """
    if tf.config.list_logical_devices("GPU"):
        return bool(model.jit_compile)
    return model_supports_jit(model) and not operations(step.graph) & (SLOW_ON_CPU | UNKNOWN_TO_XLA)


def operations(graph: tf.Graph) -> set[str]:
    """The types of all operations of a graph, those of its functions, loops and branches among them."""
    definition = graph.as_graph_def()
    functions = [node for function in definition.library.function for node in function.node_def]
    return {node.op for node in [*definition.node, *functions]}
