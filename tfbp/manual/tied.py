"""A last layer with the first layer's table, transposed, as its kernel.

V rows of the table, O their width; embeddings (V, O), kernel (O, V). An example's gradient of the table is a sum of
two, from the lookups and from the last layer, g_b = a_b + c_b. Their product in the squares needs only the rows of c_b
that the example looks up. B batch, T tokens of an example, S rows of it in the last layer.
"""

import math

import tensorflow as tf

from tfbp.manual.dense import rounding_of


def tied_forward(network, parameters):
    """Returns the parameters, with the kernel of a tied last layer."""
    if not network.tied:
        return parameters
    return [*parameters[:-1], {"kernel": tf.transpose(parameters[0]["embeddings"])}]


def tied_backward(network, gradients):
    """Returns the gradients of the network's own parameters: a table with two uses has the sum."""
    if not network.tied:
        return gradients
    first, *others, last = gradients
    # kernel = transpose(embeddings)                    (O, V) <- (V, O)
    dembeddings = first["embeddings"] + tf.transpose(last["kernel"])
    return [{"embeddings": dembeddings}, *others, {}]


def tied_squares(network, tensors, squares):
    """Returns the squared norm of each layer, a list of (B,): the table's for both uses, 0 for a tied last layer.

    ‖a + c‖² = ‖a‖² + ‖c‖² + 2 Σ a · c"""
    if not network.tied:
        return squares
    first, *others, last = squares
    both = first + last + 2 * tf.reduce_sum(_products(network, tensors, first.dtype), axis=[1, 2])
    # a and c may cancel
    both += 2 * rounding_of(tf.sqrt(first + last)[:, None])
    return [tf.maximum(both, 0), *others, tf.zeros_like(last)]


def tied_moments(network, tensors, undo, totals, squares):
    """Returns Σ_b g_b and Σ_b g_b² of the network's own parameters, in float64; `undo` removes dz's scale.

    Σ (a + c)² = Σ a² + Σ c² + 2 Σ a · c, elementwise"""
    if not network.tied:
        return totals, squares
    products = 2 * undo * undo * _products(network, tensors, undo.dtype)
    # at the rows of the example's tokens alone: elsewhere a is 0
    crossed = tf.math.unsorted_segment_sum(products, tensors[0]["x"], network.layers[0].input_dim)
    squares = tied_backward(network, squares)
    squares[0]["embeddings"] += crossed
    return tied_backward(network, totals), squares


def _products(network, tensors, dtype):
    """Returns a · c, elementwise, (B, T, O): dz of each lookup times its token's row of c."""
    tokens, dy, last = tensors[0]["x"], tf.cast(tensors[0]["dz"], dtype), tensors[len(network.layers) - 1]
    x, dz = (
        tf.reshape(tf.cast(a, dtype), [-1, math.prod(a.shape[1:-1]), a.shape[-1]]) for a in (last["x"], last["dz"])
    )
    # c = dzᵀ · x: its rows of the tokens               (B, T, O) <- (B, S, T) (B, S, O)
    rows = tf.matmul(tf.gather(dz, tokens, axis=2, batch_dims=1), x, transpose_a=True)
    return dy * rows
