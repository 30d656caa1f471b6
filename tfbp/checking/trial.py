"""The state that the parts of a check share: the program, its test point, and the findings so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments import complex_steps
from tfbp.checking.instruments.noise import Noise
from tfbp.checking.instruments.slopes import Slope, of_few_bits, slope, typical
from tfbp.checking.report import Finding
from tfbp.checking.subject import NUMPY, Program, Subject, Values
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNIT_ROUNDOFF

Arrays = list[Any]
LARGE = 1_000_000
# an entry is tiny that is this small beside the others' root mean square
TINY = 1 / 16
# steps that are this much smaller go over few kinks, and are still large beside float64's roundings
NEARER = 2.0**-10


@dataclass
class Trial:
    """One function on trial, in the widest dtype that it runs in.

    Attributes:
        values: the test point. upstream: a random signed upstream gradient for each output.
        first: the tensors of its first run.
        outputs, gradients: what the function itself gives there; None where it gives nothing.
        tolerances: of outputs, gradients, and gradients' sizes, by rounding alone.
        right: the gradients that the vote found right, None where nothing is known.
        refuted: the arguments whose own gradient is wrong. worst: the largest error / tolerance of what agrees.
        unit: of the function's outputs, which may be narrower than its inputs'.
        on_gpu: whether it runs where there is TF32. is_linear: in its upstream gradient, as one run has shown.
        is_analytic: as differences have shown, of a function that takes complex numbers.
        special: points with numbers at which formulas change. crossed: how many of the probes crossed a kink.
    """

    subject: Subject
    program: Program
    values: Values
    upstream: Arrays
    rng: np.random.Generator
    first: Any = None
    outputs: Arrays = field(default_factory=list)
    gradients: Arrays = field(default_factory=list)
    tolerances: tuple[Arrays, Arrays, list[float]] = ([], [], [])
    right: Arrays = field(default_factory=list)
    refuted: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    special: list[Any] = field(default_factory=list)
    progress: Callable[[float, str], None] = lambda share, what: None
    worst: float = 0.0
    crossed: int = 0
    probes: int = 0
    on_gpu: bool = False
    is_linear: bool = False
    is_analytic: bool = False

    def __post_init__(self) -> None:
        size = sum(self.values[i].size for i in self.program.where)
        # of ten million numbers each pass takes a second: what repeats, repeats less
        self.large = size >= LARGE
        self.noise = Noise(self.program, samples=1 if self.large else 16)
        self.unit = UNIT_ROUNDOFF[self.program.dtype]
        self._forward: Any = None
        # a product of complex numbers is four: of a large program differences cost less
        self.takes_complex = not self.program.variables and not self.large

    def find(self, argument: str, where: str, cause: str, kind: str, ratio: float = np.inf, **place: str) -> None:
        """Add a finding, in the program's dtype and eagerly by default."""
        place = {"mode": "eager", "dtype": self.program.dtype} | place
        self.findings.append(Finding(argument, where, cause, kind=kind, ratio=ratio, **place))

    def at(self, values: Values) -> np.ndarray:
        """Every upstream · output, flat, at other values; by a graph where the function can be traced."""
        self.program.restore()
        tensors = self.program.tensors(values)
        if self._forward is None:
            self._forward = self.program.forward
            if not self.program.seeded:
                traced = tf.function(self.program.forward, autograph=False)
                if not isinstance(attempt(traced.get_concrete_function, *tensors), Failure):
                    self._forward = traced
        outputs = self._forward(*tensors)
        self.program.restore()
        parts = [(u * as_float64(o)).ravel() for u, o in zip(self.upstream, outputs, strict=True)]
        return np.concatenate(parts)

    def slope(
        self,
        directions: dict[int, np.ndarray],
        at: Callable[[Values], np.ndarray] | None = None,
        known: Slope | None = None,
    ) -> Slope:
        """The slope of Σ upstream · output along directions, by their places in the values; with what is known of it by
        larger steps."""
        asked = at or self.at

        def along(step: float) -> np.ndarray:
            return asked([v + step * directions[i] if i in directions else v for i, v in enumerate(self.values)])

        wide = self.unit == UNIT_ROUNDOFF["float64"]
        self.probes += 1
        if wide and at is None and (settled := complex_steps.slope(self, directions, along)):
            return settled
        levels = 4 if self.large else 11
        found = slope(
            along,
            2.0**-6 if wide else 2.0**-4,
            self.unit,
            levels if wide else 6,
            known,
            self._roundings if at is None else 0.0,
        )
        self.crossed += found.crossed
        return found

    @property
    def _roundings(self) -> Any:
        """Of every upstream · output, flat, where they are known: half their tolerances."""
        if self.unit != UNIT_ROUNDOFF[self.program.dtype] or not self.tolerances[0]:
            return 0.0
        return np.concatenate(
            [
                (np.abs(u) * np.broadcast_to(t, u.shape)).ravel() / 2
                for u, t in zip(self.upstream, self.tolerances[0], strict=True)
            ]
        )

    def direction(self, place: int) -> np.ndarray:
        """A random direction, no element of which is near 0, as large as the values."""
        value = self.values[place]
        sizes = typical(value) * self.rng.uniform(0.5, 1.5, value.shape)
        return of_few_bits(sizes) * self.rng.choice([-1.0, 1.0], value.shape)

    def direction_by_entry(self, place: int) -> np.ndarray | None:
        """A random direction, each element as large as the value's own: None where none of these is far below others.

        A step that is small beside 0.7 goes across the pole of a logarithm beside 1e-10.
        """
        sizes = np.abs(self.values[place])
        tiny = (sizes > 0) & (sizes < TINY * typical(sizes))
        if not tiny.any():
            return None
        sizes = np.where(tiny, sizes, typical(sizes))
        return of_few_bits(sizes * self.rng.uniform(0.5, 1.5, sizes.shape)) * self.rng.choice([-1.0, 1.0], sizes.shape)

    def rounded(self, values: Sequence[np.ndarray], dtype: str) -> Values:
        """The numbers as a dtype holds them."""
        return [v.astype(NUMPY[dtype]).astype(np.float64) if v.dtype.kind == "f" else v for v in values]


def arrays(tensors: Sequence[Any]) -> Arrays:
    """As float64 arrays, None where there is none."""
    return [None if t is None else as_float64(t) for t in tensors]
