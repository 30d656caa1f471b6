"""Programs of one model for another with the same graph of a traced step: twenty models of one architecture trace their
steps, and have one loop around them, one pass of TensorFlow's optimizer and one of XLA's compiler.

A program is a function of its arguments and of its variables and constants. So it can be called with the
variables of a twin. Two steps are twins where every operation, attribute and constant of their graphs is the same, in
the same order; names may differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfbp.fitting.keras_internals import global_state

# of how many programs are kept when their model is gone, and how many bytes of variables one may hold
MOST_PROGRAMS, MOST_BYTES = 16, 64 * 2**20
# keras.backend.clear_session lets go of them
REGISTER = "tfbp_programs_of_twins"
# attributes that are names
NAMES = {
    *("shared_name", "container", "_class", "_gradient_op_type", "_user_specified_name", "forward_function_name"),
    *("backward_function_name", "_forward_func_name", "_backward_func_name"),
}


class Kept(NamedTuple):
    """A program, and at which places of its step's captures it finds what it holds.

    Attributes:
        program: traced. places: of each of its captures, that of the step's which it is.
        written: of each variable that it may change, its place.
    """

    program: Any
    places: Sequence[int]
    written: Sequence[int]

    def of(self, graph: Any) -> tuple[Callable[..., Any], list[Any]]:
        """The program of a twin, by the graph of its step, and the twin's variables that it may change."""
        captures = [outer for outer, _ in graph.captures]
        variables = {id(variable.handle): variable for variable in graph.variables}
        held = [captures[place] for place in self.places]
        return lambda *given: self.program._call_flat(list(given), held), [
            variables[id(captures[place])] for place in self.written
        ]


def key_of(graph: Any) -> bytes | None:
    """The key that two graphs share if they compute the same from the same arguments; None where there is none."""
    captured = hashlib.sha256()
    for outer, _ in graph.captures:
        if outer.dtype == tf.resource:
            if outer._handle_data is None:  # a table, say
                return None
            shapes = [(tuple(handled.shape.dim), handled.dtype) for handled in outer._handle_data.shape_and_type]
            captured.update(repr(shapes).encode())
        elif isinstance(outer, tf.__internal__.EagerTensor) and outer.dtype not in (tf.variant, tf.string):
            captured.update(repr((outer.shape, outer.dtype)).encode() + outer.numpy().tobytes())
        else:
            return None
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}
    known: dict[str, bytes] = {}
    body = _of_nodes(definition.node, {}, functions, known)
    return captured.digest() + body


def find(key: Any) -> Kept | None:
    """Returns the program of a key."""
    return _register().get(key)


def keep(key: Any, program: Any, written: Sequence[Any], graph: Any) -> None:
    """Keep a program for the twins of the model that it is of, if it holds nothing that its step does not."""
    places = {id(outer): place for place, (outer, _) in enumerate(graph.captures)}
    held = [places[id(outer)] for outer, _ in program.graph.captures if id(outer) in places]
    size = sum(_bytes(variable) for variable in graph.variables)
    if len(held) < len(program.graph.captures) or size > MOST_BYTES:
        return
    register = _register()
    register[key] = Kept(program, held, [places[id(variable.handle)] for variable in written])
    while len(register) > MOST_PROGRAMS:
        register.pop(next(iter(register)))


def _register() -> dict[Any, Kept]:
    register: dict[Any, Kept] = global_state.get_global_attribute(REGISTER, {}, set_to_default=True)
    return register


def _bytes(variable: Any) -> int:
    return int(variable.shape.num_elements() * variable.dtype.size)


def _of_nodes(nodes: Any, given: dict[str, str], functions: dict[str, Any], known: dict[str, bytes]) -> bytes:
    """A digest of nodes, in which every name is its number."""
    numbers = dict(given)
    for number, node in enumerate(nodes):
        numbers[node.name] = str(number)
    found = hashlib.sha256()
    for node in nodes:
        takes = []
        for name in node.input:
            is_control, bare = name.startswith("^"), name.lstrip("^")
            first, *rest = bare.split(":")
            takes.append(":".join([("^" if is_control else "") + numbers.get(first, first), *rest]))
        # in what order control comes makes no difference
        takes = [taken for taken in takes if taken[0] != "^"] + sorted(taken for taken in takes if taken[0] == "^")
        attributes = [(name, _of_value(node.attr[name], functions, known)) for name in sorted(node.attr)]
        told = (node.op if node.op not in functions else _of_function(node.op, functions, known), node.device, takes)
        found.update(repr((told, [attribute for attribute in attributes if attribute[0] not in NAMES])).encode())
    return found.digest()


def _of_value(value: Any, functions: dict[str, Any], known: dict[str, bytes]) -> bytes:
    if value.HasField("func"):
        return _of_function(value.func.name, functions, known)
    if value.HasField("list") and value.list.func:
        return b"".join(_of_function(called.name, functions, known) for called in value.list.func)
    return bytes(value.SerializeToString(deterministic=True))


def _of_function(name: str, functions: dict[str, Any], known: dict[str, bytes]) -> bytes:
    if name not in known:
        function = functions.get(name)
        if function is None:
            return name.encode()
        known[name] = b"itself"
        signature = function.signature
        given = {arg.name: f"arg{number}" for number, arg in enumerate(signature.input_arg)}
        body = _of_nodes(function.node_def, given, functions, known)
        numbers = {**given, **{node.name: str(number) for number, node in enumerate(function.node_def)}}

        def place(result: str) -> str:
            first, *rest = result.split(":")
            return ":".join([numbers.get(first, first), *rest])

        results = [place(function.ret[arg.name]) for arg in signature.output_arg]
        controls = sorted(place(control) for control in function.control_ret.values())
        types = [arg.type for arg in (*signature.input_arg, *signature.output_arg)]
        attributes = [
            (attribute, function.attr[attribute].SerializeToString(deterministic=True))
            for attribute in sorted(function.attr)
            if attribute not in NAMES
        ]
        known[name] = body + hashlib.sha256(repr((results, controls, types, attributes)).encode()).digest()
    return known[name]
