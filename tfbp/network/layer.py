"""The base class of every kind of layer: shapes, weights, JSON, Keras layer. No arithmetic, no TensorFlow.

Shapes are without the batch: (28, 28, 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn, Self

from tfbp import vocabulary
from tfbp.errors import InputError
from tfbp.network.graph import Symbol, called
from tfbp.network.initializers import Initializer, initializer_config
from tfbp.network.kinds import kinds
from tfbp.vocabulary import L1L2, Activation

Shape = tuple[int, ...]
_LINEAR = Activation("linear")


class Layer:
    """A kind of layer: a frozen dataclass with Keras's arguments and defaults as fields.

    Attributes:
        keras_name: Keras's name of the layer, where it differs from the class's name.
        made_in_keras: the name of the Keras layer that `to_keras` makes, where it is of another kind.
        without_gradient: the weights without a gradient (moving_mean, …): the forward pass renews them.
        takes_tokens: whether its inputs are `Tokens`, integers without a gradient; None where it takes both.
        takes_several: whether a call takes two tensors or more; then its functions get them as a tuple.
        is_operation: whether Keras has it as an operation between tensors, not as a layer: `in_keras` is called on
            None.
        makes_mask: whether it returns a mask, in any dtype that holds 1 and 0.
        ties_examples: whether an example's output depends on the others of its batch, in training.
        keras_parts: the names of the inner layers of its Keras layer that hold the weights: "query" has query_kernel.
        draws: the number of random seeds that a forward pass in training takes.
    """

    keras_name: ClassVar[str] = ""
    made_in_keras: ClassVar[str] = ""
    without_gradient: ClassVar[tuple[str, ...]] = ()
    takes_tokens: ClassVar[bool | None] = False
    takes_several: ClassVar[bool] = False
    is_operation: ClassVar[bool] = False
    makes_mask: ClassVar[bool] = False
    ties_examples: ClassVar[bool] = False
    keras_parts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "keras_name" not in vars(cls):
            cls.keras_name = cls.__name__

    def __call__(self, *inputs: Any) -> Symbol:
        """Calls the layer in a network that is written as a graph; see `tfbp.Input`.

        Raises:
            InputError: tensors that it cannot take.
        """
        return called(self, inputs)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Returns the output shape for an input shape; for all input shapes, where it takes several tensors.

        Raises:
            InputError: a shape that it cannot take.
        """
        raise NotImplementedError

    def weight_shapes(self, input_shape: Shape) -> dict[str, Any]:
        """Returns the shape of each weight by Keras's name, in Keras's order."""
        return {}

    @property
    def draws(self) -> int:
        return 0

    @property
    def is_called_plainly(self) -> bool:
        """Whether the call of its Keras layer takes x alone."""
        return type(self).in_keras is Layer.in_keras

    @property
    def parts(self) -> dict[str, tuple[Layer, ...]]:
        """Returns the chains of layers that it consists of, by name; its weights nest in the same way."""
        return {}

    @property
    def applied_activation(self) -> Activation:
        """The activation that the chain applies to its z: its own, or linear."""
        return getattr(self, "activation", _LINEAR)

    def for_shape(self, input_shape: Shape) -> Self:
        """Returns the layer with the arguments that follow from an input shape filled in."""
        return self

    def initializer(self, weight: str) -> Initializer:
        return getattr(self, f"{weight}_initializer")

    def drawn_shape(self, weight: str, shape: Shape) -> Shape:
        """Returns the shape that a weight's initializer uses: some initializers scale by it."""
        return shape

    def started(self, weight: str, drawn: Any) -> Any:
        """Returns the first values of a weight, from the initializer's values."""
        return drawn

    def regularizer(self, weight: str) -> L1L2 | None:
        return getattr(self, f"{weight}_regularizer", None)

    def without_penalties(self) -> Self:
        """Returns the same layer without regularizers."""
        bare = {name: None for name in self.arguments() if name.endswith("_regularizer")}
        return dataclasses.replace(self, **bare)  # type: ignore[type-var]

    def arguments(self) -> dict[str, Any]:
        """Returns its fields by name: Keras's arguments, in tfbp's words."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def config(self) -> dict[str, Any]:
        """Returns its arguments in JSON's types; `from_config` reads them back."""
        return {"class_name": self.keras_name, **{name: _plain(value) for name, value in self.arguments().items()}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(**{name: _settled(name, value) for name, value in config.items() if name != "class_name"})

    def keras_arguments(self) -> dict[str, Any]:
        """Returns its Keras layer's arguments; the bridge converts activations, initializers and regularizers."""
        return self.arguments()

    def in_keras(self, keras_layer: Any, x: Any) -> Any:
        """Calls its Keras layer on x, a Keras tensor; some layers take more than x."""
        return keras_layer(x)

    @classmethod
    def from_keras_arguments(cls, given: Mapping[str, Any]) -> Self:
        """Returns the layer with these arguments of a Keras layer, in tfbp's words.

        Raises:
            InputError: an argument that it cannot express.
        """
        names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in given.items() if name in names})

    def _settle(self, **values: Any) -> None:
        """Sets the arguments: activations, initializers and regularizers from their names or objects."""
        for name, value in values.items():
            if name.endswith("activation"):
                value = vocabulary.activation(value)
            elif name.endswith("_initializer"):
                value = initializer_config(name, value)
            elif name.endswith("_regularizer"):
                value = vocabulary.regularizer(name, value)
            object.__setattr__(self, name, value)

    def _refuse(self, shape: Shape, accepted: str) -> NoReturn:
        """Raises `InputError`: the layer cannot take inputs of this shape."""
        raise InputError(f"{type(self).__name__}: got inputs of shape {shape}; accepted: {accepted}.")


def check_last_axis(given: Mapping[str, Any]) -> None:
    """Raises `InputError` unless the axis in Keras's arguments is the last one."""
    axis = given.get("axis", -1)
    if (list(axis) if isinstance(axis, list | tuple) else [axis]) != [-1]:
        raise InputError(f"axis: got {axis!r}; accepted: -1, the last axis.")


def check_flag(argument: str, value: object) -> None:
    """Raises `InputError` unless the value is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{argument}: got {value!r}; accepted: True or False.")


def _plain(value: Any) -> Any:
    if isinstance(value, Activation):
        return {"name": value.name, "arguments": dict(value.arguments)}
    if isinstance(value, L1L2):
        return dataclasses.asdict(value)
    if isinstance(value, Layer):
        return value.config()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _settled(name: str, value: Any) -> Any:
    if name.endswith("activation"):
        return Activation(**value)
    if name.endswith("_regularizer"):
        return value and L1L2(**value)
    if isinstance(value, list):
        return tuple(layer_from_config(item) if isinstance(item, Mapping) else item for item in value)
    return value


def layer_from_config(config: Mapping[str, Any]) -> Layer:
    """Returns the layer that `Layer.config` described."""
    kind = kinds().get(config["class_name"])
    if kind is None:
        raise InputError(
            f"text: got a layer of the kind {config['class_name']!r}; accepted: one of ours, or one that tfbp.register "
            "was given."
        )
    return kind.from_config(config)
