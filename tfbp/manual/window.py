"""A window that moves over images: the pixels under it, the gradients back, and sums of their terms.

B batch, H and W the height and width of x, P and Q the numbers of positions, M and N the window's height and width.
"""

from itertools import product

import tensorflow as tf

from tfbp.manual.sizes import with_batch_of


class Window:
    """A window of a kernel's size that moves over x (B, H, W, …) in strides, its pixels `dilation_rate` apart.

    With padding "same" it has ceil(size / stride) positions. The missing pixels are added around x, the odd row below
    and the odd column on the right.
    """

    def __init__(self, sizes, kernel_sizes, strides, padding, dilation_rate=(1, 1)):
        self.sizes, self.strides, self.padding = tuple(sizes), tuple(strides), padding
        self.is_plain = max(*strides, *dilation_rate) == 1
        self.offsets = [[m * rate for m in range(n)] for n, rate in zip(kernel_sizes, dilation_rate, strict=True)]
        self.positions = list(product(*map(range, kernel_sizes)))
        spans = [offsets[-1] + 1 for offsets in self.offsets]
        axes = list(zip(self.sizes, spans, self.strides, strict=True))
        if padding == "same":
            self.outputs = tuple(-(-size // stride) for size, _, stride in axes)
            lacking = [(-(-size // stride) - 1) * stride + span - size for size, span, stride in axes]
            self.added = [(max(missing, 0) // 2, max(missing, 0) - max(missing, 0) // 2) for missing in lacking]
        else:
            self.outputs = tuple((size - span) // stride + 1 for size, span, stride in axes)
            self.added = [(0, 0), (0, 0)]
        # the rows of x with the same remainder by the stride (a phase) are under the same rows of the kernel
        self.phase_sizes = tuple(-(-size // stride) for size, _, stride in axes)

    def pad(self, x, value=0):
        """Returns x with the padding around it."""
        return x if self.added == [(0, 0), (0, 0)] else tf.pad(x, _paddings(self.added, x), constant_values=value)

    def pixels(self, x, value=0):
        """Yields each position (m, n) of the kernel, and the pixels under it, (B, P, Q, …)."""
        x = self.pad(x, value)
        for m, n in self.positions:
            rows, columns = (
                slice(offsets[k], offsets[k] + (outputs - 1) * stride + 1, stride)
                for offsets, k, outputs, stride in zip(self.offsets, (m, n), self.outputs, self.strides, strict=True)
            )
            yield (m, n), x[:, rows, columns]

    def patches(self, x):
        return [at for _, at in self.pixels(x)]

    def from_patches(self, dz, dpixels):
        """Returns dx (B, H, W, …): for each phase dpixels(positions, dzs), from the positions (m, n) of its pixels
        and, for each of these, dz (B, H/stride, W/stride, …) of the window with a pixel under it.

        Args:
            dz: (B, P, Q, …), or a list of them, one for each position.
        """
        phases = [list(self._phases(axis)) for axis in (0, 1)]
        added = []
        for of_axis, size, outputs in zip(phases, self.phase_sizes, self.outputs, strict=True):
            shifts = [shift for phase in of_axis for _, shift in phase]
            added.append((max(-min(shifts), 0), max(max(shifts) + size - outputs, 0)))
        dz = dz if isinstance(dz, list) else [dz]
        padded = dz if added == [(0, 0), (0, 0)] else [tf.pad(part, _paddings(added, part)) for part in dz]
        padded = dict(zip(self.positions, padded * (len(self.positions) // len(dz)), strict=True))

        def of_phase(rows, columns):
            positions = [(m, n) for m, _ in rows for n, _ in columns]
            shifts = product((shift for _, shift in rows), (shift for _, shift in columns))
            dzs = [self._shifted(padded[at], added, by) for at, by in zip(positions, shifts, strict=True)]
            # a window smaller than its stride has no pixel between its positions
            return dpixels(positions, dzs) if dzs else None

        found = [[of_phase(rows, columns) for columns in phases[1]] for rows in phases[0]]
        some = next(tensor for row in found for tensor in row if tensor is not None)
        if self.strides == (1, 1):
            return some
        found = [[tf.zeros_like(some) if tensor is None else tensor for tensor in row] for row in found]
        # pixel stride · k + phase is pixel k of its phase      (B, H/s, s, W/s, s, …) -> (B, H, W, …)
        dx = tf.stack([tf.stack(row, axis=3) for row in found], axis=2)
        whole = [size * stride for size, stride in zip(self.phase_sizes, self.strides, strict=True)]
        dx = tf.reshape(dx, with_batch_of(some, *whole, *some.shape[3:]))
        return dx if tuple(whole) == self.sizes else dx[:, : self.sizes[0], : self.sizes[1]]

    def _phases(self, axis):
        """Yields, for each remainder by the stride, the positions of its pixels and their distance."""
        before, stride = self.added[axis][0], self.strides[axis]
        for phase in range(stride):
            distances = [(k, phase + before - offset) for k, offset in enumerate(self.offsets[axis])]
            yield [(k, distance // stride) for k, distance in distances if distance % stride == 0]

    def _shifted(self, padded, added, shifts):
        rows, columns = (
            slice(before + shift, before + shift + size)
            for (before, _), shift, size in zip(added, shifts, self.phase_sizes, strict=True)
        )
        return padded[:, rows, columns]


def _paddings(added, x):
    return [[0, 0], *map(list, added), *([0, 0] for _ in range(x.shape.rank - 3))]


def wide(a):
    """Returns float32 for a 16-bit dtype: in 16 bits a long sum loses most of its digits."""
    return tf.cast(a, tf.float32) if a.dtype.size == 2 else a


def sum_of(terms, dtype, divided_by=None):
    """Returns Σ terms (/ divided_by), rounded to dtype once."""
    total = wide(terms[0])
    for term in terms[1:]:
        total = total + wide(term)
    if divided_by is not None:
        # a graph turns a quotient into a product with the reciprocal, which is off in the last bit, even for 1
        total = total * tf.constant(1 / divided_by, total.dtype)
    return tf.cast(total, dtype)
