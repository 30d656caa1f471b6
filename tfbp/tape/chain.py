"""Layers one after another, forward only. It knows no kind by name: `kinds` does.

B batch; x, z and y of a layer are (B, …). A kind's file has one function for the chain, below its pure ones:

    forward(layer, weights, x, *, training, seed) -> z, new values of weights without a gradient
"""

import tensorflow as tf

from tfbp.tape.activations import activation_forward
from tfbp.tape.kinds import kind_of


def name_of(layer):
    """As a layer is called in a graph."""
    return layer.keras_name.lower()


def chain_forward(layers, weights, x, *, training=False, seed=None, scope="layer"):
    """y, and one dict of tensors per layer, with x, z and y.

    Args:
        seed: (seed, n): the n-th layer that draws, and those after it, have their random numbers from it.
        scope: what the layers are called in a graph."""
    tensors = []
    for index, (layer, own) in enumerate(zip(layers, weights, strict=True)):
        activation = layer.applied_activation
        options = {"training": training, "seed": seed}
        tensors.append({"x": x})
        with tf.name_scope(f"{scope}_{index}/{name_of(layer)}"):
            if layer.parts:
                z, inner = kind_of(layer)(layer, own, x, **options)
                tensors[-1].update(inner)
            else:
                z, new_weights = kind_of(layer)(layer, own, x, **options)
                if new_weights:
                    tensors[-1]["new_weights"] = new_weights
        with tf.name_scope(f"{scope}_{index}/{activation.name}"):
            y = activation_forward(activation, z)
        tensors[-1].update(z=z, y=y)
        seed = seed and (seed[0], seed[1] + layer.draws)
        x = y
    return x, tensors
