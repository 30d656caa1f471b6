"""Lists the operations of a program, and whether TensorFlow has a kernel for each, without a GPU.

An operation is a name and the dtypes that choose its kernel. A TensorFlow wheel lists all its kernels, also those for
devices that this machine does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import kernels, op_callbacks, op_def_registry

# a graph's own bookkeeping: a placeholder represents an argument, and never runs
_NEVER_RUN = ("Placeholder", "PlaceholderWithDefault", "_Arg", "_Retval")
# TensorFlow's forms of a loop or branch before it runs
_LOWERED = {
    "While": ("Enter", "Exit", "Merge", "NextIteration", "Switch"),
    "If": ("Merge", "Switch"),
    "Case": ("Merge", "_SwitchN"),
}
_LOWERED |= {f"Stateless{name}": parts for name, parts in _LOWERED.items()}


@dataclass(frozen=True)
class Operation:
    """An operation's name, and the dtypes of its attributes, each a name or several.

    Example:
        >>> str(Operation("Cast", (("SrcT", ("float32",)), ("DstT", ("bfloat16",)))))
        'Cast (SrcT float32, DstT bfloat16)'
    """

    name: str
    types: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        types = ", ".join(f"{attribute} {' '.join(names)}" for attribute, names in self.types if names)
        return f"{self.name} ({types})" if types else self.name


def in_graph(graph: Any) -> set[Operation]:
    """Returns the operations of a traced function, with those of its loops' and branches' bodies and function library.

    Example:
        >>> square = tf.function(lambda x: x * x).get_concrete_function(tf.TensorSpec([2]))
        >>> sorted(map(str, in_graph(square.graph)))
        ['Identity (T float32)', 'Mul (T float32)']
    """
    definition = graph.as_graph_def()
    return _of_nodes(
        [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    )


@contextmanager
def run_eagerly() -> Iterator[set[Operation]]:
    """Records the operations that run while the context is open, with those of traced functions that are called."""
    found: set[Operation] = set()

    def note(op_type: Any, inputs: Any, attrs: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:
        name = op_type.decode() if isinstance(op_type, bytes) else op_type
        values = dict(zip(attrs[::2], attrs[1::2], strict=True))
        if graph is None and context.context().has_function(name):
            found.update(_in_function(name))
        elif graph is None:
            of_kind = {
                attribute: list(values.get(attribute, ())) if several else [values[attribute]]
                for attribute, several in _type_attributes(name).items()
                if attribute in values
            }
            found.add(_operation(name, of_kind))

    op_callbacks.add_op_callback(note)
    try:
        yield found
    finally:
        op_callbacks.remove_op_callback(note)


def without_kernel(operations: set[Operation], device: str) -> list[Operation]:
    """Returns the operations without a kernel for `device` ("GPU", or "XLA_GPU_JIT" for XLA's programs), sorted.

    On a GPU a loop or branch runs as its lowered operations; XLA takes it whole.

    Example:
        >>> sizes = {name: Operation("Softplus", (("T", (name,)),)) for name in ("float32", "bfloat16")}
        >>> [str(operation) for operation in without_kernel(set(sizes.values()), "GPU")]
        ['Softplus (T bfloat16)']
    """
    parts = set() if device.startswith("XLA") else {part for o in operations for part in _parts(o)}
    return sorted((o for o in operations | parts if not _kernels(o, device)), key=str)


def on_the_host(operations: set[Operation]) -> set[Operation]:
    """Returns the operations with results that TensorFlow keeps in host memory also on a GPU: shapes and counters."""
    found = set()
    for operation in operations:
        outputs = {output.name for output in op_def_registry.get(operation.name).output_arg}
        chosen = _kernels(operation, "GPU")
        if chosen and outputs and all(outputs <= set(kernel.host_memory_arg) for kernel in chosen):
            found.add(operation)
    return found


def gradient_kernels(operations: set[Operation]) -> list[Operation]:
    """Returns the operations that are another operation's gradient, or return their own gradient, sorted."""
    return sorted((o for o in operations if _is_gradient(o.name)), key=str)


def _is_gradient(name: str) -> bool:
    definition = op_def_registry.get(name)
    outputs = {output.name for output in definition.output_arg} if definition else set()
    # not StopGradient, nor ApplyGradientDescent
    return bool(re.search(r"Grad(?!ient)|Backprop", name)) or bool(
        outputs & {"backprop", "backprops", "gradient", "gradients"}
    )


def _of_nodes(nodes: list[Any]) -> set[Operation]:
    found = set()
    for node in nodes:
        # a call of a function has the function's name, which is not an operation's name
        if node.op in _NEVER_RUN or op_def_registry.get(node.op) is None:
            continue
        of_kind = {}
        for attribute, several in _type_attributes(node.op).items():
            value = node.attr[attribute]
            of_kind[attribute] = list(value.list.type) if several else [value.type]
        found.add(_operation(node.op, of_kind))
    return found


def _in_function(name: str) -> set[Operation]:
    """Returns the operations of a function with this name, and of those that it calls."""
    nodes, names, seen = [], [name], set()
    while names:
        called = names.pop()
        if called in seen:
            continue
        seen.add(called)
        definition = context.context().get_function_def(called)
        nodes += definition.node_def
        for node in definition.node_def:
            inner = [f.name for value in node.attr.values() for f in (value.func, *value.list.func) if f.name]
            names += [called for called in (*inner, node.op) if context.context().has_function(called)]
    return _of_nodes(nodes)


def _operation(name: str, types: dict[str, list[Any]]) -> Operation:
    named = {attribute: tuple(tf.as_dtype(v).name for v in values) for attribute, values in sorted(types.items())}
    return Operation(name, tuple(named.items()))


def _parts(operation: Operation) -> set[Operation]:
    dtypes = {dtype for _, names in operation.types for dtype in names}
    return {Operation(part, (("T", (dtype,)),)) for part in _LOWERED.get(operation.name, ()) for dtype in dtypes}


@cache
def _type_attributes(name: str) -> dict[str, bool]:
    """Returns the operation's dtype attributes, and whether each is a list."""
    definition = op_def_registry.get(name)
    kinds = {attribute.name: attribute.type for attribute in definition.attr} if definition else {}
    return {attribute: kind == "list(type)" for attribute, kind in kinds.items() if kind in ("type", "list(type)")}


@cache
def _kernels(operation: Operation, device: str) -> tuple[Any, ...]:
    types = dict(operation.types)
    # a default kernel runs on every device without its own kernel, except XLA
    devices = (device,) if device.startswith("XLA") else (device, "DEFAULT")
    return tuple(
        kernel
        for kernel in _registered(operation.name)
        if kernel.device_type in devices and not kernel.label and all(_fits(c, types) for c in kernel.constraint)
    )


@cache
def _registered(name: str) -> tuple[Any, ...]:
    return tuple(kernels.get_registered_kernels_for_op(name).kernel)


def _fits(constraint: Any, types: dict[str, tuple[str, ...]]) -> bool:
    allowed = {tf.as_dtype(value).name for value in constraint.allowed_values.list.type}
    return not allowed or set(types.get(constraint.name, ())) <= allowed
