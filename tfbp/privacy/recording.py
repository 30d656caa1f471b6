"""Records a forward pass: for each layer with weights, the inputs of its examples' gradients.

Inside `recording(model)` each layer of a known kind is called by a function of this package: it computes z as the
layer does, lets the tape watch z, and keeps x. The parts of each weight's gradient follow from dz, which the tape
returns. The weights are constants there, so a gradient that still reaches one shows a use that was not recorded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfbp.privacy.parts import Part

# dz -> the parts of the gradients, each with its variable
Find = Callable[[tf.Tensor], list[tuple[Any, Part]]]


class NotRecorded(Exception):
    """Raised for a layer with examples' gradients that do not follow from the record; the message has the cause."""


def cause_of(error: NotRecorded) -> str:
    """Returns the message as it was raised: Keras's layers add the arguments of their call to it, in many lines."""
    while isinstance(error.__context__, NotRecorded):
        error = error.__context__
    return str(error)


class Unweighted(Exception):
    """Raised for a loss that ignores sample_weight, or is not computed here."""


class Recorder:
    """The record of one forward pass.

    Attributes:
        uses: z and the gradient's function, for each call of a layer.
        layers: the paths of the recorded layers.
        most: rows of the largest batch, where that is known.
    """

    def __init__(self, tape: tf.GradientTape, most: int | None = None) -> None:
        self.most = most
        self.uses: list[tuple[tf.Tensor, Find]] = []
        self.layers: list[str] = []
        self._tape, self._graph = tape, tf.compat.v1.get_default_graph()

    def kept(self, layer: Any, z: Any, find: Find) -> tf.Tensor:
        """Returns z, watched by the tape."""
        if tf.compat.v1.get_default_graph() is not self._graph:
            raise NotRecorded(f"{layer.path} is called inside of a loop or a function")
        # a separate tensor: a layer that changes nothing returns another layer's tensor
        z = tf.identity(z)
        self._tape.watch(z)
        self.uses.append((z, find))
        self.layers.append(layer.path)
        return z


def constant(weight: Any) -> tf.Tensor:
    """Returns a weight as the layer uses it, without a gradient."""
    return tf.stop_gradient(tf.convert_to_tensor(weight))


@contextlib.contextmanager
def recording(
    model: Any, tape: tf.GradientTape, calls_of: Callable[..., dict[str, Any]], most: int | None = None
) -> Iterator[Recorder]:
    """Lets the model's layers record their calls, those with a method in `calls_of`."""
    recorder, replaced = Recorder(tape, most), []
    try:
        for layer in all_layers(model):
            for name, call in calls_of(recorder, layer).items():
                # past Keras's own __setattr__, which would track it
                vars(layer)[name] = call
                replaced.append((layer, name))
        yield recorder
    finally:
        for layer, name in replaced:
            del vars(layer)[name]


@contextlib.contextmanager
def without_penalties(model: Any) -> Iterator[None]:
    """Removes penalties on weights from the loss: they belong to no example."""
    found = [(weight, weight.regularizer) for weight in model.trainable_variables if weight.regularizer is not None]
    try:
        for weight, _ in found:
            weight.regularizer = None
        yield
    finally:
        for weight, regularizer in found:
            weight.regularizer = regularizer


def all_layers(model: Any) -> list[keras.layers.Layer]:
    """Returns every layer of a model, inner layers included, each once."""
    found = {id(layer): layer for layer in model._flatten_layers(include_self=False, recursive=True)}
    return list(found.values())


def generators_of(layer: Any) -> list[keras.random.SeedGenerator]:
    """Returns the random generators that a layer holds, those in its lists and dicts included."""
    return list(layer._seed_generators)
