"""The networks of the agreement matrix, as data with readable names, and the numbers they are tried on.

Nothing is lazy: batches over 1, kernels that are square and that are not, biases away from 0, arguments off their
defaults, penalised weights at 0, targets that do not sum to 1, sums that are long for 16 bits, no head of zeros.
Pre-activations on a kink and far out are `points`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from tfbp.network import (
    GRU,
    LSTM,
    AveragePooling2D,
    BatchNormalization,
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
    MaxPooling2D,
    MultiHeadAttention,
    Network,
    Parameters,
    PositionEmbedding,
    Reshape,
    Residual,
    RMSNormalization,
    RotaryEmbedding,
    SimpleRNN,
    Tokens,
    at,
    map_weights,
)
from tfbp.vocabulary import ACTIVATIONS, L1L2, LOSSES, Activation, Loss

DTYPES = ("float64", "float32", "bfloat16", "float16")
_ARGUMENTS = {"threshold": {"threshold": 0.1, "default_value": -0.3}}
_VARIANTS = {
    "gelu-approximate": Activation("gelu", {"approximate": True}),
    "relu-slope-0.1": Activation("relu", {"negative_slope": 0.1}),
    "relu-max-1": Activation("relu", {"max_value": 1.0}),
    "relu-bounded": Activation("relu", {"negative_slope": 0.1, "max_value": 1.0, "threshold": 0.25}),
    "leaky_relu-0.3": Activation("leaky_relu", {"negative_slope": 0.3}),
    "elu-0.5": Activation("elu", {"alpha": 0.5}),
    "celu-2": Activation("celu", {"alpha": 2.0}),
    "squareplus-1": Activation("squareplus", {"b": 1.0}),
    "hard_shrink-0.3": Activation("hard_shrink", {"threshold": 0.3}),
    "soft_shrink-0.8": Activation("soft_shrink", {"threshold": 0.8}),
}


@dataclass(frozen=True)
class Case:
    """A network and a batch size; targets of a row sum to 1 where the loss is a cross-entropy, or to anything; sample
    weights are those of the tokens, where these have losses of their own, or of whole examples."""

    name: str
    network: Network
    batch: int
    any_targets: bool = False
    training: bool = True
    weighs_examples: bool = False


@dataclass(frozen=True)
class Problem:
    """One case's numbers, already rounded to a dtype and held in float64."""

    parameters: Parameters
    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray


def activation_cases() -> Iterator[Case]:
    """Every activation between two dense layers, and a fused head."""
    choices = {name: Activation(name, _ARGUMENTS.get(name, {})) for name in ACTIVATIONS} | _VARIANTS
    for name, activation in choices.items():
        network = Network(7, [Dense(5, activation), Dense(3)], "half_squared_error")
        yield Case(f"{name}-B12-I7-O5", network, 12)


def loss_cases() -> Iterator[Case]:
    """Every loss on a linear head, and the two fused heads."""
    for name in LOSSES:
        yield Case(f"{name}-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4)], name), 9)
    yield Case("huber-0.4-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4)], Loss("huber", {"delta": 0.4})), 9)
    any_sum = Network(6, [Dense(5, "tanh"), Dense(4)], "categorical_crossentropy")
    yield Case("categorical_crossentropy-any-sum-B9-I6-O4", any_sum, 9, any_targets=True)
    for activation, name in (
        ("softmax", "categorical_crossentropy"),
        ("softmax", "sparse_categorical_crossentropy"),
        ("sigmoid", "binary_crossentropy"),
    ):
        yield Case(f"{activation}-{name}-B9-I6-O4", Network(6, [Dense(5, "tanh"), Dense(4, activation)], name), 9)


def shape_cases() -> Iterator[Case]:
    """Depths, widths, no bias, penalties, one sample, one unit."""
    loss = "sparse_categorical_crossentropy"
    penalty = L1L2(l1=0.01, l2=0.02)
    regularized = [Dense(6, "tanh", kernel_regularizer=penalty, bias_regularizer=penalty), Dense(4)]
    yield Case("dense-B33-I64-O10", Network(64, [Dense(10)], loss), 33)
    # a dx that is not transposed has the right shape here, and so has a bias summed over the wrong axis
    yield Case("square-B5-I5-O5", Network(5, [Dense(5, "tanh"), Dense(5)], loss), 5)
    yield Case("wide-B64-I300-O10", Network(300, [Dense(200, "relu"), Dense(10)], loss), 64)
    # sums over more than 1,024 rows and 512 inputs; penalties of many weights
    yield Case("long-B1100-I520-O6", Network(520, [Dense(6, "tanh", kernel_regularizer=penalty), Dense(3)], loss), 1100)
    yield Case("deep5-B20-I12-O5", Network(12, [*(Dense(16 - i, "tanh") for i in range(4)), Dense(5)], loss), 20)
    yield Case("no-bias-B8-I5-O3", Network(5, [Dense(4, "sigmoid", use_bias=False), Dense(3, use_bias=False)], loss), 8)
    yield Case("regularized-B8-I5-O4", Network(5, regularized, loss), 8)
    yield Case("one-sample-B1-I5-O3", Network(5, [Dense(4, "silu"), Dense(3)], loss), 1)
    yield Case("one-unit-B6-I1-O1", Network(1, [Dense(1, "tanh"), Dense(1)], "mean_squared_error"), 6)


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
    before = GRU(4, "silu", "hard_sigmoid", **backwards, reset_after=False)
    yield case("gru-before-backwards-B5-5x3", (5, 3), sequences(before))


def token_cases() -> Iterator[Case]:
    """Networks whose tokens have losses of their own, weighted by token and by example."""
    layers = [Dense(5, "tanh", kernel_regularizer=L1L2(l1=0.01, l2=0.02)), Dense(4)]
    yield Case("tokens-sparse-B5-6x3", Network((6, 3), layers, "sparse_categorical_crossentropy"), 5)
    link = [*layers, Activation("softmax")]
    network = Network((2, 3, 3), link, "categorical_crossentropy")
    yield Case("tokens-categorical-B5-2x3x3", network, 5, any_targets=True, weighs_examples=True)
    recurrent = [SimpleRNN(4, return_sequences=True), Dense(1)]
    yield Case("tokens-huber-B5-6x3", Network((6, 3), recurrent, "huber"), 5)
    # a table of more rows than there are tokens, each of which stands at several places
    lookup = [Embedding(9, 5, embeddings_regularizer=L1L2(l1=0.01, l2=0.02)), Dense(4, "tanh"), Dense(7)]
    yield Case("embedding-B5-T6-V7", Network(Tokens(6, 7), lookup, "sparse_categorical_crossentropy"), 5)
    placed = [Embedding(7, 6), PositionEmbedding(9), Dense(6, "tanh"), RotaryEmbedding(50, 0.5), Dense(7)]
    yield Case("positions-B5-T6-V7", Network(Tokens(6, 7), placed, "sparse_categorical_crossentropy"), 5)
    pooled = [Embedding(3, 4), GlobalAveragePooling1D(), Dense(3)]
    yield Case("embedding-pooled-B6-T8-V3", Network(Tokens(8, 3), pooled, "sparse_categorical_crossentropy"), 6)


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


def all_cases() -> list[Case]:
    of_layers = [*layer_kind_cases(), *image_cases(), *sequence_cases(), *attention_cases(), *token_cases()]
    return [*shape_cases(), *loss_cases(), *activation_cases(), *of_layers]


def problem(case: Case, dtype: str, seed: int = 2026) -> Problem:
    """Random numbers for a case, rounded to `dtype`."""
    rng = np.random.default_rng([seed, *case.name.encode()])
    network = case.network
    parameters = map_weights(lambda w: round_to(w + 0.3 * rng.normal(size=w.shape), dtype), network.init(seed))
    for place, name, _ in network.penalties:
        at(parameters, place)[name].flat[::7] = 0  # the kink of L1
    shape = (case.batch, *network.input_shape)
    if network.tokens is not None:
        x = rng.integers(0, network.tokens.vocabulary, shape)
    else:
        x = round_to(rng.normal(size=shape), dtype)
    shape = (case.batch, *network.target_shape)
    y: np.ndarray
    if network.loss.name.startswith("sparse"):
        y = rng.integers(0, network.outputs, shape)
    elif "crossentropy" in network.loss.name:
        y = rng.random(shape)
        y = y if case.any_targets else y / y.sum(axis=-1, keepdims=True)
    else:
        y = rng.normal(size=shape)
    # the loss is computed in float32 or wider: what it is given is rounded to that
    wide = "float64" if dtype == "float64" else "float32"
    y = y if y.dtype.kind == "i" else round_to(y, wide)
    weighed = (case.batch,) if case.weighs_examples else (case.batch, *network.output_shape[:-1])
    return Problem(parameters, x, y, round_to(rng.uniform(0.5, 2, weighed), wide))


def round_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """`array` rounded to `dtype`, as float64."""
    return np.asarray(array).astype(numpy_dtype(dtype)).astype(np.float64)


def numpy_dtype(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
