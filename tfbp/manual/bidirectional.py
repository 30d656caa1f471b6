"""A recurrence in both directions, and the merge of the two outputs, each backward under its forward.

B batch, T steps, H units; there and back (B, T, H) or (B, H), y the same, or with 2H in the place of H.
"""

import tensorflow as tf

from tfbp.manual.chain import chain_backward, chain_forward


def merge_forward(there, back, mode):
    """Returns y, and the residuals of a product."""
    if mode == "concat":
        return tf.concat([there, back], axis=-1), ()
    if mode == "mul":
        return there * back, (there, back)
    return (there + back if mode == "sum" else (there + back) / 2), ()


def merge_backward(dy, residuals, mode):
    """Returns dthere and dback."""
    if mode == "concat":
        # y = concat([there, back])                         (B, …, 2H) <- (B, …, H) (B, …, H)
        return tf.split(dy, 2, axis=-1)
    if mode == "mul":
        there, back = residuals
        # y = there · back                                  (B, …, H)
        return dy * back, dy * there
    # y = there + back, or half of it                       (B, …, H)
    return (dy, dy) if mode == "sum" else (dy / 2, dy / 2)


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors and residuals of each part."""
    made, residuals = {}, {}
    for number, (part, layers) in enumerate(layer.parts.items()):
        drawn = seed and (seed[0], seed[1] + number * layer.layer.draws)
        made[part], *residuals[part] = chain_forward(
            layers, weights[part], x, training=training, seed=drawn, scope=part
        )
    y, residuals["merged"] = merge_forward(
        made["forward_layer"], _in_step(layer, made["backward_layer"]), layer.merge_mode
    )
    return y, residuals, {}


def backward(layer, dz, residuals):
    # y = merge_forward(there, in_step(back))
    dthere, dback = merge_backward(dz, residuals["merged"], layer.merge_mode)
    ds, gradients, dxs = {"forward_layer": dthere, "backward_layer": _in_step(layer, dback)}, {}, []
    for part, layers in layer.parts.items():
        # there = forward_layer(x), back = backward_layer(x)
        dx, gradients[part] = chain_backward(layers, *residuals[part], ds[part], scope=part)
        dxs.append(dx)
    # both are functions of x: their gradients add up
    if layer.takes_several:
        # x and its mask
        return (dxs[0][0] + dxs[1][0], None), gradients
    return dxs[0] + dxs[1], gradients


def _in_step(layer, back):
    """Reverses sequences that run from the last step on; its own inverse."""
    return tf.reverse(back, [1]) if layer.layer.return_sequences else back


KINDS = {"Bidirectional": (forward, backward)}
