"""Likely mistakes in the gradient of any function, as numbers that `diagnosis` compares with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.paths import Path, paths
from tfbp.checking.subject import Program, Values
from tfbp.judging.arrays import as_float64
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt

Arrays = list[Any]


@dataclass
class Hypotheses:
    """Clues for each gradient of a program, made where something is wrong, and only then.

    Attributes:
        right: the gradients that are right, by name; None where nobody knows.
        oracle: a program that autodiff differentiates to the right gradients, where there is one.
    """

    program: Program
    values: Values
    upstream: Arrays
    right: Arrays
    oracle: Program | None = None
    _paths: list[Path] | None = field(default=None, repr=False)
    _without_constants: dict[str, list[np.ndarray]] = field(default_factory=dict, repr=False)

    def clues(self, index: int) -> Callable[[], Clues]:
        """A function that gives the clues for the gradient with that index."""
        return lambda: self._clues(index)

    def _clues(self, index: int) -> Clues:
        right = self.right[index]
        mistakes: dict[str, np.ndarray] = {}
        others: dict[str, np.ndarray] = {}
        terms: dict[str, np.ndarray] = {}
        for path in self._through():
            term = path.terms[index]
            # the gradient through one operation alone is not a term of a sum
            if (
                np.shape(term) != right.shape
                or not term.any()
                or np.allclose(term, right, rtol=1e-9, atol=0)
                or any(np.allclose(term, each, rtol=1e-9, atol=0) for each in terms.values())
            ):
                term = None
            if term is not None:
                terms[f"through {path.name}"] = term
                mistakes[f"all but the term through {path.name} is missing"] = term
            if path.without_derivative is not None:
                mistakes.setdefault(f"the derivative of {path.name} is left out", path.without_derivative[index])
            for derivative, gradients in path.mistaken.items():
                others.setdefault(f"the derivative of {path.name} is taken for {derivative}", gradients[index])
        for constant, gradients in self._without_constants.items():
            if not np.allclose(gradients[index], right, rtol=1e-12, atol=0):
                mistakes[f"the constant {constant} is left out"] = gradients[index]
        mistakes.update(self._of_upstream(index))
        mistakes.update(self._of_shape(index))
        factors = self._factors(right) | self._intermediate(right)
        return Clues(mistakes, terms, factors, self._sizes(), others=others)

    def _through(self) -> list[Path]:
        if self._paths is None:
            traced_paths = attempt(paths, self.oracle, self.values, self.upstream) if self.oracle else ([], {})
            self._paths, self._without_constants = ([], {}) if isinstance(traced_paths, Failure) else traced_paths
        return self._paths

    def _of_upstream(self, index: int) -> dict[str, np.ndarray]:
        """With another upstream gradient: all ones, the mean, the absolute value, of one output alone."""
        mistakes = {}
        if len(self.upstream) == 1 and self.upstream[0].shape == self.right[index].shape:
            mistakes["the upstream gradient is passed on, as if the derivative were 1"] = self.upstream[0]
            forwards = attempt(self._forwards, index)
            if not isinstance(forwards, Failure) and np.shape(forwards) == self.right[index].shape:
                mistakes["the upstream gradient goes forwards: the Jacobian in the place of its transpose"] = forwards
        if self.oracle is None:
            return mistakes
        ones = [np.ones_like(u) for u in self.upstream]
        tried = {
            "the upstream gradient is ignored, as if it were 1": ones,
            "the upstream gradient is summed before its use": [0 * u + u.sum() for u in self.upstream],
            "the upstream gradient is averaged before its use": [0 * u + u.mean() for u in self.upstream],
            "the upstream gradient is used twice, as a square": [u * u for u in self.upstream],
            "the upstream gradient has lost its sign": [np.abs(u) for u in self.upstream],
            "the upstream gradient's first row is taken for all": [
                np.broadcast_to(u[:1], u.shape) if u.ndim else u for u in self.upstream
            ],
            "the upstream gradient is clipped to ±1": [np.clip(u, -1, 1) for u in self.upstream],
        }  # fmt: skip
        for k in range(len(self.upstream) if len(self.upstream) > 1 else 0):
            left_out = [0 * u if j == k else u for j, u in enumerate(self.upstream)]
            tried[f"the upstream gradient of output {k} is left out"] = left_out
        for name, upstream in tried.items():
            run = attempt(self.oracle.run, self.values, upstream)
            gradient = None if isinstance(run, Failure) else run[1][index]
            if gradient is not None:
                mistakes[name] = as_float64(gradient)
        return mistakes

    def _forwards(self, index: int) -> np.ndarray:
        """The Jacobian by the upstream gradient: what a rotation the wrong way makes, or the inverse permutation."""
        program, place = self.oracle or self.program, self.program.where[index]
        program.restore()
        tensors = program.tensors(self.values)
        tangent = tf.constant(self.upstream[0], tensors[place].dtype)
        with tf.autodiff.ForwardAccumulator(tensors[place], tangent) as accumulator:
            output = program.forward(*tensors)[0]
        program.restore()
        return as_float64(accumulator.jvp(output, unconnected_gradients="zero"))

    def _of_shape(self, index: int) -> dict[str, np.ndarray]:
        """Of another argument, along another axis, in another order."""
        right, mistakes = self.right[index], {}
        for other, gradient in enumerate(self.right):
            if other == index or gradient is None:
                continue
            if gradient.shape == right.shape:
                mistakes[f"it is the gradient of {self.program.names[other]}"] = gradient
        for axis in range(right.ndim):
            if right.shape[axis] < 2:
                continue
            total = np.broadcast_to(right.sum(axis=axis, keepdims=True), right.shape)
            mistakes[f"summed over axis {axis}, and broadcast"] = total
            mistakes[f"averaged over axis {axis}, and broadcast"] = total / right.shape[axis]
            mistakes[f"in reverse order along axis {axis}"] = np.flip(right, axis)
            mistakes[f"shifted by one along axis {axis}"] = np.roll(right, 1, axis)
            mistakes[f"shifted back by one along axis {axis}"] = np.roll(right, -1, axis)
            for place, what in ((0, "first"), (-1, "last")):
                short = right.copy()
                np.moveaxis(short, axis, 0)[place] = 0
                mistakes[f"one row short: the {what} along axis {axis} is left at 0"] = short
        mistakes["without its sign: the absolute value"] = np.abs(right)
        mistakes["clipped to ±1"] = np.clip(right, -1, 1)
        norm = float(np.linalg.norm(right))
        if norm:
            mistakes["scaled to norm 1"] = right / norm
        return mistakes

    def _factors(self, right: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs, and upstream gradients, that fit the gradient's shape elementwise."""
        named = dict(zip(self.program.names, (self.values[i] for i in self.program.where), strict=True))
        named |= {"dy" if len(self.upstream) == 1 else f"dy of output {k}": u for k, u in enumerate(self.upstream)}
        return {name: v for name, v in named.items() if np.size(v) > 1 and _fits(np.shape(v), right.shape) and v.all()}

    def _intermediate(self, right: np.ndarray) -> dict[str, np.ndarray]:
        """The forward's intermediate results, and factors of derivatives made from them: 1 - s, 1 - y²."""
        tensors_by_name: dict[str, np.ndarray] = {}
        for path in self._through() if right.size <= 100_000 else []:
            name, value = path.name, path.value.astype(np.float64)
            if value.size < 2 or not _fits(value.shape, right.shape):
                continue
            tensors_by_name[name] = value
            if name.startswith(("Sigmoid", "Softmax")):
                tensors_by_name[f"1 - {name}"] = 1 - value
                tensors_by_name[f"{name} · (1 - {name})"] = value * (1 - value)
            if name.startswith("Tanh"):
                tensors_by_name[f"1 - {name}²"] = 1 - value**2
        return {name: value for name, value in tensors_by_name.items() if value.all() and np.isfinite(value).all()}

    def _sizes(self) -> dict[str, int]:
        """The axes, each length once, by the first that has it."""
        sizes: dict[str, int] = {}
        shapes = dict(zip(self.program.names, (self.values[i].shape for i in self.program.where), strict=True))
        shapes |= {f"output {k}" if len(self.upstream) > 1 else "output": u.shape for k, u in enumerate(self.upstream)}
        for name, shape in shapes.items():
            for axis, size in enumerate(shape):
                if size > 2 and size not in sizes.values():
                    sizes[f"{name}.shape[{axis}]"] = size
            total = int(np.prod(shape))
            if len(shape) > 1 and total not in sizes.values():
                sizes[f"{name}.size"] = total
        return sizes


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
