"""The benchmarks' charts, as SVG; needs matplotlib, of the extra `benchmark`."""

import statistics

from benchmarks.contestants import CONTESTANTS
from benchmarks.cross_entropy import CrossEntropyResult
from benchmarks.race import RaceResult
from tfbp import InputError

COLOURS = {
    "manual": "#d62728",
    "tape": "#ff9896",
    "keras": "#1f77b4",
    "keras-jit": "#17becf",
    "keras-epoch": "#aec7e8",
    "jax-step": "#c5b0d5",
    "jax-scan": "#9467bd",
    "torch": "#ff7f0e",
    "torch-compile": "#ffbb78",
    "sklearn": "#8c564b",
    "numpy": "#2ca02c",
    "limit": "black",
}


def check_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError(
            "chart: got a file, but no matplotlib; accepted: with the extra benchmark installed."
        ) from None


def draw_sizes(path: str, results: list[RaceResult], note: str) -> None:
    """A row for each size, a dot for each contestant's median, the limit a line."""
    pyplot = _pyplot()
    sizes = list(dict.fromkeys(result.size for result in results))
    names = [name for name in CONTESTANTS if any(r.contestant == name and r.microseconds for r in results)]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.75 * len(sizes)), layout="constrained")
    for name in names:
        rows = [(sizes.index(r.size), r.median) for r in results if r.contestant == name and r.microseconds]
        offset = (names.index(name) / max(1, len(names) - 1) - 0.5) * 0.6
        label, colour = CONTESTANTS[name].label, COLOURS.get(name, "grey")
        if name == "limit":
            axes.vlines(
                [t for _, t in rows], *zip(*[(y - 0.4, y + 0.4) for y, _ in rows], strict=True), colour, label=label
            )
        else:
            axes.plot([t for _, t in rows], [y + offset for y, _ in rows], "o", color=colour, label=label)
    axes.set(xscale="log", yticks=range(len(sizes)), yticklabels=sizes, ylim=(len(sizes) - 0.4, -0.6))
    axes.set_xlabel("microseconds a training step (median)")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left", fontsize=8)
    _save(pyplot, figure, path, note)


def draw_growth(path: str, by_axis: dict[str, list[tuple[int, RaceResult]]], note: str) -> None:
    """Time a step against batch, width and depth, each axis logarithmic."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(by_axis), figsize=(11, 4), layout="constrained", sharey=True)
    for panel, (axis, points) in zip(panels, by_axis.items(), strict=True):
        for name in dict.fromkeys(result.contestant for _, result in points):
            measured = [(at, r.median) for at, r in points if r.contestant == name and r.microseconds]
            style = {"color": COLOURS.get(name, "grey"), "label": CONTESTANTS[name].label}
            panel.plot(*zip(*measured, strict=True), *(["--"] if name == "limit" else ["o-"]), **style, markersize=4)
        panel.set(xscale="log", yscale="log", xlabel=axis)
        ticks = sorted({at for at, _ in points})
        _bare(panel, ticks)
    panels[0].set_ylabel("microseconds a training step (median)")
    panels[0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def draw_cross_entropy(path: str, by_axis: dict[str, list[CrossEntropyResult]], note: str) -> None:
    """Memory and time of a step against tokens and classes, each axis logarithmic."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(
        2, len(by_axis), figsize=(9, 6.5), layout="constrained", sharey="row", sharex="col"
    )
    labels = {"manual": "tfbp.losses.linear_cross_entropy", "tape": "matmul, cross-entropy, GradientTape"}
    for (above, below), (axis, results) in zip(panels.T, by_axis.items(), strict=True):
        sizes = [getattr(result.point, axis) for result in results]
        for name, label in labels.items():
            style = {"color": COLOURS["manual" if name == "manual" else "keras"], "label": label, "markersize": 4}
            above.plot(sizes, [result.extra_bytes[name] / 2**20 for result in results], "o-", **style)
            below.plot(sizes, [statistics.median(result.seconds[name]) for result in results], "o-", **style)
        other = "classes" if axis == "tokens" else "tokens"
        above.set_title(f"{getattr(results[0].point, other):,} {other}, width {results[0].point.width}", fontsize=9)
        below.set_xlabel(axis)
        for panel in (above, below):
            panel.set(xscale="log")
            panel.set_yscale("log", base=2)  # sizes double too
            _bare(panel, sizes, "{:,}".format)
    for panel, heading in zip(panels[:, 0], ("MiB a step needs at most", "seconds a step (median)"), strict=True):
        panel.set_ylabel(heading)
        panel.yaxis.set_major_formatter("{x:,g}")
    panels[0, 0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def draw_images(path: str, results: list[dict], note: str) -> None:
    """Time a step of a convolutional network against its filters and the images' side, each axis logarithmic."""
    pyplot = _pyplot()
    axes = list(dict.fromkeys(result["axis"] for result in results))
    labels = {
        "manual": "tfbp.Model, manual, XLA",
        "tape": "tfbp.Model, tape, no XLA",
        "keras": "Keras fit, its best way",
    }
    headings = {
        "filters": "filters of the first convolution, images of 28×28",
        "side": "pixels a side, 16 and 32 filters",
    }
    figure, panels = pyplot.subplots(1, len(axes), figsize=(9, 4), layout="constrained", sharey=True)
    for panel, axis in zip(panels, axes, strict=True):
        own = [result for result in results if result["axis"] == axis]
        ticks = [result["at"] for result in own]
        for name, label in labels.items():
            medians = [statistics.median(result["microseconds"][name]) for result in own]
            panel.plot(ticks, medians, "o-", color=COLOURS[name], label=label, markersize=4)
        panel.set(xscale="log", yscale="log", xlabel=headings[axis])
        _bare(panel, ticks)
    panels[0].set_ylabel("microseconds a training step (median)")
    panels[0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def draw_attention(path: str, results: list[dict], note: str) -> None:
    """Time and memory against the sequence's length, outside XLA and in it, each axis logarithmic."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    headings = {"milliseconds": "milliseconds, value and all gradients (median)", "megabytes": "MB needed at most"}
    for panel, (of, heading) in zip(panels, headings.items(), strict=True):
        for (name, mode), style in _lines(results).items():
            points = [(r["steps"], r[of].get(name)) for r in results if r["mode"] == mode]
            measured = [
                (at, statistics.median(value) if of == "milliseconds" else value) for at, value in points if value
            ]
            if measured:
                panel.plot(*zip(*measured, strict=True), **style)
        panel.set(xscale="log", yscale="log", xlabel="steps", ylabel=heading)
        _bare(panel, sorted({result["steps"] for result in results}))
    panels[0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def draw_recurrence(path: str, results: list[dict], note: str) -> None:
    """A row for each layer: its time against steps and against units, each axis logarithmic."""
    from benchmarks.recurrence import AXES, LAYERS

    pyplot = _pyplot()
    figure, grid = pyplot.subplots(
        len(LAYERS), len(AXES), figsize=(9, 7), layout="constrained", sharey="row", sharex="col"
    )
    for row, kind in zip(grid, LAYERS, strict=True):
        for panel, (axis, points) in zip(row, AXES.items(), strict=True):
            own = [r for r in results if r["layer"] == kind and any(vars(p).items() <= r.items() for p in points)]
            for (name, mode), style in _lines(results).items():
                measured = {r[axis]: statistics.median(r["milliseconds"][name]) for r in own if r["mode"] == mode}
                panel.plot(*zip(*measured.items(), strict=True), **style)
            panel.set(xscale="log", yscale="log")
            _bare(panel, [getattr(point, axis) for point in points])
        row[0].set_ylabel(f"{kind}: milliseconds (median)")
    for panel, (axis, points) in zip(grid[-1], AXES.items(), strict=True):
        same = ", ".join(f"{value} {name}" for name, value in vars(points[0]).items() if name not in ("batch", axis))
        panel.set_xlabel(f"{axis}; batch {points[0].batch}, {same}")
    grid[0, 0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def _lines(results: list[dict]) -> dict[tuple[str, str], dict]:
    """Returns a line's style by contestant and mode; PyTorch has but one mode."""
    colours = {"tfbp": COLOURS["manual"], "keras": COLOURS["keras"], "torch": COLOURS["torch"]}
    labels = {"tfbp": "tfbp.layers", "keras": "keras.layers", "torch": "PyTorch"}
    modes = list(dict.fromkeys(result["mode"] for result in results))
    return {
        (name, mode): {
            "color": colours[name],
            "linestyle": "--" if mode == "XLA" else "-",
            "marker": "o",
            "markersize": 4,
            "label": labels[name] if name == "torch" else f"{labels[name]}, {mode}",
        }
        for name in results[0]["milliseconds"]
        for mode in (modes if name != "torch" else modes[:1])
    }


def draw_fit(path: str, ratios: dict[str, dict[str, float]], note: str) -> None:
    """A row for each model, a dot for how much longer each contestant takes than tfbp.fit, which is the line at 1."""
    pyplot = _pyplot()
    names, labels = list(ratios), list(dict.fromkeys(label for row in ratios.values() for label in row))
    colours = ("#1f77b4", "#aec7e8", "#9467bd", "#ff7f0e")
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.35 * len(names)), layout="constrained")
    axes.axvline(1, color="#d62728", label="tfbp.fit")
    for label, colour in zip(labels, colours, strict=False):
        points = [(row[label], names.index(name)) for name, row in ratios.items() if label in row]
        axes.plot(*zip(*points, strict=True), "o", color=colour, label=label)
    axes.set(xscale="log", yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.set_xlabel("time a step / that of tfbp.fit")
    axes.grid(axis="both", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left", fontsize=8)
    _save(pyplot, figure, path, note)


def draw_short(path: str, shares: dict[str, dict[str, float]], note: str) -> None:
    """Draws a row for each model, a dot for each number of epochs: tfbp.fit's share of Keras's time; a line at 1."""
    pyplot = _pyplot()
    names, lengths = list(shares), list(dict.fromkeys(length for row in shares.values() for length in row))
    colours = ("#aec7e8", "#1f77b4", "#9467bd", "#2ca02c", "#ff7f0e")
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.35 * len(names)), layout="constrained")
    axes.axvline(1, color="#d62728", label="Keras, by default")
    for length, colour in zip(lengths, colours, strict=False):
        points = [(row[length], names.index(name)) for name, row in shares.items() if length in row]
        axes.plot(*zip(*points, strict=True), "o", color=colour, label=f"{length} epochs")
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6), xlim=(0, None))
    axes.set_xlabel("seconds of tfbp.fit, from the call to its end / those of Keras")
    axes.grid(axis="both", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left", fontsize=8)
    _save(pyplot, figure, path, note)


def draw_mistakes(path: str, rows: list[dict], note: str) -> None:
    """A row for each checker: its share of missed mistakes, and of refused right gradients."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, 2, figsize=(8, 0.9 + 0.45 * len(rows)), layout="constrained", sharey=True)
    parts = {
        "mistakes missed, %": lambda r, of: 100 * (1 - r[f"{of or 'good '}killed"] / r[f"{of or 'good '}visible"]),
        "right ones refused, %": lambda r, of: 100 * r[f"{of or 'false '}alarms"] / r[f"{of}correct"],
    }
    for panel, (heading, share) in zip(panels, parts.items(), strict=True):
        for offset, of, label, colour in (
            (-0.19, "float64 ", "float64", "#1f77b4"),
            (0.19, "", "all dtypes", "#aec7e8"),
        ):
            bars = panel.barh([y + offset for y in range(len(rows))], [share(r, of) for r in rows], 0.36, color=colour)
            bars.set_label(label)
            panel.bar_label(bars, fmt="{:.2g}", padding=2, fontsize=7)
        panel.set(xlabel=heading, yticks=range(len(rows)), yticklabels=[r["contestant"] for r in rows])
        panel.margins(x=0.15)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].invert_yaxis()
    panels[0].legend(frameon=False, fontsize=8)
    _save(pyplot, figure, path, note)


def _bare(panel, ticks, label=str):
    """A panel with these sizes on its logarithmic axis, a grid, and no frame above or on the right."""
    panel.set_xticks(ticks, map(label, ticks))
    panel.minorticks_off()
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _pyplot():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tfbp"
    from matplotlib import pyplot

    return pyplot


def _save(pyplot, figure, path: str, note: str) -> None:
    figure.supxlabel(note, fontsize=6, color="grey")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
