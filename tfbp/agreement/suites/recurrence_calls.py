"""Recurrences with states in and out, and masked; over the halves of a batch.

B batch, T steps, I inputs, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from keras import StatelessScope

from tfbp import layers, manual, tape
from tfbp.agreement.programs import Named
from tfbp.agreement.suites.call import Call, file_of
from tfbp.bridge.activations import keras_activation
from tfbp.manual import halves
from tfbp.vocabulary import Activation

# whole, padded after, padded before, with a gap, no step, one step alone
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


def recurrences() -> Iterator[Call]:
    """Each kind with states in and out: with four orders and a mask, and without; an even batch and an odd one."""
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
        return {"y": y, **{f"last {name}": state for name, state in zip(states, last, strict=True)}}

    def by_hand(room: Any, a: Named, fixed: Named, upstream: Named) -> Named:
        given = [a[n] for n in ("x", "kernel", "recurrent_kernel", "bias")]
        first = tuple(a[n] for n in states)
        forward, backward = (
            getattr(file_of(room, "recurrent"), f"{function}_{way}") for way in ("forward", "backward")
        )
        y, last, residuals = _forward(room, forward, given, first, fixed.get("mask"), options, order)
        outputs_by_name = outputs(y, last)
        if not upstream:
            return outputs_by_name
        dlast = tuple(upstream[f"last {n}"] for n in states)
        dx, *dweights, dfirst = _backward(room, backward, upstream["y"], residuals, dlast, order)
        names = ("dx", "dkernel", "drecurrent_kernel", "dbias", *(f"d{n}" for n in states))
        return {**outputs_by_name, **dict(zip(names, (dx, *dweights, *dfirst), strict=True))}

    def by_tape(a: Named, fixed: Named) -> Named:
        given = [a[n] for n in ("x", "kernel", "recurrent_kernel", "bias")]
        room, first = file_of(tape, "recurrent"), tuple(a[n] for n in states)
        step = room.STEPS[keras_name]
        return outputs(*room.recurrence(*step, *given, first, fixed.get("mask"), **options, **order))

    def otherwise() -> Named:
        turned = [(f"{key} is taken for {not value}", {**order, key: not value}) for key, value in order.items()]
        others = {
            sentence: _recurrence(kind, options, other, mask, name, unknown).by_hand for sentence, other in turned
        }
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
            # the weights are the call's own tensors, because they are differentiated
            with _weights_of(layer, [a[n] for n in ("kernel", "recurrent_kernel", "bias")]):
                y, *last = layer(a["x"], mask=fixed.get("mask"), initial_state=[a[n] for n in states])
            return outputs(y, last)

        return run

    named: Named = {"otherwise": otherwise, "by_layer": None if unknown else by_layer}
    return Call(name, shapes, by_hand, by_tape, mask, {"halves.LEAST": 1}, unknown, **named)


@contextmanager
def _weights_of(layer: Any, tensors: list[Any]) -> Iterator[None]:
    """Makes a Keras layer read these tensors for its weights while open."""
    with StatelessScope(state_mapping=list(zip(layer.trainable_variables, tensors, strict=True))):
        yield


def _forward(room: Any, forward: Any, given: Any, states: Any, mask: Any, options: Named, order: Named) -> Any:
    if room is manual:
        named: Named = {"states": states, "mask": mask, **options, **order}
        x, kernel, recurrent_kernel, bias = given
        return halves.forward(forward, x, kernel, recurrent_kernel, bias, **named)
    x, *weights = given
    turned = [a if a is None or not order["go_backwards"] else a[:, ::-1] for a in (x, mask)]
    hs, last, residuals = forward(turned[0], *weights, states, turned[1], **options)
    sequences, zero = order["return_sequences"], order["zero_output_for_mask"]
    y, of_outputs = file_of(room, "recurrent").outputs_forward(
        hs, turned[1], return_sequences=sequences, zero_output_for_mask=zero
    )
    return y, last, (residuals, of_outputs)


def _backward(room: Any, backward: Any, dy: Any, residuals: Any, dstates: Any, order: Named) -> Any:
    if room is manual:
        return halves.backward(backward, dy, residuals, dstates)
    of_loop, of_outputs = residuals
    dx, *others = backward(file_of(room, "recurrent").outputs_backward(dy, of_outputs), of_loop, dstates)
    return dx[:, ::-1] if order["go_backwards"] else dx, *others
