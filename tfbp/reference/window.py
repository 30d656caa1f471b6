"""A window that moves over images, and the indices of the pixels under it."""

import numpy as np


class Window:
    """A window of a kernel's size that moves over (B, H, W, …) in strides, its pixels `dilation_rate` apart.

    With padding "same" it has ceil(size / stride) positions. The missing pixels are added around x, the odd row below
    and the odd column on the right.
    """

    def __init__(self, sizes, kernel_sizes, strides, padding, dilation_rate=(1, 1)):
        self.sizes, self.kernel_sizes, self.strides, self.dilation_rate = sizes, kernel_sizes, strides, dilation_rate
        spans = [(kernel - 1) * dilation + 1 for kernel, dilation in zip(kernel_sizes, dilation_rate, strict=True)]
        axes = list(zip(sizes, spans, strides, strict=True))
        if padding == "same":
            self.outputs = tuple(-(-size // stride) for size, _, stride in axes)
            lacking = [max((-(-size // stride) - 1) * stride + span - size, 0) for size, span, stride in axes]
        else:
            self.outputs = tuple((size - span) // stride + 1 for size, span, stride in axes)
            lacking = [0, 0]
        self.added = [(missing // 2, missing - missing // 2) for missing in lacking]

    def pad(self, x, value=0.0):
        return np.pad(x, [(0, 0), *self.added, (0, 0)], constant_values=value)

    def unpad(self, padded):
        rows, columns = (slice(before, before + size) for (before, _), size in zip(self.added, self.sizes, strict=True))
        return padded[:, rows, columns]

    def positions(self):
        """Yields each position m, n of the kernel, and the indices of the pixels under it at all positions."""
        for m, n in np.ndindex(*self.kernel_sizes):
            starts = m * self.dilation_rate[0], n * self.dilation_rate[1]
            rows, columns = (
                slice(start, start + (outputs - 1) * stride + 1, stride)
                for start, outputs, stride in zip(starts, self.outputs, self.strides, strict=True)
            )
            yield m, n, (slice(None), rows, columns)
