"""What is known around each tensor of a network, for its diagnosis: what it would be if a common mistake were made.

Everything is computed from the reference's float64, and only where a tensor disagrees.
B batch, I inputs, O outputs of a layer; x (B, I), kernel (I, O), z and y (B, O).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tfbp.checking.diagnosis import Clues
from tfbp.network import Dense, Layer, Residual, at
from tfbp.reference.activations import activation_backward as backward
from tfbp.reference.activations import activation_forward as forward
from tfbp.reference.chain import chain_backward as _chain_backward
from tfbp.reference.dense import dense_backward as _dense_backward
from tfbp.reference.losses import loss_backward as _loss_backward
from tfbp.reference.losses import loss_forward as _loss_forward
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.residual import forward as _forward_of
from tfbp.reference.smooth_activations import sigmoid_forward, softplus_forward
from tfbp.reference.softmax import softmax_forward
from tfbp.vocabulary import ACTIVATIONS, L1L2, LOSSES, Activation, Loss

Array = np.ndarray
ByName = dict[str, Callable[[], Clues]]
_ROWWISE = ("softmax", "log_softmax")


def local(network: Any, inputs: Any) -> ByName:
    """Of every tensor that is compared locally."""
    out: ByName = {}
    for node, fed in zip(network.nodes, inputs, strict=False):
        put, activation = f"layer {node.name}", network.activation_before_loss(node)
        out.update({f"{put} {name}": found for name, found in _of_layer(node.layer, fed).items()})
        out[f"{put} y"] = partial(activation_forward, activation, fed["z"])
        out[f"{put} dz"] = partial(activation_backward, activation, fed["dy"], fed["z"])
    last = inputs[-1]
    out["losses"] = partial(loss_forward, network.loss, last["y"], last["outputs"])
    out["doutputs"] = partial(loss_backward, network.loss, last["dlosses"], last["y"], last["outputs"])
    return out


def _of_layer(layer: Layer, fed: Any) -> ByName:
    """Of z, dx and the gradients of a layer by itself."""
    if isinstance(layer, Dense) and fed["x"].ndim == 2:
        x, kernel, dz = fed["x"], fed["weights"]["kernel"], fed["dz"]
        return {
            "z": partial(dense_forward, x, kernel, fed["weights"].get("bias")),
            **{name: partial(dense_backward, name, x, kernel, dz) for name in _GRADIENTS},
        }
    if isinstance(layer, Residual):
        return {"z": partial(residual_forward, layer, fed), "dx": partial(residual_backward, layer, fed)}
    return {}


def end_to_end(network: Any, numbers: Any, tensors: Any) -> ByName:
    """Of every tensor of a whole pass."""
    last = tensors[-1]
    each = [{**at(tensors, node.place), "weights": at(numbers.parameters, node.place)} for node in network.nodes]
    out = local(network, [*each, {**last, "y": numbers.y}])
    out["loss"] = partial(_whole_loss, network, numbers, last["losses"])
    out["dlosses"] = partial(_seeds, numbers.sample_weight, network.outputs)
    for place, name, regularizer in network.penalties:
        tensor, put = at(tensors, place), f"layer {'.'.join(map(str, place))} d{name}"
        if put in out:
            w = at(numbers.parameters, place)[name]
            of_loss = tensor["x"].T @ tensor["dz"] if name == "kernel" else tensor["dz"].sum(axis=0)
            right = of_loss + penalty_backward(regularizer, w)
            out[put] = partial(_with_penalty, out[put], regularizer, w, right)
    for node in network.top_nodes:
        (i,) = node.place
        handed = tensors[i + 1]["dz"] if i + 1 < len(network.layers) else last["doutputs"]
        out[f"layer {i} dy"] = partial(_handed_on, handed, len(numbers.x))
    return out


def residual_forward(layer: Residual, fed: Any) -> Clues:
    z, x = fed["z"], fed["x"]
    mistakes = {"nothing is added: the layers' output alone": z - x, "x alone, without the layers": x}
    return Clues({} if "projection" in layer.parts else mistakes, sizes={"B": len(x)})


def residual_backward(layer: Residual, fed: Any) -> Clues:
    """Of dx: a part of it that is left out."""
    _, residuals, _ = _forward_of(layer, fed["weights"], fed["x"], training=False, seed=None)
    dx = {}
    for part, inner in layer.parts.items():
        tensors, kept = residuals[part]
        dx[part] = _chain_backward(inner, tensors, kept, fed["dz"])[0]
    shortcut = dx.get("projection", fed["dz"])
    terms = {"dx of the layers": dx["layers"], "dx of the shortcut": shortcut}
    return Clues(terms=terms, sizes={"B": len(fed["x"])})


def dense_forward(x: Array, kernel: Array, bias: Array | None) -> Clues:
    mistakes = {"the kernel is transposed": x @ kernel.T} if kernel.shape[0] == kernel.shape[1] else {}
    if mistakes and bias is not None:
        mistakes["the kernel is transposed"] = mistakes["the kernel is transposed"] + bias
    width = x.shape[1]
    for n in _parts(width):
        part = x[:, :n] @ kernel[:n] + (0 if bias is None else bias)
        mistakes[f"only the first {n} of I = {width} inputs are summed"] = part
    terms = (
        {"x · kernel": x @ kernel} if bias is None else {"bias": bias * np.ones((len(x), 1)), "x · kernel": x @ kernel}
    )
    return Clues(mistakes, terms, sizes=_sizes(x, kernel), summed=width)


_GRADIENTS = ("dx", "dkernel", "dbias")


def dense_backward(name: str, x: Array, kernel: Array, dz: Array) -> Clues:
    """Of dx, dkernel or dbias."""
    rows = len(dz)
    mistakes: dict[str, Array] = {}

    def gradients(rows: slice) -> Array:
        return _dense_backward(dz[rows], (x[rows], kernel))[_GRADIENTS.index(name)]

    if name == "dx":
        if kernel.shape[0] == kernel.shape[1]:
            mistakes["the kernel is not transposed"] = dz @ kernel
        if kernel.shape[0] == kernel.shape[1]:
            mistakes["dz is handed on without its product with the kernel"] = dz
        for n in _parts(kernel.shape[1]):
            mistakes[f"only the first {n} of O = {kernel.shape[1]} outputs are summed"] = dz[:, :n] @ kernel[:, :n].T
        return Clues(mistakes, sizes=_sizes(x, kernel), summed=kernel.shape[1])
    for n in _parts(rows):
        mistakes[f"only the first {n} of B = {rows} rows are summed: the last is missing" if n == rows - 1 else
                 f"only the first {n} of B = {rows} rows are summed"] = gradients(slice(0, n))  # fmt: skip
    if rows > 1:
        mistakes["the first row is missing from the sum"] = gradients(slice(1, None))
        mistakes["the last row alone, without a sum"] = gradients(slice(-1, None))
        mistakes["the first row alone, without a sum"] = gradients(slice(0, 1))
    if name == "dbias" and dz.shape[0] == dz.shape[1]:
        mistakes["summed over the wrong axis"] = dz.sum(axis=1)
    if name == "dkernel" and dz.shape[0] == x.shape[1] == dz.shape[1]:
        mistakes["x is not transposed"] = x @ dz
    return Clues(mistakes, sizes=_sizes(x, kernel), summed=rows)


def activation_forward(activation: Activation, z: Array) -> Clues:
    y = forward(activation, z)[0]
    mistakes = {"z is handed on: the activation is missing": z} if activation.name != "linear" else {}
    if _off_default(activation):
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
    """Of dz: another point for f', f' missing or squared, a factor or a term of it missing."""
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
        if _off_default(activation):
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


_TERMS: dict[str, Callable[[Array, Array, Array], dict[str, Array]]] = {
    "softmax": _softmax_terms,
    "log_softmax": _log_softmax_terms,
    "tanh": lambda dy, z, y: {"dy": dy, "-dy y²": -dy * y * y},
    "sigmoid": lambda dy, z, y: {"dy y": dy * y, "-dy y²": -dy * y * y},
    "tanh_shrink": lambda dy, z, y: {"dy": dy, "-dy (1 - tanh²)": -dy * (1 - np.tanh(z) ** 2)},
}
# f' · dy as a function of y, where it is written so
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


# the factors that f' or a term of it is made of
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


def loss_forward(loss: Loss, y: Array, outputs: Array) -> Clues:
    terms: dict[str, Array] = {}
    mistakes = {f"these are {n}'s values": v for n, v in _of_other_losses(loss, y, outputs).items()}
    if _off_default(loss):
        plain = _loss_forward(Loss(loss.name), y, outputs)[0]
        mistakes["its arguments are ignored: these are the defaults' values"] = plain
    if loss.name == "binary_crossentropy":
        terms = {
            "softplus(outputs)": softplus_forward(outputs).mean(axis=-1),
            "-y · outputs": -(y * outputs).mean(axis=-1),
        }
    elif "categorical" in loss.name:
        target = np.eye(outputs.shape[-1])[y] if y.ndim == 1 else y
        picked = (target * outputs).sum(axis=-1)
        terms = {"-Σ y · outputs": -picked, "log Σ exp(outputs)": _loss_forward(loss, y, outputs)[0] + picked}
    return Clues(mistakes, terms, sizes={"B": len(outputs), "O": outputs.shape[-1]}, summed=outputs.shape[-1])


def loss_backward(loss: Loss, dlosses: Array, y: Array, outputs: Array) -> Clues:
    def gradient(loss: Loss, dlosses: Array, y: Array) -> Array:
        return _loss_backward(loss, dlosses, _loss_forward(loss, y, outputs)[1])

    width = outputs.shape[-1]
    mistakes = {"dlosses is left out": gradient(loss, np.ones_like(dlosses), y)}
    mistakes["weighted by the mean of dlosses"] = gradient(loss, np.full_like(dlosses, dlosses.mean()), y)
    if loss.name in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        target = np.eye(width)[y] if y.ndim == 1 else y
        p, rows = softmax_forward(outputs), dlosses[:, None]
        mistakes["targets are taken to sum to 1"] = rows * (p - target)
        mistakes["the outputs for their softmax"] = rows * (outputs * target.sum(axis=-1, keepdims=True) - target)
        terms = {"softmax": rows * p * target.sum(axis=-1, keepdims=True), "-y": -rows * target}
    elif loss.name == "binary_crossentropy":
        p, rows = sigmoid_forward(outputs), dlosses[:, None] / width
        mistakes["the outputs for their sigmoid"] = rows * (outputs - y)
        mistakes["times sigmoid' once more"] = rows * (p - y) * p * (1 - p)
        terms = {"sigmoid(outputs)": rows * p, "-y": -rows * y}
    else:
        rows = gradient(Loss("half_squared_error"), dlosses, y)
        terms = {}
        mistakes["the error itself, without its sign or clipping"] = rows / width
        if _off_default(loss):
            mistakes["its arguments are ignored: these are the defaults' values"] = gradient(
                Loss(loss.name), dlosses, y
            )
    for name, theirs in _of_other_losses(loss, y, outputs, dlosses).items():
        mistakes[f"this is {name}'s gradient"] = theirs
    error = np.zeros(outputs.shape) if y.ndim == 1 else outputs - y
    regions = {"outputs > y": error > 0, "outputs < y": error < 0}
    kinks = {"outputs = y": error == 0}
    return Clues(mistakes, terms, sizes={"B": len(outputs), "O": width}, regions=regions, kinks=kinks)


def _of_other_losses(loss: Loss, y: Array, outputs: Array, dlosses: Array | None = None) -> dict[str, Array]:
    """Values, or gradients, of the losses that take the same targets."""
    out = {}
    for name in LOSSES:
        if name != loss.name and name.startswith("sparse") == loss.name.startswith("sparse"):
            losses, kept = _loss_forward(Loss(name), y, outputs)
            out[name] = losses if dlosses is None else _loss_backward(Loss(name), dlosses, kept)
    return out


def _whole_loss(network: Any, numbers: Any, losses: Array) -> Clues:
    weight, penalties = numbers.sample_weight, 0.0
    terms = {}
    for place, name, regularizer in network.penalties:
        one = float(penalty_forward(regularizer, at(numbers.parameters, place)[name])[0])
        terms[f"layer {'.'.join(map(str, place))}'s penalty of {name}"] = np.array(one)
        penalties += one
    if penalties:
        terms["of all penalties"] = np.array(penalties)
    weighted = weight * losses
    mistakes = {
        "sample weights are ignored": np.array(losses.mean() + penalties),
        "divided by the sum of the sample weights, in place of B": np.array(weighted.sum() / weight.sum() + penalties),
        "a sum over the batch in place of the mean: 1/B is missing": np.array(weighted.sum() + penalties),
    }
    return Clues(mistakes, terms)


def _seeds(weight: Array, outputs: int) -> Clues:
    rows = len(weight)
    mistakes = {
        "sample weights are ignored": np.full(rows, 1 / rows),
        "divided by the sum of the sample weights, in place of B": weight / weight.sum(),
        "sample weights and 1/B are ignored": np.ones(rows),
        "sample weights are squared": weight**2 / rows,
    }
    return Clues(mistakes, sizes={"B": rows, "O": outputs})


def _with_penalty(without: Callable[[], Clues], regularizer: L1L2, w: Array, right: Array) -> Clues:
    known = without()
    terms = {
        "of the L1 penalty": penalty_backward(L1L2(l1=regularizer.l1), w),
        "of the L2 penalty": penalty_backward(L1L2(l2=regularizer.l2), w),
        "of the penalties": penalty_backward(regularizer, w),
    }
    factors = {
        "2": np.full(w.shape, 2.0),
        "l1": np.full(w.shape, regularizer.l1),
        "l2": np.full(w.shape, regularizer.l2),
    }
    terms = {name: term for name, term in terms.items() if np.any(term)}
    regions = {"the weight is below 0": w < 0, "the weight is above 0": w > 0}
    kinks = {"|w| at w = 0": w == 0}
    mistakes = {
        "|w|' is taken without its sign, as 1 everywhere": right + regularizer.l1 * (1 - np.sign(w)),
    }
    return Clues({**known.mistakes, **mistakes}, terms, factors, known.sizes, regions, kinks, known.summed)


def _handed_on(handed: Array, rows: int) -> Clues:
    return Clues({"dz of the layer above, handed past its kernel": handed}, sizes={"B": rows})


def _off_default(choice: Activation | Loss) -> bool:
    table = ACTIVATIONS if isinstance(choice, Activation) else LOSSES
    return choice.name != "threshold" and dict(choice.arguments) != dict(table[choice.name])


def _sizes(x: Array, kernel: Array) -> dict[str, int]:
    return {"B": len(x), "I": kernel.shape[0], "O": kernel.shape[1]}


def _parts(length: int) -> list[int]:
    return sorted({n for n in (length - 1, *(2**k for k in range(4, 14))) if 0 < n < length})


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
