"""Layers one after another, forward and backward. It knows no kind by name: `kinds` does.

B batch; x, z and y of a layer are (B, …). A kind's file has two functions for the chain, below its pure ones:

    forward(layer, weights, x, *, training, seed) -> z, residuals, new values of weights without a gradient
    backward(layer, dz, residuals) -> dx, gradients by weight
"""

import tensorflow as tf

from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.kinds import kind_of


def name_of(layer):
    """As a layer is called in a graph."""
    return layer.keras_name.lower()


def chain_forward(layers, weights, x, *, training=False, seed=None, scope="layer"):
    """y; one dict of tensors per layer, with x, z and y; and one pair of residuals per layer.

    Args:
        seed: (seed, n): the n-th layer that draws, and those after it, have their random numbers from it.
        scope: what the layers are called in a graph."""
    tensors, residuals = [], []
    for index, (layer, own) in enumerate(zip(layers, weights, strict=True)):
        activation = layer.applied_activation
        with tf.name_scope(f"{scope}_{index}/{name_of(layer)}"):
            forward, _ = kind_of(layer)
            z, kept, new_weights = forward(layer, own, x, training=training, seed=seed)
        with tf.name_scope(f"{scope}_{index}/{activation.name}"):
            y, activation_kept = activation_forward(activation, z)
        tensors.append({"x": x, "z": z, "y": y, **{part: kept[part][0] for part in layer.parts}})
        if new_weights:
            tensors[-1]["new_weights"] = new_weights
        residuals.append((kept, activation_kept))
        seed = seed and (seed[0], seed[1] + layer.draws)
        x = y
    return x, tensors, residuals


def chain_backward(layers, tensors, residuals, dy, *, scope="layer"):
    """dx of the chain (None where it begins with tokens) and one dict of gradients per layer; dy and dz of each go into
    its dict of tensors."""
    gradients = [{} for _ in layers]
    for index in reversed(range(len(layers))):
        layer = layers[index]
        activation = layer.applied_activation
        kept, activation_kept = residuals[index]
        # y = activation_forward(activation, z)                    (B, …) <- (B, …)
        with tf.name_scope(f"{scope}_{index}/{activation.name}"):
            dz = activation_backward(activation, dy, activation_kept)
        tensors[index].update(dy=dy, dz=dz, kept=kept)
        # z = forward(layer, weights, x)                           (B, …) <- (B, …)
        with tf.name_scope(f"{scope}_{index}/{name_of(layer)}"):
            _, backward = kind_of(layer)
            dx, gradients[index] = backward(layer, dz, kept)
        dy = dx
    return dy, gradients
