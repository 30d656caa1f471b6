"""Compares each layer of tfbp.layers, output and gradient by a tape, with the reference.

Each layer of a network is run as a linear Dense, as its activation's layer, and as one Dense with both, this one
also on input of rank 3 where the batch can be split. PReLU, which no network has, is run on a network's z.

B batch, I inputs, O outputs; x (B, I), z and y (B, O).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import layers, reference
from tfbp.agreement.arguments import rounded_inputs
from tfbp.agreement.cases import activation_cases, shape_cases
from tfbp.agreement.problems import Case, numpy_dtype, problem, round_to
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, on, run_trials
from tfbp.agreement.tolerances import formulas
from tfbp.agreement.tolerances.monte_carlo import Rounding, sensitivity
from tfbp.agreement.tolerances.whole_pass import activation_backward_with, activation_forward_with
from tfbp.bridge.activations import keras_activation
from tfbp.judging.diagnosis import Clues
from tfbp.judging.tolerances import Units
from tfbp.network import Dense, Network
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.dense import dense_backward, dense_forward
from tfbp.reference.prelu import prelu_backward, prelu_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import Activation

Array = np.ndarray
LAYERS = "layers"
_PRELU = Case("PReLU-B12-I7-O5", Network(7, [Dense(5)], "half_squared_error"), 12)


def layer_cases() -> list[Case]:
    return [*shape_cases(), *activation_cases(), _PRELU]


def run_layers(cases: list[Case], dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Returns every comparison of the cases' layers in one dtype and mode."""
    units = Units.of(dtype, "manual", tf32, device)
    seen: set[Any] = set()
    with on(Cell(_PRELU, dtype, mode, device, tf32)):
        trials = [trial for case in cases for trial in _trials(Cell(case, dtype, mode, device, tf32), units, seen)]
    return run_trials(trials, LAYERS, Cell(_PRELU, dtype, mode, device, tf32))


def _run(layer: Any, fed: Named) -> Named:
    x, dy, mask = fed["x"], fed["dy"], fed.get("mask")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x) if mask is None else layer(x, mask=mask)
    names = ["x", *(weight.name for weight in layer.weights)]
    sources = [x, *(weight.value for weight in layer.weights)]
    gradients = tape.gradient(y, sources, output_gradients=dy, unconnected_gradients="zero")
    found = {"y": y, **{f"d{name}": gradient for name, gradient in zip(names, gradients, strict=True)}}
    # Keras's cross-entropies look for it, to be exact at saturated probabilities
    return {**found, "logits": getattr(y, "_keras_logits", None)}


def _trial(cell: Cell, name: str, layer: Any, at: tuple[Array, Array], expected: Named, limits: Named) -> SuiteCase:
    """Returns a trial of a layer at (x, dy); answers for x of rank 2 get x's leading axes."""
    (x, dy), dtype = at, numpy_dtype(cell.dtype)
    leading = x.shape[:-1]
    rows = {"y", "dx"}
    shaped = {n: v.reshape(*leading, v.shape[-1]) if n in rows and v.ndim == 2 else v for n, v in expected.items()}
    limits = {n: np.reshape(limits[n], np.shape(shaped[n])) for n in expected}
    fed = {"x": x.astype(dtype), "dy": dy.astype(dtype)}
    return SuiteCase(cell.case, name, "layers", lambda fed: _run(layer, fed), fed, shaped, limits)


def _trials(cell: Cell, units: Units, seen: set[Any]) -> Iterator[SuiteCase]:
    """Yields the trials of one case; a linear Dense of shapes that were `seen` in another case is skipped."""
    network, numbers = cell.case.network, problem(cell.case, cell.dtype)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    tensors = reference.loss_gradients_and_tensors(network, *arguments)[2]
    for index, (layer, fed) in enumerate(zip(network.layers, rounded_inputs(cell, numbers, tensors), strict=False)):
        if cell.case is _PRELU:
            yield from _prelu_trials(cell, fed, units)
            yield from _softmax_trials(cell, units)
            continue
        linear, name = Activation("linear"), layer.applied_activation.name
        shapes = (fed["x"].shape, fed["z"].shape, "bias" in fed["weights"])
        if shapes not in seen:
            seen.add(shapes)
            yield _dense_trial(cell, f"layer {index} Dense", linear, fed, units)
        if name != "linear":
            yield _activation_trial(cell, f"layer {index} {name}", layer.applied_activation, fed, units)
            yield _dense_trial(cell, f"layer {index} Dense with {name}", layer.applied_activation, fed, units)


def _dense_trial(cell: Cell, name: str, activation: Activation, fed: Named, units: Units) -> SuiteCase:
    """Its tolerances carry the error of z through the activation and back."""
    x, kernel, bias, dtype = fed["x"], fed["weights"]["kernel"], fed["weights"].get("bias"), cell.dtype
    dy = fed["dz"] if activation.name == "linear" else fed["dy"]
    layer = layers.Dense(kernel.shape[1], keras_activation(activation), use_bias=bias is not None, dtype=dtype)
    layer.build(x.shape)
    layer.set_weights([w.astype(numpy_dtype(dtype)) for w in (kernel, bias) if w is not None])

    def answers(y: Array, gradients: Any) -> Named:
        found = {"y": y, **dict(zip(("dx", "dkernel", "dbias"), gradients, strict=True))}
        return {name: value for name, value in found.items() if name != "dbias" or bias is not None}

    def run(rounding: Rounding) -> Named:
        z, residuals = dense_forward(rounding.on(x), rounding.on(kernel), None if bias is None else rounding.on(bias))
        dz = activation_backward_with(rounding, activation, dy, z)
        return answers(activation_forward_with(rounding, activation, z), dense_backward(dz, residuals))

    z, residuals = dense_forward(x, kernel, bias)
    y, residual = activation_forward(activation, z)
    expected = answers(y, dense_backward(activation_backward(activation, dy, residual), residuals))
    limits = sensitivity(run, expected, units)
    if activation.name != "linear" and len(x) % 4 == 0:
        # ranks 3 and 4: all axes before the last are rows
        leading = (-1, 2, 2) if activation.name == "tanh" else (-1, 4)
        x, dy = (a.reshape(*leading, a.shape[1]) for a in (x, dy))
    return _trial(cell, name, layer, (x, dy), expected, limits)


def _activation_trial(cell: Cell, name: str, activation: Activation, fed: Named, units: Units) -> SuiteCase:
    z, dy = fed["z"], fed["dy"]
    y, residual = activation_forward(activation, z)
    expected = {"y": y, "dx": activation_backward(activation, dy, residual)}
    limits = {
        "y": formulas.activation_forward_error(activation, z, units),
        "dx": formulas.activation_backward_error(activation, dy, z, units),
    }
    if activation.name in ("softmax", "sigmoid"):
        expected["logits"], limits["logits"] = z, np.zeros(z.shape)
    if len(z) % 4 == 0:
        z, dy = (a.reshape(-1, 4, a.shape[1]) for a in (z, dy))
        expected = {tensor: value.reshape(z.shape) for tensor, value in expected.items()}
    return _trial(cell, name, _activation_layer(activation, cell.dtype), (z, dy), expected, limits)


def _activation_layer(activation: Activation, dtype: str) -> keras.layers.Layer:
    """Returns the layer that has the activation's name, or None."""
    named = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU, "softmax": layers.Softmax}
    if activation.name in named:
        return named[activation.name](**activation.arguments, dtype=dtype)
    return layers.Activation(keras_activation(activation), dtype=dtype)


def _softmax_trials(cell: Cell, units: Units) -> Iterator[SuiteCase]:
    """Softmax along each axis, over several, and with a mask: the reference runs on rows of the summed elements."""
    rng = np.random.default_rng(3)
    x, dy = (round_to(rng.normal(size=(4, 3, 5)), cell.dtype) for _ in range(2))
    mask_kept = rng.random(x.shape) > 0.3
    for axis, mask in ((1, None), ([1, 2], None), (-1, mask_kept), ([1, 2], mask_kept)):
        axes = [axis] if isinstance(axis, int) else axis

        def rows(a: Array, axes: list[int] = axes) -> Array:
            last = np.moveaxis(a, axes, range(-len(axes), 0))
            return last.reshape(-1, np.prod(last.shape[-len(axes) :]))

        def back(a: Array, axes: list[int] = axes) -> Array:
            others = [size for i, size in enumerate(x.shape) if i not in {axis % 3 for axis in axes}]
            return np.moveaxis(a.reshape(*others, *(x.shape[axis] for axis in axes)), range(-len(axes), 0), axes)

        # a masked element counts 0: its exponential is 0 at this distance
        z = rows(x if mask is None else np.where(mask, x, -800.0))
        shown = np.ones_like(z) if mask is None else rows(mask.astype(float))
        softmax, dz = Activation("softmax"), shown * rows(dy)
        expected = {
            "y": activation_forward(softmax, z)[0],
            "dx": activation_backward(softmax, dz, z),
        }
        near = np.where(shown > 0, z, 0)
        limits = {
            # the largest |z| that counts enters the tolerance
            "y": 8 * units.out * (2 + np.abs(near).max(axis=1, keepdims=True)) * expected["y"] * 2
            + 8 * units.underflow,
            "dx": _softmax_backward_error(expected["y"], dz, near, units),
        }
        unmasked = back(activation_forward(softmax, rows(x))[0])
        hints = {
            "y": partial(
                Clues,
                {"over the last axis alone": softmax_forward(x)} if mask is None else {"the mask is ignored": unmasked},
            ),
            "dx": partial(Clues, _over_other_axes(back(expected["y"]), dy)),
        }
        name = f"Softmax axis {axis}" + ("" if mask is None else " masked")
        layer = layers.Softmax(axis, dtype=cell.dtype)
        fed = {"x": x.astype(numpy_dtype(cell.dtype)), "dy": dy.astype(numpy_dtype(cell.dtype))}
        if mask is not None:
            fed["mask"] = mask
        yield SuiteCase(
            _PRELU,
            name,
            "layers",
            partial(_run, layer),
            fed,
            {tensor: back(value) for tensor, value in expected.items()},
            {tensor: back(value) for tensor, value in limits.items()},
            clues=hints,
        )


def _over_other_axes(p: Array, dy: Array) -> dict[str, Array]:
    """Returns dx with the sum over one axis alone, the last or another."""
    names = {0: "the first axis", 1: "the second axis", 2: "the last axis"}
    return {f"summed over {n} alone": p * (dy - (dy * p).sum(axis=axis, keepdims=True)) for axis, n in names.items()}


def _softmax_backward_error(p: Array, dy: Array, z: Array, units: Units) -> Array:
    """Computes as `formulas.activation_backward_error`, on the elements that count."""
    error_p = 16 * units.out * (2 + np.abs(z).max(axis=1, keepdims=True)) * p + 8 * units.underflow
    sums = ((error_p + 8 * units.out * p) * np.abs(dy)).sum(axis=1, keepdims=True)
    centred = np.abs(dy - (dy * p).sum(axis=1, keepdims=True))
    return error_p * centred + p * (sums + 8 * units.out * (np.abs(dy) + centred)) + 8 * units.underflow


def _prelu_trials(cell: Cell, fed: Named, units: Units) -> Iterator[SuiteCase]:
    x, dy = (fed[name].reshape(3, 4, 5) for name in ("z", "dy"))
    x = np.where(np.arange(x.size).reshape(x.shape) % 7 == 0, 0.0, x)  # the kink
    yield _prelu_trial(cell, "PReLU", x, dy, None, units)
    yield _prelu_trial(cell, "PReLU with shared axes", x, dy, [1], units)
    # a sum over many rows
    rng = np.random.default_rng(4)
    x, dy = (round_to(a, cell.dtype) for a in (rng.normal(size=(1100, 5)), rng.normal(size=(1100, 5))))
    yield _prelu_trial(cell, "PReLU on 1100 rows", x, dy, None, units)


def _prelu_trial(cell: Cell, name: str, x: Array, dy: Array, shared_axes: list[int] | None, units: Units) -> SuiteCase:
    layer = layers.PReLU(shared_axes=shared_axes, dtype=cell.dtype)
    layer.build(x.shape)
    alpha = 0.25 * (1 + np.arange(np.prod(layer.alpha.shape)).reshape(layer.alpha.shape) % 3)
    layer.alpha.assign(alpha)
    y, residuals = prelu_forward(x, alpha)
    dx, dalpha = prelu_backward(dy, residuals)

    def run(rounding: Rounding) -> Named:
        y, residuals = prelu_forward(rounding.on(x), rounding.on(alpha))
        dx, dalpha = prelu_backward(rounding.on(dy), residuals)
        return {"y": y, "dx": dx, "dalpha": dalpha}

    limits = sensitivity(run, {"y": y, "dx": dx, "dalpha": dalpha}, units)
    hints = {
        "dalpha": lambda: Clues(sizes={"B": len(x)}, summed=len(x)),
        "dx": lambda: Clues({"dy is handed on": dy}, regions={"x < 0": x < 0, "x > 0": x > 0}, kinks={"x = 0": x == 0}),
    }
    trial = _trial(cell, name, layer, (x, dy), {"y": y, "dx": dx, "dalpha": dalpha}, limits)
    return replace(trial, clues=hints)
