"""Registers every kind of layer by its name, with its three writings: tfbp's own kinds and a user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tfbp.errors import InputError

Pair = tuple[Callable[..., Any], Callable[..., Any]]
Kind = TypeVar("Kind", bound=type)
# the functions of a kind that `manual.per_example` calls
PER_EXAMPLE = ("norms", "moments", "gradients")


@dataclass(frozen=True)
class Writings:
    """The functions of a registered kind: forward and backward of reference and manual, forward of tape."""

    reference: Pair
    manual: Pair
    tape: Callable[..., Any]
    per_example: dict[str, Callable[..., Any]] = field(default_factory=dict)
    cases: Sequence[Any] = ()


_KINDS: dict[str, type[Any]] = {}
_WRITINGS: dict[str, Writings] = {}


def known(kind: Kind) -> Kind:
    """Registers a kind; from then on `from_json` finds it by its name.

    Raises:
        InputError: another class has the name.
    """
    other = _KINDS.get(kind.keras_name)  # type: ignore[attr-defined]
    if other is not None and _path(other) != _path(kind):
        raise InputError(
            f"kind: got {_path(kind)}, named {kind.keras_name!r} as {_path(other)}; "  # type: ignore[attr-defined]
            "accepted: a keras_name of its own."
        )
    _KINDS[kind.keras_name] = kind  # type: ignore[attr-defined]
    return kind


def register(
    kind: type[Any],
    *,
    reference: Pair,
    manual: Pair,
    tape: Callable[..., Any],
    per_example: dict[str, Callable[..., Any]] | None = None,
    cases: Sequence[Any] = (),
) -> None:
    """Registers a kind of layer with its three writings; from then on it works as tfbp's own kinds do.

        reference, manual: forward(layer, weights, x, *, training, seed) -> z, residuals, new weights or {}
                           backward(layer, dz, residuals) -> dx, gradients by weight
        tape:              forward(layer, weights, x, *, training, seed) -> z, new weights or {}

    Args:
        kind: a frozen dataclass, a subclass of `tfbp.network.Layer`, with a name that no other kind has.
        reference: the pair in NumPy float64.
        manual: the pair in TensorFlow ops.
        tape: the forward alone, in TensorFlow ops; tf.GradientTape differentiates.
        per_example: "norms" and "moments", or "gradients", of single examples, each a function of layer, x and dz.
            Without it a network of this kind has no per-example norms.
        cases: `tfbp.network.Setting`s, which `tfbp agree` runs beside tfbp's own.

    Raises:
        InputError: something that is not such a class or function, or a name that another kind has.

    Example:
        >>> from dataclasses import dataclass
        >>> from tfbp.network import Layer, Network
        >>> @dataclass(frozen=True)
        ... class Doubled(Layer):
        ...     def output_shape(self, input_shape):
        ...         return input_shape
        >>> def forward(layer, weights, x, *, training, seed):
        ...     return 2 * x, None, {}
        >>> def backward(layer, dz, residuals):
        ...     return 2 * dz, {}
        >>> pair = forward, backward
        >>> register(Doubled, reference=pair, manual=pair, tape=lambda *given, **how: (2 * given[2], {}))
        >>> Network.from_json(Network(3, [Doubled()], "huber").to_json()).layers
        (Doubled(),)

    Reference: https://github.com/HIPS/autograd/blob/master/docs/tutorial.md (defvjp)
    """
    if not (isinstance(kind, type) and hasattr(kind, "keras_name") and hasattr(kind, "output_shape")):
        raise InputError(f"kind: got {kind!r}; accepted: a subclass of tfbp.network.Layer.")
    for name, pair in (("reference", reference), ("manual", manual)):
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(map(callable, pair))):
            raise InputError(f"{name}: got {pair!r}; accepted: a pair of functions, (forward, backward).")
    if not callable(tape):
        raise InputError(f"tape: got {tape!r}; accepted: a function, forward.")
    for name, function in (per_example or {}).items():
        if name not in PER_EXAMPLE or not callable(function):
            raise InputError(f"per_example: got {name!r}: {function!r}; accepted: functions as {PER_EXAMPLE}.")
    known(kind)
    _WRITINGS[kind.keras_name] = Writings(reference, manual, tape, per_example or {}, tuple(cases))


def kinds() -> dict[str, type[Any]]:
    """Returns every kind of layer by its Keras name.

    Example:
        >>> kinds()["Dense"].__name__
        'Dense'
    """
    return dict(_KINDS)


def registered() -> dict[str, Writings]:
    """Returns the registered functions, by the kind's name."""
    return dict(_WRITINGS)


def writings_of(layer: Any) -> Writings:
    """Returns the registered writings of a layer's kind.

    Raises:
        InputError: a kind without registered writings.
    """
    name = layer.keras_name
    if name not in _WRITINGS or not is_known(layer):
        raise InputError(
            f"layers: got {type(layer).__name__}, which has no writings; accepted: a kind that tfbp.register was given."
        )
    return _WRITINGS[name]


def is_known(layer: Any) -> bool:
    """Whether the layer's class is the registered kind of its name, not another class of the same name."""
    return _path(_KINDS.get(layer.keras_name)) == _path(type(layer))


def _path(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else ""
