"""The cases of layers of other kinds than dense, as those of `cases`."""

from __future__ import annotations

from collections.abc import Iterator
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
    GlobalMaxPooling2D,
    GroupedQueryAttention,
    GroupNormalization,
    LayerNormalization,
    LinearCrossEntropy,
    MaxPooling2D,
    MultiHeadAttention,
    Network,
    PositionEmbedding,
    Reshape,
    Residual,
    RMSNormalization,
    RotaryEmbedding,
    SimpleRNN,
    Tokens,
)
from tfbp.vocabulary import L1L2, Activation


def layer_kind_cases() -> Iterator[Case]:
    """Kinds of layers beside a Dense on rows: higher ranks, other shapes, layers with parts, one in another."""
    loss, penalty = "sparse_categorical_crossentropy", L1L2(l1=0.01, l2=0.02)
    rank3 = [
        Dense(5, "tanh", kernel_regularizer=penalty),
        Activation("silu"),
        Flatten(),
        Dense(3),
    ]
    yield Case("rank3-B6-I4x7-O3", Network((4, 7), rank3, loss), 6)
    # a softmax along the last axis of many, and its gradient, and a head that is an activation of its own
    reshaped = [
        Reshape((2, -1)),
        Dense(6, "softmax"),
        Reshape((3, 2, 2)),
        Dense(4, "gelu"),
        Flatten(),
        Dense(3),
    ]
    head = Activation("softmax")
    yield Case("reshape-B5-I12-O3", Network(12, [*reshaped, head], loss), 5)
    block = [Dense(6, "tanh"), Dense(5)]
    yield Case("residual-B8-I5-O3", Network(5, [Residual(block), Activation("tanh"), Dense(3)], loss), 8)
    wider = [Dense(9, "silu", kernel_regularizer=penalty), Dense(6, use_bias=False)]
    yield Case("projection-B7-I4x5-O3", Network((4, 5), [Residual(wider), Flatten(), Dense(3)], loss), 7)
    inner = Residual([Activation("softsign"), Dense(5)], [Dense(5, "tanh", bias_regularizer=penalty), Dense(5)])
    deep = [Dense(5), Residual([inner, Residual(block)]), Residual(block), Flatten(), Dense(4)]
    yield Case("residual-deep-B6-I3x4-O4", Network((3, 4), deep, loss), 6)


def image_cases() -> Iterator[Case]:
    """Convolution, pooling, normalization and dropout: each with arguments off their defaults, and whole networks."""
    loss, penalty = "sparse_categorical_crossentropy", L1L2(l1=0.01, l2=0.02)

    def case(name: str, inputs: tuple[int, ...], layers: list[Any], batch: int = 5, training: bool = True) -> Case:
        return Case(name, Network(inputs, layers, loss), batch, training=training)

    def convolutions(*layers: Any) -> list[Any]:
        return [*layers, Flatten(), Dense(3)]

    yield case("conv-valid-B5-7x6x2", (7, 6, 2), convolutions(Conv2D(4, 3, activation="tanh")))
    plain = Conv2D(4, (3, 2), padding="same", use_bias=False, kernel_regularizer=penalty)
    yield case("conv-same-no-bias-B5-7x6x2", (7, 6, 2), convolutions(plain))
    strided = [Conv2D(3, 3, 2, "same", activation="silu"), Conv2D(4, 2, (2, 1))]
    yield case("conv-strides-B5-9x8x2", (9, 8, 2), convolutions(*strided))
    yield case("conv-dilated-B5-9x8x2", (9, 8, 2), convolutions(Conv2D(3, 3, padding="same", dilation_rate=(2, 3))))
    yield case("conv-groups-B5-6x5x4", (6, 5, 4), convolutions(Conv2D(6, 3, padding="same", groups=2)))
    depthwise = [DepthwiseConv2D(3, 2, "same", 2, activation="tanh"), DepthwiseConv2D(2, depthwise_regularizer=penalty)]
    yield case("depthwise-B5-7x8x3", (7, 8, 3), convolutions(*depthwise))
    yield case("max-pooling-B5-9x8x3", (9, 8, 3), convolutions(MaxPooling2D(3, 2, "same"), MaxPooling2D()))
    yield case("average-pooling-B5-9x8x3", (9, 8, 3), convolutions(AveragePooling2D((3, 2), 2, "same")))
    yield case("global-pooling-B5-5x4x3", (5, 4, 3), [Conv2D(4, 2), GlobalAveragePooling2D(), Dense(3)])
    yield case("global-max-pooling-B5-5x4x3", (5, 4, 3), convolutions(Conv2D(4, 2), GlobalMaxPooling2D(True)))
    for training in (True, False):
        which = "training" if training else "inference"
        layers = [Conv2D(4, 3), BatchNormalization(0.75, 0.01), Activation("relu"), BatchNormalization(scale=False)]
        yield case(f"batch-normalization-{which}-B8-5x4x2", (5, 4, 2), convolutions(*layers), 8, training)
    yield case("layer-normalization-B6-4x7", (4, 7), convolutions(Dense(5, "tanh"), LayerNormalization()), 6)
    yield case("rms-normalization-B6-4x7", (4, 7), convolutions(Dense(5, "tanh"), RMSNormalization()), 6)
    grouped = GroupNormalization(2, gamma_regularizer=penalty)
    yield case("group-normalization-B6-4x3x2", (4, 3, 2), convolutions(Conv2D(6, 2), grouped), 6)
    dropped = [Dropout(0.3), Dense(5, "tanh"), Residual([Dense(5), Dropout(0.5)]), Dropout(0.2), Dense(3)]
    yield case("dropout-B9-I7-O3", (7,), dropped, 9)
    yield case("dropout-inference-B9-I7-O3", (7,), dropped, 9, False)
    small = [Conv2D(4, 3, activation="relu"), MaxPooling2D(), Conv2D(6, 3, padding="same", activation="relu")]
    yield case("cnn-B4-10x10x1", (10, 10, 1), [*small, MaxPooling2D(), Flatten(), Dropout(0.25), Dense(3)], 4)

    # smooth: beside a kink, luck decides which writing rounds across it
    def block(filters: int, strides: int = 1) -> Residual:
        convolution = partial(Conv2D, filters, 3, padding="same", use_bias=False)
        inner = [convolution(strides=strides), BatchNormalization(), Activation("silu"), convolution()]
        shortcut = [Conv2D(filters, 1, strides, use_bias=False), BatchNormalization()] if strides > 1 else None
        return Residual([*inner, BatchNormalization()], shortcut)

    residual = [Conv2D(4, 3, padding="same"), block(4), Activation("silu"), block(6, 2), Activation("silu")]
    yield case("resnet-B6-7x7x2", (7, 7, 2), [*residual, GlobalAveragePooling2D(), Dense(3)], 6)


def sequence_cases() -> Iterator[Case]:
    """Recurrent layers, each as by default and with every argument off it."""
    loss, penalty = "sparse_categorical_crossentropy", L1L2(l1=0.01, l2=0.02)

    def case(name: str, inputs: tuple[int, ...], layers: list[Any], batch: int = 5) -> Case:
        return Case(name, Network(inputs, layers, loss), batch)

    def sequences(layer: Any) -> list[Any]:
        return [layer, Flatten(), Dense(3)]

    backwards = {"use_bias": False, "return_sequences": True, "go_backwards": True}
    yield case("simple-rnn-B5-6x3", (6, 3), [SimpleRNN(4, recurrent_regularizer=penalty), Dense(3)])
    yield case("simple-rnn-backwards-B5-5x3", (5, 3), sequences(SimpleRNN(4, "softsign", **backwards)))
    yield case("lstm-B5-6x3", (6, 3), [LSTM(4, bias_regularizer=penalty), Dense(3)])
    yield case("lstm-backwards-B5-5x3", (5, 3), sequences(LSTM(4, "silu", "softplus", **backwards)))
    yield case("gru-B5-6x3", (6, 3), [GRU(4, kernel_regularizer=penalty), Dense(3)])
    yield case("pooling-of-sequences-B5-6x3", (6, 3), [Dense(4, "tanh"), GlobalAveragePooling1D(), Dense(3)])
    product = Bidirectional(SimpleRNN(4, return_sequences=True, recurrent_regularizer=penalty), "mul")
    yield case("bidirectional-B5-3x3", (3, 3), [product, Dense(3)])
    before = GRU(4, "silu", "hard_sigmoid", **backwards, reset_after=False)
    yield case("gru-before-backwards-B5-5x3", (5, 3), sequences(before))


def token_cases() -> Iterator[Case]:
    """Networks whose tokens have losses of their own, weighted by token and by example."""
    loss = "sparse_categorical_crossentropy"
    layers = [Dense(5, "tanh", kernel_regularizer=L1L2(l1=0.01, l2=0.02)), Dense(4)]
    yield Case("tokens-sparse-B5-6x3", Network((6, 3), layers, loss), 5)
    link = [*layers, Activation("softmax")]
    network = Network((2, 3, 3), link, "categorical_crossentropy")
    yield Case("tokens-categorical-B5-2x3x3", network, 5, any_targets=True, weighs_examples=True)
    # a table of more rows than there are tokens, each of which stands at several places
    lookup = [Embedding(9, 5, embeddings_regularizer=L1L2(l1=0.01, l2=0.02)), Dense(4, "tanh"), Dense(7)]
    yield Case("embedding-B5-T6-V7", Network(Tokens(6, 7), lookup, loss), 5)
    placed = [Embedding(7, 6), PositionEmbedding(9), Dense(6, "tanh"), RotaryEmbedding(50, 0.5), Dense(7)]
    yield Case("positions-B5-T6-V7", Network(Tokens(6, 7), placed, loss), 5)
    # compiled, the manual writing takes the loss and the last layer's gradients a chunk at a time
    head = LinearCrossEntropy(7, kernel_regularizer=L1L2(l1=0.01, l2=0.02))
    network = Network(Tokens(6, 7), [Embedding(7, 5), Dense(4, "tanh"), head], loss)
    yield Case("linear-cross-entropy-B5-T6-V7", network, 5)
    tied = LinearCrossEntropy(9, use_bias=False, tied=True)
    table = Embedding(9, 5, embeddings_regularizer=L1L2(l1=0.01, l2=0.02))
    network = Network(Tokens(6, 7), [table, PositionEmbedding(6), Dense(5, "tanh"), tied], loss)
    yield Case("tied-B5-T6-V7", network, 5)


def attention_cases() -> Iterator[Case]:
    """Attention of query heads in groups, and a transformer's block."""
    loss, penalty = "sparse_categorical_crossentropy", L1L2(l1=0.01, l2=0.02)

    def case(name: str, layers: list[Any]) -> Case:
        return Case(name, Network((5, 6), layers, loss), 4)

    grouped = GroupedQueryAttention(3, 4, 2, 0.3, use_bias=False, use_causal_mask=True)
    yield case("grouped-attention-B4-5x6", [grouped, Flatten(), Dense(3)])
    attention = [LayerNormalization(), MultiHeadAttention(2, 3, 4, 0.2, use_causal_mask=True, bias_regularizer=penalty)]
    wider = [LayerNormalization(), Dense(8, "gelu"), Dense(6)]
    block = [Residual(attention), Residual(wider), GlobalAveragePooling1D(), Dense(3)]
    yield case("transformer-B4-5x6", block)
    seen = Residual([LayerNormalization(), MultiHeadAttention(2, 3, use_causal_mask=True)])
    tied = LinearCrossEntropy(9, use_bias=False, tied=True)
    layers = [Embedding(9, 6), PositionEmbedding(5), seen, LayerNormalization(), tied]
    yield Case("tied-attention-B4-T5-V9", Network(Tokens(5, 9), layers, loss), 4, weighs_examples=True)
