"""The last dense layer of a classifier, computed together with its loss. I inputs, O outputs (units)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from tfbp.errors import InputError, check_count
from tfbp.network.chain import Node
from tfbp.network.dense import Dense
from tfbp.network.embedding import Embedding
from tfbp.network.initializers import Initializer
from tfbp.network.layer import Layer, Shape, check_flag
from tfbp.network.position import PositionEmbedding
from tfbp.network.setting import PENALTY, Setting
from tfbp.network.tokens import Tokens
from tfbp.vocabulary import L1L2, Loss

LOSS = "sparse_categorical_crossentropy"
# options of the Keras layer that change the loss
_OPTIONS = {"ignore_index": None, "label_smoothing": 0.0, "z_loss": 0.0, "soft_cap": None}


@dataclass(frozen=True)
class LinearCrossEntropy(Layer):
    """A linear `Dense` as the last layer of a network with the loss "sparse_categorical_crossentropy".

    Its outputs are logits, z = x · kernel + bias, equal to a Dense's. Compiled, the manual writing computes the loss
    and all gradients from one chunk of tokens at a time. So the logits of a batch, a language model's largest tensor,
    are in memory only if something needs them, such as accuracy. Eagerly, and for per-example gradients, it computes
    as a Dense.

    Tied, it has no weights. Its kernel is the transposed table of the `Embedding` at the network's start,
    z = x · embeddingsᵀ, and the table's gradient is the sum of both layers' gradients.

    `to_keras` makes a `keras.layers.Dense`, which converts back to a `Dense`. A `tfbp.layers.LinearCrossEntropy`
    called on x alone converts to this layer. Tied, it converts to the second call of a
    `keras.layers.ReversibleEmbedding`, and back.

    Args:
        units: the number of classes O, at least 1.
        use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer: as `Dense`.
        tied: whether the kernel is the first layer's transposed table; then it has no bias and no regularizers.

    Raises:
        InputError: an argument of the wrong kind; a place other than the last, or another loss; tied, a first layer
            that is not an `Embedding`, or a table of another shape.

    Example:
        >>> from tfbp import Embedding, Network, Tokens
        >>> Network(Tokens(64, 100), [Embedding(100, 16), LinearCrossEntropy(100)], "sparse_categorical_crossentropy")
        <Network Tokens(length=64, vocabulary=100): Embedding (64, 16), LinearCrossEntropy (64, 100); \
sparse_categorical_crossentropy>

    Reference: Wijmans et al., Cut your losses in large-vocabulary language models (2024),
    https://arxiv.org/abs/2411.09009
    """

    made_in_keras: ClassVar[str] = "Dense"

    units: int
    use_bias: bool = True
    kernel_initializer: Initializer = field(default="glorot_uniform", hash=False)
    bias_initializer: Initializer = field(default="zeros", hash=False)
    kernel_regularizer: L1L2 | None = None
    bias_regularizer: L1L2 | None = None
    tied: bool = False

    def __post_init__(self) -> None:
        check_count("units", self.units)
        check_flag("use_bias", self.use_bias)
        check_flag("tied", self.tied)
        if self.tied:
            self._check_nothing_of_its_own()
        self._settle(**self.arguments())

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def weight_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        if self.tied:
            return {}
        bias = {"bias": (self.units,)} if self.use_bias else {}
        return {"kernel": (input_shape[-1], self.units), **bias}

    def keras_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in self.arguments().items() if name != "tied"}

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        for name, accepted in _OPTIONS.items():
            if given.get(name, accepted) != accepted:
                raise InputError(f"{name}: got {given[name]!r}; accepted: {accepted!r}.")
        return super().from_keras_arguments(given)

    def _check_nothing_of_its_own(self) -> None:
        for name, accepted in (("use_bias", False), ("kernel_regularizer", None), ("bias_regularizer", None)):
            if getattr(self, name) != accepted:
                raise InputError(f"{name}: got {getattr(self, name)!r} with tied=True; accepted: {accepted}.")


def check_head(nodes: Sequence[Node], losses: Sequence[Loss]) -> None:
    """Raises `InputError` unless a `LinearCrossEntropy` is the last layer, with its own loss and a table that fits."""
    for node in nodes:
        if not isinstance(node.layer, LinearCrossEntropy):
            continue
        if node is not nodes[-1]:
            raise InputError(
                f"layers[{node.name}]: got LinearCrossEntropy; accepted: as the last layer of a network only."
            )
        if [loss.name for loss in losses] != [LOSS]:
            raise InputError(
                f"loss: got {', '.join(loss.name for loss in losses)!r} after LinearCrossEntropy; accepted: {LOSS!r}."
            )
        if node.layer.tied:
            _check_table(nodes[0].layer, node, node.layer.units)


def _check_table(first: Layer, head: Node, units: int) -> None:
    if not isinstance(first, Embedding):
        raise InputError(
            f"layers[{head.name}]: got tied=True after {first.keras_name} as the first layer; accepted: after a "
            "tfbp.Embedding."
        )
    if units != first.input_dim:
        raise InputError(
            f"layers[{head.name}]: units: got {units} with tied=True; accepted: {first.input_dim}, the rows of the "
            "table."
        )
    if head.input_shape[-1] != first.output_dim:
        raise InputError(
            f"layers[{head.name}]: got inputs of width {head.input_shape[-1]} with tied=True; accepted: "
            f"{first.output_dim}, the width of the table."
        )


# compiled, the manual writing computes the loss and the last layer's gradients from one chunk at a time
_HEAD = [Embedding(7, 5), Dense(4, "tanh"), LinearCrossEntropy(7, kernel_regularizer=PENALTY)]
_TIED = [
    *(Embedding(9, 5, embeddings_regularizer=PENALTY), PositionEmbedding(6), Dense(5, "tanh")),
    LinearCrossEntropy(9, use_bias=False, tied=True),
]
CASES = (
    Setting("linear-cross-entropy-B5-T6-V7", Tokens(6, 7), _HEAD, 5),
    Setting("tied-B5-T6-V7", Tokens(6, 7), _TIED, 5),
)
