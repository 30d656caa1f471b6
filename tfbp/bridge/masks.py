"""Masks and states that reach the calls of a functional Keras model: which tensors, as Keras hands them on.

A mask is made by Embedding(mask_zero) and Masking, passed on by most layers, and dropped by operations. Attention takes
the masks off the tensors that it is called on: what comes after it does not see them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfbp.bridge.unexpressed import check_code
from tfbp.errors import InputError
from tfbp.network import AnyOf, Multiply, NotEqual, Symbol

RECURRENT = (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU, keras.layers.Bidirectional)
ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_MINDS = (
    *(*RECURRENT, *ATTENTION, keras.layers.GlobalAveragePooling1D, keras.layers.BatchNormalization),
    keras.layers.TimeDistributed,
)
# layers whose numbers depend on the masks of what they merge
_MERGES = (keras.layers.Minimum, keras.layers.Maximum, keras.layers.Multiply)


def makes_masks(keras_layer: Any) -> bool:
    """Whether a Keras layer makes a mask of its inputs."""
    return isinstance(keras_layer, keras.layers.Masking) or bool(getattr(keras_layer, "mask_zero", False))


def masked(masking: Any, x: Symbol) -> Symbol:
    """What a Masking makes of a tensor: 0 in each row that is its value throughout."""
    check_code(masking)
    return Multiply()(x, AnyOf(-1, keepdims=True)(NotEqual(masking.mask_value)(x)))


@keras.saving.register_keras_serializable(package="tfbp")
class WithMask(keras.layers.Layer):
    """Returns the first of two tensors, with the second as its mask, which Keras's loss uses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs[0]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return keras.ops.cast(inputs[1], "bool")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


class Masks:
    """The mask of each Keras tensor of a model, as a tensor of its network."""

    def __init__(self, written: Callable[[Any, Sequence[Symbol]], list[Symbol]]) -> None:
        self._written = written
        self._by_tensor: dict[int, Symbol | InputError] = {}

    def of(self, tensor: Any) -> Symbol | None:
        """Returns the mask of a tensor, or None.

        Raises:
            InputError: a mask that a network cannot express.
        """
        mask = self._by_tensor.get(id(tensor))
        if isinstance(mask, InputError):
            raise mask
        return mask

    def put(self, tensor: Any, mask: Symbol | InputError | None) -> None:
        self._by_tensor.pop(id(tensor), None)
        if mask is not None:
            self._by_tensor[id(tensor)] = mask

    def beside(self, node: Any, known: Mapping[int, Symbol]) -> dict[str, Any]:
        """What a call takes beside x, by Keras's names, in the network's order.

        Raises:
            InputError: a mask that reaches a layer which a network has no word for with one.
        """
        operation = node.operation
        if isinstance(operation, ATTENTION):
            return self._of_attention(node, known)
        if isinstance(operation, _MINDS) and not isinstance(operation, keras.layers.TimeDistributed):
            return self._of_sequence(node, known)
        minds = isinstance(operation, _MERGES) or getattr(operation, "_call_has_mask_arg", False)
        if isinstance(operation, keras.layers.TimeDistributed) or not minds:
            return {}
        if any(self.of(tensor) is not None for tensor in node.input_tensors):
            got = f"{operation.name!r}, a {type(operation).__name__}, with a mask"
            raise InputError(
                f"model: got {got}; accepted: masks of recurrences, attention, averages, BatchNormalization."
            )
        return {}

    def _of_sequence(self, node: Any, known: Mapping[int, Symbol]) -> dict[str, Any]:
        given = _bound(node)
        found: dict[str, Any] = {}
        explicit, states = given.get("mask"), given.get("initial_state")
        # with several tensors in a call Keras hands no mask on
        implicit = self.of(next(iter(given.values()))) if states is None else None
        mask = implicit if explicit is None else _known(node, known, "mask", explicit)
        if mask is not None:
            found["mask"] = mask
        if states is not None:
            found["initial_state"] = tuple(
                _known(node, known, "initial_state", state) for state in keras.tree.flatten(states)
            )
        return found

    def _of_attention(self, node: Any, known: Mapping[int, Symbol]) -> dict[str, Any]:
        given, found = _bound(node), {}
        query, value, key = (given.get(name) for name in ("query", "value", "key"))
        given |= {"key": value if given.get("key") is None else given["key"]}
        made_of = {name: _known(node, known, name, given[name]) for name in ("query", "value", "key")}
        other_key = made_of["key"] is not made_of["value"]
        if other_key or made_of["value"] is not made_of["query"]:
            found["value"] = made_of["value"]
        if other_key:
            found["key"] = made_of["key"]
        for name, tensor in (("query_mask", query), ("value_mask", value), ("key_mask", key)):
            explicit = given.get(name)
            implicit = None if tensor is None else self.of(tensor)
            mask = implicit if explicit is None else _known(node, known, name, explicit)
            # the same mask twice shows the same
            if mask is not None and not (name == "key_mask" and found.get("value_mask") is mask):
                found[name] = mask
        if given.get("attention_mask") is not None:
            found["attention_mask"] = _known(node, known, "attention_mask", given["attention_mask"])
        return found

    def after(self, node: Any, known: Mapping[int, Symbol]) -> None:
        """Put the masks of what a call made."""
        operation, tensors = node.operation, node.input_tensors
        made: list[Any] = [None] * len(node.outputs)
        if isinstance(operation, WithMask):
            made = [known[id(tensors[1])]]
        elif isinstance(operation, ATTENTION):
            made = [self.of(_bound(node)["query"])]
            for tensor in tensors:
                self.put(tensor, None)
        elif getattr(operation, "supports_masking", False):
            try:
                made = self._passed_on(node, known)
            except InputError:
                # refused only where it is used
                got = f"the mask that {operation.name!r}, a {type(operation).__name__}, makes"
                made = [InputError(f"model: got {got}; accepted: masks that a network can express.")] * len(made)
        for tensor, mask in zip(node.outputs, made, strict=True):
            self.put(tensor, mask)

    def _passed_on(self, node: Any, known: Mapping[int, Symbol]) -> list[Any]:
        explicit = _bound(node).get("mask")
        reach = [self.of(tensor) for tensor in node.input_tensors]
        if not (makes_masks(node.operation) or explicit is not None or any(mask is not None for mask in reach)):
            return [None] * len(node.outputs)
        return self._computed(node, known, explicit)

    def _computed(self, node: Any, known: Mapping[int, Symbol], explicit: Any) -> list[Any]:
        """By the layer's own compute_mask, on symbolic tensors like those that it was called on."""
        x = first_argument(node)
        fresh: dict[int, Any] = {}
        symbols: list[Symbol] = []

        def like(tensor: Any) -> Any:
            symbols.append(known[id(tensor)])
            return fresh.setdefault(len(symbols), keras.Input(tensor.shape[1:], dtype=tensor.dtype))

        def mask_of(tensor: Any) -> Any:
            mask = known[id(explicit)] if explicit is not None else self.of(tensor)
            if mask is None:
                return None
            symbols.append(mask)
            return fresh.setdefault(len(symbols), keras.Input(mask.shape, dtype="bool"))

        found = node.operation.compute_mask(keras.tree.map_structure(like, x), keras.tree.map_structure(mask_of, x))
        out: list[Any] = list(found) if isinstance(found, list | tuple) else [found]
        inputs = list(fresh.values())
        made = []
        for each in (out + [None] * len(node.outputs))[: len(node.outputs)]:
            direct = [symbol for one, symbol in zip(inputs, symbols, strict=True) if one is each]
            if direct or each is None:
                made.append(direct[0] if direct else None)
            else:
                made.append(self._written(keras.Function(inputs, each), symbols)[0])
        return made


def first_argument(node: Any) -> Any:
    """What a call takes as its first argument, also where it is passed by name: x, or a query."""
    return next(iter(_bound(node).values()))


def _bound(node: Any) -> dict[str, Any]:
    """The arguments of a call by name."""
    # "training" is Keras's own where the layer's call has no such argument
    options = {name: value for name, value in node.arguments.kwargs.items() if name != "training"}
    return dict(inspect.signature(node.operation.call).bind(*node.arguments.args, **options).arguments)


def _known(node: Any, known: Mapping[int, Symbol], name: str, given: Any) -> Symbol:
    """The network's tensor for one of the model's.

    Raises:
        InputError: a constant.
    """
    if id(given) not in known:
        raise InputError(f"model: {node.operation.name!r}: {name}: got a constant; accepted: a tensor of the model.")
    return known[id(given)]
