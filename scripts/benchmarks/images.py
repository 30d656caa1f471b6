"""Time the training of a small convolutional network: by tfbp.Model, by hand and by tape, and by Keras's fit.

Two convolutions of 3×3 with relu, the second of twice as many filters, each with pooling, and a dense layer. By hand
the block of steps is an XLA program; by tape it is not, because XLA's loops take many times as long. Keras takes its
fastest way: a step or an epoch in one call, with XLA and without. All first have to reach the same weights.
"""

import statistics
from dataclasses import dataclass

import keras
import numpy as np
from rich.table import Table

from benchmarks import placed
from benchmarks.contestants.fit import Clock
from tfbp import Conv2D, Dense, Flatten, MaxPooling2D, Model, Network

UNIT = "Microseconds a step of fit, batch 32, SGD"
BATCH, STEPS, RATE = 32, 48, 0.01
# steps after which all must agree; they also show the slow ones of Keras's ways
FEW = 4
KERAS_WAYS = {
    "by default": {},
    "XLA": {"jit_compile": True},
    "an epoch a call": {"steps_per_execution": STEPS},
    "an epoch a call, XLA": {"steps_per_execution": STEPS, "jit_compile": True},
}


@dataclass(frozen=True)
class ImagePoint:
    """A network: images of so many pixels a side, and the first convolution's filters."""

    side: int = 28
    filters: int = 16

    @property
    def network(self) -> Network:
        convolutions = [
            layer
            for filters in (self.filters, 2 * self.filters)
            for layer in (Conv2D(filters, 3, activation="relu"), MaxPooling2D())
        ]
        return Network(
            (self.side, self.side, 1), [*convolutions, Flatten(), Dense(10)], "sparse_categorical_crossentropy"
        )


# along each axis the other is held where most small data sets are
AXES = {
    "filters": [(n, ImagePoint(filters=n)) for n in (8, 16, 32)],
    "side": [(n, ImagePoint(side=n)) for n in (14, 28, 56)],
}


def run(pairs: int, seconds: float, device: str = "cpu") -> tuple[Table, list[dict]]:
    """Returns the table, and its numbers."""
    table = Table(box=None, pad_edge=False)
    numbers = ("manual min", "median", "tape min", "median", "keras min", "median", "tape / manual", "keras / manual")
    for heading in ("axis", "images", "filters", *numbers, "keras's way"):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    results, measured = [], {}
    for axis, points in AXES.items():
        for at, point in points:
            if point not in measured:
                measured[point] = compare(point, pairs, seconds, device)
            times, way = measured[point]
            cells = [f"{f(of):,.0f}" for of in times.values() for f in (min, statistics.median)]
            ratios = {f"{other} / manual": ratio(times, other) for other in ("tape", "keras")}
            shown = axis, f"{point.side}×{point.side}", f"{point.filters}, {2 * point.filters}"
            table.add_row(*shown, *cells, *(f"{each:.2f}" for each in ratios.values()), way)
            results.append({"axis": axis, "at": at, "microseconds": times, "keras's way": way, **ratios})
    return table, results


def ratio(times: dict[str, list[float]], other: str) -> float:
    """Returns how much longer another takes than manual: the median of the rounds' ratios."""
    return statistics.median(o / m for o, m in zip(times[other], times["manual"], strict=True))


def compare(point: ImagePoint, rounds: int, seconds: float, device: str = "cpu") -> tuple[dict[str, list[float]], str]:
    """Returns the microseconds a step, by contestant and round, and Keras's fastest way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, point.side, point.side, 1)).astype("float32")
    y = rng.integers(0, 10, len(x))
    ours, ways = contestants(point)
    few = x[: FEW * BATCH], y[: FEW * BATCH]
    for which, model in {**ours, **ways}.items():
        time_epochs(model, *few, 1, shuffle=False)
        placed.check(which, [w.value for w in model.trainable_variables], device)
    check_alike({**ours, **ways})
    best = fastest(ways, x, y)
    racing = {**ours, "keras": ways[best]}
    # compilation for this many rows, and for several epochs at once, is not counted
    for model in racing.values():
        time_epochs(model, x, y, 1)
    epochs = max(1, round(seconds / time_epochs(ours["manual"], x, y, 1)))
    times: dict[str, list[float]] = {which: [] for which in racing}
    for turn in range(rounds + 1):
        for which in list(racing) if turn % 2 else list(reversed(racing)):
            found = time_epochs(racing[which], x, y, epochs) / STEPS * 1e6
            if turn:
                times[which].append(found)
    return times, best


def fastest(ways: dict[str, keras.Model], x: np.ndarray, y: np.ndarray) -> str:
    """Returns Keras's fastest way; a way that takes many times as long is skipped."""
    quick = {way: time_epochs(model, x[: FEW * BATCH], y[: FEW * BATCH], 1) for way, model in ways.items()}
    near = [way for way, seconds in quick.items() if seconds < 3 * min(quick.values())]
    return min(near, key=lambda way: min(time_epochs(ways[way], x, y, 1) for _ in range(2)))


def contestants(point: ImagePoint) -> tuple[dict[str, keras.Model], dict[str, keras.Model]]:
    """Returns the compiled models with the same weights: tfbp's by writing, Keras's by way."""
    network, parameters = point.network, point.network.init(seed=0)
    ours = {"manual": Model(network, "manual"), "tape": Model(network, "tape")}
    for writing, model in ours.items():
        model.set_parameters(parameters)
        model.compile(keras.optimizers.SGD(RATE), jit_compile=writing == "manual")
    ways = {way: network.to_keras(parameters) for way in KERAS_WAYS}
    for way, options in KERAS_WAYS.items():
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        ways[way].compile(keras.optimizers.SGD(RATE), loss, **options)
    return ours, ways


def check_alike(models: dict[str, keras.Model]) -> None:
    """A benchmark of wrong numbers means nothing: after some steps all have to have the same weights."""
    expected = models["tape"].to_keras().get_weights()
    for which, model in models.items():
        got = (model.to_keras() if isinstance(model, Model) else model).get_weights()
        for ours, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4, err_msg=which)


def time_epochs(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, shuffle: bool = True) -> float:
    """Measures the seconds of an epoch, without fit's work once per call."""
    clock = Clock()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=shuffle, verbose=0, callbacks=[clock])
    return clock.seconds / epochs
