"""Draws a network: units in columns, every connection between them, forward values and gradients.

I inputs, O outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tfbp.errors import InputError
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer
from tfbp.network.validation import check_parameters

# the largest number of units drawn of a layer; a wider layer shows its first and last units, with dots between them
MOST_UNITS = 8
COLUMN, ROW, RADIUS, MARGIN = 250, 130, 27, 46
# the sizes of a layer's box and of a line in it, in pixels
BOX, LINE = 124, 18
# text, forward values, gradients: Okabe and Ito's colors, which color-blind people can distinguish
LIGHT, DARK = ("#222222", "#0072b2", "#d55e00"), ("#dddddd", "#56b4e9", "#ff8c4a")


@dataclass(frozen=True)
class Drawing:
    """A picture as SVG text; a notebook shows it."""

    svg: str

    def save(self, path: str | Path) -> None:
        """Writes the picture to a file."""
        Path(path).write_text(self.svg)

    def __repr__(self) -> str:
        return f"<Drawing: {len(self.svg):,} characters of SVG; save(path) writes them>"

    def _repr_svg_(self) -> str:
        return self.svg


def draw(
    network: Any,
    parameters: Sequence[Mapping[str, Any]] | None = None,
    tensors: Sequence[Mapping[str, Any]] | None = None,
    gradients: Sequence[Mapping[str, Any]] | None = None,
    dark: bool = False,
) -> Drawing:
    """Draws the network's units and connections; with numbers, each value where it arises.

    Networks with layers other than Dense on rows are drawn as one box for each layer, with the shapes between them.

    Args:
        parameters: one dict per layer: every connection shows its weight.
        tensors: those of one row, as `tfbp.reference.loss_gradients_and_tensors` returns them: every unit shows its
            y and, below it, its delta dz.
        gradients: shown under the weights.
        dark: colors for dark paper.

    Raises:
        InputError: parameters or gradients that do not fit the network, or tensors of more than one row.

    Example:
        >>> from tfbp import Dense, Network
        >>> network = Network(2, [Dense(2, "sigmoid"), Dense(1, "sigmoid")], "half_squared_error")
        >>> draw(network).svg.count("<circle")
        5
    """
    if parameters is not None:
        check_parameters(network, parameters)
    if tensors is not None:
        _check_tensors(network, tensors)
    if gradients is not None:
        check_parameters(network, gradients, "gradients")
    boxes = not network.is_chain or not all(isinstance(layer, Dense) for layer in network.layers)
    if boxes or len(network.input_shape) > 1:
        if tensors is not None or parameters is not None or gradients is not None:
            raise InputError("network: got numbers for layers that are drawn as boxes; accepted: draw() without them.")
        return _draw_boxes(network, dark)
    widths = [network.input_shape[0], *(node.output_shape[0] for node in network.nodes)]
    shown = [_shown(width) for width in widths]
    height = 2 * MARGIN + ROW * (max(map(len, shown)) - 1) + 2 * RADIUS
    width = 2 * MARGIN + COLUMN * (len(widths) - 1) + 2 * RADIUS
    ink, forward, backward = DARK if dark else LIGHT
    places = [
        {
            unit: (MARGIN + RADIUS + COLUMN * column, height / 2 + ROW * (row - (len(units) - 1) / 2))
            for row, unit in enumerate(units)
        }
        for column, units in enumerate(shown)
    ]
    parts = []
    for index in range(len(network.layers)):
        kernel, dkernel = (
            None if given is None else np.asarray(given[index]["kernel"]) for given in (parameters, gradients)
        )
        for source, here in places[index].items():
            for unit, there in places[index + 1].items():
                if source is not None and unit is not None:
                    numbers = [
                        (array[source, unit], color)
                        for array, color in ((kernel, forward), (dkernel, backward))
                        if array is not None
                    ]
                    parts.append(_connection(here, there, numbers, ink))
    for index, column in enumerate(places):
        if tensors is None:
            y = dz = None
        else:
            y = np.asarray(tensors[0]["x"] if index == 0 else tensors[index - 1]["y"])[0]
            dz = np.asarray(tensors[index - 1]["dz"])[0] if index else None
        for unit, place in column.items():
            parts.append(_dots(place, ink) if unit is None else _unit(place, unit, y, dz, (ink, forward, backward)))
    names = ["x", *(f"{node.output_shape[0]} {node.layer.applied_activation.name}" for node in network.nodes)]
    for index, name in enumerate(names):
        parts.append(_text(MARGIN + RADIUS + COLUMN * index, 16, name, ink, 13))
    shown_with = ("weights", parameters), ("outputs and deltas", tensors), ("gradients", gradients)
    return _picture(network, [name for name, given in shown_with if given is not None], width, height, parts)


def _draw_boxes(network: Any, dark: bool) -> Drawing:
    """Draws a box for each call, in the column after its inputs, with its output shape and the boxes of its parts.
    A line goes from a box to each call that takes its output."""
    ink, fill, _ = DARK if dark else LIGHT
    names = ["x"] if len(network.input_shapes) == 1 else [f"x[{number}]" for number in range(len(network.input_shapes))]
    boxes: list[Any] = [([name], shape, ()) for name, shape in zip(names, network.input_shapes, strict=True)]
    boxes += [(_lines(node.layer), node.output_shape, node.takes) for node in network.top_nodes]
    columns: list[int] = []
    for _, _, takes in boxes:
        columns.append(1 + max(columns[taken] for taken in takes) if takes else 0)
    tall = max(len(lines) for lines, _, _ in boxes) * LINE + 2 * MARGIN
    rows = [columns[:number].count(column) for number, column in enumerate(columns)]
    most = [columns.count(column) for column in columns]
    height = tall * max(most)
    middles = [height / 2 + tall * (row - (count - 1) / 2) for row, count in zip(rows, most, strict=True)]
    parts = []
    for (lines, shape, takes), column, y in zip(boxes, columns, middles, strict=True):
        left, high = MARGIN + BOX * column, len(lines) * LINE + 14
        top = y - high / 2
        parts.append(
            f"<rect x='{left}' y='{top:g}' width='{BOX - 24}' height='{high}' rx='6' fill='{fill}' "
            f"fill-opacity='0.12' stroke='{ink}'/>"
        )
        middle = left + (BOX - 24) / 2
        parts += [_text(middle, top + LINE * (row + 1), line, ink, 12) for row, line in enumerate(lines)]
        parts.append(_text(middle, top + high + 16, " × ".join(map(str, shape)), fill, 12))
        for taken in dict.fromkeys(takes):
            right = MARGIN + BOX * (columns[taken] + 1) - 24
            parts.append(f"<line x1='{right}' y1='{middles[taken]:g}' x2='{left}' y2='{y:g}' stroke='{ink}'/>")
    width = 2 * MARGIN + BOX * (1 + max(columns)) - 24
    return _picture(network, [], width, height, parts)


def _picture(network: Any, numbers: Sequence[str], width: float, height: float, parts: Sequence[str]) -> Drawing:
    """Returns the SVG, with a title for a mouse and a label for a screen reader."""
    title = escape(repr(network), quote=True)
    label = f"{title}{', with ' if numbers else ''}{', '.join(numbers)}"
    style = "font-family='system-ui, sans-serif' text-anchor='middle'"
    size = f"viewBox='0 0 {width} {height:g}' width='{width}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style} role='img' aria-label='{label}'>"
    return Drawing(f"{head}<title>{title}</title>{''.join(parts)}</svg>\n")


def _check_tensors(network: Any, tensors: Any) -> None:
    """Raise `InputError` unless there is a dict with x, y and dz of one row for each layer."""
    accepted = "the tensors of reference.loss_gradients_and_tensors for one row of x"
    if not isinstance(tensors, list | tuple) or not all(isinstance(tensor, Mapping) for tensor in tensors):
        shape = getattr(tensors, "shape", None)
        what = type(tensors).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
        raise InputError(f"tensors: got {what}; accepted: {accepted}.")
    if len(tensors) < len(network.layers):
        raise InputError(f"tensors: got {len(tensors)} layers; accepted: {accepted}.")
    for index, (layer, node) in enumerate(zip(tensors, network.top_nodes, strict=False)):
        for name, sizes in (("x", node.input_shape), ("y", node.output_shape), ("dz", node.output_shape)):
            if name not in layer:
                raise InputError(f"tensors[{index}]: got the names {sorted(layer)}; accepted: {accepted}.")
            if (shape := np.shape(layer[name])) != (1, *sizes):
                raise InputError(f"tensors[{index}][{name!r}]: got shape {shape}; accepted: {(1, *sizes)}, one row.")


def _lines(layer: Layer) -> list[str]:
    """Returns the lines of text in a layer's box."""
    if not layer.parts:
        activation = layer.applied_activation.name
        name = layer.keras_name
        return [activation] if name == "Activation" else [name] if activation == "linear" else [name, activation]
    if "layers" not in layer.parts:
        # a wrapper's parts are alike: the box shows the first
        first = next(iter(layer.parts.values()))
        return [layer.keras_name, *(line for inner in first for line in _lines(inner))]
    lines = [line for inner in layer.parts["layers"] for line in _lines(inner)]
    shortcut = [line for inner in layer.parts.get("projection", ()) for line in _lines(inner)]
    return [*lines, "+ " + (", ".join(shortcut) or "its input")]


def _shown(width: int) -> list[int | None]:
    """Returns the units that are drawn, and None for the dots."""
    if width <= MOST_UNITS:
        return list(range(width))
    half = MOST_UNITS // 2
    return [*range(half), None, *range(width - half + 1, width)]


def _connection(
    here: tuple[float, float], there: tuple[float, float], numbers: list[tuple[float, str]], ink: str
) -> str:
    (x0, y0), (x1, y1) = here, there
    # from the edge of one circle to the edge of the other
    share = RADIUS / float(np.hypot(x1 - x0, y1 - y0))
    ends = [(x0 + at * (x1 - x0), y0 + at * (y1 - y0)) for at in (share, 1 - share)]
    place = " ".join(f"x{end}='{x:.1f}' y{end}='{y:.1f}'" for end, (x, y) in enumerate(ends, 1))
    line = f"<line {place} stroke='{ink}' stroke-opacity='0.35'/>"
    # near the unit where the line starts: connections do not cross there yet; a number above the line, the other below
    at = 0.36
    x, y = x0 + at * (x1 - x0), y0 + at * (y1 - y0)
    # further to the side on a line that falls or rises
    aside = 20 * np.sign(y1 - y0)
    labels = [
        _text(x + side * aside, y + down, f"{number:.4g}", color, 11)
        for (number, color), side, down in zip(numbers, (1, -1), (-6, 15), strict=False)
    ]
    return line + "".join(labels)


def _unit(place: tuple[float, float], unit: int, y: Any, dz: Any, colors: tuple[str, str, str]) -> str:
    ink, forward, backward = colors
    x, row = place
    circle = f"<circle cx='{x}' cy='{row:g}' r='{RADIUS}' fill='{forward}' fill-opacity='0.12' stroke='{ink}'/>"
    inside = "" if y is None else _text(x, row + 4, f"{y[unit]:.4g}", forward, 12)
    below = "" if dz is None else _text(x, row + RADIUS + 15, f"dz {dz[unit]:.4g}", backward, 11)
    return circle + inside + below


def _dots(place: tuple[float, float], ink: str) -> str:
    return _text(place[0], place[1] + 6, "⋮", ink, 20)


def _text(x: float, y: float, text: str, color: str, size: int) -> str:
    return f"<text x='{x:g}' y='{y:g}' fill='{color}' font-size='{size}'>{escape(text)}</text>"
