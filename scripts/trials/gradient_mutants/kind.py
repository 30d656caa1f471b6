"""A function with a backward by hand, its test points, and backwards that are wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

Backward = Callable[..., tuple[Any, ...]]
Points = Callable[[np.random.Generator], list[np.ndarray]]


@dataclass(frozen=True)
class Mutant:
    """A mistake.

    Attributes:
        name: in the table. arguments: those with a wrong gradient. cause: a regular expression for the right cause.
        backward: takes the upstream gradient and the function's arguments.
    """

    name: str
    arguments: tuple[str, ...]
    cause: str
    backward: Backward


@dataclass(frozen=True)
class Kind:
    """One kind of function.

    Attributes:
        forward, backward: by hand, and right. good, lazy: test points; a lazy one hides a mistake of some kind.
        oracle: the function for autodiff, if it is not the forward itself.
    """

    name: str
    forward: Callable[..., Any]
    backward: Backward
    good: Points
    lazy: Points
    mutants: list[Mutant] = field(default_factory=list)
    oracle: Callable[..., Any] | None = None

    def function(self, backward: Backward | None = None) -> Callable[..., Any]:
        """Returns the tf.custom_gradient with its own backward, or another's."""
        chosen = backward or self.backward

        def body(*arguments: Any) -> Any:
            return self.forward(*arguments), lambda dy: chosen(dy, *arguments)

        body.__name__ = self.name.replace(" ", "_")
        body.__signature__ = inspect.signature(self.forward)  # type: ignore[attr-defined]
        function = tf.custom_gradient(body)
        function.backward = chosen
        return function

    def mistake(self, name: str, argument: str, cause: str, backward: Backward) -> None:
        self.mutants.append(Mutant(name, tuple(argument.split()), cause, backward))

    def but(self, index: int, change: Callable[..., Any]) -> Backward:
        """The right backward with one gradient changed by `change`, from the gradient and the backward's arguments."""

        def backward(dy: Any, *arguments: Any) -> tuple[Any, ...]:
            right = list(self.backward(dy, *arguments))
            right[index] = change(right[index], dy, *arguments)
            return tuple(right)

        return backward
