"""The networks that are timed: their widths, batches and steps."""

from __future__ import annotations

from dataclasses import dataclass

from tfbp.network import Dense, Network


@dataclass(frozen=True)
class Size:
    """Layer widths from inputs to classes, the batch, and the number of steps of an epoch."""

    widths: tuple[int, ...]
    batch: int
    steps: int
    title: str = ""

    @property
    def name(self) -> str:
        return f"{self.title or '-'.join(map(str, self.widths))}, batch {self.batch}"

    @property
    def network(self) -> Network:
        layers = [*(Dense(units, "relu") for units in self.widths[1:-1]), Dense(self.widths[-1])]
        return Network(self.widths[0], layers, "sparse_categorical_crossentropy")


# a classifier by softmax needs two outputs: 2-2-2 represents the smallest network, 2-2-1
SIZES = {
    "2-2-2-b1": Size((2, 2, 2), 1, 4096),
    "2-2-2-b4": Size((2, 2, 2), 4, 2048),
    "64-32-10-b32": Size((64, 32, 10), 32, 512),
    "784-128-10-b32": Size((784, 128, 10), 32, 800),
    "784-128-10-b128": Size((784, 128, 10), 128, 200),
    "784-512-512-10-b128": Size((784, 512, 512, 10), 128, 100),
    "2048x4-b256": Size((2048,) * 5, 256, 8, "2048×4"),
}


def five_of_64(power: int, steps: int = 4) -> Size:
    """Returns five layers of 64 and as many classes, with a batch of 2^power: enough work for a GPU."""
    return Size((64,) * 6, 2**power, steps, "64×5")
