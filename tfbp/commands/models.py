"""The networks that `train` builds by name, and those that it reads from a file.

C classes; a text's classes are its characters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfbp.datasets import DATASETS, IMAGES, TEXT, Dataset
from tfbp.errors import InputError, check_choice
from tfbp.network import (
    LSTM,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    LayerNormalization,
    MaxPooling2D,
    MultiHeadAttention,
    Network,
    PositionEmbedding,
    Residual,
    Tokens,
)
from tfbp.vocabulary import Activation

OF_IMAGES = ("cnn", "resnet")
OF_TEXTS = ("lstm", "gpt")
MODELS = ("mlp", *OF_IMAGES, *OF_TEXTS)


def is_file(model: str) -> bool:
    """Whether a model is a file, not a name."""
    return model.endswith(".json") or "/" in model


def check_model(model: str, dataset: str) -> None:
    """Raises `InputError` unless the model exists, and fits the data set."""
    if is_file(model):
        return
    check_choice("model", model, MODELS, also="a FILE.json")
    accepted = {"mlp": DATASETS, **dict.fromkeys(OF_IMAGES, IMAGES), **dict.fromkeys(OF_TEXTS, (TEXT,))}[model]
    if dataset not in accepted:
        raise InputError(f"model: got {model!r} with the dataset {dataset!r}; accepted: with {', '.join(accepted)}.")


def network_for(model: str, units: str, activation: str, loss: str) -> Callable[[Dataset], Network]:
    """Returns a function that builds the network for a data set. All checks that need no data run now.

    Args:
        model: one of MODELS, or a file.
        units, activation: of mlp's hidden layers; the units with commas.
        loss: the loss of a model by name; a file's network has its own.

    Raises:
        InputError: units that are not integers, an unknown activation or loss, a file without a network.
    """
    if is_file(model):
        network = read(model)
        return lambda dataset: _loaded_for(model, network, dataset)
    if model == "mlp":
        hidden = [Dense(integer, activation) for integer in _integers(units)]
        Network(1, [*hidden, Dense(1)], loss)
        return lambda dataset: Network(dataset.inputs, [*hidden, Dense(dataset.classes)], loss)
    layers: Any = {"cnn": cnn, "resnet": resnet, "lstm": lstm, "gpt": gpt}[model]
    if model in OF_TEXTS:
        Network(Tokens(1, 1), layers(1, 1), loss)
        return lambda dataset: Network(
            Tokens(dataset.inputs, dataset.classes), layers(dataset.inputs, dataset.classes), loss
        )
    Network((8, 8, 1), layers(1), loss)
    return lambda dataset: Network(dataset.shape, layers(dataset.classes), loss)


def cnn(classes: int) -> list[Layer]:
    """Two convolutions with pooling, dropout, and two dense layers."""
    convolutions = [
        layer
        for filters in (32, 64)
        for layer in (Conv2D(filters, 3, padding="same", activation="relu"), MaxPooling2D())
    ]
    return [*convolutions, Flatten(), Dropout(0.25), Dense(128, "relu"), Dense(classes)]


def resnet(classes: int) -> list[Layer | Activation]:
    """A convolution and three residual blocks of two, the second and third at half the size of the one before.

    Reference: He et al., Deep residual learning (2015), https://arxiv.org/abs/1512.03385, made smaller
    """
    blocks = [layer for filters, strides in ((16, 1), (32, 2), (64, 2)) for layer in _block(filters, strides)]
    return [*_normalized(16, 3), Activation("relu"), *blocks, GlobalAveragePooling2D(), Dense(classes)]


def _block(filters: int, strides: int) -> list[Layer | Activation]:
    layers = [*_normalized(filters, 3, strides), Activation("relu"), *_normalized(filters, 3)]
    projection = _normalized(filters, 1, strides) if strides > 1 else None
    return [Residual(layers, projection), Activation("relu")]


def _normalized(filters: int, size: int, strides: int = 1) -> list[Layer]:
    # no bias, because the normalization removes every mean; short runs need a short memory of moving statistics
    convolution = Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal")
    return [convolution, BatchNormalization(momentum=0.9)]


def lstm(context: int, classes: int) -> list[Layer]:
    """Looks each character up, passes it through an LSTM of 128 units, and scores the next character."""
    return [Embedding(classes, 32), LSTM(128, return_sequences=True), Dense(classes)]


def gpt(context: int, classes: int, blocks: int = 4, width: int = 128, heads: int = 4) -> list[Layer]:
    """A small GPT: embeddings of characters and positions, blocks of causal attention and dense layers, and scores.

    Reference: Radford et al., Language models are unsupervised multitask learners (2019), made smaller
    """
    attention = MultiHeadAttention(heads, width // heads, use_causal_mask=True)
    feed_forward = [Dense(4 * width, "gelu"), Dense(width)]
    block = [Residual([LayerNormalization(), attention]), Residual([LayerNormalization(), *feed_forward])]
    return [
        *(Embedding(classes, width), PositionEmbedding(context)),
        *(layer for _ in range(blocks) for layer in block),
        *(LayerNormalization(), Dense(classes)),
    ]


def read(path: str) -> Network:
    """Returns the network in a file.

    Raises:
        InputError: a file that cannot be read, or without a network.
    """
    try:
        return Network.from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = str(error.strerror)
    except ValueError as error:  # no text, or no network
        reason = str(error).rstrip(".")
    names = ", ".join(MODELS)
    raise InputError(f"model: got {path!r} ({reason}); accepted: {names}, or a file that Network.to_json wrote.")


def _loaded_for(path: str, network: Network, dataset: Dataset) -> Network:
    """Returns the network of a file, which must take the data set's examples and have its classes."""
    shapes = dict.fromkeys([(dataset.inputs,), dataset.shape])
    if network.input_shape not in shapes:
        accepted = f"one of {' or '.join(map(str, shapes))}, the examples of {dataset.name}"
        raise InputError(f"model: got {path!r}, a network of inputs {network.input_shape}; accepted: {accepted}.")
    if network.outputs != dataset.classes:
        accepted = f"one of {dataset.classes}, the classes of {dataset.name}"
        raise InputError(f"model: got {path!r}, a network of {network.outputs} outputs; accepted: {accepted}.")
    return network


def _integers(units: str) -> list[int]:
    try:
        return [int(word) for word in units.split(",") if units]
    except ValueError as error:
        raise InputError(f"layers: got {units!r}; accepted: integers with commas, as in 64,32.") from error
