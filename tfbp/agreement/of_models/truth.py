"""What is right for one call of a model: by the NumPy reference where it knows the layer, else by autodiff in float64.

Autodiff of a layer that the reference does not know is held against differences of the forward first (`unknown`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.draws import Draws
from tfbp.agreement.of_models.opened import Call, with_mask
from tfbp.agreement.problems import round_to
from tfbp.agreement.tolerances.monte_carlo import Rounding, plain
from tfbp.agreement.tolerances.whole_pass import activations_with
from tfbp.bridge.layers import weights_of
from tfbp.bridge.models import at_place, network_and_sources, parameters_of
from tfbp.errors import InputError
from tfbp.judging.arrays import as_float64
from tfbp.network import at, map_weights
from tfbp.reference import graph

Array = np.ndarray
REFERENCE, DIFFERENCES = "reference", "differences"


@dataclass
class Answer:
    """What a call gives: outputs, gradients of its inputs (None of integers), of weights by index, new statistics."""

    ys: list[Array]
    dxs: list[Any] = field(default_factory=list)
    dweights: dict[int, Array] = field(default_factory=dict)
    new: dict[int, Array] = field(default_factory=dict)


class Truth(Protocol):
    """Who says what is right for a call."""

    by: str

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        """The call's answer to these inputs, with its weights rounded to a dtype."""


@dataclass
class Recorded:
    """What a call was given besides numbers: masks of its inputs, by place, and its draws."""

    masks: list[Any]
    draws: Draws


def truth_of(call: Call, copies: Copies, shapes: Sequence[Any], recorded: Recorded, training: bool) -> Truth:
    """The reference where it has the layer, and autodiff where it has not.

    Args:
        shapes: (shape, dtype) of each tensor that it takes.
    """
    is_masked = any(mask is not None for mask in recorded.masks)
    if recorded.draws.numbers and isinstance(call.operation, keras.layers.Dropout) and not is_masked:
        return ByMask(recorded.draws, call.operation.rate)
    try:
        if (is_masked and _minds_masks(call.operation)) or recorded.draws.numbers:
            raise InputError("model: got a mask or draws; accepted: a layer of which the reference knows all.")
        return ByReference(call, copies, shapes, training)
    # whatever the bridge cannot express
    except Exception:
        return ByTape(call, copies, recorded, training)


def _minds_masks(operation: Any) -> bool:
    """Whether a layer's result depends on masks."""
    call = getattr(operation, "_call_has_mask_arg", True)
    return bool(call) or isinstance(operation, keras.layers.MultiHeadAttention | keras.layers.Wrapper)


class ByReference:
    """The reference's functions of the layer, or of the few that it is made of."""

    by = REFERENCE

    def __init__(self, call: Call, copies: Copies, shapes: Sequence[Any], training: bool) -> None:
        layer = call.operation
        made = copies.fresh(layer, "float64") if call.is_layer else copies.of(call, "float64")
        inputs = [keras.Input(shape[1:], dtype=dtype) for shape, dtype in shapes]
        outputs = call(made, inputs, training)
        model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
        loss = ["mean_squared_error"] * len(outputs) if len(outputs) > 1 else "mean_squared_error"
        self.network, sources = network_and_sources(model, loss)
        self.parameters = parameters_of(self.network, sources)
        self.training = training
        index = {id(v): i for i, v in enumerate(made.variables)} if call.is_layer else {}
        self.numbers = {
            (place, name): index[id(weight)]
            for place, source in sources.items()
            for name, weight in weights_of(at_place(self.network, place), source).items()
            if id(weight) in index
        }

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        on = noise.on if noise is not None else np.asarray
        weights = map_weights(lambda w: on(round_to(w, dtype)), self.parameters)
        calls = self.network.graph
        with activations_with(noise):
            made, tensors, residuals = graph.graph_forward(calls, weights, [on(x) for x in xs], training=self.training)
            answer = Answer([np.asarray(plain(made[end])) for end in self.network.ends])
            for (place, name), number in self.numbers.items():
                for call, found in zip(calls.calls, tensors, strict=True):
                    if (call.layer,) == place and name in found.get("new_weights", {}):
                        answer.new[number] = np.asarray(plain(found["new_weights"][name]))
            if dys is None:
                return answer
            dmade: dict[int, Any] = {}
            for end, dy in zip(self.network.ends, dys, strict=True):
                graph.add(dmade, end, on(dy))
            gradients = graph.graph_backward(calls, tensors, residuals, dmade)
        answer.dxs = [None if dmade.get(i) is None else np.asarray(plain(dmade[i])) for i in range(len(xs))]
        for (place, name), number in self.numbers.items():
            if name in (found := at(gradients, place)):
                answer.dweights[number] = np.asarray(plain(found[name]))
        return answer


class ByMask:
    """A dropout of which it is recorded what stays."""

    by = REFERENCE

    def __init__(self, draws: Draws, rate: float) -> None:
        self.scale = draws.numbers[0] / (1 - rate)

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        on = noise.on if noise is not None else np.asarray
        (x,) = xs
        answer = Answer([np.asarray(plain(on(x) * self.scale))])
        if dys is not None:
            answer.dxs = [np.asarray(plain(on(dys[0]) * self.scale))]
        return answer


class ByTape:
    """Autodiff of the layer's copy in float64, eagerly; of one without such a copy, of itself."""

    by = DIFFERENCES

    def __init__(self, call: Call, copies: Copies, recorded: Recorded, training: bool) -> None:
        self.call, self.copies, self.recorded, self.training = call, copies, recorded, training
        self.dtype = base_dtype(call, copies)
        # by dtype and the names of `run_call`, how far roundings move outputs and gradients, once it is measured
        self.spread: dict[str, dict[str, Array]] = {}

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        operation = self.copies.of(self.call, self.dtype)
        if self.call.is_layer:
            self.copies.assign(self.call.operation, operation, dtype)
        xs = [np.asarray(plain(x)) for x in xs]
        fed = {"x": tensors_of(xs, self.dtype), "dy": None if dys is None else tensors_of(dys, self.dtype)}
        found = answered(self.call, operation, fed, self.recorded, self.training)
        if noise is not None:
            found = _moved(found, noise, self.spread.get(dtype, {}))
        return found


def _moved(answer: Answer, noise: Rounding, spread: Mapping[str, Array]) -> Answer:
    """The answer with errors as large as they were measured; elsewhere with those of an operation."""

    def move(name: str, array: Any) -> Any:
        if array is None or array.dtype.kind != "f":
            return array
        if name in spread and spread[name].shape == array.shape:
            return noise.moved(array, spread[name])
        return noise.of_terms(array, np.abs(array), np.sqrt(np.mean(array**2)))

    return Answer(
        [move(f"y{i}", y) for i, y in enumerate(answer.ys)],
        [move(f"dx{i}", dx) for i, dx in enumerate(answer.dxs)],
        {i: move(f"d {i}", dw) for i, dw in answer.dweights.items()},
        {i: move(f"new {i}", new) for i, new in answer.new.items()},
    )


def base_dtype(call: Call, copies: Copies) -> str:
    """float64, or where there is no such copy the operation's own dtype."""
    made = copies.of(call, "float64")
    return "float64" if not hasattr(made, "sentence") else str(call.operation.compute_dtype)


def tensors_of(arrays: Sequence[Any], dtype: str) -> list[Any]:
    """As tensors, floats in a dtype."""
    return [
        None if a is None else tf.constant(a) if np.asarray(a).dtype.kind in "iub" else tf.cast(tf.constant(a), dtype)
        for a in arrays
    ]


def answered(call: Call, operation: Any, fed: Any, recorded: Recorded, training: bool) -> Answer:
    """What an operation itself gives, run eagerly."""
    found = run_call(call, operation, fed, recorded, training)
    variables = operation.variables if call.is_layer else []
    numbers = {id(v): i for i, v in enumerate(variables)}
    ys = [y for name, y in found.items() if name.startswith("y")]
    answer = Answer([as_float64(y) if y.dtype.is_floating else y.numpy() for y in ys])
    if fed["dy"] is not None:
        answer.dxs = [as_float64(found[f"dx{i}"]) if f"dx{i}" in found else None for i in range(len(fed["x"]))]
        answer.dweights = {numbers[id(v)]: as_float64(found[f"d {numbers[id(v)]}"]) for v in trained(operation)}
    answer.new = {
        numbers[id(v)]: as_float64(found[f"new {numbers[id(v)]}"])
        for v in variables
        if f"new {numbers[id(v)]}" in found
    }
    return answer


def trained(operation: Any) -> list[Any]:
    """The weights of an operation that a gradient moves."""
    return list(getattr(operation, "trainable_variables", ()))


def run_call(call: Call, operation: Any, fed: Any, recorded: Recorded, training: bool) -> dict[str, Any]:
    """Tensors by name: y0, …; dx0, … of floats; "d 0", … of weights and "new 1", … of statistics by the variables'
    indices. Statistics are put back inside the program, so that each call of a layer finds what the first found."""
    xs, dys = fed["x"], fed["dy"]
    variables = operation.variables if call.is_layer else []
    numbers = {id(v): i for i, v in enumerate(variables)}
    moved = [v for v in variables if not v.trainable and keras.backend.is_float_dtype(v.dtype)]
    before = [tf.identity(v.value) for v in moved]
    sources = [x for x in xs if x.dtype.is_floating]
    own = trained(operation)
    with recorded.draws.given(), tf.GradientTape() as tape:
        tape.watch(sources)
        given = [with_mask(x, mask) for x, mask in zip(xs, recorded.masks, strict=True)]
        ys = call(operation, given, training)
    out = {f"y{i}": tf.convert_to_tensor(y) for i, y in enumerate(ys)}
    for v, value in zip(moved, before, strict=True):
        out[f"new {numbers[id(v)]}"] = tf.identity(v.value)
        v.assign(value)
    if dys is not None:
        floats = [(y, dy) for y, dy in zip(ys, dys, strict=True) if y.dtype.is_floating]
        gradients = tape.gradient(
            [y for y, _ in floats],
            [*sources, *(v.value for v in own)],
            output_gradients=[dy for _, dy in floats],
            unconnected_gradients="zero",
        )
        left = iter(gradients)
        out.update({f"dx{i}": next(left) for i, x in enumerate(xs) if x.dtype.is_floating})
        out.update({f"d {numbers[id(v)]}": tf.convert_to_tensor(next(left)) for v in own})
    return out
