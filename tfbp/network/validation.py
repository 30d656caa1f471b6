"""Checks a network's arguments before any arithmetic: parameters, a batch x, targets y, sample weights.

Shapes are always checked, also while TensorFlow traces a function. Values are checked only where they are known.

B batch, I inputs of the network, O outputs of the network, T tokens of an example, where each has outputs of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfbp.errors import InputError

SPARSE_LOSSES = ("sparse_categorical_crossentropy",)
UNKNOWN: tuple[Any, ...] = (None, ...)  # the shape of a tensor of unknown rank


def check_parameters(network: Any, parameters: Sequence[Mapping[str, Any]], argument: str = "parameters") -> None:
    """Raises `InputError` unless `parameters` has one dict per layer, with the shapes that the network needs."""
    _check_layers(argument, network.parameter_shapes(), parameters)


def _check_layers(argument: str, shapes: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> None:
    if len(given) != len(shapes):
        raise InputError(f"{argument}: got {len(given)} layers; accepted: {len(shapes)}, one dict per layer.")
    for index, (layer, expected) in enumerate(zip(given, shapes, strict=True)):
        if set(layer) != set(expected):
            raise InputError(
                f"{argument}[{index}]: got the names {sorted(layer)}; accepted: exactly {sorted(expected)}."
            )
        for name, shape in expected.items():
            if isinstance(shape, list):
                _check_layers(f"{argument}[{index}][{name!r}]", shape, layer[name])
                continue
            got = tuple(getattr(layer[name], "shape", None) or np.shape(layer[name]))
            if got != shape:
                raise InputError(f"{argument}[{index}][{name!r}]: got shape {got}; accepted: {shape}.")


def check_seed(network: Any, training: bool, seed: object) -> None:
    """Raises `InputError` where layers of the network draw random numbers and there is no seed."""
    if training and network.draws and seed is None:
        raise InputError("seed: got None; accepted: an integer, because layers of this network draw in training.")


def check_examples_apart(network: Any, is_known: Callable[[Any], bool]) -> None:
    """Raises `InputError` unless tfbp can compute the gradient of each single example of a batch."""
    if len(network.input_shapes) > 1 or len(network.losses) > 1:
        got = f"{len(network.input_shapes)} inputs and {len(network.losses)} outputs"
        raise InputError(f"network: got one of {got}; accepted: one input and one output.")
    if network.masks_losses:
        raise InputError(
            "network: got a masked loss, a mean over what the whole batch shows; accepted: losses without."
        )
    nodes = network.weight_nodes
    for node in nodes:
        if node.layer.ties_examples:
            raise InputError(
                f"network: got {node.layer.keras_name} in layer {node.name}; accepted: layers that take each example "
                "by itself (what a batch shares leaves no example a gradient of its own)."
            )
    for node in nodes:
        if node.layer.weight_shapes(node.input_shape) and not is_known(node.layer):
            raise InputError(
                f"network: got {node.layer.keras_name} in layer {node.name}; accepted: layers without "
                "weights, and those whose file in tfbp.manual has the gradients of single examples."
            )


def as_tuple(argument: str, given: Any, count: int) -> tuple[Any, ...]:
    """Returns the argument for each input or output of a network: for several, a tuple or a list.

    Raises:
        InputError: another number of them.
    """
    if count == 1:
        return (given,)
    if not isinstance(given, tuple | list) or len(given) != count:
        got = f"{len(given)}" if isinstance(given, tuple | list) else type(given).__name__
        raise InputError(f"{argument}: got {got}; accepted: a tuple of {count}, as the network has them.")
    return tuple(given)


def check_x(network: Any, x: Any) -> None:
    """Raises `InputError` unless x is a finite float batch of shape (B, I), or (B, …), with B at least 1.

    For an input of tokens, x has integers of its vocabulary. For several inputs, x is a tuple."""
    given = as_tuple("x", x, len(network.input_shapes))
    for index, (one, shape, tokens) in enumerate(zip(given, network.input_shapes, network.input_tokens, strict=True)):
        _check_input("x" if len(given) == 1 else f"x[{index}]", one, shape, tokens)
    batches = {size for one in given if (size := _shape(one)[0]) is not None and size is not ...}
    if len(batches) > 1:
        raise InputError(f"x: got batches of {' and '.join(map(str, sorted(batches)))}; accepted: one size for all.")


def _check_input(argument: str, x: Any, input_shape: Any, tokens: Any) -> None:
    shape = _shape(x)
    sizes = ", ".join(map(str, input_shape))
    if not _fits(shape, (None, *input_shape)) or shape[:1] == (0,):
        raise InputError(f"{argument}: got shape {shape}; accepted: (B, {sizes}) with a batch B of at least 1.")
    values = _values(x)
    if tokens is not None:
        last = tokens.vocabulary - 1
        # a dtype of NumPy or of TensorFlow
        dtype = np.dtype(getattr(x.dtype, "as_numpy_dtype", x.dtype))
        if dtype.kind not in "iu":
            raise InputError(f"{argument}: got dtype {dtype.name}; accepted: integers, tokens from 0 to {last}.")
        if values is not None and (wrong := (values < 0) | (values > last)).any():
            place = tuple(np.argwhere(wrong)[0].tolist())
            raise InputError(
                f"{argument}: got the token {values[place]} at {list(place)}; accepted: tokens from 0 to {last}."
            )
    elif values is not None and not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise InputError(f"{argument}: got {values[place]} at {list(place)}; accepted: finite numbers.")


def check_y(network: Any, x: Any, y: Any, sample_weight: Any = None) -> None:
    """Raises `InputError` unless y and sample_weight fit x and the losses; of several outputs, both are tuples."""
    batch = _shape(as_tuple("x", x, len(network.input_shapes))[0])[0]
    count = len(network.losses)
    weights = (None,) * count if sample_weight is None else as_tuple("sample_weight", sample_weight, count)
    shapes = zip(network.losses, network.output_shapes, as_tuple("y", y, count), weights, strict=True)
    for index, (loss, shape, targets, weight) in enumerate(shapes):
        of = "" if count == 1 else f"[{index}]"
        _check_targets(f"y{of}", targets, loss, (batch, *shape))
        if weight is not None:
            _check_weights(f"sample_weight{of}", weight, batch, (batch, *shape[:-1]))


def _check_targets(argument: str, y: Any, loss: Any, expected: tuple[Any, ...]) -> None:
    *rows, outputs = expected
    each_row, shape = tuple(rows), _shape(y)
    which = "row of x" if len(each_row) == 1 else "token"
    if loss.name in SPARSE_LOSSES:
        if not (_fits(shape, each_row) or _fits(shape, (*each_row, 1))):
            raise InputError(
                f"{argument}: got shape {shape}; accepted: {each_row} integer labels, one for each {which}."
            )
        labels = _values(y)
        if labels is not None:
            bad = labels[(labels < 0) | (labels >= outputs) | (labels != np.floor(labels))]
            if bad.size:
                raise InputError(f"{argument}: got the label {bad[0]}; accepted: integers from 0 to {outputs - 1}.")
        return
    if not (_fits(shape, (*each_row, outputs)) or (outputs == 1 and _fits(shape, each_row))):
        raise InputError(f"{argument}: got shape {shape}; accepted: {(*each_row, outputs)}, as the network's output.")
    _check_finite(argument, y)


def _check_weights(argument: str, weight: Any, batch: Any, each_row: tuple[Any, ...]) -> None:
    given = _shape(weight)
    if not (_fits(given, (batch,)) or _fits(given, each_row)):
        which = "row of x" if len(each_row) == 1 else "token"
        token = "" if len(each_row) == 1 else f", or {each_row}, one for each {which}"
        raise InputError(f"{argument}: got shape {given}; accepted: ({batch},), one for each row of x{token}.")
    _check_finite(argument, weight)


def _check_finite(argument: str, array: Any) -> None:
    values = _values(array)
    if values is not None and not np.isfinite(values).all():
        raise InputError(f"{argument}: got {values[~np.isfinite(values)].flat[0]}; accepted: finite numbers.")


def _shape(array: Any) -> tuple[int | None, ...]:
    """Returns the shape, or UNKNOWN where TensorFlow does not know the rank while it traces."""
    return tuple(array.shape) if getattr(array.shape, "rank", 0) is not None else UNKNOWN


def _fits(shape: tuple[int | None, ...], accepted: tuple[int | None, ...]) -> bool:
    """Whether a shape may be the accepted one; None is a size that is known only at run time."""
    if shape is UNKNOWN:
        return True
    return len(shape) == len(accepted) and all(None in (a, b) or a == b for a, b in zip(shape, accepted, strict=True))


def _values(array: Any) -> np.ndarray | None:
    """Returns the array's values, or None for a symbolic tensor (inside a tf.function)."""
    if isinstance(array, np.ndarray):
        return array
    try:
        return np.asarray(array.numpy())
    except (AttributeError, NotImplementedError):
        return None
