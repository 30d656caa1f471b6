"""tfbp.layers in the matrix: what each layer computes, and its gradient by way of a tape, against the reference.

Each layer of a network is tried as a linear Dense, as its activation's layer, and as both in one Dense, this one on
input of rank 3 where the batch can be parted; PReLU, which no network has, is tried on the z of a network of its own.

B batch, I inputs, O outputs; x (B, I), z and y (B, O).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import layers, reference
from tfbp.agreement import running_error
from tfbp.agreement.cases import Case, activation_cases, numpy_dtype, problem, shape_cases
from tfbp.agreement.matrix import LAYERS, Cell, Result, as_array, compiled, on, rounded_inputs
from tfbp.checking.comparison import compare
from tfbp.checking.tolerances import Units
from tfbp.keras_activations import keras_activation
from tfbp.network import Dense, Network
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.dense import dense_backward, dense_forward
from tfbp.reference.prelu import prelu_backward, prelu_forward
from tfbp.vocabulary import Activation

Named = dict[str, Any]
_PRELU = Case("PReLU-B12-I7-O5", Network(7, [Dense(5)], "half_squared_error"), 12)


@dataclass(frozen=True)
class Trial:
    """A layer, what it is fed, and the right answers with their tolerances: y, dx and the gradient of each weight."""

    name: str
    layer: Any
    x: np.ndarray
    dy: np.ndarray
    expected: Named
    tolerances: Named


def layer_cases() -> list[Case]:
    return [*shape_cases(), *activation_cases(), _PRELU]


def run_layers(cases: list[Case], dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Every comparison of the cases' layers in one dtype and mode, in one program: one for each would take minutes."""
    units = Units.of(dtype, "manual", tf32)
    cells = [Cell(case, dtype, mode, device, tf32) for case in cases]
    with on(cells[0]):
        seen: set[Any] = set()
        pairs = [(cell, trial) for cell in cells for trial in _trials(cell, units, seen)]
        fed = [[tf.constant(a.astype(numpy_dtype(dtype))) for a in (trial.x, trial.dy)] for _, trial in pairs]
        run = compiled(
            lambda fed: [_run(trial.layer, *xs) for (_, trial), xs in zip(pairs, fed, strict=True)], cells[0]
        )
        got = run(fed)
    results = []
    for (cell, trial), found in zip(pairs, got, strict=True):
        for name, value in trial.expected.items():
            tensor = np.reshape(as_array(found[name]), value.shape)
            comparison = compare(f"{trial.name} {name}", tensor, value, trial.tolerances[name], dtype)
            results.append(Result(cell, LAYERS, "local", comparison))
    return results


def _run(layer: Any, x: tf.Tensor, dy: tf.Tensor) -> Named:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    names = ["x", *(weight.name for weight in layer.weights)]
    sources = [x, *(weight.value for weight in layer.weights)]
    gradients = tape.gradient(y, sources, output_gradients=dy, unconnected_gradients="zero")
    return {"y": y, **{f"d{name}": gradient for name, gradient in zip(names, gradients, strict=True)}}


def _trials(cell: Cell, units: Units, seen: set[Any]) -> Iterator[Trial]:
    """The layers of one case; a linear Dense of shapes that were `seen` in another is not tried again."""
    network, numbers = cell.case.network, problem(cell.case, cell.dtype)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    tensors = reference.loss_gradients_and_tensors(network, *arguments)[2]
    for index, (layer, fed) in enumerate(zip(network.layers, rounded_inputs(cell, numbers, tensors), strict=False)):
        if cell.case is _PRELU:
            yield _prelu_trial(fed, None, cell.dtype, units)
            yield _prelu_trial(fed, [1], cell.dtype, units)
            continue
        linear, name = Activation("linear"), layer.activation.name
        shapes = (fed["x"].shape, layer.units, layer.use_bias)
        if shapes not in seen:
            seen.add(shapes)
            yield _dense_trial(f"layer {index} Dense", linear, fed, cell.dtype, units)
        if name != "linear":
            yield _activation_trial(f"layer {index} {name}", layer.activation, fed, cell.dtype, units)
            yield _dense_trial(f"layer {index} Dense with {name}", layer.activation, fed, cell.dtype, units)


def _dense_trial(name: str, activation: Activation, fed: Named, dtype: str, units: Units) -> Trial:
    """Its tolerances carry the error of z through the activation and back."""
    x, kernel, bias = fed["x"], fed["kernel"], fed.get("bias")
    dy = fed["dz"] if activation.name == "linear" else fed["dy"]
    layer = layers.Dense(kernel.shape[1], keras_activation(activation), use_bias=bias is not None, dtype=dtype)
    layer.build(x.shape)
    layer.set_weights([w.astype(numpy_dtype(dtype)) for w in (kernel, bias) if w is not None])
    z, residuals = dense_forward(x, kernel, bias)
    y, residual = activation_forward(activation, z)
    dz = activation_backward(activation, dy, residual)
    error_z = running_error.dense_forward_error(x, kernel, bias, units)
    error_dz = running_error.activation_backward_error(activation, dy, z, units, error_z=error_z)
    expected = dict(zip(("dx", "dkernel", "dbias"), dense_backward(dz, residuals), strict=True))
    limits = running_error.dense_backward_error(dz, x, kernel, units, error_dz)
    limits["y"] = running_error.activation_forward_error(activation, z, units, error_z)
    if bias is None:
        del expected["dbias"]
    if activation.name != "linear" and len(x) % 4 == 0:
        x, dy = (a.reshape(-1, 4, a.shape[1]) for a in (x, dy))
    return Trial(name, layer, x, dy, {"y": y, **expected}, limits)


def _activation_trial(name: str, activation: Activation, fed: Named, dtype: str, units: Units) -> Trial:
    z, dy = fed["z"], fed["dy"]
    y, residual = activation_forward(activation, z)
    expected = {"y": y, "dx": activation_backward(activation, dy, residual)}
    limits = {
        "y": running_error.activation_forward_error(activation, z, units),
        "dx": running_error.activation_backward_error(activation, dy, z, units),
    }
    return Trial(name, _activation_layer(activation, dtype), z, dy, expected, limits)


def _activation_layer(activation: Activation, dtype: str) -> keras.layers.Layer:
    """The layer that has the activation's name, where there is one."""
    named = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU, "softmax": layers.Softmax}
    if activation.name in named:
        return named[activation.name](**activation.arguments, dtype=dtype)
    return layers.Activation(keras_activation(activation), dtype=dtype)


def _prelu_trial(fed: Named, shared_axes: list[int] | None, dtype: str, units: Units) -> Trial:
    x, dy = (fed[name].reshape(3, 4, 5) for name in ("z", "dy"))
    layer = layers.PReLU(shared_axes=shared_axes, dtype=dtype)
    layer.build(x.shape)
    alpha = 0.25 * (1 + np.arange(np.prod(layer.alpha.shape)).reshape(layer.alpha.shape) % 3)
    layer.alpha.assign(alpha)
    y, residuals = prelu_forward(x, alpha)
    dx, dalpha = prelu_backward(dy, residuals)
    # each product is rounded before it is added up
    size = np.abs(prelu_backward(np.abs(dy), residuals)[1])
    limits = {
        "y": 8 * units.out * np.abs(y) + units.underflow,
        "dx": 8 * units.out * np.abs(dx) + units.underflow,
        "dalpha": (8 * units.sum + units.out) * size + units.out * np.abs(dalpha) + units.underflow,
    }
    name = "PReLU" if shared_axes is None else "PReLU with shared axes"
    return Trial(name, layer, x, dy, {"y": y, "dx": dx, "dalpha": dalpha}, limits)
