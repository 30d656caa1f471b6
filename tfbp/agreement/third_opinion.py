"""Third opinions without the chain rule, in float64 on every op: central differences, and the complex step.

An op's forward is the reference's (and erf SciPy's, which takes complex numbers); its gradients are the reference's
and the manual writing's. φ is the op's output times a random signed upstream gradient, summed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import special

from tfbp import manual, reference
from tfbp.agreement.cases import all_cases
from tfbp.agreement.problems import problem
from tfbp.agreement.programs import as_array
from tfbp.judging.comparison import Comparison, compare
from tfbp.judging.differences import central_differences, complex_step
from tfbp.judging.failures import Failure, attempt
from tfbp.network import map_weights, named_weights
from tfbp.vocabulary import Activation, Loss

UNIT_ROUNDOFF = 2.0**-53
Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Op:
    """A differentiable piece: its forward on named arrays, and the gradients of each writing."""

    name: str
    forward: Callable[..., Any]
    inputs: Tensors
    doutput: np.ndarray
    gradients: dict[str, Callable[[], Tensors]]


@dataclass(frozen=True)
class Opinion:
    """A writing's gradient of an op, compared with a method that does not use the chain rule."""

    op: str
    writing: str
    method: str
    comparison: Comparison


def ops() -> Iterator[Op]:
    """Returns every op of the matrix: each activation, each loss, the dense layer, and whole networks."""
    rng = np.random.default_rng(2026)
    seen = set()
    for case in all_cases():
        for activation in {node.layer.applied_activation for node in case.network.nodes}:
            name = " ".join([activation.name, *map(str, activation.arguments.values())])
            if name not in seen:
                seen.add(name)
                yield _activation_op(name, activation, rng)
        for loss in case.network.losses:
            if loss.name not in seen:
                seen.add(loss.name)
                yield _loss_op(loss, rng)
    yield _dense_op(rng)
    for case in all_cases():
        if case.name.startswith(("deep5", "regularized", "one-", "softmax-", "no-bias", "tied-B5")):
            yield _network_op(case)


def opinions(op: Op) -> Iterator[Opinion]:
    """Applies both methods to every gradient of an op, for both writings."""
    for name, value in op.inputs.items():

        def phi(array: np.ndarray, name: str = name) -> Any:
            return (op.doutput * op.forward(**{**op.inputs, name: array})).sum()

        asked = attempt(lambda phi=phi, value=value: (*central_differences(phi, value), complex_step(phi, value)))
        if isinstance(asked, Failure):  # the reference's forward
            yield Opinion(op.name, "reference", "running it", compare(op.name, asked, value, 0.0))
            continue
        differences, error, stepped = asked
        # the terms of the gradient's sum are at most of this size
        scale = np.abs(op.doutput).sum() * (1 + max(np.abs(each).max() for each in op.inputs.values())) ** 2
        rounding = 32 * UNIT_ROUNDOFF * scale
        for writing, make in op.gradients.items():
            gradients = attempt(make)
            gradient = gradients if isinstance(gradients, Failure) else as_array(gradients[name])
            found = compare(f"d{name}", gradient, differences, error + rounding)
            yield Opinion(op.name, writing, "central differences", found)
            yield Opinion(op.name, writing, "complex step", compare(f"d{name}", gradient, stepped, rounding))


def _activation_op(name: str, activation: Activation, rng: np.random.Generator) -> Op:
    # between -7 and 7, at least 0.05 from every kink (±½, ±1, ±3, 0, 6 and threshold's 0.1)
    z = np.array([[-6.7, -4.4, -3.2, -2.7], [-1.3, -0.8, -0.6, -0.3], [-0.15, 0.3, 0.65, 0.8], [1.2, 2.4, 4.6, 6.5]])
    z = z + rng.uniform(-0.04, 0.04, z.shape)
    dy = rng.normal(size=z.shape)

    def forward(z: np.ndarray) -> Any:
        if activation.name == "gelu" and not activation.arguments["approximate"]:
            return z * (1 + special.erf(z / np.sqrt(2))) / 2
        return reference.activations.activation_forward(activation, z)[0]

    def by_manual() -> Tensors:
        _, residuals = manual.activations.activation_forward(activation, tf.constant(z))
        return {"z": manual.activations.activation_backward(activation, tf.constant(dy), residuals)}

    gradients = {
        "reference": lambda: {"z": reference.activations.activation_backward(activation, dy, z)},
        "manual": by_manual,
    }
    return Op(name, forward, {"z": z}, dy, gradients)


def _loss_op(loss: Loss, rng: np.random.Generator) -> Op:
    outputs = 2 * rng.normal(size=(5, 4))
    sparse = loss.name.startswith("sparse")
    y = rng.integers(0, 4, 5) if sparse else rng.dirichlet(np.ones(4), 5)
    dlosses = rng.normal(size=5)

    def forward(outputs: np.ndarray) -> Any:
        return reference.losses.loss_forward(loss, y, outputs)[0]

    def by_reference() -> Tensors:
        _, residuals = reference.losses.loss_forward(loss, y, outputs)
        return {"outputs": reference.losses.loss_backward(loss, dlosses, residuals)}

    def by_manual() -> Tensors:
        _, residuals = manual.losses.loss_forward(loss, tf.constant(y), tf.constant(outputs))
        return {"outputs": manual.losses.loss_backward(loss, tf.constant(dlosses), residuals)}

    gradients = {"reference": by_reference, "manual": by_manual}
    return Op(loss.name, forward, {"outputs": outputs}, dlosses, gradients)


def _dense_op(rng: np.random.Generator) -> Op:
    inputs = {"x": rng.normal(size=(5, 4)), "kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    dz = rng.normal(size=(5, 3))

    def by_reference() -> Tensors:
        _, residuals = reference.dense.dense_forward(**inputs)
        return dict(zip(inputs, reference.dense.dense_backward(dz, residuals), strict=True))

    def by_manual() -> Tensors:
        _, residuals = manual.dense.dense_forward(**{name: tf.constant(value) for name, value in inputs.items()})
        return dict(zip(inputs, manual.dense.dense_backward(tf.constant(dz), residuals), strict=True))

    gradients = {"reference": by_reference, "manual": by_manual}
    return Op("dense", lambda **named: reference.dense.dense_forward(**named)[0], inputs, dz, gradients)


def _network_op(case: Any) -> Op:
    """Returns the whole network: its loss as a function of each parameter."""
    numbers = problem(case, "float64")
    for _, _, w in named_weights(numbers.parameters):
        w[w == 0] = 0.25  # off the kink of a penalty, where a difference has two sides
    inputs = _flat(numbers.parameters)

    def forward(**named: np.ndarray) -> Any:
        given = iter(named.values())
        parameters = map_weights(lambda _: next(given), numbers.parameters)
        arguments = (parameters, numbers.x, numbers.y, numbers.sample_weight)
        return reference.loss_and_outputs(case.network, *arguments)[0]

    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)

    def gradients_of(writing: Any) -> Tensors:
        _, gradients = writing.loss_and_gradients(case.network, *arguments)
        return _flat(gradients)

    gradients = {"reference": lambda: gradients_of(reference), "manual": lambda: gradients_of(manual)}
    return Op(case.name, forward, inputs, np.ones(()), gradients)


def _flat(nested: Any) -> Tensors:
    """Returns parameters or gradients by name and place."""
    return {f"{name}_{'_'.join(map(str, place))}": w for place, name, w in named_weights(nested)}
