"""Runs a network's calls, forward in their order, backward in reverse. Only `kinds` has the kinds' names.

B batch; x, z and y of a call are (B, …). Inputs are tensors 0 to n - 1, call k makes tensor n + k. A kind has two
functions, below its pure functions:

    forward(layer, weights, x, *, training, seed) -> z, residuals, new values of weights without a gradient
    backward(layer, dz, residuals) -> dx, gradients by weight

x and dx are each a tuple where a layer takes several tensors.
"""

from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.kinds import kind_of


def graph_forward(graph, weights, inputs, *, training=False, seed=None):
    """Returns every tensor by its number; one dict of x, z and y per call; and one pair of residuals per call.

    Args:
        seed: (seed, n): the n-th call that draws, and those after it, have their random numbers from it."""
    made, weights, tensors, residuals = list(inputs), list(weights), [], []
    for call, before in zip(graph.calls, graph.draws_before, strict=True):
        layer = graph.layers[call.layer]
        x = tuple(made[i] for i in call.takes) if layer.takes_several else made[call.takes[0]]
        forward, _ = kind_of(layer)
        drawn = seed and (seed[0], seed[1] + before)
        z, layer_residuals, new_weights = forward(layer, weights[call.layer], x, training=training, seed=drawn)
        y, activation_residuals = activation_forward(layer.applied_activation, z)
        made.append(y)
        tensors.append({"x": x, "z": z, "y": y, **{part: layer_residuals[part][0] for part in layer.parts}})
        if new_weights:
            tensors[-1]["new_weights"] = new_weights
            # the layer's next call continues from these values
            weights[call.layer] = {**weights[call.layer], **new_weights}
        residuals.append((layer_residuals, activation_residuals))
    return made, tensors, residuals


def graph_backward(graph, tensors, residuals, dmade):
    """Returns one dict of gradients per layer.

    `dmade` maps the tensors' numbers to gradients: first the losses', in the end all. Each call's dict gets dy, dz."""
    gradients = [{} for _ in graph.layers]
    for number, call in reversed([*enumerate(graph.calls)]):
        layer, (layer_residuals, activation_residuals) = graph.layers[call.layer], residuals[number]
        dy = dmade.get(graph.inputs + number)
        # 0 for a tensor that no loss depends on
        dy = 0 * tensors[number]["y"] if dy is None else dy
        # y = activation_forward(activation, z)
        dz = activation_backward(layer.applied_activation, dy, activation_residuals)
        # z = forward(layer, weights, x)
        _, backward = kind_of(layer)
        dx, dweights = backward(layer, dz, layer_residuals)
        tensors[number].update(dy=dy, dz=dz, **({} if dx is None else {"dx": dx}))
        for taken, d in zip(call.takes, dx if layer.takes_several else (dx,), strict=True):
            add(dmade, taken, d)
        for name, dw in dweights.items():
            add(gradients[call.layer], name, dw)
    return gradients


def add(sums, key, d):
    """Adds a gradient: for a tensor that several calls take, or a layer with several calls."""
    if d is not None:
        sums[key] = sums[key] + d if key in sums else d
