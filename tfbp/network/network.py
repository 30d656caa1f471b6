"""The description of a network, in Keras's words. Frozen, validated, no arithmetic, no TensorFlow.

Shapes are without the batch: (28, 28, 1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from tfbp import vocabulary
from tfbp.errors import InputError
from tfbp.network.chain import Node, Place, as_layers, nodes_of, output_shape_of
from tfbp.network.dense import Dense
from tfbp.network.graph import Call, Graph, calls_of_a_chain, is_taken
from tfbp.network.input import shape_of
from tfbp.network.layer import Layer, Shape, layer_from_config
from tfbp.network.linear_cross_entropy import LinearCrossEntropy, check_head
from tfbp.network.residual import chain_for_shape
from tfbp.network.tokens import Tokens, check_lookup
from tfbp.network.validation import SPARSE_LOSSES
from tfbp.network.writing import LINEAR, is_graph, is_link, written
from tfbp.vocabulary import L1L2, Activation, Loss

if TYPE_CHECKING:
    import keras

    from tfbp.network.drawing import Drawing

# one dict per layer; a layer with parts has lists of such dicts in it
Parameters = list[dict[str, Any]]


@dataclass(frozen=True, repr=False)
class Network:
    """A feed-forward network: its inputs, its layers and its loss.

    A chain is `Network(4, [Dense(3), …], loss)`. A graph is written as in Keras: `x = tfbp.Input(4); y = Dense(3)(x)`,
    then `Network(x, y, loss)`. With several inputs or outputs, pass lists of them, and a list of losses.

    Args:
        inputs: the width of x, at least 1; or the shape of an example, such as (28, 28, 1); or `tfbp.Tokens`, with an
            `Embedding` as the first layer.
        layers: one or more layers, such as `Dense`; a `tfbp.Activation` among them is a layer too. For a graph, its
            output, or a list of outputs.
        loss: a name or a `tfbp.Loss`. It is computed from each row of outputs: one for each example, or one for
            each of its T tokens where the output shape is (T, O). The network's loss is their mean. Cross-entropies
            take logits: the last layer is linear, or has the loss's own link (softmax for the categorical ones,
            sigmoid for the binary one). With the link, `forward` returns probabilities, and the loss is still
            computed from the logits, stably.
        loss_weights: the factor of each output's loss in the sum, for a graph with several outputs; 1 by default.
        loss_masks: for a graph, a tensor of 1 and 0 for each row of the output, or a list of one for each output, or
            None. Rows at 0 are left out: the loss is the mean over the others, and 0 without any.

    Raises:
        InputError: zero inputs, no layers, something that is not a layer, a layer that does not fit the shape
            before it, an unknown loss.

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

    inputs: Any
    layers: tuple[Layer, ...]
    loss: Any
    calls: tuple[Call, ...]
    ends: tuple[int, ...]
    loss_weights: tuple[float, ...]
    loss_masks: tuple[int | None, ...]

    # tfbp.bridge.methods adds these two methods: the bridge imports the network, never the other way round
    from_keras: ClassVar[Callable[..., tuple[Network, Parameters]]]
    to_keras: ClassVar[Callable[..., keras.Model]]

    def __init__(
        self,
        inputs: Any,
        layers: Any,
        loss: Any,
        loss_weights: Sequence[float] | None = None,
        loss_masks: Any = None,
    ) -> None:
        if is_graph(inputs):
            given = written(inputs, layers, loss, loss_weights, loss_masks)
        else:
            given = _chain(inputs, layers, loss, loss_weights, loss_masks)
        for name, value in given.items():
            object.__setattr__(self, name, value)
        check_head(self.nodes, self.losses)

    @classmethod
    def of_calls(cls, **given: Any) -> Network:
        """Returns the network with these fields, from another network or from JSON."""
        network = cls.__new__(cls)
        for name, value in given.items():
            object.__setattr__(network, name, value)
        return network

    def __repr__(self) -> str:
        losses = ", ".join(loss.name for loss in self.losses)
        if isinstance(self.inputs, int) and self.is_chain and all(isinstance(layer, Dense) for layer in self.layers):
            widths = "-".join(map(str, (self.inputs, *(node.output_shape[0] for node in self.nodes))))
            activations = ", ".join(layer.applied_activation.name for layer in self.layers)
            return f"<Network {widths}: {activations}; {losses}>"
        layers = ", ".join(
            f"{node.layer.keras_name} ({', '.join(map(str, node.output_shape))})" for node in self.top_nodes
        )
        inputs = ", ".join(
            repr(tokens) if tokens else f"({', '.join(map(str, shape))})"
            for tokens, shape in zip(self.input_tokens, self.input_shapes, strict=True)
        )
        return f"<Network {inputs}: {layers}; {losses}>"

    def _repr_svg_(self) -> str:
        return self.draw().svg

    @property
    def each_input(self) -> tuple[Any, ...]:
        """Every input: a width, a shape or `Tokens`."""
        return self.inputs if isinstance(self.inputs, tuple) and not _is_shape(self.inputs) else (self.inputs,)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shape of an example of each input, without the batch."""
        return tuple(
            one_input.shape
            if isinstance(one_input, Tokens)
            else one_input
            if isinstance(one_input, tuple)
            else (one_input,)
            for one_input in self.each_input
        )

    @property
    def input_tokens(self) -> tuple[Tokens | None, ...]:
        """Each input, where it is tokens, else None."""
        return tuple(one_input if isinstance(one_input, Tokens) else None for one_input in self.each_input)

    @property
    def input_shape(self) -> Shape:
        """The shape of an example, without the batch, of the one input or the first."""
        return self.input_shapes[0]

    @property
    def tokens(self) -> Tokens | None:
        """The one input, or the first, where it is tokens."""
        return self.input_tokens[0]

    @property
    def is_chain(self) -> bool:
        """Whether it is a chain: layers one after another."""
        length = len(self.layers)
        return self.calls == calls_of_a_chain(length) and self.ends == (length,) and not self.masks_losses

    @property
    def masks_losses(self) -> bool:
        """Whether a mask leaves out rows of a loss: its mean then depends on the whole batch."""
        return any(mask is not None for mask in self.loss_masks)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The loss of each output."""
        return self.loss if isinstance(self.loss, tuple) else (self.loss,)

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """The shape of each output of an example, without the batch."""
        shapes = [*self.input_shapes, *(node.output_shape for node in self.top_nodes)]
        return tuple(shapes[end] for end in self.ends)

    @property
    def output_shape(self) -> Shape:
        """The shape of the one output, or the first, of an example, without the batch: (O,), or (…, O)."""
        return self.output_shapes[0]

    @property
    def outputs(self) -> int:
        """The width of the one output, or the first, O: its last axis."""
        return self.output_shape[-1]

    @property
    def target_shapes(self) -> tuple[Shape, ...]:
        """The shape of an example's y for each output: the output's, or without the last axis for labels."""
        return tuple(
            shape[:-1] if loss.name in SPARSE_LOSSES else shape
            for shape, loss in zip(self.output_shapes, self.losses, strict=True)
        )

    @property
    def target_shape(self) -> Shape:
        """The shape of an example's y, of the one output or the first."""
        return self.target_shapes[0]

    @property
    def tied(self) -> bool:
        """Whether the last layer's kernel is the first's table of embeddings, transposed."""
        return isinstance(self.layers[-1], LinearCrossEntropy) and self.layers[-1].tied

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every call with its shapes, in the order of the forward pass; a layer with parts comes after its parts."""
        return tuple(nodes_of(self.layers, self.calls, self.input_shapes))

    @property
    def top_nodes(self) -> list[Node]:
        """The nodes of `calls`, without those inside parts."""
        return [node for node in self.nodes if len(node.place) == 1]

    @property
    def weight_nodes(self) -> list[Node]:
        """The first call of each layer without parts: every weight belongs to exactly one of them."""
        return [node for node in self.nodes if not node.layer.parts and not node.calls_before]

    @property
    def draws(self) -> int:
        """The number of random seeds that a training step takes."""
        return sum(self.layers[call.layer].draws for call in self.calls)

    @property
    def fuses_output_activation(self) -> bool:
        """Whether the one output's activation is the loss's link, so that the loss is computed from z."""
        return len(self.ends) == 1 and self.is_before_activation(0)

    def is_before_activation(self, output: int) -> bool:
        """Whether an output's activation is its loss's link, so that the loss is computed from z."""
        return self.loss_at[output] != self.ends[output] or self.fused(output)

    @property
    def output_activation(self) -> Activation:
        """The activation of the one output, or the first."""
        return self.output_activations[0]

    @property
    def output_activations(self) -> tuple[Activation, ...]:
        """The activation of each output."""
        return tuple(
            self.layers[self.calls[end - len(self.input_shapes)].layer].applied_activation for end in self.ends
        )

    def fused(self, output: int) -> bool:
        """Whether an output's loss is computed from its call's z, and no other call takes that z."""
        end, loss = self.ends[output], self.losses[output]
        layer = self.layers[self.calls[end - len(self.input_shapes)].layer]
        return is_link(layer, loss) and not is_taken(self.calls, self.ends, len(self.input_shapes), end)

    @property
    def loss_at(self) -> tuple[int, ...]:
        """The number of each loss's tensor; where other calls take a link's output, the tensor before the link."""
        found = []
        for output, end in enumerate(self.ends):
            call = self.calls[end - len(self.input_shapes)]
            apart = is_link(self.layers[call.layer], self.losses[output]) and not self.fused(output)
            found.append(call.takes[0] if apart else end)
        return tuple(found)

    @property
    def layers_before_loss(self) -> tuple[Layer, ...]:
        """The layers on the way to the losses: linear, where a loss contains the activation."""
        layers = list(self.layers)
        for output, end in enumerate(self.ends):
            if self.fused(output):
                index = self.calls[end - len(self.input_shapes)].layer
                layers[index] = replace(layers[index], activation=LINEAR)  # type: ignore[type-var]
        return tuple(layers)

    @property
    def graph(self) -> Graph:
        """The layers and their calls."""
        return Graph(self.layers, self.calls, len(self.each_input))

    @property
    def graph_before_loss(self) -> Graph:
        """The layers and their calls, with `layers_before_loss`."""
        return Graph(self.layers_before_loss, self.calls, len(self.each_input))

    def activation_before_loss(self, node: Node) -> Activation:
        """Returns the activation of a node on the way to the losses."""
        layer = self.layers_before_loss[node.place[0]] if len(node.place) == 1 else node.layer
        return layer.applied_activation

    @property
    def penalties(self) -> list[tuple[Place, str, L1L2]]:
        """(place of the layer, weight's name, regularizer) for every weight that has a penalty."""
        candidates = [
            (node.place, name, node.layer.regularizer(name))
            for node in self.weight_nodes
            for name in node.layer.weight_shapes(node.input_shape)
        ]
        return [(place, name, found) for place, name, found in candidates if found is not None]

    def weighted(self, factors: Sequence[float]) -> Network:
        """Returns the same network with each output's loss multiplied by its factor."""
        weights = tuple(w * factor for w, factor in zip(self.loss_weights, factors, strict=True))
        return self._with(loss_weights=weights)

    def without_penalties(self) -> Network:
        """Returns the same network without regularizers: its loss is the examples' loss alone."""
        layers = tuple(layer.without_penalties() for layer in self.layers)
        return self._with(layers=layers)

    def _with(self, **changes: Any) -> Network:
        return Network.of_calls(**{field.name: getattr(self, field.name) for field in fields(self)} | changes)

    def parameter_shapes(self) -> list[dict[str, Any]]:
        """One dict per layer, by Keras's names: a Dense's kernel (I, O) and, with use_bias, bias (O,)."""
        shapes: dict[int, dict[str, Any]] = {}
        for node in self.top_nodes:
            shapes.setdefault(node.place[0], node.layer.weight_shapes(node.input_shape))
        return [shapes[index] for index in range(len(self.layers))]

    def init(self, seed: int = 0) -> Parameters:
        """Returns the first parameters, float64 arrays, by Keras's initializers; equal seeds make equal arrays."""
        from tfbp.network.parameters import initial_parameters

        return initial_parameters(self, seed)

    def draw(self, *numbers: Any, **options: Any) -> Drawing:
        """Draws the network, with the numbers that are passed; see `tfbp.network.drawing.draw`."""
        from tfbp.network.drawing import draw

        return draw(self, *numbers, **options)

    def to_json(self) -> str:
        """Returns the network as JSON text; `Network.from_json` reads it back as an equal network."""
        losses = [{"name": loss.name, "arguments": dict(loss.arguments)} for loss in self.losses]
        inputs = [asdict(one_input) if isinstance(one_input, Tokens) else one_input for one_input in self.each_input]
        config: dict[str, Any] = {
            "inputs": inputs if isinstance(self.inputs, tuple) and not _is_shape(self.inputs) else inputs[0],
            "layers": [layer.config() for layer in self.layers],
            "loss": losses if isinstance(self.loss, tuple) else losses[0],
        }
        if not self.is_chain:
            calls = [[call.layer, list(call.takes)] for call in self.calls]
            config |= {"calls": calls, "ends": list(self.ends), "loss_weights": list(self.loss_weights)}
        if self.masks_losses:
            config["loss_masks"] = list(self.loss_masks)
        return json.dumps(config, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Network:
        """Returns the network from `to_json`'s text.

        Raises:
            InputError: text that is not such JSON.
        """
        try:
            config = json.loads(text)
            layers = [layer_from_config(layer) for layer in config["layers"]]
            if "calls" not in config:
                return cls(_input_of(config["inputs"]), layers, Loss(**config["loss"]))
            several = isinstance(config["loss"], list)
            losses = [Loss(**loss) for loss in (config["loss"] if several else [config["loss"]])]
            network = cls.of_calls(
                inputs=_inputs_of(config["inputs"]),
                layers=tuple(layers),
                loss=tuple(losses) if several else losses[0],
                calls=tuple(Call(layer, tuple(takes)) for layer, takes in config["calls"]),
                ends=tuple(config["ends"]),
                loss_weights=tuple(config["loss_weights"]),
                loss_masks=tuple(config.get("loss_masks", [None] * len(losses))),
            )
            check_head(network.nodes, network.losses)
            return network
        except (json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"text: got JSON that is no network ({error!r}); accepted: what to_json wrote.") from error


def _chain(inputs: Any, layers: Any, loss: Any, loss_weights: Any, loss_masks: Any) -> dict[str, Any]:
    """Returns the fields of a chain."""
    if loss_weights is not None:
        raise InputError(f"loss_weights: got {loss_weights!r} for one output; accepted: None.")
    if loss_masks is not None:
        raise InputError(f"loss_masks: got {loss_masks!r} for a chain; accepted: in a network of calls, or None.")
    tokens = inputs if isinstance(inputs, Tokens) else None
    shape = shape_of("inputs", inputs) if tokens is None else tokens.shape
    completed = as_layers("layers", layers)
    for index, layer in enumerate(completed):
        if layer.takes_several:
            raise InputError(
                f"layers[{index}]: got {type(layer).__name__}, which takes several tensors; accepted: in a network "
                "that is written with tfbp.Input."
            )
    check_lookup(tokens, completed)
    output_shape_of(completed, shape)
    return {
        # the network sets the arguments that follow from its shapes
        "inputs": tokens or (shape[0] if len(shape) == 1 else shape),
        "layers": chain_for_shape(completed, shape),
        "loss": vocabulary.loss(loss),
        "calls": calls_of_a_chain(len(completed)),
        "ends": (len(completed),),
        "loss_weights": (1.0,),
        "loss_masks": (None,),
    }


def _is_shape(given: tuple[Any, ...]) -> bool:
    return all(isinstance(size, int) for size in given)


def _input_of(given: Any) -> Any:
    return Tokens(**given) if isinstance(given, dict) else given


def _inputs_of(given: Any) -> Any:
    """Returns the inputs from JSON: one, or a tuple of several."""
    if isinstance(given, list) and not all(isinstance(size, int) for size in given):
        return tuple(_inputs_of(item) for item in given)
    return tuple(given) if isinstance(given, list) else _input_of(given)
