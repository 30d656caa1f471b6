"""How much rounding can move a gradient: the noise floor of a function that nobody has analysed.

The function and its backward are traced in a wide type, and at every operation the result is moved at random by what a
rounding to the type under test could do: u · |result|, and for sums and products 4 u_acc · S besides, S being the
same sum of absolute values and u_acc the accumulator's unit, float32's where it is narrower; the longer a sum, the
more. The result differs from the exact answer as that of a careful program does; a kernel that sums thousands of
numbers in 16 bits differs by more.

    T = 3 · root mean square of each element's deviations + ½ their largest + ¼ of the tensor's + 2 u |g| + underflow

The third term is left out, but for a multiple of the others, where it would hide √u of a tiny element.

Where a graph cannot be traced, inputs and upstream gradients are moved instead.
Reference: Parker, Monte Carlo arithmetic (1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.checking.instruments.editing import edited, unoptimized
from tfbp.checking.instruments.roundings import DTYPES, Roundings
from tfbp.checking.subject import Program, Values
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt
from tfbp.judging.tolerances import UNDERFLOW, UNIT_ROUNDOFF


class Noise:
    """The noise floor of a program's outputs and gradients, as if it computed in narrower types.

    Args:
        in_few_bits: sums are added up in the type under test, as some of TensorFlow's kernels do in 16 bits.

    Attributes:
        traced: whether operations are moved one by one; otherwise inputs are.
    """

    def __init__(self, program: Program, samples: int = 16, in_few_bits: bool = False) -> None:
        self.program, self.samples, self.in_few_bits = program, samples, in_few_bits
        self._made: Any = None
        self.traced = not program.seeded

    def tolerances(
        self, dtype: str, values: Values, upstream: Sequence[np.ndarray], exact: Any = None
    ) -> tuple[list[Any], list[Any], list[float]]:
        """T of each output and gradient, None where there is none, and of each gradient's size, of a run in `dtype`.

        Args:
            exact: outputs and gradients as they are, where they are known.
        """
        exact = _arrays(self.program.run(values, upstream)) if exact is None else exact
        centre, runs = exact, []
        if self.traced and self.samples > 1:
            # the graph's result without noise: a mistake that graphs alone have is not noise
            unmoved = attempt(self._sample, dtype, values, upstream, 0)
            self.traced = not isinstance(unmoved, Failure)
            centre = _arrays(unmoved) if self.traced else exact
        for sample in range(1, self.samples + 1):
            run = attempt(self._sample, dtype, values, upstream, sample) if self.traced else None
            if run is None or isinstance(run, Failure):
                self.traced, centre = False, exact
                run = attempt(self._moved_inputs, dtype, values, upstream, sample)
            if not isinstance(run, Failure):
                runs.append(_arrays(run))
        limits = []
        for part in (0, 1):
            limits.append([
                None if right is None else _tolerance(right, middle, [run[part][i] for run in runs], dtype, self.traced)
                for i, (right, middle) in enumerate(zip(exact[part], centre[part], strict=True))
            ])  # fmt: skip
        sizes = [
            _of_size(right, middle, [run[1][i] for run in runs], dtype)
            for i, (right, middle) in enumerate(zip(exact[1], centre[1], strict=True))
        ]
        return limits[0], limits[1], sizes

    @unoptimized()
    def _sample(self, dtype: str, values: Values, upstream: Sequence[np.ndarray], sample: int) -> Any:
        program = self.program
        program.restore()
        which = tf.constant([float(each == dtype) for each in DTYPES], tf.float64)
        arguments = (tf.constant([sample, 0]), which, program.tensors(values), program.upstream(upstream))
        if self._made is None:
            # one graph for all dtypes: to trace it takes longer than to run it

            def moved(seed: Any, which: Any, tensors: Any, upstream: Any) -> Any:
                with edited(Roundings(program.dtype, seed, which, self.in_few_bits).edit, complex_too=True):
                    return program.backward(tensors, upstream)

            self._made = tf.function(moved, autograph=False).get_concrete_function(*arguments)
        made = self._made(*arguments)
        program.restore()
        return made

    def _moved_inputs(self, dtype: str, values: Values, upstream: Sequence[np.ndarray], sample: int) -> Any:
        rng, unit = np.random.default_rng(sample), 4 * UNIT_ROUNDOFF[dtype]
        move = lambda a: a * (1 + unit * rng.uniform(-1, 1, a.shape)) if a.dtype.kind == "f" else a  # noqa: E731
        return self.program.run([move(v) for v in values], [move(u) for u in upstream])


def _tolerance(right: np.ndarray, middle: Any, samples: list[Any], dtype: str, traced: bool) -> np.ndarray:
    unit = UNIT_ROUNDOFF[dtype]
    middle = right if middle is None or middle.shape != right.shape else middle
    squares, most, count = np.zeros(right.shape), np.zeros(right.shape), 0
    for sample in samples:
        if sample is not None and sample.shape == right.shape:
            moved = np.subtract(sample, middle, out=np.empty(right.shape))
            moved = np.abs(moved, out=moved)
            most = np.maximum(most, moved, out=most)
            squares += np.square(moved, out=moved)
            count += 1
    squares /= max(count, 1)
    mean = float(np.sqrt(np.mean(squares)))
    typical = np.nan_to_num(3 * np.sqrt(squares, out=squares) + most / 2, nan=np.inf)
    mean = mean if np.isfinite(mean) else 0.0
    if len(samples) == 1:  # of a large tensor: what one draw says of each element is little, and of all is much
        mean *= 24
    size, quarter = np.abs(right), np.full(right.shape, mean / 4)
    if traced and len(samples) > 1:
        # in a tiny element, the roundings of large ones would hide a mistake: only where its own are as large
        hides = (size > 0) & (quarter > unit**0.5 * size)
        quarter[hides] = np.minimum(quarter, 8 * typical + 64 * unit * size)[hides]
    spread = typical + quarter + 2 * unit * size + 4 * UNDERFLOW[dtype] * (1 + size)
    return spread if traced else spread + 8 * unit * (size + float(np.sqrt(np.mean(size**2))))


def _of_size(right: Any, middle: Any, samples: list[Any], dtype: str) -> float:
    """How far roundings can move the size of a whole gradient: far less than an element, because they cancel."""
    if right is None or middle is None or middle.shape != right.shape or not right.any() or not samples:
        return np.inf
    along = [float(np.vdot(s - middle, right)) for s in samples if s is not None and s.shape == right.shape]
    spread = float(np.sqrt(np.mean(np.square(along)))) / float(np.vdot(right, right))
    # a draw with a NaN gives no bound
    return 5 * spread + 2 * UNIT_ROUNDOFF[dtype] if np.isfinite(spread) else np.inf


def _arrays(run: Any) -> tuple[list[Any], list[Any]]:
    return tuple([None if t is None else as_float64(t) for t in part] for part in run)  # type: ignore[return-value]
