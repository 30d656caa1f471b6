"""Mistakes on purpose in an oracle: what a gradient would be if one path, or one derivative, had been forgotten.

The oracle's forward is traced once, with a switch at every operation. One switch cuts the path through it: the gradient
less that is the term that flows through. The other lets the upstream gradient past it as if its derivative were 1.
A missing term of a softmax, of a normalization's mean or of a product is such a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.editing import edited
from tfbp.checking.subject import Program, Values

_NO_PATH = frozenset(
    ["Const", "Placeholder", "Identity", "IdentityN", "ReadVariableOp", "Shape", "StopGradient", "Cast", "NoOp"]
)
MOST = 48


@dataclass(frozen=True)
class Path:
    """One operation of the forward: its value, each gradient's term through it, and each without its derivative."""

    name: str
    value: np.ndarray
    terms: list[Any]
    without_derivative: list[Any] | None


def paths(oracle: Program, values: Values, upstream: Sequence[np.ndarray]) -> list[Path]:
    """Every operation of the oracle's forward that some, but not all, of a gradient flows through."""
    switches = _Switches()

    def switched(cut: Any, past: Any, tensors: Any, upstream: Any) -> Any:
        switches.cut, switches.past = cut, past
        watched = [tensors[i] for i in oracle.subject.differentiable]
        with edited(switches.edit):
            outputs = oracle.forward(*tensors)
        # a tape would record the operation as it was; the graph holds what was made of it
        gradients = tf.gradients(
            outputs, [*watched, *oracle.variables], grad_ys=list(upstream), unconnected_gradients="zero"
        )
        return [tf.convert_to_tensor(each) for each in gradients], switches.values

    oracle.restore()
    tensors, dy = oracle.tensors(values), oracle.upstream(upstream)
    off = np.zeros(MOST)
    traced = tf.function(switched, autograph=False).get_concrete_function(off, off, tensors, dy)

    def gradients(cut: np.ndarray, past: np.ndarray) -> list[np.ndarray]:
        found, _ = traced(tf.constant(cut), tf.constant(past), tensors, dy)
        return [each.numpy().astype(np.float64) for each in found]

    values_of = [each.numpy() for each in traced(tf.constant(off), tf.constant(off), tensors, dy)[1]]

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
            found.append(Path(name, values_of[index], terms, gradients(off, ones[index]) if straight else None))
    oracle.restore()
    return found


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-12 * np.linalg.norm(a))


class _Switches:
    """out, whose gradient is multiplied by 1 - cut - past, and past times the upstream gradient goes to the input."""

    def __init__(self) -> None:
        self.names: list[tuple[str, bool]] = []
        self.values: list[Any] = []
        self.cut: Any = None
        self.past: Any = None

    def edit(self, op_type: str, inputs: Any, output: Any) -> Any:
        if op_type in _NO_PATH or len(self.names) == MOST:
            return output
        index, count = len(self.names), sum(name.split(" ")[0] == op_type for name, _ in self.names)
        like = [i for i in output.op.inputs if i.dtype == output.dtype and i.shape == output.shape]
        self.names.append((f"{op_type} {count + 1}" if count else op_type, bool(like)))
        self.values.append(output)
        stopped = tf.stop_gradient(output)
        cut, past = (tf.cast(each[index], output.dtype) for each in (self.cut, self.past))
        edited = stopped + (1 - cut - past) * (output - stopped)
        return edited + past * (like[0] - tf.stop_gradient(like[0])) if like else edited
