"""The table of embeddings, the first layer of a network of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_count
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.tokens import Tokens

# options of the Keras layers that no network can express
_OPTIONS = {"mask_zero": False, "tie_weights": True, "reverse_dtype": None, "logit_soft_cap": None}


@dataclass(frozen=True)
class Embedding(Layer):
    """Each token's row of a table: y[t] = embeddings[x[t]]. The first layer of a network of `tfbp.Tokens`.

    Args:
        input_dim: the number of rows of the table, at least the vocabulary.
        output_dim: the width of a row, at least 1.
        embeddings_initializer: the table's first values: a Keras initializer, its name or its config.
        embeddings_regularizer: a penalty on it: a `tfbp.L1L2`, a Keras name, or None.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> Embedding(100, 16).output_shape((64,)), Embedding(100, 16).weight_shapes((64,))
        ((64, 16), {'embeddings': (100, 16)})

    Reference: https://keras.io/api/layers/core_layers/embedding/
    """

    takes_tokens: ClassVar[bool] = True

    input_dim: int
    output_dim: int
    embeddings_initializer: Any = field(default="uniform", hash=False)
    embeddings_regularizer: Any = None

    def __post_init__(self) -> None:
        check_count("input_dim", self.input_dim)
        check_count("output_dim", self.output_dim)
        self._settle(**self.arguments())

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            self._refuse(input_shape, "tokens, (length,)")
        return (*input_shape, self.output_dim)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"embeddings": (self.input_dim, self.output_dim)}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        # these two belong to a ReversibleEmbedding
        for name, accepted in _OPTIONS.items():
            if given.get(name, accepted) != accepted:
                raise InputError(f"{name}: got {given[name]!r}; accepted: {accepted!r}.")
        return super().from_keras_arguments(given)


# a table with more rows than tokens, and each token at several places
_LOOKUP = [Embedding(9, 5, embeddings_regularizer=PENALTY), Dense(4, "tanh"), Dense(7)]
CASES = (Setting("embedding-B5-T6-V7", Tokens(6, 7), _LOOKUP, 5),)
