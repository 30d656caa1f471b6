"""tf.custom_gradient that frees its graphs together with their users."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry

# the entry that tf.custom_gradient makes
OF_CUSTOM_GRADIENT = "_graph_mode_decorator.<locals>.internal_grad_fn"


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns function(*tensors) -> y, backward, as a function of tensors that any tape can differentiate.

    y is a tensor or a tuple of tensors, and backward takes a gradient for each.

    In a graph, tf.custom_gradient enters backward, which holds tensors of that graph, into TensorFlow's table of
    gradients, and never removes the entry: the graph and everything traced into it would stay for the life of the
    process (https://github.com/tensorflow/tensorflow/issues/97697). Here the graph itself holds its backwards, the
    table has a weak reference, and the entry disappears with the graph.

    Args:
        function: takes tensors, no variable and no keyword argument; returns y and a function of its gradient, dy, a
            tensor of y's static shape, which returns the tensors' gradients.

    Example:
        >>> @custom_gradient
        ... def cube(x):
        ...     return x**3, lambda dy: dy * 3 * x**2
        >>> x = tf.constant(2.0)
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = cube(x)
        >>> float(tape.gradient(y, x))
        12.0
    """

    @tf.custom_gradient
    def by_tensorflow(*tensors: tf.Tensor) -> Any:
        y, backward = function(*tensors)
        shapes = [tensor.shape for tensor in tf.nest.flatten(y)]
        return y, lambda *dys: backward(*map(_of_shape, shapes, dys))

    @functools.wraps(function)
    def differentiable(*tensors: tf.Tensor) -> Any:
        y = by_tensorflow(*tensors)
        if not tf.executing_eagerly():
            _let_its_graph_hold_the_backward(tf.nest.flatten(y)[0].op)
        return y

    return differentiable


def let_go(graph: tf.Graph) -> None:
    """Lets a graph, and those of its functions and loops, hold their backwards, freed with their users.

    TensorFlow and Keras use tf.custom_gradient, too."""
    graphs, seen = [graph], set()
    while graphs:
        graph = graphs.pop()
        if id(graph) in seen:
            continue
        seen.add(id(graph))
        for operation in graph.get_operations():
            # tf.custom_gradient's operation; each access builds a description, so few are read
            if operation.type == "IdentityN" and "_gradient_op_type" in operation.node_def.attr:
                _let_its_graph_hold_the_backward(operation)
        # not .graph, which makes a copy where the original is gone
        graphs += filter(None, (getattr(function, "_cached_graph", None) for function in graph._functions.values()))


def _of_shape(shape: tf.TensorShape, dy: Any) -> tf.Tensor:
    """Returns dy with the known parts of y's shape: a py_function's gradient, for example, has no shape at all."""
    dy = tf.convert_to_tensor(dy)  # tf.gather's gradient is its rows
    if dy.shape.is_fully_defined():
        return dy
    # not checked at run time: kernels without an example may return other sizes than announced, without numbers
    dy = tf.identity(dy)
    dy.set_shape(shape)
    return dy


def _let_its_graph_hold_the_backward(operation: tf.Operation) -> None:
    graph, name = operation.graph, operation.get_attr("_gradient_op_type").decode()
    entries = gradient_registry._registry
    entry = entries.get(name)
    # not entries from before, nor a saved model's loader's, which belong to no graph
    if entry is None or entry["type"].__qualname__ != OF_CUSTOM_GRADIENT:
        return
    if not hasattr(graph, "_tfbp_backwards"):
        graph._tfbp_backwards = {}
    graph._tfbp_backwards[name] = entry["type"]
    entry["type"] = _found_by(weakref.ref(graph), name)
    weakref.finalize(graph, entries.pop, name, None).atexit = False


def _found_by(graph: weakref.ref[Any], name: str) -> Callable[..., Any]:
    def backward(operation: tf.Operation | None, *dys: tf.Tensor) -> Any:
        owner = graph()
        if owner is None:
            raise RuntimeError(f"{name}: its graph is gone, and with it the tensors that its gradient is made of.")
        return owner._tfbp_backwards[name](operation, *dys)

    return backward
