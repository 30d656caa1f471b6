"""Attention: every step of a sequence attends to those of another, or of its own. T steps, D features of each; S keys.

A weight has the name of its path in Keras: query_kernel is the kernel of Keras's query.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_count
from tfbp.network.beside import TakesBeside
from tfbp.network.dense import Dense
from tfbp.network.embedding import Embedding
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.linear_cross_entropy import LinearCrossEntropy
from tfbp.network.normalization import LayerNormalization
from tfbp.network.pooling import GlobalAveragePooling1D
from tfbp.network.position import PositionEmbedding
from tfbp.network.residual import Residual
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.shapes import Flatten
from tfbp.network.tokens import Tokens
from tfbp.vocabulary import L1L2

# Keras's arguments that no kind here can express, and the value that each must have
_LEFT_OUT = {"output_shape": None, "sliding_window": None, "flash_attention": False, "use_gate": False}


class _Attention(TakesBeside):
    """The common part of both; not a kind."""

    keras_name: ClassVar[str] = "_Attention"
    accepted: ClassVar[tuple[str, ...]] = ("value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")
    keras_parts: ClassVar[tuple[str, ...]] = ("query", "key", "value", "attention_output")
    counts: ClassVar[tuple[str, ...]] = ()

    dropout: float
    use_bias: bool
    use_causal_mask: bool

    def __post_init__(self) -> None:
        for name in self.counts:
            check_count(name, getattr(self, name))
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, Real) or not 0 <= float(self.dropout) <= 1:
            raise InputError(f"dropout: got {self.dropout!r}; accepted: a number from 0 to 1.")
        check_flag("use_bias", self.use_bias)
        check_flag("use_causal_mask", self.use_causal_mask)
        self._check_takes()
        self._settle(**self.arguments())

    @property
    def head_shapes(self) -> dict[str, Shape]:
        """The heads, and the numbers in each, of query, key and value."""
        raise NotImplementedError

    @property
    def draws(self) -> int:
        return int(self.dropout > 0)

    def sources(self, query: Any, beside: Mapping[str, Any]) -> dict[str, Any]:
        """What query, key and value are made of, of what it takes: without a key the value, without that the query."""
        value = beside.get("value", query)
        return {"query": query, "key": beside.get("key", value), "value": value}

    def output_shape(self, input_shape: Any) -> Shape:
        shape, beside = self._shapes_apart(input_shape)
        each = self.sources(shape, beside)
        if any(len(one) != 2 for one in each.values()):
            self._refuse(input_shape, "sequences, (steps, features)")
        if each["key"][0] != each["value"][0]:
            self._refuse(input_shape, "a key with as many steps as the value")
        steps, keys = shape[0], each["key"][0]
        fits = {"query_mask": (steps,), "value_mask": (keys,), "key_mask": (keys,), "attention_mask": (steps, keys)}
        for name in fits.keys() & beside.keys():
            given = beside[name]
            if name == "attention_mask" and len(given) == 2:
                # the same for all queries, or for all keys
                given = tuple(whole if size == 1 else size for size, whole in zip(given, fits[name], strict=True))
            if given != fits[name]:
                self._refuse(beside[name], f"a {name} {fits[name]} for {steps} queries and {keys} keys")
        return shape

    def weight_shapes(self, input_shape: Any) -> dict[str, Shape]:
        shape, beside = self._shapes_apart(input_shape)
        widths, shapes = {part: one[-1] for part, one in self.sources(shape, beside).items()}, {}
        for part, heads in self.head_shapes.items():
            shapes[f"{part}_kernel"], shapes[f"{part}_bias"] = (widths[part], *heads), heads
        head_sizes, width = (self.head_shapes["query"][0], self.head_shapes["value"][1]), shape[-1]
        shapes |= {"attention_output_kernel": (*head_sizes, width), "attention_output_bias": (width,)}
        return {name: shape for name, shape in shapes.items() if self.use_bias or name.endswith("_kernel")}

    def drawn_shape(self, weight: str, shape: Shape) -> Shape:
        """The kernel as a matrix: its rows are inputs, its columns outputs."""
        if not weight.endswith("_kernel"):
            return shape
        inputs = 2 if weight.startswith("attention_output") else 1
        return math.prod(shape[:inputs]), math.prod(shape[inputs:])

    def initializer(self, weight: str) -> Initializer:
        return super().initializer(weight.rpartition("_")[2])

    def regularizer(self, weight: str) -> L1L2 | None:
        return super().regularizer(weight.rpartition("_")[2])

    @property
    def is_called_plainly(self) -> bool:
        return False

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        query, beside = self.apart(x)
        options: dict[str, Any] = {"use_causal_mask": True} if self.use_causal_mask else {}
        if beside:
            from keras import ops

            # Keras reads masks off its tensors, and not off its arguments: all are one attention_mask
            options |= {"key": beside["key"]} if "key" in beside else {}
            shown = [
                ops.expand_dims(mask, 2 if name == "query_mask" else 1) if len(mask.shape) == 2 else mask
                for name, mask in ((name, ops.cast(m, "bool")) for name, m in beside.items() if name.endswith("mask"))
            ]
            if shown:
                options["attention_mask"] = functools.reduce(ops.logical_and, shown)
        return keras_layer(query, beside.get("value", query), **options)

    def keras_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in super().keras_arguments().items() if name != "use_causal_mask"}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        for name, accepted in _LEFT_OUT.items():
            if given.get(name) not in (accepted, None):
                raise InputError(f"{name}: got {given[name]!r}; accepted: {accepted}.")
        # a built Keras layer lists all its axes: one axis here, because the bridge has joined them
        axes = given.get("attention_axes")
        if axes is not None and tuple(axes) != tuple(range(1, len(axes) + 1)):
            raise InputError(f"attention_axes: got {axes!r}; accepted: None.")
        return super().from_keras_arguments(given)


@dataclass(frozen=True)
class MultiHeadAttention(_Attention, Layer):
    """Lets every step attend to all steps, in several heads: softmax(query · key / √key_dim) · value, projected back.

        query, key, value = x · kernel + bias, each with its own kernel, (T or S, heads, key_dim or value_dim)
        z = Σ over heads and value_dim of y · attention_output_kernel + attention_output_bias

    Args:
        num_heads: the number of heads.
        key_dim: the size of a head's query and key.
        value_dim: the size of a head's value; None for key_dim.
        dropout: the rate of dropout on the probabilities, as in `Dropout`.
        use_bias: whether the four projections have biases.
        use_causal_mask: whether a step ignores all later steps. In Keras it is an argument of the call.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as in `Dense`, for all four
            projections.
        takes: what else a call takes: "value" and "key", sequences (S, features) that the steps attend to, and masks,
            0 where a step is ignored: "query_mask" (T,), "value_mask", "key_mask" (S,), "attention_mask" (T, S).
            A query that sees no key has the mean of all values; with dropout 0. So it is in Keras.

    Raises:
        InputError: an argument of the wrong kind.

    Example:
        >>> layer = MultiHeadAttention(2, 3)
        >>> layer.output_shape((20, 8)), layer.weight_shapes((20, 8))["query_kernel"]
        ((20, 8), (8, 2, 3))

    Reference: Vaswani et al. (2017), https://arxiv.org/abs/1706.03762
    """

    counts: ClassVar[tuple[str, ...]] = ("num_heads", "key_dim", "value_dim")

    num_heads: int
    key_dim: int
    value_dim: int | None = None
    dropout: float = 0.0
    use_bias: bool = True
    use_causal_mask: bool = False
    kernel_initializer: Any = field(default="glorot_uniform", hash=False)
    bias_initializer: Any = field(default="zeros", hash=False)
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    takes: Any = ()

    def __post_init__(self) -> None:
        if self.value_dim is None:
            object.__setattr__(self, "value_dim", self.key_dim)
        super().__post_init__()

    @property
    def head_shapes(self) -> dict[str, Shape]:
        by_key, by_value = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim or self.key_dim)
        return {"query": by_key, "key": by_key, "value": by_value}


@dataclass(frozen=True)
class GroupedQueryAttention(_Attention, Layer):
    """`MultiHeadAttention` in which several query heads share one key and one value.

    Args:
        head_dim: the size of a head's query, key and value.
        num_query_heads: the number of heads.
        num_key_value_heads: the number of keys and values; a divisor of num_query_heads.
        dropout, use_bias, …, takes: as in `MultiHeadAttention`.

    Raises:
        InputError: an argument of the wrong kind, or heads that do not divide.

    Example:
        >>> GroupedQueryAttention(3, 4, 2).weight_shapes((20, 8))["key_kernel"]
        (8, 2, 3)

    Reference: Ainslie et al. (2023), https://arxiv.org/abs/2305.13245
    """

    counts: ClassVar[tuple[str, ...]] = ("head_dim", "num_query_heads", "num_key_value_heads")

    head_dim: int
    num_query_heads: int
    num_key_value_heads: int
    dropout: float = 0.0
    use_bias: bool = True
    use_causal_mask: bool = False
    kernel_initializer: Any = field(default="glorot_uniform", hash=False)
    bias_initializer: Any = field(default="zeros", hash=False)
    kernel_regularizer: Any = None
    bias_regularizer: Any = None
    takes: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_query_heads % self.num_key_value_heads:
            raise InputError(
                f"num_key_value_heads: got {self.num_key_value_heads}, with {self.num_query_heads} query heads; "
                "accepted: a divisor of num_query_heads."
            )

    @property
    def head_shapes(self) -> dict[str, Shape]:
        shared = (self.num_key_value_heads, self.head_dim)
        return {"query": (self.num_query_heads, self.head_dim), "key": shared, "value": shared}


_GROUPED = GroupedQueryAttention(3, 4, 2, 0.3, use_bias=False, use_causal_mask=True)
_SEEN = MultiHeadAttention(2, 3, 4, 0.2, use_causal_mask=True, bias_regularizer=PENALTY)
_BLOCK = [
    Residual([LayerNormalization(), _SEEN]),
    Residual([LayerNormalization(), Dense(8, "gelu"), Dense(6)]),
]
_TIED = [
    *(Embedding(9, 6), PositionEmbedding(5)),
    Residual([LayerNormalization(), MultiHeadAttention(2, 3, use_causal_mask=True)]),
    *(LayerNormalization(), LinearCrossEntropy(9, use_bias=False, tied=True)),
]
CASES = (
    Setting("grouped-attention-B4-5x6", (5, 6), [_GROUPED, Flatten(), Dense(3)], 4),
    Setting("transformer-B4-5x6", (5, 6), [*_BLOCK, GlobalAveragePooling1D(), Dense(3)], 4),
    Setting("tied-attention-B4-T5-V9", Tokens(5, 9), _TIED, 4, weighs_examples=True),
)
