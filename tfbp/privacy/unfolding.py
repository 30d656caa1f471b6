"""Copies the pixels under a window at each of its positions to rows, in long pieces.

Without XLA, one gather copies whole pixels, several columns at once where a pixel is short. With a stride, the pixels
of one phase are first put side by side, so that all copies are contiguous: a strided copy of single pixels takes many
times as long. A kernel that is not a multiple of its stride then has positions without a weight, and the pixels there
are 0.

B batch, P and Q places, M and N the kernel's height and width, C channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.manual.window import Window

# a gather of pieces of fewer numbers takes several times as long
SHORT = 16


class Unfolding:
    """Computes the patches of a layer's window, and converts a kernel's gradient back.

    Args:
        by_gather: whether a gather is fast, as it is without XLA.

    Attributes:
        positions: K, the number in a patch.
        sizes, strides, rates: those of the window, along two axes.
    """

    def __init__(self, window: Window, layer: Any, by_gather: bool) -> None:
        flat = [1] * (2 - len(layer.kernel_size))
        self.window = window
        self.sizes = (*flat, *layer.kernel_size)
        self.strides = (*flat, *layer.strides)
        self.rates = (*flat, *layer.dilation_rate)
        # phases along each axis, and steps of the window's first row or column
        self._phases = [1, 1] if max(self.rates) > 1 else list(self.strides)
        # of the window's moves over phases
        self._moves = [stride // phases for stride, phases in zip(self.strides, self._phases, strict=True)]
        self._steps = [-(-size // phases) for size, phases in zip(self.sizes, self._phases, strict=True)]
        self.positions = math.prod(self._steps) * math.prod(self._phases)
        self._by_gather = by_gather

    def patches(self, x: tf.Tensor) -> tf.Tensor:
        """(B, H, W, C) -> (B, P Q, K C); the positions by rows, columns, and phases."""
        channels, (rows, columns) = x.shape[-1], self.window.outputs
        x = self._in_phases(self.window.pad(x))
        if not self._by_gather:
            rows_of_pixels = self._along(self._along(x, 1), 0)
        elif x.shape[-1] < SHORT:
            rows_of_pixels = self._gathered(self._along(x, 1), rows_alone=True)
        else:
            rows_of_pixels = self._gathered(x)
        rows_of_pixels = tf.reshape(rows_of_pixels, [-1, rows * columns, self.positions * channels])
        return (
            rows_of_pixels
            if self._has_all
            else rows_of_pixels * tf.repeat(tf.constant(self._is_weight, x.dtype), channels)
        )

    def restore(self, matrix: tf.Tensor) -> tf.Tensor:
        """Returns (M, N, I, O) from a kernel's gradient (K, I, O) in the order of `patches`."""
        (of_rows, of_columns), (down, across), inner = self._phases, self._steps, matrix.shape[1:]
        matrix = tf.reshape(matrix, [down, across, of_rows, of_columns, *inner])
        matrix = tf.transpose(matrix, [0, 2, 1, 3, 4, 5])
        matrix = tf.reshape(matrix, [down * of_rows, across * of_columns, *inner])
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
        return all(size % phases == 0 for size, phases in zip(self.sizes, self._phases, strict=True))

    @property
    def _is_weight(self) -> np.ndarray:
        """Whether each position of a patch has a weight, (K,)."""
        steps, phases = self._steps, self._phases
        down, across = (
            np.arange(a * b).reshape(a, b) < size for a, b, size in zip(steps, phases, self.sizes, strict=True)
        )
        # in the order of `patches`: steps, then phases
        return np.einsum("ab,cd->acbd", down, across).ravel()

    def _along(self, x: tf.Tensor, axis: int) -> tf.Tensor:
        """Joins the pixels under the window along an axis: (B, H, W, C) -> (B, P, W, M C) along the first."""
        outputs, move, rate = self.window.outputs[axis], self._moves[axis], self.rates[axis]
        pieces = []
        for first in range(0, self._steps[axis] * rate, rate):
            taken = slice(first, first + (outputs - 1) * move + 1, move)
            pieces.append(x[:, :, taken] if axis else x[:, taken])
        return pieces[0] if len(pieces) == 1 else tf.concat(pieces, axis=-1)

    def _gathered(self, x: tf.Tensor, rows_alone: bool = False) -> tf.Tensor:
        """Gathers the pixels of all places, or of all rows where the columns are joined already."""
        width = x.shape[2]
        down, across = (
            np.arange(outputs)[:, None] * move + np.arange(steps) * rate
            for outputs, move, steps, rate in zip(
                self.window.outputs, self._moves, self._steps, self.rates, strict=True
            )
        )
        across = np.arange(width)[:, None] if rows_alone else across
        # (P, Q, M, N)
        places = down[:, None, :, None] * width + across[None, :, None, :]
        flat = tf.reshape(x, [-1, math.prod(x.shape[1:3]), x.shape[3]])
        return tf.gather(flat, tf.constant(places.ravel(), tf.int32), axis=1)
