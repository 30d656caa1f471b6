"""What a network is, in Keras's words. Frozen, validated, no arithmetic and no TensorFlow.

Shapes are without the batch: (28, 28, 1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

from tfbp import vocabulary
from tfbp.errors import InputError, check_count
from tfbp.network.chain import Node, Place, as_layers, nodes_of, output_shape_of, weight_shapes_of
from tfbp.network.dense import Dense
from tfbp.network.layer import Layer, Shape, layer_from_config
from tfbp.network.linear_cross_entropy import LinearCrossEntropy, check_head
from tfbp.network.residual import fit_chain
from tfbp.network.tokens import Tokens, check_lookup
from tfbp.network.validation import SPARSE_LOSSES
from tfbp.vocabulary import L1L2, Activation, Loss

if TYPE_CHECKING:
    import keras

    from tfbp.network.drawing import Drawing

_LINEAR = Activation("linear")
# one dict per layer; a layer with parts has lists of such dicts in it
Parameters = list[dict[str, Any]]

# Where the last activation is the loss's own link function, the loss is taken at its pre-activation z (its logits):
# one fused, stable formula whose gradient is "probability minus target". Keras does the same.
_LINKS = {
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("sigmoid", "binary_crossentropy"),
}


@dataclass(frozen=True, repr=False)
class Network:
    """A feed-forward network: its inputs, its layers and its loss.

    Args:
        inputs: the width of x, at least 1, the shape of an example, such as (28, 28, 1), or `tfbp.Tokens`, which an
            `Embedding`, the first layer, looks up.
        layers: one or more layers, such as `Dense`; a `tfbp.Activation` among them is a layer too.
        loss: a name or a `tfbp.Loss`. It is taken of each row of outputs: one for each example, or, where the layers
            end in a shape (T, O), one for each of its T tokens; the mean of all is the network's. Cross-entropies take
            logits: end the network in a linear layer, or in the loss's own link (softmax for the categorical ones,
            sigmoid for the binary one). With the link, `forward` gives probabilities and the loss is still computed
            from the logits, stably.

    Raises:
        InputError: zero inputs, no layers, something that is no layer, a layer that does not fit the shape before it,
            an unknown loss.

    Example:
        >>> from tfbp import Flatten
        >>> network = Network(4, [Dense(3, "tanh"), Dense(2)], "sparse_categorical_crossentropy")
        >>> [layer["kernel"].shape for layer in network.init(seed=0)]
        [(4, 3), (3, 2)]
        >>> network
        <Network 4-3-2: tanh, linear; sparse_categorical_crossentropy>
        >>> Network.from_json(network.to_json()) == network
        True
        >>> Network((2, 3), [Dense(4, "tanh"), Flatten(), Dense(1)], "mean_squared_error")
        <Network (2, 3): Dense (2, 4), Flatten (8), Dense (1); mean_squared_error>
    """

    inputs: int | Shape | Tokens
    layers: tuple[Layer, ...]
    loss: Loss

    # tfbp.bridge.methods gives the class these two: the bridge imports the network, never the other way
    from_keras: ClassVar[Callable[..., tuple[Network, Parameters]]]
    to_keras: ClassVar[Callable[..., keras.Model]]

    def __init__(self, inputs: int | Sequence[int] | Tokens, layers: Sequence[Any], loss: str | Loss) -> None:
        tokens = inputs if isinstance(inputs, Tokens) else None
        shape = _shape(inputs) if tokens is None else tokens.shape
        fitted = as_layers("layers", layers)
        check_lookup(tokens, fitted)
        output_shape_of(fitted, shape)
        # a network says itself what its layers leave open
        object.__setattr__(self, "inputs", tokens or (shape[0] if len(shape) == 1 else shape))
        object.__setattr__(self, "layers", fit_chain(fitted, shape))
        object.__setattr__(self, "loss", vocabulary.loss(loss))
        check_head(self.nodes, self.loss)

    def __repr__(self) -> str:
        if isinstance(self.inputs, int) and all(isinstance(layer, Dense) for layer in self.layers):
            widths = "-".join(map(str, (self.inputs, *(node.output_shape[0] for node in self.nodes))))
            activations = ", ".join(layer.applied_activation.name for layer in self.layers)
            return f"<Network {widths}: {activations}; {self.loss.name}>"
        layers = ", ".join(
            f"{node.layer.keras_name} ({', '.join(map(str, node.output_shape))})" for node in self.top_nodes
        )
        inputs = self.tokens or f"({', '.join(map(str, self.input_shape))})"
        return f"<Network {inputs}: {layers}; {self.loss.name}>"

    def _repr_svg_(self) -> str:
        return self.draw().svg

    @property
    def input_shape(self) -> Shape:
        """The shape of an example, without the batch."""
        if isinstance(self.inputs, Tokens):
            return self.inputs.shape
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def tokens(self) -> Tokens | None:
        """The inputs, where they are tokens."""
        return self.inputs if isinstance(self.inputs, Tokens) else None

    @property
    def output_shape(self) -> Shape:
        """The shape of what it makes of an example, without the batch: (O,), or (…, O)."""
        return output_shape_of(self.layers, self.input_shape)

    @property
    def outputs(self) -> int:
        """The width of the network's output, O: its last axis."""
        return self.output_shape[-1]

    @property
    def target_shape(self) -> Shape:
        """The shape of an example's y: that of the outputs, or without the last axis for labels."""
        return self.output_shape[:-1] if self.loss.name in SPARSE_LOSSES else self.output_shape

    @property
    def tied(self) -> bool:
        """Whether the last layer's kernel is the first's table of embeddings, transposed."""
        return isinstance(self.layers[-1], LinearCrossEntropy) and self.layers[-1].tied

    @property
    def nodes(self) -> list[Node]:
        """Every layer with its shapes, in the order of the forward pass; a layer with parts comes after its parts."""
        return list(nodes_of(self.layers, self.input_shape))

    @property
    def top_nodes(self) -> list[Node]:
        """The nodes of `layers` themselves, without those of parts."""
        return [node for node in self.nodes if len(node.place) == 1]

    @property
    def draws(self) -> int:
        """How many random seeds a training step takes."""
        return sum(layer.draws for layer in self.layers)

    @property
    def fuses_output_activation(self) -> bool:
        """Whether the loss is taken at the last layer's z, its activation being the loss's own link."""
        return (self.layers[-1].applied_activation.name, self.loss.name) in _LINKS

    @property
    def layers_before_loss(self) -> tuple[Layer, ...]:
        """The layers on the way from x to the loss: the last one's activation is linear where the loss fuses it."""
        if not self.fuses_output_activation:
            return self.layers
        return (*self.layers[:-1], replace(self.layers[-1], activation=_LINEAR))  # type: ignore[type-var]

    def activation_before_loss(self, node: Node) -> Activation:
        """The activation of one of the nodes on the way from x to the loss."""
        last = node.place == (len(self.layers) - 1,)
        return self.layers_before_loss[-1].applied_activation if last else node.layer.applied_activation

    @property
    def penalties(self) -> list[tuple[Place, str, L1L2]]:
        """(place of the layer, weight's name, regularizer) for every weight that has a penalty."""
        candidates = [
            (node.place, name, node.layer.regularizer(name))
            for node in self.nodes
            if not node.layer.parts
            for name in node.layer.weight_shapes(node.input_shape)
        ]
        return [(place, name, found) for place, name, found in candidates if found is not None]

    def without_penalties(self) -> Network:
        """The same network without regularizers: its loss is the examples' alone."""
        return Network(self.inputs, [layer.without_penalties() for layer in self.layers], self.loss)

    def parameter_shapes(self) -> list[dict[str, Any]]:
        """One dict per layer, by Keras's names: a Dense's kernel (I, O) and, where it has one, bias (O,)."""
        return weight_shapes_of(self.layers, self.input_shape)

    def init(self, seed: int = 0) -> Parameters:
        """Fresh parameters as float64 NumPy arrays, from the layers' Keras initializers; equal seeds, equal arrays."""
        from tfbp.network.parameters import initial_parameters

        return initial_parameters(self, seed)

    def draw(self, *numbers: Any, **options: Any) -> Drawing:
        """A picture of the network, with numbers where they are given; see `tfbp.network.drawing.draw`."""
        from tfbp.network.drawing import draw

        return draw(self, *numbers, **options)

    def to_json(self) -> str:
        """The network as JSON text; `Network.from_json` reads it back as an equal network."""
        loss = {"name": self.loss.name, "arguments": dict(self.loss.arguments)}
        inputs = self.inputs if self.tokens is None else asdict(self.tokens)
        config = {"inputs": inputs, "layers": [layer.config() for layer in self.layers], "loss": loss}
        return json.dumps(config, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Network:
        """The network that `to_json` wrote.

        Raises:
            InputError: text that is not such JSON.
        """
        try:
            config = json.loads(text)
            layers = [layer_from_config(layer) for layer in config["layers"]]
            inputs = Tokens(**config["inputs"]) if isinstance(config["inputs"], dict) else config["inputs"]
            return cls(inputs, layers, Loss(**config["loss"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"text: got JSON that is no network ({error!r}); accepted: what to_json wrote.") from error


def _shape(inputs: object) -> Shape:
    """The shape of an example from a width or a shape."""
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not inputs:
        check_count("inputs", inputs)
        return (int(inputs),)  # type: ignore[call-overload]
    for size in inputs:
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise InputError(f"inputs: got {inputs!r}; accepted: an integer of at least 1, or a tuple of such.")
    return tuple(map(int, inputs))
