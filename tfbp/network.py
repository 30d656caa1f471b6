"""What a network is, in Keras's words. Frozen, validated, no arithmetic and no TensorFlow.

I inputs of a layer, O outputs (units) of a layer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfbp import vocabulary
from tfbp.checks import InputError, check_count
from tfbp.vocabulary import L1L2, Activation, Loss

if TYPE_CHECKING:
    import keras

    from tfbp.drawing import Drawing

Parameters = list[dict[str, np.ndarray]]
Initializer = str | Mapping[str, Any]

# Where the last activation is the loss's own link function, the loss is taken at its pre-activation z (its logits):
# one fused, stable formula whose gradient is "probability minus target". Keras does the same.
_LINKS = {
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("sigmoid", "binary_crossentropy"),
}


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: z = x · kernel + bias, y = activation(z).

    Args:
        units: the number of outputs O, at least 1.
        activation: a Keras name, a `tfbp.Activation`, or None for linear.
        use_bias: whether the layer has a bias of shape (O,) beside its kernel of shape (I, O).
        kernel_initializer, bias_initializer: a Keras name, or an initializer's Keras config
            `{"class_name": …, "config": {…}}`; a `keras.initializers` object is taken as its config.
        kernel_regularizer, bias_regularizer: "l1", "l2", "l1_l2", a `tfbp.L1L2`, or None.

    Raises:
        InputError: zero or negative units, an unknown activation or regularizer, or an argument of the wrong kind.

    Example:
        >>> Dense(10, activation="relu").activation.name
        'relu'

    Reference: https://keras.io/api/layers/core_layers/dense/
    """

    units: int
    activation: Activation
    use_bias: bool
    kernel_initializer: Initializer = field(hash=False)
    bias_initializer: Initializer = field(hash=False)
    kernel_regularizer: L1L2 | None
    bias_regularizer: L1L2 | None

    def __init__(
        self,
        units: int,
        activation: str | Activation | None = "linear",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: str | L1L2 | None = None,
        bias_regularizer: str | L1L2 | None = None,
    ) -> None:
        check_count("units", units)
        if not isinstance(use_bias, bool):
            raise InputError(f"use_bias: got {use_bias!r}; accepted: True or False.")
        settled = {
            "units": units,
            "activation": vocabulary.activation(activation),
            "use_bias": use_bias,
            "kernel_initializer": _initializer_config("kernel_initializer", kernel_initializer),
            "bias_initializer": _initializer_config("bias_initializer", bias_initializer),
            "kernel_regularizer": vocabulary.regularizer("kernel_regularizer", kernel_regularizer),
            "bias_regularizer": vocabulary.regularizer("bias_regularizer", bias_regularizer),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, repr=False)
class Network:
    """A feed-forward network: its inputs, its layers and its loss.

    Args:
        inputs: the width of x, at least 1.
        layers: one or more `Dense`.
        loss: a name or a `tfbp.Loss`. Cross-entropies take logits: end the network in a linear layer, or in the
            loss's own link (softmax for the categorical ones, sigmoid for the binary one). With the link, `forward`
            gives probabilities and the loss is still computed from the logits, stably.

    Raises:
        InputError: zero inputs, no layers, something that is no layer, an unknown loss.

    Example:
        >>> network = Network(4, [Dense(3, "tanh"), Dense(2)], "sparse_categorical_crossentropy")
        >>> [layer["kernel"].shape for layer in network.init(seed=0)]
        [(4, 3), (3, 2)]
        >>> network
        <Network 4-3-2: tanh, linear; sparse_categorical_crossentropy>
        >>> Network.from_json(network.to_json()) == network
        True
    """

    inputs: int
    layers: tuple[Dense, ...]
    loss: Loss

    def __init__(self, inputs: int, layers: Sequence[Dense], loss: str | Loss) -> None:
        check_count("inputs", inputs)
        if not isinstance(layers, Sequence) or not layers:
            raise InputError(f"layers: got {layers!r}; accepted: a list of one or more tfbp.Dense.")
        for index, layer in enumerate(layers):
            if not isinstance(layer, Dense):
                raise InputError(f"layers[{index}]: got {layer!r}; accepted: a tfbp.Dense.")
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "loss", vocabulary.loss(loss))

    def __repr__(self) -> str:
        widths = "-".join(map(str, (self.inputs, *(layer.units for layer in self.layers))))
        activations = ", ".join(layer.activation.name for layer in self.layers)
        return f"<Network {widths}: {activations}; {self.loss.name}>"

    def _repr_svg_(self) -> str:
        return self.draw().svg

    @property
    def outputs(self) -> int:
        """The width of the network's output."""
        return self.layers[-1].units

    @property
    def fuses_output_activation(self) -> bool:
        """Whether the loss is taken at the last layer's z, its activation being the loss's own link."""
        return (self.layers[-1].activation.name, self.loss.name) in _LINKS

    @property
    def activations_before_loss(self) -> tuple[Activation, ...]:
        """Each layer's activation on the way from x to the loss: the last is linear where the loss fuses it."""
        activations = [layer.activation for layer in self.layers]
        if self.fuses_output_activation:
            activations[-1] = Activation("linear")
        return tuple(activations)

    def without_penalties(self) -> Network:
        """The same network without regularizers: its loss is the examples' alone."""
        bare = {"kernel_regularizer": None, "bias_regularizer": None}
        return Network(self.inputs, [Dense(**{**vars(layer), **bare}) for layer in self.layers], self.loss)

    def parameter_shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """One dict per layer: kernel (I, O) and, where the layer has one, bias (O,)."""
        widths = [self.inputs, *(layer.units for layer in self.layers)]
        shapes: list[dict[str, tuple[int, ...]]] = []
        for layer, width in zip(self.layers, widths, strict=False):
            bias = {"bias": (layer.units,)} if layer.use_bias else {}
            shapes.append({"kernel": (width, layer.units), **bias})
        return shapes

    def init(self, seed: int = 0) -> Parameters:
        """Fresh parameters as float64 NumPy arrays, from the layers' Keras initializers; equal seeds, equal arrays."""
        from tfbp.keras_bridge import initial_parameters

        return initial_parameters(self, seed)

    def draw(self, *numbers: Any, **options: Any) -> Drawing:
        """A picture of the network, with numbers where they are given; see `tfbp.drawing.draw`."""
        from tfbp.drawing import draw

        return draw(self, *numbers, **options)

    def to_json(self) -> str:
        """The network as JSON text; `Network.from_json` reads it back as an equal network."""
        layers = [_layer_config(layer) for layer in self.layers]
        config = {"inputs": self.inputs, "layers": layers, "loss": _choice_config(self.loss)}
        return json.dumps(config, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Network:
        """The network that `to_json` wrote.

        Raises:
            InputError: text that is not such JSON.
        """
        try:
            config = json.loads(text)
            layers = [_layer_from_config(layer) for layer in config["layers"]]
            return cls(config["inputs"], layers, Loss(**config["loss"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"text: got JSON that is no network ({error!r}); accepted: what to_json wrote.") from error

    @classmethod
    def from_keras(cls, sequential: keras.Sequential, loss: str | Loss) -> tuple[Network, Parameters]:
        """The network and parameters of a built `keras.Sequential` of Dense layers; see `tfbp.keras_bridge`."""
        from tfbp.keras_bridge import from_keras

        return from_keras(sequential, loss)

    def to_keras(
        self, parameters: Sequence[Mapping[str, Any]], dtype: str = "float32", layers: Any = None
    ) -> keras.Sequential:
        """A `keras.Sequential` with these parameters, of Keras's layers or `tfbp.layers`; see `tfbp.keras_bridge`."""
        from tfbp.keras_bridge import to_keras

        return to_keras(self, parameters, dtype, **({} if layers is None else {"layers": layers}))


def _initializer_config(argument: str, value: Any) -> Initializer:
    if isinstance(value, str):
        return value
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, Mapping) and "class_name" in value:
        return {"class_name": value["class_name"], "config": dict(value.get("config", {}))}
    raise InputError(f"{argument}: got {value!r}; accepted: a Keras initializer, its name or its config.")


def _choice_config(choice: Activation | Loss) -> dict[str, Any]:
    return {"name": choice.name, "arguments": dict(choice.arguments)}


def _layer_config(layer: Dense) -> dict[str, Any]:
    config = {each.name: getattr(layer, each.name) for each in dataclasses.fields(layer)}
    config["activation"] = _choice_config(layer.activation)
    for name in ("kernel_regularizer", "bias_regularizer"):
        config[name] = config[name] and dataclasses.asdict(config[name])
    return {"class_name": "Dense", **config}


def _layer_from_config(config: Mapping[str, Any]) -> Dense:
    config = dict(config)
    if config.pop("class_name") != "Dense":
        raise KeyError("class_name")
    config["activation"] = Activation(**config["activation"])
    for name in ("kernel_regularizer", "bias_regularizer"):
        config[name] = config[name] and L1L2(**config[name])
    return Dense(**config)
