"""What a call of a function of the writings is, where no layer of a network's makes it."""

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


def file_of(room: Any, name: str) -> Any:
    """A file of a writing."""
    return import_module(f"{room.__name__}.{name}")
