"""Tensors that a layer takes beside x, by Keras's names for them: a mask, the states before the first step, keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tfbp.errors import InputError, one_of
from tfbp.network.layer import Layer, Shape


class TakesBeside(Layer):
    """A layer that may take more than x; not a kind.

    A mask has a number for each step, 0 where the step is left out; it has no gradient.

    Attributes:
        accepted: the names of what it may take.
        takes: the names of what it takes, in the order of its call.
    """

    keras_name: ClassVar[str] = "TakesBeside"
    accepted: ClassVar[tuple[str, ...]] = ("mask",)

    takes: Any

    @property
    def takes_several(self) -> bool:  # type: ignore[override]
        return bool(self.takes)

    @property
    def is_called_plainly(self) -> bool:
        return not self.takes and not getattr(self, "return_state", False)

    def tensors_of(self, name: str) -> int:
        """How many tensors it takes by a name."""
        return 1

    def apart(self, given: Any) -> tuple[Any, dict[str, Any]]:
        """x, and the others by name, of all that it takes, or of their shapes; a tuple of several by one name."""
        if not self.takes:
            return given, {}
        x, *others = given
        named = {}
        for name in self.takes:
            count = self.tensors_of(name)
            named[name] = others[0] if count == 1 and name != "initial_state" else tuple(others[:count])
            del others[:count]
        return x, named

    def in_order(self, dx: Any, named: Mapping[str, Any]) -> Any:
        """dx, or with others the gradients of all that it takes, None where there is none."""
        if not self.takes:
            return dx
        found = [dx]
        for name in self.takes:
            one = named.get(name)
            found += one if isinstance(one, tuple) else [one] * self.tensors_of(name)
        return tuple(found)

    def keras_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in super().keras_arguments().items() if name != "takes"}

    def _check_takes(self) -> None:
        given = self.takes
        names = tuple(given) if isinstance(given, tuple | list) else ()
        if (given != names and list(names) != given) or len(set(names)) < len(names) or set(names) - {*self.accepted}:
            raise InputError(f"takes: got {given!r}; accepted: a tuple of {one_of(self.accepted)}, each once.")
        object.__setattr__(self, "takes", names)

    def _shapes_apart(self, input_shape: Any) -> tuple[Shape, dict[str, Any]]:
        """The shape of x, and those of the others by name.

        Raises:
            InputError: another number of tensors.
        """
        count = 1 + sum(map(self.tensors_of, self.takes))
        if self.takes and (len(input_shape) != count or not all(isinstance(each, tuple) for each in input_shape)):
            self._refuse(input_shape, f"{count} tensors: x and what it takes, {', '.join(self.takes)}")
        return self.apart(input_shape)
