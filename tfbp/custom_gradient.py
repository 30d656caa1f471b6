"""tf.custom_gradient whose graphs are freed with what uses them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.ops import gradient_registry


def custom_gradient(function: Callable[..., Any]) -> Callable[..., tf.Tensor]:
    """function(*tensors) -> y, backward, as a function of tensors that gives y and that any tape can differentiate.

    In a graph, tf.custom_gradient enters backward, which holds tensors of that graph, into TensorFlow's table of
    gradients, and takes no entry out again: the graph and all that was traced into it would stay for the life of the
    process (https://github.com/tensorflow/tensorflow/issues/97697). Here the graph itself holds its backwards, the
    table finds them through a weak reference, and the entry goes when the graph does.

    Args:
        function: takes tensors, no variable and no keyword argument; returns one tensor, y, and a function of its
            gradient, dy, a tensor of y's static shape; that one returns the tensors' gradients.

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
        shape = y.shape
        return y, lambda dy: backward(_of_shape(shape, dy))

    @functools.wraps(function)
    def differentiable(*tensors: tf.Tensor) -> tf.Tensor:
        y = by_tensorflow(*tensors)
        if not tf.executing_eagerly():
            _let_the_graph_hold_its_backward(y.op)
        return y

    return differentiable


def _of_shape(shape: tf.TensorShape, dy: Any) -> tf.Tensor:
    """dy with all that is known of y's shape: a py_function's gradient, e.g., comes with no shape at all."""
    dy = tf.convert_to_tensor(dy)  # tf.gather's comes as its rows
    return dy if dy.shape.is_fully_defined() else tf.ensure_shape(dy, shape)


def _let_the_graph_hold_its_backward(operation: tf.Operation) -> None:
    graph, name = operation.graph, operation.get_attr("_gradient_op_type").decode()
    entries = gradient_registry._registry
    entry = entries[name]
    if not hasattr(graph, "_tfbp_backwards"):
        graph._tfbp_backwards = {}
    graph._tfbp_backwards[name] = entry["type"]
    entry["type"] = _found_by(weakref.ref(graph), name)
    weakref.finalize(graph, entries.pop, name, None).atexit = False


def _found_by(graph: weakref.ref[Any], name: str) -> Callable[..., Any]:
    def backward(operation: tf.Operation | None, *dys: tf.Tensor) -> Any:
        kept = graph()
        if kept is None:
            raise RuntimeError(f"{name}: its graph is gone, and with it the tensors that its gradient is made of.")
        return kept._tfbp_backwards[name](operation, *dys)

    return backward
