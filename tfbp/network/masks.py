"""Masks, and what a network does by them: numbers 1 and 0 for each step, where 0 leaves a step out.

A mask is a tensor as any other, without a gradient. In Keras it is made of booleans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from tfbp.errors import InputError
from tfbp.network.activation import ActivationLayer
from tfbp.network.attention import GroupedQueryAttention, MultiHeadAttention
from tfbp.network.bidirectional import Bidirectional
from tfbp.network.dense import Dense
from tfbp.network.embedding import Embedding
from tfbp.network.input import Input
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.merge import Add, Concatenate, Dot, Multiply, together
from tfbp.network.normalization import BatchNormalization
from tfbp.network.pooling import GlobalAveragePooling1D
from tfbp.network.rearranging import GetItem
from tfbp.network.recurrent import GRU, LSTM, SimpleRNN
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.tokens import Tokens


@dataclass(frozen=True)
class NotEqual(Layer):
    """y = 1 where x is another number than `value`, else 0. It takes tokens, too.

    Args:
        value: a number.

    Raises:
        InputError: something else.

    Example:
        >>> NotEqual(0).output_shape((7,))
        (7,)

    Reference: https://keras.io/api/ops/numpy/#notequal-function
    """

    takes_tokens: ClassVar[bool | None] = None
    makes_mask: ClassVar[bool] = True
    is_operation: ClassVar[bool] = True

    value: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, Real):
            raise InputError(f"value: got {self.value!r}; accepted: a number.")
        self._settle(value=float(self.value))

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        return ops.not_equal(x, int(self.value) if x.dtype.startswith("int") else self.value)


@dataclass(frozen=True)
class AnyOf(Layer):
    """y = 1 where one of the numbers along an axis is not 0, else 0.

    Args:
        axis: counted with the batch as 0, or from the last; not the batch.
        keepdims: whether the axis stays, as 1.

    Raises:
        InputError: no such axis.

    Example:
        >>> AnyOf(-1).output_shape((7, 4)), AnyOf(1, keepdims=True).output_shape((7, 4))
        ((7,), (1, 4))

    Reference: https://keras.io/api/ops/numpy/#any-function
    """

    keras_name: ClassVar[str] = "Any"
    makes_mask: ClassVar[bool] = True
    is_operation: ClassVar[bool] = True

    axis: int = -1
    keepdims: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, Integral) or self.axis == 0:
            raise InputError(f"axis: got {self.axis!r}; accepted: an integer other than 0, the batch.")
        check_flag("keepdims", self.keepdims)

    def output_shape(self, input_shape: Shape) -> Shape:
        axis = self.axis + len(input_shape) if self.axis < 0 else self.axis - 1
        if not 0 <= axis < len(input_shape) or len(input_shape) < 2:
            self._refuse(input_shape, f"inputs with an axis {self.axis} and another")
        return (*input_shape[:axis], *([1] if self.keepdims else []), *input_shape[axis + 1 :])

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        return ops.any(ops.cast(x, "bool"), axis=self.axis, keepdims=self.keepdims)


@dataclass(frozen=True)
class LogicalOr(Layer):
    """y = 1 where one of two tensors is not 0, else 0. An axis of 1 fits one of any size.

    Example:
        >>> LogicalOr().output_shape(((7, 1), (7, 4)))
        (7, 4)

    Reference: https://keras.io/api/ops/numpy/#logicalor-function
    """

    takes_several: ClassVar[bool] = True
    makes_mask: ClassVar[bool] = True
    is_operation: ClassVar[bool] = True

    def output_shape(self, input_shape: Any) -> Shape:
        if len(input_shape) != 2:
            self._refuse(input_shape, "two tensors")
        return together(self, input_shape)

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        from keras import ops

        return ops.logical_or(*(ops.cast(each, "bool") for each in x))


def _encoder_and_decoder(name: str, kind: Callable[..., Any], **options: Any) -> Setting:
    """A masked recurrence that hands its states on to one that is masked otherwise."""
    tokens = Input(Tokens(5, 4))
    x, mask = Dense(3, "tanh")(Embedding(4, 4)(tokens)), NotEqual(1)(tokens)
    encoder = kind(3, return_state=True, takes=("mask",), **options)
    packed = encoder(x, NotEqual(0)(tokens))
    states = [GetItem((1 + number,))(packed) for number in range(encoder.states)]
    takes = ("mask", "initial_state")
    decoder = kind(3, return_sequences=True, return_state=True, takes=takes, recurrent_regularizer=PENALTY, **options)
    made = decoder(x, mask, *states)
    pooled = GlobalAveragePooling1D()(made)
    joined = Concatenate()(pooled, GetItem((0,))(packed), GetItem((0,))(made))
    return Setting(f"states-of-{name}-B6-T5-V4", tokens, Dense(3)(joined), 6)


def _masked_both_ways() -> Setting:
    """Rows of which all numbers are 0 are left out, and one that is added to: the rest of what masks reach."""
    given = Input((5, 3))
    x = ActivationLayer("relu")(given)
    mask = AnyOf(-1)(NotEqual(0.0)(x))
    other = LogicalOr()(GetItem((slice(None), 0))(x), GetItem((slice(None), 1))(x))
    h = Multiply()(Dense(4, "tanh")(x), AnyOf(2, keepdims=True)(NotEqual()(x)))
    both = Bidirectional(LSTM(2, return_sequences=True, takes=("mask",), dropout=0.25))(h, mask)
    last = Bidirectional(GRU(2, takes=("mask",)), "sum")(both, other)
    pooled = GlobalAveragePooling1D(takes=("mask",))(both, other)
    return Setting("masked-both-ways-B6-5x3", given, Dense(3)(Concatenate()(last, pooled)), 6)


def _attention_of_another() -> Setting:
    """Queries of one sequence, keys of another, and each mask."""
    tokens, others = Input(Tokens(4, 4)), Input((3, 5))
    query, table = Dense(4, "tanh")(Embedding(4, 4)(tokens)), Dense(4, "tanh")(others)
    shown = LogicalOr()(*(GetItem((slice(None), n))(ActivationLayer("relu")(others)) for n in (0, 1)))
    pairs = NotEqual()(ActivationLayer("relu")(Dot((2, 2))(query, table)))
    takes = ("value", "query_mask", "value_mask", "attention_mask")
    crossed = MultiHeadAttention(2, 3, 2, 0.2, takes=takes)(query, table, NotEqual(0)(tokens), shown, pairs)
    keyed = GroupedQueryAttention(3, 2, 1, takes=("value", "key", "key_mask"))(crossed, table, others, shown)
    alone = MultiHeadAttention(1, 2, use_causal_mask=True, takes=("value_mask",))(keyed, NotEqual(1)(tokens))
    y = GlobalAveragePooling1D()(Add()(alone, query))
    return Setting("attention-of-another-B5-T4-V4-3x5", [tokens, others], Dense(3)(y), 5)


def _masked_normalization() -> Setting:
    """Statistics of what is shown, of pixels and of steps; y is of all."""
    given = Input((3, 4, 2))
    x = Dense(3)(ActivationLayer("relu")(given))
    h = BatchNormalization(0.75, 0.01, takes=("mask",))(x, AnyOf(-1)(NotEqual()(ActivationLayer("relu")(given))))
    rows = GetItem((slice(None), 1))(h)
    shown = GetItem((slice(None), 0, 1))(ActivationLayer("relu")(given))
    y = Dense(3)(BatchNormalization(center=False, takes=("mask",))(Dense(4, "tanh")(rows), shown))
    return Setting("masked-normalization-B5-3x4x2", given, Dense(3)(GlobalAveragePooling1D()(y)), 5)


def _masked_loss() -> Setting:
    """A tagger of tokens: those that a mask leaves out count neither in a step nor in the loss."""
    tokens = Input(Tokens(5, 4))
    mask = NotEqual(0)(tokens)
    made = LSTM(3, return_sequences=True, takes=("mask",))(Embedding(4, 4)(tokens), mask)
    y = Dense(3, "softmax", kernel_regularizer=PENALTY)(made)
    return Setting("masked-loss-B6-T5-V4", tokens, y, 6, loss_masks=mask)


def _masked_losses() -> Setting:
    """Three outputs: a softmax that others take too and a line, each with a mask of its own, and one without."""
    given = Input((4, 3))
    x = ActivationLayer("relu")(given)
    y = Dense(3, "softmax")(Dense(4, "tanh")(x))
    masks = [AnyOf(-1)(NotEqual()(x)), LogicalOr()(*(GetItem((slice(None), n))(x) for n in (0, 2))), None]
    losses = ["categorical_crossentropy", "mean_squared_error", "huber"]
    outputs = [y, Dense(2)(y), Dense(2)(GlobalAveragePooling1D()(y))]
    return Setting("masked-losses-B5-4x3", given, outputs, 5, losses, loss_masks=masks)


CASES = (
    _encoder_and_decoder("simple-rnn", SimpleRNN),
    _encoder_and_decoder("lstm", LSTM, go_backwards=True),
    _encoder_and_decoder("gru", GRU, zero_output_for_mask=True),
    _masked_both_ways(),
    _attention_of_another(),
    _masked_normalization(),
    _masked_loss(),
    _masked_losses(),
)
