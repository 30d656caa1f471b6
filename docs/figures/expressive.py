"""boolean: hidden units against n, and what is learned; approximation: error against width; two_variables: a ring."""

import numpy as np
import style
from matplotlib import pyplot as plt

from tfbp import reference
from tfbp.expressive import approximation, boolean, learning
from tfbp.expressive.functions import CONTINUOUS, OF_TWO

SEEDS = 20


def success_rates():
    """Returns (n, hidden units, share of starts that learn n-bit parity)."""
    return [
        (n, units, learning.learn(boolean.parity_table(n)[None], units, SEEDS).mean())
        for n in (2, 3, 4)
        for units in range(1, 2 ** (n - 1) + 3)
    ]


def boolean_figure(rates):
    def figure():
        figure, (units, learned) = plt.subplots(1, 2, figsize=(7.5, 2.8))
        ns = np.arange(1, 5)
        needed = [boolean.hidden_units(boolean.all_tables(n)) for n in ns]
        units.plot(np.linspace(1, 4, 50), 2.0 ** (np.linspace(1, 4, 50) - 1), color="C5", label="2^(n-1)")
        units.plot(ns, [each.max() for each in needed], "C1o", label="built, the most")
        units.plot(ns, [each.mean() for each in needed], "C0s--", markersize=4, label="built, the mean")
        units.plot(ns, ns, "C2^:", markersize=4, label="parity, by its sum")
        units.set(title="Hidden units for all functions of n inputs", xlabel="n", xticks=ns)
        units.legend(fontsize=8)
        for n in (2, 3, 4):
            own = [(width, rate) for m, width, rate in rates if m == n]
            learned.plot(*zip(*own, strict=True), "o-", markersize=3, label=f"n = {n}")
        learned.set(title=f"n-bit parity learned, of {SEEDS} starts", xlabel="hidden units", ylim=(-0.03, 1.03))
        learned.legend(fontsize=8)
        return figure

    return figure


def errors():
    """Returns the largest error by construction, function and width."""
    widths = {approximation.staircase: 2 ** np.arange(2, 13), approximation.least_squares: 2 ** np.arange(2, 9)}
    return {
        construct: {
            name: (
                each,
                [approximation.largest_error(*construct(f, -1.0, 1.0, int(w)), f, -1.0, 1.0, 5003) for w in each],
            )
            for name, f in CONTINUOUS.items()
        }
        for construct, each in widths.items()
    }


def approximation_figure(found):
    def figure():
        figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.9))
        x = np.linspace(-1, 1, 400)
        axes[0].plot(x, CONTINUOUS["sin 2πx"](x), color="C5", linewidth=3)
        for units, color in ((8, "C1"), (32, "C0")):
            built = approximation.staircase(CONTINUOUS["sin 2πx"], -1.0, 1.0, units)
            axes[0].plot(x, reference.forward(*built, x[:, None])[:, 0], color, linewidth=1, label=f"{units} units")
        axes[0].set(title="A staircase of sigmoids", xlabel="x")
        axes[0].legend(fontsize=7, loc="lower left")
        titles = ("Staircase: largest error", "Fitted output: largest error")
        for axis, title, by_name in zip(axes[1:], titles, found.values(), strict=True):
            for name, (widths, worst) in by_name.items():
                axis.loglog(widths, worst, "o-", markersize=2.5, linewidth=1, label=name)
            axis.axhline(1e-3, color=style.ink(), linewidth=0.7)
            axis.set(title=title, xlabel="hidden units")
        axes[1].legend(fontsize=7)
        return figure

    return figure


def two_variables():
    function = OF_TWO["ring"]
    axis_points = np.linspace(-1, 1, 121)
    grid = np.stack(np.meshgrid(axis_points, axis_points), axis=-1)
    figure, axes = plt.subplots(1, 4, figsize=(8, 2.2), sharey=True)
    pictures = {"the ring": function(grid[..., 0], grid[..., 1])}
    for units in (4, 8, 24):
        built = approximation.staircase_of_two(function, -1.0, 1.0, units)
        pictures[f"{2 * units} and {(units + 1) ** 2} units"] = np.stack(
            [reference.forward(*built, row)[:, 0] for row in grid]
        )
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, extent=(-1, 1, -1, 1), origin="lower", cmap="viridis", vmin=0, vmax=1)
        axis.set(title=title)
    return figure


if __name__ == "__main__":
    style.draw("boolean", boolean_figure(success_rates()))
    style.draw("approximation", approximation_figure(errors()))
    style.draw("two_variables", two_variables)
