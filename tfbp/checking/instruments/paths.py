"""Mistakes on purpose in an oracle: what a gradient would be if one path, or one derivative, had been forgotten.

The oracle's forward is traced once, with switches at every operation. One cuts the path through it: the gradient
less that is the term that flows through. Others let the upstream gradient past it as if its derivative were 1, or what
a sigmoid's and a tanh's are mistaken for. One leaves out a small constant. A missing term of a softmax, of a
normalization's mean or of a product is such a path, and so is an epsilon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.editing import edited, unoptimized
from tfbp.checking.subject import Program, Values

_NO_PATH = frozenset(
    ["Const", "Placeholder", "Identity", "IdentityN", "ReadVariableOp", "Shape", "StopGradient", "Cast", "NoOp"]
)
MOST = 48
# by the operation's type: what its derivative is mistaken for, of its input x and its output y
_MISTAKEN: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "Sigmoid": {"y": lambda x, y: y, "1 - y": lambda x, y: 1 - y, "x (1 - x)": lambda x, y: x * (1 - x)},
    "Tanh": {"1 - y": lambda x, y: 1 - y, "1 + y²": lambda x, y: 1 + y * y, "1 - x²": lambda x, y: 1 - x * x},
}
_VARIANTS = max(map(len, _MISTAKEN.values()))
# an epsilon is a number above 0 and at most this
SMALL = 0.01


@dataclass(frozen=True)
class Path:
    """One operation of the forward: its value, each gradient's term through it, each without its derivative, and each
    with what that is mistaken for, by name."""

    name: str
    value: np.ndarray
    terms: list[Any]
    without_derivative: list[Any] | None
    mistaken: dict[str, list[Any]] = field(default_factory=dict)


@unoptimized()
def paths(
    oracle: Program, values: Values, upstream: Sequence[np.ndarray]
) -> tuple[list[Path], dict[str, list[np.ndarray]]]:
    """Every operation of the oracle's forward that some, but not all, of a gradient flows through; and the gradients
    without each of its small constants, by the constant."""
    switches = _Switches()

    def switched(cut: Any, past: Any, mistaken: Any, left_out: Any, tensors: Any, upstream: Any) -> Any:
        switches.cut, switches.past, switches.mistaken, switches.left_out = cut, past, mistaken, left_out
        watched = [tensors[i] for i in oracle.subject.differentiable]
        with edited(switches.edit):
            outputs = oracle.forward(*tensors)
        # a tape would record the operation as it was; the graph holds what was made of it
        gradients = tf.gradients(
            outputs, [*watched, *oracle.variables], grad_ys=list(upstream), unconnected_gradients="zero"
        )
        return [tf.convert_to_tensor(gradient) for gradient in gradients], switches.values

    oracle.restore()
    tensors, dy = oracle.tensors(values), oracle.upstream(upstream)
    off, none = np.zeros(MOST), np.zeros((_VARIANTS, MOST))
    traced = tf.function(switched, autograph=False).get_concrete_function(off, off, none, off, tensors, dy)

    def gradients(cut: Any, past: Any, mistaken: Any = none, left_out: Any = off) -> list[np.ndarray]:
        found, _ = traced(*map(tf.constant, (cut, past, mistaken, left_out)), tensors, dy)
        return [each.numpy().astype(np.float64) for each in found]

    values_of = [each.numpy() for each in traced(*map(tf.constant, (off, off, none, off)), tensors, dy)[1]]

    whole, ones = gradients(off, off), np.eye(MOST)
    cut = [gradients(ones[index], off) for index in range(len(switches.names))]
    # what has no part in any gradient stays cut, as the maximum that a softmax takes off: its terms cancel each other
    nothing = np.zeros(MOST)
    for index, without in enumerate(cut):
        nothing[index] = all(_alike(w, g) for w, g in zip(whole, without, strict=True))
    found = []
    for index, (name, straight) in enumerate(switches.names):
        if not nothing[index]:
            terms = [w - g for w, g in zip(whole, gradients(nothing + ones[index], off), strict=True)]
            past = gradients(off, ones[index]) if straight else None
            mistaken = {}
            for which, variant in enumerate(_MISTAKEN.get(name.split(" ")[0], {}) if straight else {}):
                switch = none.copy()
                switch[which, index] = 1
                mistaken[variant] = gradients(off, off, switch)
            found.append(Path(name, values_of[index], terms, past, mistaken))
    constants = {f"{c:g}": gradients(off, off, none, ones[index]) for index, c in enumerate(switches.constants)}
    oracle.restore()
    return found, constants


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-12 * np.linalg.norm(a))


class _Switches:
    """out, its gradient times 1 - cut - past - …; past times the upstream gradient goes to the input."""

    def __init__(self) -> None:
        self.names: list[tuple[str, bool]] = []
        self.values: list[Any] = []
        self.constants: list[float] = []
        self.cut: Any = None
        self.past: Any = None
        self.mistaken: Any = None
        self.left_out: Any = None

    def edit(self, op_type: str, inputs: Any, output: Any) -> Any:
        if op_type == "Const":
            return self._constant(output)
        if op_type in _NO_PATH or len(self.names) == MOST:
            return output
        index, count = len(self.names), sum(name.split(" ")[0] == op_type for name, _ in self.names)
        like = [i for i in output.op.inputs if i.dtype == output.dtype and i.shape == output.shape]
        self.names.append((f"{op_type} {count + 1}" if count else op_type, bool(like)))
        self.values.append(output)
        stopped = tf.stop_gradient(output)
        cut, past = (tf.cast(edge[index], output.dtype) for edge in (self.cut, self.past))
        if not like:
            return stopped + (1 - cut - past) * (output - stopped)
        x, slope, other = tf.stop_gradient(like[0]), past, cut + past
        for which, mistaken in enumerate(_MISTAKEN.get(op_type, {}).values()):
            switch = tf.cast(self.mistaken[which, index], output.dtype)
            slope, other = slope + switch * mistaken(x, stopped), other + switch
        return stopped + (1 - other) * (output - stopped) + slope * (like[0] - x)

    def _constant(self, output: Any) -> Any:
        value = tf.get_static_value(output) if output.dtype.is_floating else None
        if value is None or value.size != 1 or not 0 < value.item() <= SMALL or len(self.constants) == MOST:
            return output
        self.constants.append(float(value.item()))
        return output * (1 - tf.cast(self.left_out[len(self.constants) - 1], output.dtype))
