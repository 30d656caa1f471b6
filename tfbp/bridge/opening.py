"""Opens composite Keras layers: traces a call on symbolic tensors to the layers and operations in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import keras
import numpy as np

from tfbp.bridge.unexpressed import check_code
from tfbp.errors import InputError

_ROLES = ("initializer", "regularizer", "constraint")


@dataclass(frozen=True, eq=False)
class Weights:
    """The source of a network's layer that is not a Keras layer: a Keras layer's weights, by the network's names."""

    name: str
    weights: dict[str, Any]
    trainable: bool = True


def opened(operation: Any, arguments: Any, shapes: dict[int, Any]) -> Any:
    """Returns a layer's call as a `keras.Function`, from symbolic tensors like those of the call.

    The layer and its inner layers are unchanged afterwards.

    Args:
        operation: the layer.
        arguments: the call's arguments, `keras.src.ops.symbolic_arguments.SymbolicArguments`.
        shapes: by the ids of the tensors in it, without the batch; Keras may not know them in a nested model.

    Raises:
        InputError: a call that fails on symbolic tensors, that differs in training, that has a layer inside compute as
            in training, or not, whatever is asked for, that adds a loss, or that assigns to variables.
    """
    refused = unknown(operation)
    if getattr(operation, "activity_regularizer", None) is not None:
        raise refused
    with _left_alone(operation), _tables_as_weights(operation), keras.StatelessScope(collect_losses=True) as scope:
        try:
            traces = [_function(operation, arguments, shapes, training) for training in (False, True)]
        except Exception:  # a user's call may raise anything
            raise refused from None
    if scope.state_mapping or scope.losses or any(_kinds(trace) != _kinds(traces[0]) for trace in traces):
        raise refused
    if any(_is_fixed(trace, training) for trace, training in zip(traces, (False, True), strict=True)):
        raise refused
    if {kind for _, kind in _kinds(traces[0])} == {"InputLayer"}:  # it returns its input
        raise refused
    return traces[-1]


def unknown(operation: Any) -> InputError:
    """Returns the error for a layer that a network does not have, and whose parts it does not have."""
    kind = type(operation).__name__
    return InputError(f"model: got the layer {operation.name!r}, a {kind}; accepted: layers that tfbp.Network has.")


def _function(operation: Any, arguments: Any, shapes: dict[int, Any], training: bool) -> Any:
    fresh = {id(tensor): keras.Input(shapes[id(tensor)], dtype=tensor.dtype) for tensor in arguments.keras_tensors}
    args, kwargs = arguments.fill_in(fresh)
    if "training" in signature(operation.call).parameters:
        kwargs = {**kwargs, "training": training}
    # as a model that is called with `training` says it to all layers inside
    operation._get_call_context().set_value("training", training)
    try:
        outputs = operation.call(*args, **kwargs)
    finally:
        operation._maybe_reset_call_context()
    return keras.Function([fresh[id(tensor)] for tensor in _once(arguments.keras_tensors)], outputs)


def _once(tensors: Sequence[Any]) -> list[Any]:
    return list({id(tensor): tensor for tensor in tensors}.values())


def _is_fixed(function: Any, training: bool) -> bool:
    """Whether a layer whose training differs was called with another `training` than was asked for."""
    nodes = [node for nodes in function._nodes_by_depth.values() for node in nodes]
    return any(
        node.arguments.kwargs.get("training", training) is not training
        for node in nodes
        if getattr(node.operation, "non_trainable_variables", ())
    )


def _kinds(function: Any) -> list[tuple[int, str]]:
    """Returns the called operations, by depth."""
    by_depth = function._nodes_by_depth.items()
    return sorted((depth, type(node.operation).__name__) for depth, nodes in by_depth for node in nodes)


@contextmanager
def _left_alone(operation: Any) -> Iterator[None]:
    """Removes the calls made here from the layers' lists of calls."""
    layers = [*operation._flatten_layers()]
    lengths = [(layer, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in layers]
    try:
        yield
    finally:
        for layer, inbound, outbound in lengths:
            del layer._inbound_nodes[inbound:], layer._outbound_nodes[outbound:]


@contextmanager
def _tables_as_weights(operation: Any) -> Iterator[None]:
    """Makes a lookup of all rows in their order, as of positions, the table itself: a weight of the trace."""
    tables = [layer for layer in operation._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    for table in tables:
        table.call = partial(_rows, table, table.call)
    try:
        yield
    finally:
        for table in tables:
            del table.call


def _rows(table: Any, call: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    is_known = table.built and not isinstance(inputs, keras.KerasTensor)
    if is_known and np.array_equal(np.ravel(inputs), np.arange(table.input_dim)):
        return table.embeddings
    return call(inputs, *args, **kwargs)


def separable(layer: Any) -> list[tuple[Any, Weights]]:
    """Returns a separable convolution as two Keras layers, each with its weights."""
    check_code(layer)
    axes = 1 if isinstance(layer, keras.layers.SeparableConv1D) else 2
    each = {"data_format": layer.data_format, "dtype": layer.dtype_policy, "name": layer.name}
    window = {name: getattr(layer, name) for name in ("kernel_size", "strides", "padding", "dilation_rate")}
    depthwise = getattr(keras.layers, f"DepthwiseConv{axes}D")(
        **each,
        **window,
        depth_multiplier=layer.depth_multiplier,
        use_bias=False,
        **{f"depthwise_{role}": getattr(layer, f"depthwise_{role}") for role in _ROLES},
    )
    pointwise = getattr(keras.layers, f"Conv{axes}D")(
        layer.filters,
        1,
        **each,
        activation=layer.activation,
        use_bias=layer.use_bias,
        activity_regularizer=layer.activity_regularizer,
        **{f"kernel_{role}": getattr(layer, f"pointwise_{role}") for role in _ROLES},
        **{f"bias_{role}": getattr(layer, f"bias_{role}") for role in _ROLES},
    )
    bias = {} if layer.bias is None else {"bias": layer.bias}
    return [
        (depthwise, Weights(layer.name, {"kernel": layer.depthwise_kernel}, layer.trainable)),
        (pointwise, Weights(layer.name, {"kernel": layer.pointwise_kernel, **bias}, layer.trainable)),
    ]


def mean_of_rows(layer: Any) -> list[tuple[Any, Any]]:
    """Returns keras-rs's EmbedReduce as a table and a mean over its rows.

    Raises:
        InputError: another combiner than "mean".
    """
    if getattr(layer, "combiner", None) != "mean":
        raise unknown(layer)
    table = keras.layers.Embedding(
        layer.input_dim, layer.output_dim, embeddings_regularizer=layer.embeddings_regularizer, name=layer.name
    )
    mean = keras.layers.GlobalAveragePooling1D(name=layer.name)
    return [(table, Weights(layer.name, {"embeddings": layer.embeddings}, layer.trainable)), (mean, mean)]
