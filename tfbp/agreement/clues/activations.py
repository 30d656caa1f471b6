"""Clues for an activation: f' at another point, missing or squared, or without a factor or a term."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfbp.agreement.clues.arguments import off_default
from tfbp.judging.diagnosis import Clues
from tfbp.reference.activations import activation_backward as backward
from tfbp.reference.activations import activation_forward as forward
from tfbp.reference.smooth_activations import sigmoid_forward, softplus_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import ACTIVATIONS, Activation

Array = np.ndarray
_ROWWISE = ("softmax", "log_softmax", "sparsemax")


def activation_forward(activation: Activation, z: Array) -> Clues:
    y = forward(activation, z)[0]
    mistakes = {"z is handed on: the activation is missing": z} if activation.name != "linear" else {}
    if off_default(activation):
        plain = Activation(activation.name)
        mistakes["its arguments are ignored: these are the defaults' values"] = forward(plain, z)[0]
    for name in ACTIVATIONS:
        if name not in (activation.name, "linear", "threshold"):
            mistakes[f"these are {name}'s values"] = forward(Activation(name), z)[0]
    terms = {"z": z}
    if activation.name in ("squareplus",):
        terms = {"½ z": z / 2, "½ √(z² + b)": y - z / 2}
    if activation.name == "gelu":
        terms = {"½ z": z / 2, "½ z times the odd function": y - z / 2}
    return Clues(mistakes, terms, {"z": z, "y": y}, {"O": z.shape[-1]}, _regions(activation, z))


def activation_backward(activation: Activation, dy: Array, z: Array) -> Clues:
    """Clues for dz: f' at another point, missing or squared, or without a factor or a term."""
    y, name = forward(activation, z)[0], activation.name
    dz = backward(activation, dy, z)
    mistakes = {"dy is handed on: f' is missing": dy} if name != "linear" else {}
    with np.errstate(all="ignore"):
        mistakes["f' is taken at y in place of z: the activation for the pre-activation"] = backward(activation, dy, y)
        mistakes["dy is left out"] = backward(activation, np.ones_like(dy), z)
        if name in _OF_Y:
            mistakes["f' is taken at z in place of y: the pre-activation for the activation"] = _OF_Y[name](dy, z)
        if name == "softmax":
            mistakes["only the Jacobian's diagonal is taken, as if elementwise"] = dy * y * (1 - y)
        if off_default(activation):
            mistakes["its arguments are ignored: these are the defaults' values"] = backward(Activation(name), dy, z)
        for other in ACTIVATIONS:
            if other not in (name, "linear", "threshold"):
                mistakes[f"this is {other}'s derivative"] = backward(Activation(other), dy, z)
        factors, terms = {}, {}
        if name not in (*_ROWWISE, "linear"):
            slope = backward(activation, np.ones_like(dy), z)
            factors = {"f'": slope}
            factors.update({n: f(z, y, activation) for n, f in _FACTORS.get(name, {}).items()})
        if name in _TERMS:
            terms = _TERMS[name](dy, z, y)
        elif name in ("silu", "gelu", "mish", "hard_silu"):
            gate = dy * np.where(z == 0, 0.5, y / np.where(z == 0, 1, z))
            terms = {"dy · y/z": gate, "dy · z (y/z)'": dz - gate}
    return Clues(mistakes, terms, factors, {"B": len(z), "O": z.shape[-1]}, _regions(activation, z), _kinks(z))


def _softmax_terms(dy: Array, z: Array, y: Array) -> dict[str, Array]:
    return {"y · dy": y * dy, "-y Σ dy y": -y * (dy * y).sum(axis=-1, keepdims=True)}


def _log_softmax_terms(dy: Array, z: Array, y: Array) -> dict[str, Array]:
    return {"dy": dy, "-softmax(z) Σ dy": -softmax_forward(z) * dy.sum(axis=-1, keepdims=True)}


def _sparsemax_terms(dy: Array, z: Array, y: Array) -> dict[str, Array]:
    seen = y > 0
    return {"s dy": seen * dy, "-s mean of dy": seen * -dy.mean(axis=-1, keepdims=True, where=seen)}


_TERMS: dict[str, Callable[[Array, Array, Array], dict[str, Array]]] = {
    "softmax": _softmax_terms,
    "log_softmax": _log_softmax_terms,
    "sparsemax": _sparsemax_terms,
    "tanh": lambda dy, z, y: {"dy": dy, "-dy y²": -dy * y * y},
    "sigmoid": lambda dy, z, y: {"dy y": dy * y, "-dy y²": -dy * y * y},
    "tanh_shrink": lambda dy, z, y: {"dy": dy, "-dy (1 - tanh²)": -dy * (1 - np.tanh(z) ** 2)},
}
# f' · dy as a function of y, for derivatives in this form
_OF_Y: dict[str, Callable[[Array, Array], Array]] = {
    "sigmoid": lambda dy, y: dy * y * (1 - y),
    "tanh": lambda dy, y: dy * (1 - y * y),
    "exponential": lambda dy, y: dy * y,
    "tanh_shrink": lambda dy, y: dy * y * y,
    "softmax": lambda dy, y: y * (dy - (dy * y).sum(axis=-1, keepdims=True)),
    "log_softmax": lambda dy, y: dy - np.exp(y) * dy.sum(axis=-1, keepdims=True),
}


def _s(z: Array, y: Array, a: Activation) -> Array:
    return sigmoid_forward(z)


def _one_minus_s(z: Array, y: Array, a: Activation) -> Array:
    return 1 - sigmoid_forward(z)


# the factors of f' or of a term of it
_FACTORS: dict[str, dict[str, Callable[[Array, Array, Activation], Array]]] = {
    "sigmoid": {"y": lambda z, y, a: y, "1 - y": lambda z, y, a: 1 - y},
    "tanh": {"1 + y": lambda z, y, a: 1 + y, "1 - y": lambda z, y, a: 1 - y},
    "tanh_shrink": {"tanh(z)": lambda z, y, a: np.tanh(z)},
    "softsign": {"1 / (1 + |z|)": lambda z, y, a: 1 / (1 + np.abs(z))},
    "silu": {"z": lambda z, y, a: z, "sigmoid(z)": _s, "1 - sigmoid(z)": _one_minus_s},
    "mish": {
        "z": lambda z, y, a: z,
        "sigmoid(z)": _s,
        "1 - t²": lambda z, y, a: 1 - np.tanh(softplus_forward(z)) ** 2,
        "1 + t": lambda z, y, a: 1 + np.tanh(softplus_forward(z)),
    },
    "gelu": {
        "z": lambda z, y, a: z,
        "1/√2": lambda z, y, a: np.full_like(z, np.sqrt(0.5)),
        "1/√(2π)": lambda z, y, a: np.full_like(z, 1 / np.sqrt(2 * np.pi)),
        "√(2/π)": lambda z, y, a: np.sqrt(2 / np.pi) * np.ones_like(z),
        "exp(-z²/2)": lambda z, y, a: np.exp(-z * z / 2),
        "3 of 3 · 0.044715 z²": lambda z, y, a: (1 + 3 * 0.044715 * z * z) / (1 + 0.044715 * z * z),
        "1 + 3 · 0.044715 z²": lambda z, y, a: 1 + 3 * 0.044715 * z * z,
    },
    "hard_silu": {"1/6": lambda z, y, a: np.full_like(z, 1 / 6), "z": lambda z, y, a: z},
    "hard_sigmoid": {"1/6": lambda z, y, a: np.full_like(z, 1 / 6)},
    "sparse_sigmoid": {"½": lambda z, y, a: np.full_like(z, 0.5)},
    "elu": {"alpha, where z < 0,": lambda z, y, a: np.where(z > 0, 1.0, float(a.arguments["alpha"] or 1))},
    "celu": {"alpha, where z < 0,": lambda z, y, a: np.where(z > 0, 1.0, float(a.arguments["alpha"] or 1))},
    "selu": {
        "scale": lambda z, y, a: np.full_like(z, 1.0507009873554805),
        "alpha, where z < 0,": lambda z, y, a: np.where(z > 0, 1.0, 1.6732632423543772),
    },
    "leaky_relu": {"negative_slope": lambda z, y, a: np.where(z > 0, 1.0, float(a.arguments["negative_slope"] or 1))},
}


def _kinks(z: Array) -> dict[str, Array]:
    points = {bound: z == bound for bound in (0.0, 6.0, 0.25, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0)}
    both = {f"|z| = {bound:g}": np.abs(z) == bound for bound in (0.5, 1.0, 3.0)}
    return {**{f"z = {bound:g}": at for bound, at in points.items()}, **both}


def _regions(activation: Activation, z: Array) -> dict[str, Array]:
    out = {}
    out.update({"z < 0": z < 0, "z > 0": z > 0, "z ≥ 0": z >= 0, "z ≤ 0": z <= 0})
    for bound in (6.0, 1.0, 3.0):
        out.update({f"z > {bound:g}": z > bound, f"z < -{bound:g}": z < -bound, f"|z| > {bound:g}": np.abs(z) > bound})
    return out
