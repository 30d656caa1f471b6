"""Layers one after another, forward and backward. It knows no kind by name: a layer's file is that of its class.

B batch; x, z and y of a layer are (B, …). A kind's file has two functions for the chain, below its pure ones:

    forward(layer, weights, x, *, training, seed) -> z, residuals, new values of weights without a gradient
    backward(layer, dz, residuals, *, input_gradient, weight_gradients) -> dx, gradients by weight
"""

from importlib import import_module

import tensorflow as tf

from tfbp.manual.activations import activation_backward, activation_forward


def kind_of(layer):
    """The file of this writing that is named as the layer's own in `tfbp.network`."""
    return import_module(f"tfbp.manual.{name_of(layer)}")


def name_of(layer):
    return type(layer).__module__.rpartition(".")[2]


def chain_forward(layers, weights, x, *, activations=None, training=False, seed=None, scope="layer"):
    """y; one dict of tensors per layer, with x, z and y; and one pair of residuals per layer.

    Args:
        activations: each layer's, where it is not the layer's own: a last one that the loss fuses.
        seed: (seed, n): the n-th layer that draws, and those after it, have their random numbers from it.
        scope: what the layers are called in a graph."""
    tensors, residuals = [], []
    for index, (layer, own) in enumerate(zip(layers, weights, strict=True)):
        activation = layer.applied_activation if activations is None else activations[index]
        with tf.name_scope(f"{scope}_{index}/{name_of(layer)}"):
            z, kept, new_weights = kind_of(layer).forward(layer, own, x, training=training, seed=seed)
        with tf.name_scope(f"{scope}_{index}/{activation.name}"):
            y, activation_kept = activation_forward(activation, z)
        tensors.append({"x": x, "z": z, "y": y, **{part: kept[part][0] for part in layer.parts}})
        if new_weights:
            tensors[-1]["new_weights"] = new_weights
        residuals.append((kept, activation_kept))
        seed = seed and (seed[0], seed[1] + layer.draws)
        x = y
    return x, tensors, residuals


def chain_backward(
    layers, tensors, residuals, dy, *, activations=None, input_gradient=True, weight_gradients=True, scope="layer"
):
    """dx of the chain (None where it is not asked for) and one dict of gradients per layer; dy, dz and dx of each layer
    go into its dict of tensors."""
    gradients = [{} for _ in layers]
    for index in reversed(range(len(layers))):
        layer = layers[index]
        activation = layer.applied_activation if activations is None else activations[index]
        kept, activation_kept = residuals[index]
        # y = activation_forward(activation, z)                    (B, …) <- (B, …)
        with tf.name_scope(f"{scope}_{index}/{activation.name}"):
            dz = activation_backward(activation, dy, activation_kept)
        tensors[index].update(dy=dy, dz=dz, kept=kept)
        # z = forward(layer, weights, x)                           (B, …) <- (B, …)
        with tf.name_scope(f"{scope}_{index}/{name_of(layer)}"):
            dx, gradients[index] = kind_of(layer).backward(
                layer, dz, kept, input_gradient=input_gradient or index > 0, weight_gradients=weight_gradients
            )
        dy = dx
    return dy, gradients
