"""A forward pass that keeps, of each layer with weights, what its examples' gradients are made of.

Inside `recording(model)` each layer of a known kind is called by a function of this package: it makes z as the layer
does, has the tape watch z, and keeps x. From dz, which the tape gives, follow the parts of each weight's gradient. The
weights themselves are constants there, so that a gradient that still reaches one shows a use that was not recorded.
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
    """A layer whose examples' gradients cannot be made of what was recorded; says which and why."""


class Unweighted(Exception):
    """A loss that a sample_weight does not reach, or not one that is made here."""


class Recorder:
    """What was recorded of one forward pass.

    Attributes:
        uses: z and what its gradient says, of each call of a layer.
        layers: the paths of the layers that were recorded.
        most: rows of the largest batch, where that is known.
    """

    def __init__(self, tape: tf.GradientTape, most: int | None = None) -> None:
        self.most = most
        self.uses: list[tuple[tf.Tensor, Find]] = []
        self.layers: list[str] = []
        self._tape, self._graph = tape, tf.compat.v1.get_default_graph()

    def kept(self, layer: Any, z: Any, find: Find) -> tf.Tensor:
        """z, whose gradient the tape will know."""
        if tf.compat.v1.get_default_graph() is not self._graph:
            raise NotRecorded(f"{layer.path} is called inside of a loop or a function")
        # a tensor of its own: a layer that changes nothing hands on that of another
        z = tf.identity(z)
        self._tape.watch(z)
        self.uses.append((z, find))
        self.layers.append(layer.path)
        return z


def constant(weight: Any) -> tf.Tensor:
    """A weight as the layer computes with it; no gradient reaches it."""
    return tf.stop_gradient(tf.convert_to_tensor(weight))


@contextlib.contextmanager
def recording(
    model: Any, tape: tf.GradientTape, calls_of: Callable[..., dict[str, Any]], most: int | None = None
) -> Iterator[Recorder]:
    """Have the model's layers record what they do, those for which `calls_of` has something in a method's place."""
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
    """No penalty on a weight is a part of the loss: it belongs to no example."""
    found = [(weight, weight.regularizer) for weight in model.trainable_variables if weight.regularizer is not None]
    try:
        for weight, _ in found:
            weight.regularizer = None
        yield
    finally:
        for weight, regularizer in found:
            weight.regularizer = regularizer


def all_layers(model: Any) -> list[keras.layers.Layer]:
    """Every layer of a model, those inside of others among them, each once."""
    found = {id(layer): layer for layer in model._flatten_layers(include_self=False, recursive=True)}
    return list(found.values())
