"""Converts a network that was written with `Input` and calls of layers to a list of calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from tfbp import vocabulary
from tfbp.errors import InputError
from tfbp.network.activation import ActivationLayer
from tfbp.network.graph import Call, Symbol, is_taken, shape_taken, traced
from tfbp.network.layer import Layer
from tfbp.vocabulary import Activation, Loss

LINEAR = Activation("linear")
# Where an output's activation is its loss's link function, the loss is computed from the pre-activation z (the logits),
# in one stable formula with the gradient "probability minus target". Keras does the same.
_LINKS = {
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("sigmoid", "binary_crossentropy"),
}


def is_link(layer: Layer, loss: Loss) -> bool:
    """Whether the layer's activation is the loss's link."""
    return (layer.applied_activation.name, loss.name) in _LINKS


def is_graph(inputs: Any) -> bool:
    """Whether a network's inputs are tensors of a network under construction."""
    if isinstance(inputs, Symbol):
        return True
    return isinstance(inputs, list | tuple) and bool(inputs) and any(isinstance(tensor, Symbol) for tensor in inputs)


def written(inputs: Any, outputs: Any, loss: Any, loss_weights: Any, loss_masks: Any = None) -> dict[str, Any]:
    """Returns the fields of a network with these inputs and outputs."""
    sources, outputs_symbols = _symbols("inputs", inputs), _symbols("layers", outputs)
    masks = _masks(loss_masks, outputs_symbols)
    # the outputs' numbers, and after them the masks'
    layers, calls, ends = traced(sources, [*outputs_symbols, *(mask for mask in masks if mask is not None)])
    layers = _for_their_shapes(layers, calls, [source.shape for source in sources])
    losses = _losses(loss, len(outputs_symbols))
    if given := [number for number, end in enumerate(ends[: len(losses)]) if end < len(sources)]:
        raise InputError(f"layers: output {given[0]} is an input; accepted: tensors that a layer makes.")
    for output in range(len(outputs_symbols)):
        _split_link(layers, calls, ends, output, losses[output], len(sources))
    of_masks = iter(ends[len(losses) :])
    # several inputs have shapes: two widths would look like one shape
    inputs_kept: list[Any] = [source.tokens or source.shape for source in sources]
    if len(inputs_kept) == 1 and not sources[0].tokens and len(inputs_kept[0]) == 1:
        inputs_kept = [*inputs_kept[0]]
    return {
        "inputs": tuple(inputs_kept) if isinstance(inputs, list | tuple) and len(inputs_kept) > 1 else inputs_kept[0],
        "layers": tuple(layers),
        "loss": tuple(losses) if len(losses) > 1 else losses[0],
        "calls": tuple(calls),
        "ends": tuple(ends[: len(losses)]),
        "loss_weights": _weights(loss_weights, len(outputs_symbols)),
        "loss_masks": tuple(None if mask is None else next(of_masks) for mask in masks),
    }


def _symbols(argument: str, given: Any) -> list[Symbol]:
    symbols = list(given) if isinstance(given, list | tuple) else [given]
    for symbol in symbols:
        if not isinstance(symbol, Symbol):
            raise InputError(f"{argument}: got {symbol!r}; accepted: what tfbp.Input or a layer's call made.")
    return symbols


def _for_their_shapes(layers: Sequence[Layer], calls: Sequence[Call], shapes: Sequence[Any]) -> list[Layer]:
    """Returns the layers with the arguments that follow from their input shapes; the weights must fit every call."""
    completed: list[Any] = [None] * len(layers)
    shapes_so_far, weights = list(shapes), {}
    for call in calls:
        layer = layers[call.layer]
        shape = shape_taken([shapes_so_far[i] for i in call.takes], layer.takes_several)
        shapes_so_far.append(layer.output_shape(shape))
        asked = layer.weight_shapes(shape)
        if completed[call.layer] is None:
            completed[call.layer], weights[call.layer] = layer.for_shape(shape), asked
        elif asked != weights[call.layer] or layer.parts:
            first = weights[call.layer]
            raise InputError(
                f"{type(layer).__name__}: got a second call on inputs of shape {shape}, for which its weights have the "
                f"shapes {asked}; accepted: inputs for which they have {first}."
                if not layer.parts
                else f"{type(layer).__name__}: got a second call; accepted: one, of a layer that is made of others."
            )
    return completed


def _losses(loss: Any, outputs: int) -> list[Loss]:
    given = list(loss) if isinstance(loss, list | tuple) else [loss]
    if isinstance(loss, Mapping) or len(given) != outputs:
        raise InputError(f"loss: got {loss!r} for {outputs} outputs; accepted: a loss for each, in a list.")
    return [vocabulary.loss(item) for item in given]


def _weights(given: Any, outputs: int) -> tuple[float, ...]:
    weights = [1.0] * outputs if given is None else list(given)
    if len(weights) != outputs or any(isinstance(w, bool) or not isinstance(w, Real) for w in weights):
        raise InputError(f"loss_weights: got {given!r}; accepted: {outputs} numbers, one for each output.")
    return tuple(map(float, weights))


def _masks(given: Any, outputs: Sequence[Symbol]) -> list[Symbol | None]:
    masks = list(given) if isinstance(given, list | tuple) else [given] + [None] * (len(outputs) - 1)
    if len(masks) != len(outputs) or (len(outputs) > 1 and isinstance(given, Symbol)):
        raise InputError(f"loss_masks: got {given!r} for {len(outputs)} outputs; accepted: one for each, or None.")
    for mask, output in zip(masks, outputs, strict=True):
        if mask is not None and (
            not isinstance(mask, Symbol) or not output.shape[:-1] or mask.shape != output.shape[:-1]
        ):
            accepted = f"a tensor of shape {output.shape[:-1]}" if output.shape[:-1] else "None"
            raise InputError(f"loss_masks: got {mask!r} for outputs of shape {output.shape}; accepted: {accepted}.")
    return masks


def _split_link(layers: list[Layer], calls: list[Call], ends: list[int], output: int, loss: Loss, inputs: int) -> None:
    """Where other calls take a link's output too, the link becomes a call of its own, after its loss."""
    index = calls[ends[output] - inputs].layer
    layer = layers[index]
    if not is_link(layer, loss) or not is_taken(calls, ends, inputs, ends[output]):
        return
    layers[index] = replace(layer, activation=LINEAR)  # type: ignore[type-var]
    link, number = ActivationLayer(layer.applied_activation), 0
    layers.append(link)
    while number < len(calls):
        if calls[number].layer == index:
            # the tensors after z move by one, and the calls that took z now take y
            z = inputs + number
            calls[:] = [Call(call.layer, tuple(i + (i >= z) for i in call.takes)) for call in calls]
            ends[:] = [i + (i >= z) for i in ends]
            calls.insert(number + 1, Call(len(layers) - 1, (z,)))
            number += 1
        number += 1
