"""Cases of geometry, draws and merges: every edge of a kind's arguments, and several layers in a network.

The matrix compares each layer by itself, so one network tests many of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tfbp.agreement.problems import Case
from tfbp.network import (
    GRU,
    LSTM,
    AveragePooling2D,
    BatchNormalization,
    Bidirectional,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GroupedQueryAttention,
    GroupNormalization,
    Input,
    LayerNormalization,
    LinearCrossEntropy,
    MaxPooling1D,
    MaxPooling2D,
    MultiHeadAttention,
    Network,
    PositionEmbedding,
    Rescaling,
    Reshape,
    Residual,
    RMSNormalization,
    RotaryEmbedding,
    SimpleRNN,
    Tokens,
)
from tfbp.vocabulary import L1L2

_LOSS = "sparse_categorical_crossentropy"
_PENALTY = L1L2(l1=0.01, l2=0.02)
# small constants, so that small networks run in halves of a batch, in chunks of attention, and in chunks and blocks
HALVES = {"halves.LEAST": 1}
CHUNKS = {
    **{"attention.LONG": 0, "attention.LONG_FOR_XLA": 0, "chunks.BANDS": 3, "chunks.BANDS_OF_XLA": 2},
    **{f"chunks.CHUNK{of}": 3 for of in ("", "_OF_XLA", "_ON_GPU")},
}
BLOCKS = {
    f"linear_cross_entropy.{name}": v for name, v in (("CHUNK_BYTES", 0), ("FEWEST_TOKENS", 7), ("FEWEST_CLASSES", 3))
}


def _case(name: str, inputs: Any, layers: list[Any], batch: int = 4, **options: Any) -> Case:
    head = [] if isinstance(layers[-1], LinearCrossEntropy) else [Flatten(), Dense(3)]
    return Case(name, Network(inputs, [*layers, *head], _LOSS), batch, **options)


def geometry_cases() -> Iterator[Case]:
    """Windows: one channel, groups, dilations and strides together, kernels smaller than their strides, long ones."""
    one = [Conv2D(1, (3, 2), padding="same", dilation_rate=(2, 1)), Conv2D(1, 2, (2, 1)), Conv2D(2, (2, 3), 2, "same")]
    yield _case("conv-one-channel-B4-8x7x1", (8, 7, 1), one)
    dilated = [
        Conv2D(6, 3, padding="same", dilation_rate=(2, 1), groups=2),
        Conv2D(4, 2, dilation_rate=(1, 2), groups=2),
    ]
    yield _case("conv-groups-dilated-B4-6x5x4", (6, 5, 4), dilated)
    strided = [Conv2D(8, (3, 2), (2, 1), "same", groups=4, use_bias=False), Conv2D(4, 2, (1, 2), groups=4)]
    yield _case("conv-groups-of-each-channel-B4-6x5x4", (6, 5, 4), strided)
    sparse = [Conv2D(3, 1, 3, "same"), Conv2D(2, (1, 2), (2, 1), "same")]
    yield _case("conv-kernel-1-B4-6x6x2", (6, 6, 2), sparse)
    skipping = [Conv2D(3, 2, 3), Conv2D(2, (4, 2), padding="same")]
    yield _case("conv-kernel-2-strides-3-B4-8x10x2", (8, 10, 2), skipping)
    deep = [DepthwiseConv2D(2, padding="same", depth_multiplier=3), DepthwiseConv2D((3, 2), (1, 2), dilation_rate=1)]
    yield _case("depthwise-3-B4-5x6x2", (5, 6, 2), deep)
    wide = [
        DepthwiseConv2D((2, 3), padding="same", dilation_rate=(1, 2), depth_multiplier=2),
        DepthwiseConv2D(1, 3, "same"),
    ]
    yield _case("depthwise-dilated-B4-5x6x2", (5, 6, 2), [*wide, DepthwiseConv2D((1, 2), (2, 1), use_bias=False)])
    yield _case("pooling-of-144-B2-13x12x2", (13, 12, 2), [MaxPooling2D((13, 12), 5, "same")], 2)
    yield _case("pooling-of-289-B2-18x17x1", (18, 17, 1), [MaxPooling2D(17, (1, 5), "same")], 2)
    pools = [MaxPooling2D(2, 3), AveragePooling2D((1, 2), (2, 1), "same"), AveragePooling2D(2, 1)]
    yield _case("pooling-strides-B4-9x11x4", (9, 11, 4), pools)
    averages = [AveragePooling2D(3, (1, 2), "same"), AveragePooling2D((4, 2), padding="same"), MaxPooling2D((2, 1))]
    yield _case("pooling-edges-B4-7x9x4", (7, 9, 4), averages)
    layers_of_case = [
        Conv2D(3, 2),
        GlobalAveragePooling2D(True),
        Flatten(),
        Reshape((3, 1)),
        GlobalAveragePooling1D(True),
    ]
    yield _case("global-pooling-kept-B4-4x3x2", (4, 3, 2), layers_of_case)
    yield _case("global-max-pooling-B4-4x3x2", (4, 3, 2), [Conv2D(3, 2), GlobalMaxPooling2D()])
    # many numbers are 0, and none is above: equal maxima, which roundings leave equal
    below = Rescaling(-1.0)
    images = [Conv2D(3, 2, activation="relu"), below, MaxPooling2D(2, 1), Dense(3, "relu"), below, GlobalMaxPooling2D()]
    yield _case("pooling-of-equal-ones-B4-5x6x2", (5, 6, 2), images)
    steps = [Dense(4, "relu"), below, MaxPooling1D(3, 2), Dense(3, "relu"), below, GlobalMaxPooling1D()]
    yield _case("pooling-of-equal-steps-B4-9x3", (9, 3), steps)


def normalization_cases() -> Iterator[Case]:
    """Either weight without the other, every rank, groups of all channels and of each."""
    for training in (True, False):
        which = "training" if training else "inference"
        layers = [BatchNormalization(0.6, 0.02, center=False), Dense(4), BatchNormalization(center=False, scale=False)]
        yield _case(f"batch-normalization-bare-{which}-B6-3x5", (3, 5), layers, 6, training=training)
        rows = [BatchNormalization(0.9, scale=False), Dense(4, "tanh"), BatchNormalization(beta_regularizer=_PENALTY)]
        yield _case(f"batch-normalization-rows-{which}-B6-5", (5,), rows, 6, training=training)
    groups = [GroupNormalization(-1), GroupNormalization(1, 0.02), GroupNormalization(3, scale=False)]
    yield _case("group-normalization-groups-B3-3x2x6", (3, 2, 6), groups, 3)
    more = [
        GroupNormalization(2, center=False),
        GroupNormalization(4, center=False, scale=False),
        GroupNormalization(2),
    ]
    yield _case("group-normalization-ranks-B3-3x8", (3, 8), [*more, Flatten(), GroupNormalization(3)], 3)
    layers = [LayerNormalization(0.02, center=False), LayerNormalization(scale=False), RMSNormalization(0.02)]
    x, shared = Input((4,)), BatchNormalization(0.5, 0.02)
    # its second call continues from the statistics of the first
    yield Case("normalization-shared-B6-I4", Network(x, Dense(3)(shared(Dense(4, "tanh")(shared(x)))), _LOSS), 6)
    bare = LayerNormalization(center=False, scale=False)
    yield _case("layer-normalization-ranks-B3-3x2x5", (3, 2, 5), [*layers, bare, Flatten(), LayerNormalization()], 3)


def draw_cases() -> Iterator[Case]:
    """A layer that draws several times, and another one that draws after it."""
    twice = Residual([Dropout(0.3), Dense(5, "tanh"), Dropout(0.4)])
    yield _case("draws-twice-B6-7", (7,), [Dense(5), twice, Dropout(0.3), Dense(4)], 6)
    projected = Residual([Dropout(0.3), Dense(4), Dropout(0.5)], [Dropout(0.2), Dense(4), Dropout(0.4)])
    nested = Residual([Residual([Dropout(0.3), Dropout(0.2)]), Dropout(0.4)])
    yield _case("draws-of-both-ways-B5-3x4", (3, 4), [projected, Dropout(0.25), nested, Dropout(0.3)], 5)
    attention = Residual([MultiHeadAttention(2, 3, dropout=0.3), Dropout(0.2)])
    yield _case("draws-of-attention-B3-4x5", (4, 5), [attention, Dropout(0.3), Dropout(1.0)], 3)


def recurrence_cases() -> Iterator[Case]:
    """Both directions in every merge; over halves of a batch; every activation; one step; no bias."""
    kinds = {
        "concat": LSTM(2, bias_regularizer=_PENALTY),
        "sum": GRU(2, reset_after=False),
        "mul": LSTM(2, "gelu"),
        "ave": SimpleRNN(2, use_bias=False),
    }
    layer: Any
    for mode, layer in kinds.items():
        every_step: Any = replace(layer, return_sequences=True)
        layers = [Bidirectional(every_step, mode), Bidirectional(layer, mode)]
        yield _case(f"bidirectional-{mode}-B4-3x2", (3, 2), layers)
    sequences: Any = partial(dict, return_sequences=True)
    halves = [LSTM(3, **sequences()), GRU(2, **sequences(go_backwards=True)), SimpleRNN(3)]
    yield _case("recurrence-halves-B6-4x2", (4, 2), halves, 6, constants=HALVES)
    both = [Bidirectional(LSTM(2, "relu", **sequences()), "mul"), GRU(3, reset_after=False)]
    yield _case("recurrence-halves-odd-B5-3x2", (3, 2), both, 5, constants=HALVES)
    activations = [
        LSTM(3, "gelu", "hard_sigmoid", **sequences()),
        GRU(3, "relu6", "softmax", **sequences()),
        SimpleRNN(3, "log_softmax", **sequences()),
        GRU(2, "elu", "silu", reset_after=False, use_bias=False),
    ]
    yield _case("recurrence-activations-B4-3x2", (3, 2), activations)
    backwards = [SimpleRNN(3, go_backwards=True, **sequences()), LSTM(2, use_bias=False, go_backwards=True)]
    yield _case("recurrence-backwards-B4-3x2", (3, 2), backwards)
    yield _case("recurrence-one-step-B4-1x3", (1, 3), [LSTM(2, **sequences()), GRU(3)])


def token_cases() -> Iterator[Case]:
    """Attention in chunks and with every ratio of heads; a last layer in chunks of tokens and blocks of classes."""
    shared = [GroupedQueryAttention(3, 4, 1), GroupedQueryAttention(2, 3, 3, use_causal_mask=True)]
    yield _case("attention-shares-B3-4x5", (4, 5), [*shared, MultiHeadAttention(1, 2, 4, use_bias=False)], 3)
    chunks = [GroupedQueryAttention(3, 4, 2, use_causal_mask=True), MultiHeadAttention(2, 3, 4)]
    yield _case("attention-chunks-B2-7x5", (7, 5), chunks, 2, constants=CHUNKS)
    head = LinearCrossEntropy(7, kernel_regularizer=_PENALTY)
    table = Embedding(7, 4)
    layers = [table, PositionEmbedding(9), RotaryEmbedding(), Dense(4, "tanh"), head]
    yield _case("linear-cross-entropy-blocks-B5-T6-V7", Tokens(6, 7), layers, 5, constants=BLOCKS)
    tied = [Embedding(9, 4), Dense(4, "tanh"), LinearCrossEntropy(9, use_bias=False, tied=True)]
    yield _case("tied-blocks-B5-T6-V9", Tokens(6, 9), tied, 5, constants=BLOCKS, weighs_examples=True)


def more_cases() -> list[Case]:
    return [*geometry_cases(), *normalization_cases(), *draw_cases(), *recurrence_cases(), *token_cases()]
