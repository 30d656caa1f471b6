"""The benchmark's training problems: networks by size, with data and initial weights that all contestants share."""

import json

import numpy as np

from tfbp.gpu_report.sizes import SIZES as SIZES
from tfbp.gpu_report.sizes import Size

RATE = 0.01


def growth_sizes() -> dict[str, list[tuple[int, Size]]]:
    """Returns the sizes along each axis of the charts; all other sizes are 256-256-256-10, batch 128."""

    def size(width: int = 256, depth: int = 2, batch: int = 128) -> Size:
        widths = (*[width] * (depth + 1), 10)
        work = batch * width * width * depth  # enough steps to time, few enough to wait for
        return Size(widths, batch, max(8, min(512, 2 * 10**9 // work)), f"{width}×{depth}")

    return {
        "batch": [(batch, size(batch=batch)) for batch in (1, 4, 16, 64, 256, 1024)],
        "width": [(width, size(width=width)) for width in (16, 64, 256, 1024, 2048)],
        "depth": [(depth, size(depth=depth)) for depth in (1, 2, 4, 8, 16)],
    }


class Task:
    """A size with its data: x (N, I) float32, y (N,) labels, and the initial parameters in float64; and where it is
    trained, on "cpu" or "gpu"."""

    device = "cpu"

    def __init__(self, size: Size, x, y, parameters) -> None:
        self.size, self.network, self.widths = size, size.network, size.widths
        self.batch_size, self.steps, self.rate = size.batch, size.steps, RATE
        self.x, self.y, self.parameters = x, y, parameters

    @classmethod
    def make(cls, size: Size) -> "Task":
        rng = np.random.default_rng(0)
        samples = size.batch * size.steps
        x = rng.standard_normal((samples, size.widths[0]), np.float32)
        y = rng.integers(0, size.widths[-1], samples, np.int32)
        # rounded once: every contestant, and the float64 reference, starts from the same numbers
        parameters = [
            {name: w.astype(np.float32).astype(np.float64) for name, w in layer.items()}
            for layer in size.network.init(seed=0)
        ]
        return cls(size, x, y, parameters)

    def batch(self, step: int):
        rows = slice(step * self.batch_size, (step + 1) * self.batch_size)
        return self.x[rows], self.y[rows]

    def save(self, path) -> None:
        arrays = {f"{name}_{i}": w for i, layer in enumerate(self.parameters) for name, w in layer.items()}
        size = json.dumps([self.size.widths, self.size.batch, self.size.steps, self.size.title])
        np.savez(path, size=np.array(size), x=self.x, y=self.y, **arrays)

    @classmethod
    def load(cls, path) -> "Task":
        with np.load(path) as arrays:
            widths, batch, steps, title = json.loads(str(arrays["size"]))
            parameters = [
                {"kernel": arrays[f"kernel_{i}"], "bias": arrays[f"bias_{i}"]} for i in range(len(widths) - 1)
            ]
            return cls(Size(tuple(widths), batch, steps, title), arrays["x"], arrays["y"], parameters)
