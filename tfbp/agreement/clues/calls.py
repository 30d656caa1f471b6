"""Clues for a call: other arguments, another mask, no state, another order."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tfbp import reference
from tfbp.agreement.clues.geometry import in_another_order, other_masks, sizes_of
from tfbp.agreement.clues.moved import orders
from tfbp.judging.diagnosis import Clues
from tfbp.judging.failures import Failure, attempt


def of_a_call(name: str, call: Any, arrays: Any, upstream: Any) -> Clues:
    """Clues for one tensor of a call."""
    asked = {}
    for sentence, otherwise in call.otherwise().items():
        asked[sentence] = attempt(otherwise, reference, arrays, call.fixed, upstream)
    for key, mask in call.fixed.items():
        if mask.dtype != bool:
            continue
        for sentence, other in other_masks(key, mask).items():
            asked[sentence] = attempt(call.by_hand, reference, arrays, {**call.fixed, key: other}, upstream)
    masks = {key: mask for key, mask in call.fixed.items() if mask.dtype == bool}
    if len(masks) > 1:
        either = functools.reduce(np.logical_or, masks.values())
        for sentence, every in (
            ("every mask is ignored", {key: np.ones_like(mask) for key, mask in masks.items()}),
            ("one of the masks is enough", dict.fromkeys(masks, either)),
        ):
            asked[sentence] = attempt(call.by_hand, reference, arrays, {**call.fixed, **every}, upstream)
    for key, value in arrays.items():
        if (value.ndim == 2 and key in ("h", "c")) or key in ("bias", "beta"):
            without = {**arrays, key: np.zeros_like(value)}
            asked[f"{key} is left out"] = attempt(call.by_hand, reference, without, call.fixed, upstream)
    for key, value in upstream.items():
        without = {**upstream, key: np.zeros_like(value)}
        asked[f"the gradient of {key} is left out"] = attempt(call.by_hand, reference, arrays, call.fixed, without)
    right = call.by_hand(reference, arrays, call.fixed, upstream)
    moved = {}
    for key, value in arrays.items():
        for axis in range(value.ndim):
            for how, other in orders(value, axis):
                answer = attempt(call.by_hand, reference, {**arrays, key: other}, call.fixed, upstream)
                if not isinstance(answer, Failure) and not np.allclose(answer[name], right[name], rtol=1e-9):
                    moved[f"{key} {how} along its axis {axis}"] = answer[name]
    mistakes = {
        sentence: answer[name]
        for sentence, answer in asked.items()
        if not isinstance(answer, Failure) and name in answer
    }
    mistakes |= {
        f"it is {other}": value
        for other, value in right.items()
        if other != name and np.shape(value) == np.shape(right[name]) and not np.array_equal(value, right[name])
    }
    first = np.shape(next(iter(arrays.values())))
    return Clues(mistakes | in_another_order(name, right[name], first), sizes=sizes_of(first), others=moved)
