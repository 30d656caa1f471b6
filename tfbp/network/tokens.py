"""Tokens as inputs: each integer is the number of a row of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfbp.errors import InputError, check_count
from tfbp.network.chain import Place
from tfbp.network.layer import Layer, Shape


@dataclass(frozen=True)
class Tokens:
    """The inputs of a network of texts: sequences of integers from 0 to vocabulary - 1, x of shape (B, length).

    Args:
        length: the number of tokens of an example, at least 1.
        vocabulary: the number of different tokens, at least 1.

    Raises:
        InputError: a number below 1.

    Example:
        >>> from tfbp import Dense, Embedding, Network
        >>> Network(Tokens(64, 100), [Embedding(100, 16), Dense(3)], "sparse_categorical_crossentropy")
        <Network Tokens(length=64, vocabulary=100): Embedding (64, 16), Dense (64, 3); sparse_categorical_crossentropy>
    """

    length: int
    vocabulary: int

    def __post_init__(self) -> None:
        check_count("length", self.length)
        check_count("vocabulary", self.vocabulary)

    @property
    def shape(self) -> Shape:
        return (int(self.length),)


def check_lookup(tokens: Tokens | None, layers: Sequence[Layer]) -> None:
    """Raises `InputError` unless an `Embedding` is the first layer where the inputs are tokens, and nowhere else.

    Its table must have a row for each token.
    """
    for place, layer in _each(layers):
        is_first = tokens is not None and place == (0,)
        if layer.takes_tokens == is_first or (layer.takes_tokens is None and not is_first):
            continue
        name = ".".join(map(str, place))
        if is_first:
            raise InputError(f"layers[0]: got {type(layer).__name__} on {tokens!r}; accepted: a tfbp.Embedding.")
        accepted = "as the first layer of a network of tfbp.Tokens only"
        raise InputError(f"layers[{name}]: got {type(layer).__name__}; accepted: {accepted}.")
    rows = getattr(layers[0], "input_dim", 0)
    if tokens is not None and rows < tokens.vocabulary:
        raise InputError(f"layers[0]: input_dim: got {rows}; accepted: {tokens.vocabulary} or more, for {tokens!r}.")


def _each(layers: Sequence[Layer], before: Place = ()) -> Iterator[tuple[Place, Layer]]:
    for index, layer in enumerate(layers):
        yield (*before, index), layer
        for name, part in layer.parts.items():
            yield from _each(part, (*before, index, name))
