"""Copies the pixels under a window at each of its positions to rows: first rows of images, then columns.

Without XLA, TensorFlow's kernel copies the parts that are wide enough for its vectors. With a stride, the pixels of
one phase are first put side by side, so that all copies are contiguous: a strided copy of single pixels takes many
times as long. A kernel that is not a multiple of its stride then has positions without a weight, and the pixels there
are 0.

B batch, P and Q places, M and N the kernel's height and width, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.manual.window import Window

# the multiple of numbers in a pixel that TensorFlow's kernel copies at once
VECTOR = 16


class Unfolding:
    """Computes the patches of a layer's window, and converts a kernel's gradient back.

    Args:
        channels: C. by_kernel: whether TensorFlow's kernel may be used; XLA turns it into a convolution.

    Attributes:
        positions: K, the number in a patch.
        sizes, strides, rates: those of the window, along two axes.
    """

    def __init__(self, window: Window, layer: Any, channels: int, by_kernel: bool) -> None:
        flat = [1] * (2 - len(layer.kernel_size))
        self.window = window
        self.sizes = (*flat, *layer.kernel_size)
        self.strides = (*flat, *layer.strides)
        self.rates = (*flat, *layer.dilation_rate)
        # phases along each axis, and steps of the window's first row or column
        self._phases = [1, 1] if max(self.rates) > 1 else list(self.strides)
        self._is_strided = max(self.strides) > 1 and max(self.rates) > 1
        self._steps = [-(-size // phases) for size, phases in zip(self.sizes, self._phases, strict=True)]
        self.positions = math.prod(self._steps) * math.prod(self._phases)
        self._by_kernel = by_kernel
        # both axes in one pass
        self._at_once = by_kernel and channels * math.prod(self._phases) % VECTOR == 0

    def patches(self, x: tf.Tensor) -> tf.Tensor:
        """(B, H, W, C) -> (B, P Q, K C)."""
        channels, (rows, columns) = x.shape[-1], self.window.outputs
        if self._is_strided:
            rows_of_pixels = tf.concat(self.window.patches(x), axis=-1)
        else:
            x = self._in_phases(self.window.pad(x))
            if self._at_once:
                rows_of_pixels = self._extracted(x, self._steps, self.rates)
            else:
                down, across = (
                    [step * rate for step in range(steps)] for steps, rate in zip(self._steps, self.rates, strict=True)
                )
                x = _joined([x[:, first : first + rows] for first in down])
                if self._by_kernel and x.shape[-1] % VECTOR == 0:
                    rows_of_pixels = self._extracted(x, [1, self._steps[1]], (1, self.rates[1]))
                else:
                    rows_of_pixels = _joined([x[:, :, first : first + columns] for first in across])
        rows_of_pixels = tf.reshape(rows_of_pixels, [-1, rows * columns, self.positions * channels])
        return (
            rows_of_pixels
            if self._has_all
            else rows_of_pixels * tf.repeat(tf.constant(self._is_weight, x.dtype), channels)
        )

    def restore(self, matrix: tf.Tensor) -> tf.Tensor:
        """Returns (M, N, I, O) from a kernel's gradient (K, I, O) in the order of `patches`."""
        if self._is_strided:
            return tf.reshape(matrix, [*self.sizes, *matrix.shape[1:]])
        (of_rows, of_columns), inner = self._phases, matrix.shape[1:]
        down, across = self._steps
        if self._at_once:
            matrix = tf.reshape(matrix, [down, across, of_rows, of_columns, *inner])
            matrix = tf.transpose(matrix, [0, 2, 1, 3, 4, 5])
        else:
            matrix = tf.reshape(matrix, [across, down, of_rows, of_columns, *inner])
            matrix = tf.transpose(matrix, [1, 2, 0, 3, 4, 5])
        matrix = tf.reshape(matrix, [self._steps[0] * of_rows, self._steps[1] * of_columns, *inner])
        return matrix[: self.sizes[0], : self.sizes[1]]

    def _in_phases(self, x: tf.Tensor) -> tf.Tensor:
        """(B, H, W, C) -> (B, H/s, W/s, s s C), as far as the window reaches."""
        if self._phases == [1, 1]:
            return x
        sizes = [
            (outputs + steps - 1) * phases
            for outputs, steps, phases in zip(self.window.outputs, self._steps, self._phases, strict=True)
        ]
        x = x[:, : sizes[0], : sizes[1]]
        lacking = [[0, size - has] for size, has in zip(sizes, x.shape[1:3], strict=True)]
        x = tf.pad(x, [[0, 0], *lacking, [0, 0]]) if np.any(lacking) else x
        (of_rows, of_columns), channels = self._phases, x.shape[-1]
        x = tf.reshape(x, [-1, sizes[0] // of_rows, of_rows, sizes[1] // of_columns, of_columns, channels])
        x = x if of_rows == 1 else tf.transpose(x, [0, 1, 3, 2, 4, 5])
        return tf.reshape(x, [-1, sizes[0] // of_rows, sizes[1] // of_columns, of_rows * of_columns * channels])

    @property
    def _has_all(self) -> bool:
        return self._is_strided or all(
            size % phases == 0 for size, phases in zip(self.sizes, self._phases, strict=True)
        )

    @property
    def _is_weight(self) -> np.ndarray:
        """Whether each position of a patch has a weight, (K,)."""
        steps, phases = self._steps, self._phases
        down, across = (
            np.arange(a * b).reshape(a, b) < size for a, b, size in zip(steps, phases, self.sizes, strict=True)
        )
        # in the order of `patches`: steps, then phases
        return np.einsum("ab,cd->acbd" if self._at_once else "ab,cd->cabd", down, across).ravel()

    def _extracted(self, x: tf.Tensor, steps: Sequence[int], rates: Sequence[int]) -> tf.Tensor:
        x = x[:, : self.window.outputs[0] + (steps[0] - 1) * rates[0]]
        x = x[:, :, : self.window.outputs[1] + (steps[1] - 1) * rates[1]]
        return tf.image.extract_patches(x, [1, *steps, 1], [1, 1, 1, 1], [1, *rates, 1], "VALID")


def _joined(pieces: list[tf.Tensor]) -> tf.Tensor:
    return pieces[0] if len(pieces) == 1 else tf.concat(pieces, axis=-1)
