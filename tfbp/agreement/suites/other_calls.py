"""Normalization over several axes, positions with a start, dropout with a noise shape, a table's gradient as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement.programs import Named
from tfbp.agreement.suites.call import SEED, Call, file_of
from tfbp.judging.tolerances import UNIT_ROUNDOFF


def normalizations() -> Iterator[Call]:
    """Over several axes, with either weight and without."""
    for kind, weights in (("layer", ("gamma", "beta")), ("rms", ("scale",))):
        for axes, given in (((-2, -1), weights), ((-3, -2, -1), weights), ((-1,), ())):
            yield _normalization(kind, axes, given, (4, 3, 2, 5))
    yield _normalization("layer", (-2, -1), ("gamma",), (4, 3, 2, 5))
    yield _normalization("layer", (-1,), ("beta",), (4, 5))
    for groups, shape in ((1, (3, 2, 2, 6)), (6, (3, 2, 2, 6)), (2, (3, 5, 4)), (3, (4, 6))):
        yield _normalization("group", None, ("gamma", "beta"), shape, groups=groups)
    for given in (("gamma",), ("beta",), ()):
        yield _normalization("group", None, given, (3, 2, 6), groups=3)


def _normalization(kind: str, axes: Any, given: tuple[str, ...], shape: tuple[int, ...], **options: Any) -> Call:
    of_weights = shape[-1:] if axes is None else tuple(shape[axis] for axis in axes)
    options = {"epsilon": 0.02} | options | ({} if axes is None else {"axes": axes})
    names = ("scale",) if kind == "rms" else ("gamma", "beta")
    forward = f"{kind}_normalization_forward"

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        room = file_of(room, "normalization")
        y, residuals = getattr(room, forward)(a["x"], *(a.get(name) for name in names), **options)
        if not upstream:
            return {"y": y}
        dx, *dweights = getattr(room, f"{kind}_normalization_backward")(upstream["y"], residuals)
        found = dict(zip(names, dweights, strict=False))
        return {"y": y, "dx": dx, **{f"d{name}": found[name] for name in given}}

    def by_tape(a: Named, fixed: Named) -> Named:
        return {
            "y": getattr(file_of(tape, "normalization"), forward)(a["x"], *(a.get(name) for name in names), **options)
        }

    def otherwise() -> Named:
        mistakes = {"epsilon is taken for its default": {**options, "epsilon": 1e-6 if kind == "rms" else 1e-3}}
        if axes is not None:
            mistakes["the last axis alone is normalized"] = {**options, "axes": (-1,)}
        else:
            mistakes |= {f"groups is taken for {count}": {**options, "groups": count} for count in (1, shape[-1])}
        return {
            sentence: _normalization(kind, changed.pop("axes", None), given, shape, **changed).by_hand
            for sentence, changed in mistakes.items()
        }

    words = [f"over {axes}" if axes else f"of {options['groups']} groups", *(["of", *given] if given else ["bare"])]
    shapes = {"x": shape, **dict.fromkeys(given, of_weights)}
    name = f"{kind} normalization {' '.join(words)} {len(shape)}"
    return Call(name, shapes, by_hand, by_tape, otherwise=otherwise)


def positions() -> Iterator[Call]:
    """With a start, beside heads, far out."""
    for shape, start in (((3, 4, 6), 2), ((2, 3, 4, 6), 0), ((3, 4, 6), 5)):
        yield _position("position", shape, start, {})
    for shape, start in (((3, 4, 6), 3), ((2, 4, 3, 6), 1), ((2, 4, 6), 99_996)):
        yield _position("rotary", shape, start, {"max_wavelength": 50.0, "scaling_factor": 0.5})
    yield _position("rotary", (2, 4, 6), 99_996, {})


def _position(kind: str, shape: tuple[int, ...], start: float, options: Named) -> Call:
    rows = {"embeddings": (9, shape[-1])} if kind == "position" else {}

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        forward, backward = (getattr(file_of(room, "position"), f"{kind}_{way}") for way in ("forward", "backward"))
        begin: Any = tf.constant(start) if room is manual and kind == "rotary" else start
        noise = getattr(a["x"], "noise", None)
        if noise is not None and kind == "rotary":
            # angles are float64 in every dtype, and their roundings grow with the position
            begin = noise.moved(start, 16 * UNIT_ROUNDOFF["float64"] * (start + shape[1]))
        y, residuals = forward(*a.values(), start=begin, **options)
        if not upstream:
            return {"y": y}
        gradients = backward(upstream["y"], residuals)
        gradients = gradients if rows else (gradients,)
        return {"y": y, **{f"d{name}": g for name, g in zip(a, gradients, strict=True)}}

    def by_tape(a: Named, fixed: Named) -> Named:
        return {"y": getattr(file_of(tape, "position"), f"{kind}_forward")(*a.values(), start=start, **options)}

    name = f"{kind} {'x'.join(map(str, shape))} from {start}{' off the defaults' * bool(options)}"

    def otherwise() -> Named:
        starts = {"the start is left out": 0, "the start is one too late": start + 1}
        mistakes = {sentence: _position(kind, shape, other, options).by_hand for sentence, other in starts.items()}
        if options:
            scaled = start * options["scaling_factor"]
            mistakes["the start is not divided by scaling_factor"] = _position(kind, shape, scaled, options).by_hand
        for option in options:
            others = {name: value for name, value in options.items() if name != option}
            mistakes[f"{option} is taken for its default"] = _position(kind, shape, start, others).by_hand
        return mistakes

    return Call(name, {"x": shape, **rows}, by_hand, by_tape, otherwise=otherwise)


def others() -> Iterator[Call]:
    """Dropout with axes that share one number; a table's gradient as rows."""

    def drop(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        y, residuals = file_of(room, "dropout").dropout_forward(a["x"], SEED, rate=0.3, noise_shape=(4, 1, 5))
        return {
            "y": y,
            **({"dx": file_of(room, "dropout").dropout_backward(upstream["y"], residuals)} if upstream else {}),
        }

    def dropped(a: Named, fixed: Named) -> Named:
        return {"y": file_of(tape, "dropout").dropout_forward(a["x"], SEED, rate=0.3, noise_shape=(4, 1, 5))}

    yield Call("dropout with a noise shape", {"x": (4, 3, 5)}, drop, dropped)

    def look_up(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        y, residuals = file_of(room, "embedding").embedding_forward(fixed["tokens"], a["embeddings"])
        if not upstream:
            return {"y": y, "squares": 0 * a["embeddings"]}
        if room is reference:
            dembeddings = file_of(room, "embedding").embedding_backward(upstream["y"], residuals)
            return {"y": y, "dembeddings": dembeddings, "squares": dembeddings * dembeddings}
        rows, tokens = file_of(room, "embedding").embedding_rows_backward(upstream["y"], (*residuals, 5))
        sums = [tf.math.unsorted_segment_sum(array, tokens, 9) for array in (rows, rows * rows)]
        return {"y": y, "dembeddings": sums[0], "squares": sums[1]}

    tokens = np.array([[1, 8, 1, 3], [3, 3, 0, 8], [5, 1, 8, 8]])
    yield Call("embedding as rows", {"embeddings": (9, 5)}, look_up, None, {"tokens": tokens})
