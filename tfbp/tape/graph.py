"""Runs a network's calls, forward in their order. Only `kinds` has the kinds' names.

B batch; x, z and y of a call are (B, …). Inputs are tensors 0 to n - 1, call k makes tensor n + k. A kind has one
function, below its pure functions:

    forward(layer, weights, x, *, training, seed) -> z, new values of weights without a gradient

x is a tuple where a layer takes several tensors.
"""

import tensorflow as tf

from tfbp.tape.activations import activation_forward
from tfbp.tape.kinds import kind_of


def graph_forward(graph, weights, inputs, *, training=False, seed=None, scope="layer"):
    """Returns every tensor by its number, and one dict of tensors per call, with x, z and y.

    Args:
        seed: (seed, n): the n-th call that draws, and those after it, have their random numbers from it.
        scope: the prefix of the layers' names in TensorFlow's graph."""
    made, weights, tensors = list(inputs), list(weights), []
    for call, before in zip(graph.calls, graph.draws_before, strict=True):
        layer = graph.layers[call.layer]
        x = tuple(made[i] for i in call.takes) if layer.takes_several else made[call.takes[0]]
        options = {"training": training, "seed": seed and (seed[0], seed[1] + before)}
        with tf.name_scope(f"{scope}_{call.layer}/{layer.keras_name.lower()}"):
            z, others = kind_of(layer)(layer, weights[call.layer], x, **options)
        with tf.name_scope(f"{scope}_{call.layer}/{layer.applied_activation.name}"):
            y = activation_forward(layer.applied_activation, z)
        made.append(y)
        # for a layer with parts the tensors of each, else new values of weights
        tensors.append({"x": x, "z": z, "y": y, **(others if layer.parts else {})})
        if others and not layer.parts:
            tensors[-1]["new_weights"] = others
            # the layer's next call continues from these values
            weights[call.layer] = {**weights[call.layer], **others}
    return made, tensors
