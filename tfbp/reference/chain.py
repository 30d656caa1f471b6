"""Layers one after another, as parts of another layer."""

from tfbp.network import Graph
from tfbp.reference.graph import graph_backward, graph_forward


def chain_forward(layers, weights, x, *, training=False, seed=None):
    """Returns y; one dict of tensors per layer, with x, z and y; and one pair of residuals per layer."""
    made, tensors, residuals = graph_forward(Graph.of_chain(layers), weights, [x], training=training, seed=seed)
    return made[-1], tensors, residuals


def chain_backward(layers, tensors, residuals, dy):
    """Returns dx of the chain (None where it begins with tokens) and one dict of gradients per layer."""
    dmade = {len(layers): dy}
    gradients = graph_backward(Graph.of_chain(layers), tensors, residuals, dmade)
    return dmade.get(0), gradients
