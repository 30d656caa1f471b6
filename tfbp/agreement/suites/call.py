"""A call of a writing's function that no layer of a network makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tfbp.agreement.programs import Named

SEED = (5, -7)


@dataclass(frozen=True)
class Call:
    """One way to call a function of the writings.

    Attributes:
        name: what is called, and how.
        shapes: those of the differentiated arrays, by name; a weight's under "weights".
        by_hand: a function of a writing with a backward, the arrays, the upstream gradients and `fixed`; it returns
            outputs by name and gradients by "d" and the array's name.
        by_tape: a function of the arrays and `fixed`; it returns the outputs by name.
        fixed: inputs without a gradient: masks, tokens.
        constants: constants of tfbp.manual during the call, by module and name.
        unknown: whether a graph does not know the sizes of all axes but the last two.
        otherwise: functions like `by_hand` with other arguments, by the sentence of their cause.
        by_layer: a function of a dtype and the weights; it returns the call of its layer of tfbp.layers, like
            `by_tape`.
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


def file_of(room: Any, name: str) -> Any:
    """Returns a file of a writing."""
    return import_module(f"{room.__name__}.{name}")
