"""Computes the right answer for one call: by the NumPy reference where it has the layer, else by autodiff in float64.

A layer judged by autodiff is first compared with differences of its forward (`unknown`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfbp.agreement.of_models.copies import Copies
from tfbp.agreement.of_models.draws import Draws
from tfbp.agreement.of_models.opened import Call
from tfbp.agreement.of_models.running import Answer, Recorded, answered, base_dtype, tensors_of
from tfbp.agreement.problems import round_to
from tfbp.agreement.tolerances.monte_carlo import Rounding, plain
from tfbp.agreement.tolerances.whole_pass import activations_with
from tfbp.bridge.layers import weights_of
from tfbp.bridge.masks import ATTENTION, MERGES
from tfbp.bridge.models import at_place, network_and_sources, parameters_of
from tfbp.errors import InputError
from tfbp.network import at, map_weights
from tfbp.reference import graph

Array = np.ndarray
Backward = Callable[[Sequence[Any]], Answer]
REFERENCE, DIFFERENCES = "reference", "differences"
# of layers that draw in the reference and drew nothing in Keras: their rate is 0
_ANY_SEED = (0, 0)


class Truth:
    """The judge of a call."""

    by: str

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        """Returns the call's answer to these inputs, with its weights rounded to a dtype."""
        raise NotImplementedError

    def forward(self, xs: Sequence[Array], dtype: str, noise: Rounding | None = None) -> tuple[Answer, Backward]:
        """Returns the answer without gradients, and a function of dys that returns the whole answer."""
        return self.run(xs, None, dtype, noise), lambda dys: self.run(xs, dys, dtype, noise)


def truth_of(call: Call, copies: Copies, shapes: Sequence[Any], recorded: Recorded, training: bool) -> Truth:
    """Returns the reference where it has the layer, else autodiff.

    Args:
        shapes: (shape, dtype) of each tensor that it takes.
    """
    is_masked = any(mask is not None for mask in recorded.masks)
    if recorded.draws.numbers and isinstance(call.operation, keras.layers.Dropout) and not is_masked:
        return ByMask(recorded.draws, call.operation.rate)
    if len(recorded.draws.numbers) < 2 and isinstance(call.operation, keras.layers.GaussianNoise) and not is_masked:
        return ByNoise(recorded.draws)
    try:
        if recorded.draws.numbers:
            raise InputError("model: got draws; accepted: a layer of which the reference knows all.")
        attached = is_masked and not names_masks(call) and _minds_masks(call.operation)
        masks = recorded.masks if attached else [None] * len(shapes)
        return ByReference(call, copies, shapes, masks, training)
    # the bridge cannot express it
    except Exception:
        return ByTape(call, copies, recorded, training)


def names_masks(call: Call) -> bool:
    """Whether a mask is an argument of a call, and with that one of its tensors."""
    given = {name for name, value in call.arguments[1].items() if value is not None}
    return any("mask" in name for name in given - {"use_causal_mask"})


def _minds_masks(operation: Any) -> bool:
    """Whether a layer's result depends on masks."""
    call = getattr(operation, "_call_has_mask_arg", True)
    return bool(call) or isinstance(operation, (keras.layers.Wrapper, *ATTENTION, *MERGES))


class ByReference(Truth):
    """Judges by the reference's functions of the layer, or of its few parts."""

    by = REFERENCE

    def __init__(self, call: Call, copies: Copies, shapes: Sequence[Any], masks: Sequence[Any], training: bool) -> None:
        layer = call.operation
        operation = copies.fresh(layer, "float64") if call.is_layer else copies.of(call, "float64")
        inputs = [keras.Input(shape[1:], dtype=dtype) for shape, dtype in shapes]
        self.masks = [np.asarray(mask, float) for mask in masks if mask is not None]
        given = list(inputs)
        with_masks = []
        for tensor, mask in zip(given, masks, strict=True):
            if mask is not None:
                inputs.append(keras.Input(mask.shape[1:], dtype="bool"))
                tensor._keras_mask = inputs[-1]
                with_masks.append((tensor, inputs[-1]))
        # a copy has no mask, which would belong to a loss; and the bridge takes no call that says `training`
        outputs = [keras.ops.copy(y) for y in call(operation, given, None)]
        for tensor, mask in with_masks:
            # attention takes it off
            tensor._keras_mask = mask
        model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
        loss = ["mean_squared_error"] * len(outputs) if len(outputs) > 1 else "mean_squared_error"
        self.network, sources = network_and_sources(model, loss)
        self.parameters = parameters_of(self.network, sources)
        self.training = training
        index = {id(v): i for i, v in enumerate(operation.variables)} if call.is_layer else {}
        self.numbers = {
            (place, name): index[id(weight)]
            for place, source in sources.items()
            for name, weight in weights_of(at_place(self.network, place), source).items()
            if id(weight) in index
        }

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        answer, backward = self.forward(xs, dtype, noise)
        return answer if dys is None else backward(dys)

    def forward(self, xs: Sequence[Array], dtype: str, noise: Rounding | None = None) -> tuple[Answer, Backward]:
        on = noise.on if noise is not None else np.asarray
        weights = map_weights(lambda w: on(round_to(w, dtype)), self.parameters)
        calls = self.network.graph
        with activations_with(noise):
            made, tensors, residuals = graph.graph_forward(
                calls, weights, [*map(on, xs), *self.masks], training=self.training, seed=_ANY_SEED
            )
        answer = Answer([np.asarray(plain(made[end])) for end in self.network.ends])
        for (place, name), number in self.numbers.items():
            for call, gradient in zip(calls.calls, tensors, strict=True):
                if (call.layer,) == place and name in gradient.get("new_weights", {}):
                    answer.new[number] = np.asarray(plain(gradient["new_weights"][name]))

        def backward(dys: Sequence[Any]) -> Answer:
            dmade: dict[int, Any] = {}
            for end, dy in zip(self.network.ends, dys, strict=True):
                graph.add(dmade, end, on(dy))
            with activations_with(noise):
                gradients = graph.graph_backward(calls, tensors, residuals, dmade)
            answer.dxs = [None if dmade.get(i) is None else np.asarray(plain(dmade[i])) for i in range(len(xs))]
            for (place, name), number in self.numbers.items():
                if name in (gradient := at(gradients, place)):
                    answer.dweights[number] = np.asarray(plain(gradient[name]))
            return answer

        return answer, backward


class ByMask(Truth):
    """Judges a dropout with a recorded mask."""

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


class ByNoise(Truth):
    """Judges a layer that adds a recorded noise."""

    by = REFERENCE

    def __init__(self, draws: Draws) -> None:
        # with a standard deviation of 0 Keras draws none
        self.noise = draws.numbers[0] if draws.numbers else np.zeros(())

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        on = noise.on if noise is not None else np.asarray
        (x,) = xs
        answer = Answer([np.asarray(plain(on(x) + round_to(self.noise, dtype)))])
        if dys is not None:
            answer.dxs = [np.asarray(plain(on(dys[0])))]
        return answer


class ByTape(Truth):
    """Judges by autodiff of the layer's copy in float64, eagerly; without such a copy, of the layer itself."""

    by = DIFFERENCES

    def __init__(self, call: Call, copies: Copies, recorded: Recorded, training: bool) -> None:
        self.call, self.copies, self.recorded, self.training = call, copies, recorded, training
        self.dtype = base_dtype(call, copies)
        # by dtype and the names of `run_call`, how far roundings move outputs and gradients, as measured
        self.spread: dict[str, dict[str, Array]] = {}

    def run(self, xs: Sequence[Array], dys: Sequence[Any] | None, dtype: str, noise: Rounding | None = None) -> Answer:
        operation = self.copies.of(self.call, self.dtype)
        if self.call.is_layer:
            self.copies.assign(self.call.operation, operation, dtype)
        xs = [np.asarray(plain(x)) for x in xs]
        fed = {"x": tensors_of(xs, self.dtype), "dy": None if dys is None else tensors_of(dys, self.dtype)}
        gradient = answered(self.call, operation, fed, self.recorded, self.training)
        if noise is not None:
            gradient = _moved(gradient, noise, self.spread.get(dtype, {}))
        return gradient


def _moved(answer: Answer, noise: Rounding, spread: Mapping[str, Array]) -> Answer:
    """Returns the answer with errors as large as measured; unmeasured ones have those of one operation."""

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
