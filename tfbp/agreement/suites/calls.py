"""Functions of the writings called as no layer of a network's does: masks, states in and out, other axes, a start.

A call is data: the arrays that it differentiates, what it is told beside them, and how each writing is asked. What
takes another way where sizes are large (halves of a batch, chunks of queries) takes it at small ones, by `constants`.

B batch, T steps or queries, S keys, I inputs, H units; names of tensors are those of the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import tensorflow as tf
from keras import StatelessScope

from tfbp import layers, manual, reference, tape
from tfbp.agreement import clues
from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, Topic, remembered, run_trials, with_constants
from tfbp.agreement.tolerances import monte_carlo
from tfbp.bridge.activations import keras_activation
from tfbp.judging.tolerances import UNIT_ROUNDOFF, Units
from tfbp.manual import halves
from tfbp.vocabulary import Activation

Array = np.ndarray
SCOPE = "calls"
SEED = (5, -7)


@dataclass(frozen=True)
class Call:
    """One way to call a function of the writings.

    Attributes:
        name: what is called, and how.
        shapes: of the arrays that are differentiated, by name; those of a weight under "weights".
        by_hand: of a writing with a backward, the arrays, the upstream gradients and what is fixed: outputs by name and
            gradients by "d" and the array's name.
        by_tape: of the arrays and what is fixed: the outputs by name.
        fixed: what is no number that a gradient could move: masks, tokens.
        constants: of tfbp.manual, by module and name, while it is called.
        unknown: whether a graph is kept from knowing the sizes of all axes but the last two.
        otherwise: functions like `by_hand` of calls with other arguments, by what may then be said of a cause.
        by_layer: of a dtype and the weights, the call of its layer of tfbp.layers, like `by_tape`.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    by_hand: Callable[[Any, Named, Named, Named], Named]
    by_tape: Callable[[Named, Named], Named] | None
    fixed: Named = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    unknown: bool = False
    otherwise: Callable[[], Mapping[str, Callable[..., Named]]] = dict
    by_layer: Callable[[str, Named], Callable[[Named, Named], Named]] | None = None


def run_calls(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Every call by manual and tape, in one dtype and mode; the tape in float64 alone, where it is another's judge."""
    cell, found = Cell(Topic("calls"), dtype, mode, device, tf32), []
    for writing in ("manual", "tape") if dtype == "float64" else ("manual",):
        found += run_trials(_all_trials(dtype, writing, device, tf32), SCOPE, cell)
    return [_laid(result, found) for result in found]


def _laid(result: Result, every: list[Result]) -> Result:
    """The result; where manual and tape are wrong by the same, the reference's."""
    if result.comparison.agrees:
        return result
    distances = [r.comparison.relative_error for r in every if r.comparison.tensor == result.comparison.tensor]
    if len(distances) < 2 or not np.ptp(distances) <= 1e-9 * max(distances):
        return result
    # the cause was looked for in the wrong numbers
    return replace(result, pair="reference-manual", comparison=replace(result.comparison, cause=""))


@remembered
def _all_trials(dtype: str, writing: str, device: str, tf32: bool) -> list[SuiteCase]:
    units = Units.of(dtype, writing, tf32, device)
    return [trial for call in calls() for trial in _trials(call, writing, dtype, units)]


def calls() -> list[Call]:
    return [*_recurrences(), *_attentions(), *_normalizations(), *_positions(), *_others()]


def trial_of_layer(call: Call, dtype: str, units: Units) -> Iterator[SuiteCase]:
    """The call by its layer of tfbp.layers, where it has one."""
    if call.by_layer is not None:
        yield from _trials(call, "layers", dtype, units)


def _trials(call: Call, writing: str, dtype: str, units: Units) -> Iterator[SuiteCase]:
    if writing == "tape" and call.by_tape is None:
        return
    arrays, upstream, expected = _problem(call, dtype)
    limits = monte_carlo.sensitivity(
        lambda noise: call.by_hand(
            reference, {n: noise.on(a) for n, a in arrays.items()}, call.fixed, _on(noise, upstream)
        ),
        expected,
        units,
    )
    is_weight = {name: name in _WEIGHTS for name in arrays}
    cast = {name: a.astype(numpy_dtype(dtype)) for name, a in arrays.items()}
    fed = {
        "weights": {name: a for name, a in cast.items() if is_weight[name]},
        **{name: a for name, a in cast.items() if not is_weight[name]},
        "fixed": dict(call.fixed),
        "upstream": {name: a.astype(numpy_dtype(dtype)) for name, a in upstream.items()},
    }
    by_layer = call.by_layer(dtype, cast) if writing == "layers" and call.by_layer else None
    hints = {name: partial(clues.of_a_call, name, call, arrays, upstream) for name in expected}
    yield SuiteCase(
        Topic(call.name), call.name, writing, partial(_run, call, writing, by_layer), fed, expected, limits, clues=hints
    )


def _problem(call: Call, dtype: str) -> tuple[Named, Named, Named]:
    """The arrays, an upstream gradient of each output, and the reference's answers."""
    rng = np.random.default_rng([*call.name.encode()])
    arrays = {name: round_to(rng.normal(size=shape), dtype) for name, shape in call.shapes.items()}
    outputs = call.by_hand(reference, arrays, call.fixed, {})
    upstream = {name: round_to(rng.normal(size=np.shape(y)), dtype) for name, y in outputs.items()}
    return arrays, upstream, call.by_hand(reference, arrays, call.fixed, upstream)


def _file(room: Any, name: str) -> Any:
    """A file of a writing."""
    return import_module(f"{room.__name__}.{name}")


def _on(noise: Any, arrays: Named) -> Named:
    return {name: noise.on(a) for name, a in arrays.items()}


def _run(call: Call, writing: str, by_layer: Any, fed: Named) -> Named:
    arrays = {**{n: a for n, a in fed.items() if n not in ("weights", "fixed", "upstream")}, **fed["weights"]}
    if call.unknown and not tf.executing_eagerly():
        arrays = {n: a if n in _WEIGHTS else _of_unknown_size(a) for n, a in arrays.items()}
    if writing == "manual":
        with with_constants(call.constants):
            return call.by_hand(manual, arrays, fed["fixed"], fed["upstream"])
    run = call.by_tape if by_layer is None else by_layer
    assert run is not None
    with tf.GradientTape() as record:
        record.watch(arrays)
        outputs = run(arrays, fed["fixed"])
    upstream = [fed["upstream"][name] for name in outputs]
    gradients = record.gradient(list(outputs.values()), arrays, output_gradients=upstream)
    return {**outputs, **{f"d{name}": gradient for name, gradient in gradients.items()}}


def _of_unknown_size(a: Any) -> Any:
    return (
        tf.compat.v1.placeholder_with_default(a, [None] * (a.shape.rank - 2) + a.shape[-2:].as_list())
        if (a.shape.rank > 2)
        else a
    )


_WEIGHTS = {"kernel", "recurrent_kernel", "bias", "gamma", "beta", "scale", "embeddings"}

# whole, padded after, padded before, with a gap, nothing left, one step alone
_MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
_STEPS, _INPUTS, _UNITS = 4, 3, 4
_KINDS: dict[str, dict[str, Any]] = {
    "SimpleRNN": {"activation": Activation("tanh")},
    "LSTM": {"activation": Activation("softsign"), "recurrent_activation": Activation("sigmoid")},
    "GRU": {"activation": Activation("tanh"), "recurrent_activation": Activation("sigmoid"), "reset_after": True},
    "GRU before": {
        **{"activation": Activation("tanh"), "recurrent_activation": Activation("hard_sigmoid")},
        "reset_after": False,
    },
}
_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
_ORDERS = [("last", "zero"), ("sequences",), ("sequences", "backwards"), ("last", "backwards")]
_ORDERS += [("sequences", "zero"), ("sequences", "backwards", "zero"), ("last",), ("last", "backwards", "zero")]


def _recurrences() -> Iterator[Call]:
    """Each kind with states in and out: masked in four orders, and without a mask; an even batch and an odd one."""
    for number, (kind, options) in enumerate(_KINDS.items()):
        for turn, words in enumerate((*_ORDERS[number % 2 :: 2], ("sequences",))):
            masked = turn < 4
            order = {
                "return_sequences": "sequences" in words,
                "go_backwards": "backwards" in words,
                "zero_output_for_mask": "zero" in words,
            }
            mask = {"mask": _MASK[: 6 - turn % 2]} if masked else {}
            yield _recurrence(kind, options, order, mask, f"{kind} {' '.join(words)}{' masked' * masked}", turn == 2)


def _recurrence(kind: str, options: Named, order: Named, mask: Named, name: str, unknown: bool) -> Call:
    keras_name = kind.split()[0]
    width, batch = _GATES[keras_name] * _UNITS, len(mask.get("mask", _MASK[:5]))
    states = ("h", "c") if keras_name == "LSTM" else ("h",)
    shapes = {
        "x": (batch, _STEPS, _INPUTS),
        "kernel": (_INPUTS, width),
        "recurrent_kernel": (_UNITS, width),
        "bias": (2, width) if options.get("reset_after") else (width,),
        **{name: (batch, _UNITS) for name in states},
    }
    function = {"SimpleRNN": "simple_rnn"}.get(keras_name, keras_name.lower())

    def outputs(y: Any, last: Any) -> Named:
        return {"y": y, **{f"last {name}": each for name, each in zip(states, last, strict=True)}}

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        given = [a[n] for n in ("x", "kernel", "recurrent_kernel", "bias")]
        first = tuple(a[n] for n in states)
        forward, backward = (getattr(_file(room, "recurrent"), f"{function}_{way}") for way in ("forward", "backward"))
        y, last, residuals = _forward(room, forward, given, first, fixed.get("mask"), options, order)
        found = outputs(y, last)
        if not upstream:
            return found
        dlast = tuple(upstream[f"last {n}"] for n in states)
        dx, *dweights, dfirst = _backward(room, backward, upstream["y"], residuals, dlast, order)
        names = ("dx", "dkernel", "drecurrent_kernel", "dbias", *(f"d{n}" for n in states))
        return {**found, **dict(zip(names, (dx, *dweights, *dfirst), strict=True))}

    def by_tape(a: Named, fixed: Named) -> Named:
        given = [a[n] for n in ("x", "kernel", "recurrent_kernel", "bias")]
        room, first = _file(tape, "recurrent"), tuple(a[n] for n in states)
        step = room.STEPS[keras_name]
        return outputs(*room.recurrence(*step, *given, first, fixed.get("mask"), **options, **order))

    def otherwise() -> Named:
        turned = [(f"{key} is taken for {not value}", {**order, key: not value}) for key, value in order.items()]
        others = {said: _recurrence(kind, options, other, mask, name, unknown).by_hand for said, other in turned}
        if "recurrent_activation" in options:
            gates = {
                "activation": options["recurrent_activation"],
                "recurrent_activation": options["activation"],
            }
            exchanged = _recurrence(kind, options | gates, order, mask, name, unknown)
            others["activation and recurrent_activation are exchanged"] = exchanged.by_hand
        return others

    def by_layer(dtype: str, cast: Named) -> Callable[[Named, Named], Named]:
        arguments = {n: keras_activation(v) if isinstance(v, Activation) else v for n, v in (options | order).items()}
        layer = getattr(layers, keras_name)(_UNITS, **arguments, return_state=True, dtype=dtype)
        layer.build((batch, _STEPS, _INPUTS))

        def run(a: Named, fixed: Named) -> Named:
            # the weights are the call's own tensors: what is differentiated
            with _weights_of(layer, [a[n] for n in ("kernel", "recurrent_kernel", "bias")]):
                y, *last = layer(a["x"], mask=fixed.get("mask"), initial_state=[a[n] for n in states])
            return outputs(y, last)

        return run

    told: Named = {"otherwise": otherwise, "by_layer": None if unknown else by_layer}
    return Call(name, shapes, by_hand, by_tape, mask, {"halves.LEAST": 1}, unknown, **told)


@contextmanager
def _weights_of(layer: Any, tensors: list[Any]) -> Iterator[None]:
    """While it lasts, a layer of Keras's reads these tensors for its weights."""
    with StatelessScope(state_mapping=list(zip(layer.trainable_variables, tensors, strict=True))):
        yield


def _forward(room: Any, forward: Any, given: Any, states: Any, mask: Any, options: Named, order: Named) -> Any:
    if room is manual:
        told: Named = {"states": states, "mask": mask, **options, **order}
        x, kernel, recurrent_kernel, bias = given
        return halves.forward(forward, x, kernel, recurrent_kernel, bias, **told)
    x, *weights = given
    turned = [a if a is None or not order["go_backwards"] else a[:, ::-1] for a in (x, mask)]
    hs, last, residuals = forward(turned[0], *weights, states, turned[1], **options)
    sequences, zero = order["return_sequences"], order["zero_output_for_mask"]
    y, of_outputs = _file(room, "recurrent").outputs_forward(
        hs, turned[1], return_sequences=sequences, zero_output_for_mask=zero
    )
    return y, last, (residuals, of_outputs)


def _backward(room: Any, backward: Any, dy: Any, residuals: Any, dstates: Any, order: Named) -> Any:
    if room is manual:
        return halves.backward(backward, dy, residuals, dstates)
    kept, of_outputs = residuals
    dx, *others = backward(_file(room, "recurrent").outputs_backward(dy, of_outputs), kept, dstates)
    return dx[:, ::-1] if order["go_backwards"] else dx, *others


# queries, keys, query heads, key heads, causal, shapes of masks
_ATTENTIONS: dict[str, tuple[int, int, int, int, bool, tuple[tuple[int, ...], ...]]] = {
    "plain": (7, 9, 2, 2, False, ()),
    "causal": (9, 9, 4, 2, True, ()),
    "causal, fewer keys": (9, 6, 2, 1, True, ()),
    "causal, fewer queries": (6, 9, 2, 2, True, ()),
    "masked keys": (7, 9, 4, 2, False, ((2, 1, 1, 9),)),
    "blind queries": (9, 7, 4, 1, True, ((2, 1, 1, 7), (2, 1, 9, 1))),
    "masks of heads": (9, 7, 4, 2, True, ((1, 4, 9, 7),)),
}
_CHUNKS = {"attention.LONG": 0, "attention.LONG_FOR_XLA": 0, "chunks.BANDS": 3, "chunks.BANDS_OF_XLA": 3}
_CHUNKS |= {f"chunks.CHUNK{of}": 4 for of in ("", "_OF_XLA", "_ON_GPU")}


def _attentions() -> Iterator[Call]:
    """Masks of every shape, more keys than queries and fewer, whole and in chunks, of lengths unknown to a graph."""
    for name in _ATTENTIONS:
        yield _attention(name)
        yield _attention(name, constants=_CHUNKS)
    for name in ("blind queries", "causal, fewer keys"):
        yield _attention(name, unknown=True)
        yield _attention(name, constants=_CHUNKS, unknown=True)
    for name in ("causal", "masks of heads"):
        yield _attention(name, drops=True)


def _attention(
    name: str, constants: Named | None = None, unknown: bool = False, drops: bool = False, **others: Any
) -> Call:
    queries, keys, heads, key_heads, causal, masks = _ATTENTIONS[name]
    causal, seed = others.get("causal", causal), others.get("seed", SEED)
    width, value_width, batch = 3, 5, 2
    shapes = {
        "query": (batch, queries, heads, width),
        "key": (batch, keys, key_heads, width),
        "value": (batch, keys, key_heads, value_width),
    }
    rng = np.random.default_rng([*name.encode()])
    fixed = {f"mask {number}": rng.random(shape) > 0.4 for number, shape in enumerate(masks)}
    rate = 0.3

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        seen: Any = list(fixed.values())
        options: Named = {}
        if room is manual:
            if drops:
                options["dropped"] = (
                    _file(manual, "dropout").dropout_mask([batch, heads, queries, keys], seed, rate),
                    rate,
                )
        else:
            seen = np.logical_and.reduce(np.broadcast_arrays(*seen)) if seen else None
            seen = others["edge"](queries, keys, seen) if "edge" in others else seen
            options = {"rate": rate, "seed": seed} if drops else {}
        y, residuals = _file(room, "attention").attention_forward(
            a["query"], a["key"], a["value"], seen, causal=causal, **options
        )
        if not upstream:
            return {"y": y}
        gradients = _file(room, "attention").attention_backward(upstream["y"], residuals)
        return {"y": y, **{f"d{n}": g for n, g in zip(("query", "key", "value"), gradients, strict=True)}}

    def by_tape(a: Named, fixed: Named) -> Named:
        seen: Any = None
        for mask in fixed.values():
            seen = mask if seen is None else seen & mask
        options = {"rate": rate, "seed": seed} if drops else {}
        return {
            "y": _file(tape, "attention").attention_forward(
                a["query"], a["key"], a["value"], seen, causal=causal, **options
            )
        }

    def otherwise() -> Named:
        def shown(further: int) -> Any:
            edge = np.tri(queries, keys, further, dtype=bool)
            return lambda queries, keys, seen: edge if seen is None else edge & seen

        found: dict[str, Named] = {f"the causal mask is {'left out' if causal else 'taken'}": {"causal": not causal}}
        if causal:
            found["the causal edge is a key too early"] = {"causal": False, "edge": shown(-1)}
            found["the causal edge is a key too late"] = {"causal": False, "edge": shown(1)}
        if drops:
            found["the seed's words are exchanged"] = {"seed": SEED[::-1]}
        made = {said: _attention(name, drops=drops, **changed).by_hand for said, changed in found.items()}
        if drops:
            made["dropout is left out"] = _attention(name).by_hand
        return made

    words = [name, *(["in chunks"] if constants else []), *(["of unknown length"] if unknown else [])]
    words += ["with dropout"] if drops else []
    return Call(f"attention {' '.join(words)}", shapes, by_hand, by_tape, fixed, constants or {}, unknown, otherwise)


def _normalizations() -> Iterator[Call]:
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
        room = _file(room, "normalization")
        y, residuals = getattr(room, forward)(a["x"], *(a.get(name) for name in names), **options)
        if not upstream:
            return {"y": y}
        dx, *dweights = getattr(room, f"{kind}_normalization_backward")(upstream["y"], residuals)
        found = dict(zip(names, dweights, strict=False))
        return {"y": y, "dx": dx, **{f"d{name}": found[name] for name in given}}

    def by_tape(a: Named, fixed: Named) -> Named:
        return {
            "y": getattr(_file(tape, "normalization"), forward)(a["x"], *(a.get(name) for name in names), **options)
        }

    def otherwise() -> Named:
        found = {"epsilon is taken for its default": {**options, "epsilon": 1e-6 if kind == "rms" else 1e-3}}
        if axes is not None:
            found["the last axis alone is normalized"] = {**options, "axes": (-1,)}
        else:
            found |= {f"groups is taken for {count}": {**options, "groups": count} for count in (1, shape[-1])}
        return {
            said: _normalization(kind, changed.pop("axes", None), given, shape, **changed).by_hand
            for said, changed in found.items()
        }

    words = [f"over {axes}" if axes else f"of {options['groups']} groups", *(["of", *given] if given else ["bare"])]
    shapes = {"x": shape, **dict.fromkeys(given, of_weights)}
    name = f"{kind} normalization {' '.join(words)} {len(shape)}"
    return Call(name, shapes, by_hand, by_tape, otherwise=otherwise)


def _positions() -> Iterator[Call]:
    """With a start, beside heads, far out."""
    for shape, start in (((3, 4, 6), 2), ((2, 3, 4, 6), 0), ((3, 4, 6), 5)):
        yield _position("position", shape, start, {})
    for shape, start in (((3, 4, 6), 3), ((2, 4, 3, 6), 1), ((2, 4, 6), 99_996)):
        yield _position("rotary", shape, start, {"max_wavelength": 50.0, "scaling_factor": 0.5})
    yield _position("rotary", (2, 4, 6), 99_996, {})


def _position(kind: str, shape: tuple[int, ...], start: int, options: Named) -> Call:
    rows = {"embeddings": (9, shape[-1])} if kind == "position" else {}

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        forward, backward = (getattr(_file(room, "position"), f"{kind}_{way}") for way in ("forward", "backward"))
        begin: Any = tf.constant(start) if room is manual and kind == "rotary" else start
        noise = getattr(a["x"], "noise", None)
        if noise is not None and kind == "rotary":
            # angles are made in float64 in every dtype, and have its roundings, the larger the farther out
            begin = noise.moved(start, 16 * UNIT_ROUNDOFF["float64"] * (start + shape[1]))
        y, residuals = forward(*a.values(), start=begin, **options)
        if not upstream:
            return {"y": y}
        gradients = backward(upstream["y"], residuals)
        gradients = gradients if rows else (gradients,)
        return {"y": y, **{f"d{name}": g for name, g in zip(a, gradients, strict=True)}}

    def by_tape(a: Named, fixed: Named) -> Named:
        return {"y": getattr(_file(tape, "position"), f"{kind}_forward")(*a.values(), start=start, **options)}

    name = f"{kind} {'x'.join(map(str, shape))} from {start}{' off the defaults' * bool(options)}"

    def otherwise() -> Named:
        starts = {"the start is left out": 0, "the start is one too late": start + 1}
        found = {said: _position(kind, shape, other, options).by_hand for said, other in starts.items()}
        for option in options:
            others = {name: value for name, value in options.items() if name != option}
            found[f"{option} is taken for its default"] = _position(kind, shape, start, others).by_hand
        return found

    return Call(name, {"x": shape, **rows}, by_hand, by_tape, otherwise=otherwise)


def _others() -> Iterator[Call]:
    """Dropout whose axes share their fate; a table's gradient as rows."""

    def drop(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        y, residuals = _file(room, "dropout").dropout_forward(a["x"], SEED, rate=0.3, noise_shape=(4, 1, 5))
        return {
            "y": y,
            **({"dx": _file(room, "dropout").dropout_backward(upstream["y"], residuals)} if upstream else {}),
        }

    def dropped(a: Named, fixed: Named) -> Named:
        return {"y": _file(tape, "dropout").dropout_forward(a["x"], SEED, rate=0.3, noise_shape=(4, 1, 5))}

    yield Call("dropout with a noise shape", {"x": (4, 3, 5)}, drop, dropped)

    def look_up(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        y, residuals = _file(room, "embedding").embedding_forward(fixed["tokens"], a["embeddings"])
        if not upstream:
            return {"y": y, "squares": 0 * a["embeddings"]}
        if room is reference:
            dembeddings = _file(room, "embedding").embedding_backward(upstream["y"], residuals)
            return {"y": y, "dembeddings": dembeddings, "squares": dembeddings * dembeddings}
        rows, tokens = _file(room, "embedding").embedding_rows_backward(upstream["y"], residuals)
        sums = [tf.math.unsorted_segment_sum(each, tokens, 9) for each in (rows, rows * rows)]
        return {"y": y, "dembeddings": sums[0], "squares": sums[1]}

    tokens = np.array([[1, 8, 1, 3], [3, 3, 0, 8], [5, 1, 8, 8]])
    yield Call("embedding as rows", {"embeddings": (9, 5)}, look_up, None, {"tokens": tokens})
