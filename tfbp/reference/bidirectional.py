"""A recurrence in both directions, and the merge of the two outputs.

B batch, T steps, H units; there and back (B, T, H) or (B, H), y the same, or with 2H in the place of H.
"""

import numpy as np

from tfbp.reference.chain import chain_backward, chain_forward


def merge_forward(there, back, mode):
    """Returns y, and the residuals there and back."""
    made = {
        "concat": lambda: np.concatenate([there, back], axis=-1),
        "sum": lambda: there + back,
        "mul": lambda: there * back,
        "ave": lambda: (there + back) / 2,
    }
    return made[mode](), (there, back)


def merge_backward(dy, residuals, mode):
    """Returns dthere and dback."""
    there, back = residuals
    if mode == "concat":
        # y = [there, back]
        return dy[..., : there.shape[-1]], dy[..., there.shape[-1] :]
    if mode == "mul":
        # y = there · back
        return dy * back, dy * there
    # y = there + back, or half of it
    return (dy, dy) if mode == "sum" else (dy / 2, dy / 2)


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors and residuals of each part."""
    made, residuals = {}, {}
    for number, (part, layers) in enumerate(layer.parts.items()):
        drawn = seed and (seed[0], seed[1] + number * layer.layer.draws)
        made[part], *residuals[part] = chain_forward(layers, weights[part], x, training=training, seed=drawn)
    y, residuals["merged"] = merge_forward(
        made["forward_layer"], _in_step(layer, made["backward_layer"]), layer.merge_mode
    )
    return y, residuals, {}


def backward(layer, dz, residuals):
    # y = merge_forward(there, in_step(back))
    dthere, dback = merge_backward(dz, residuals["merged"], layer.merge_mode)
    ds, gradients = {"forward_layer": dthere, "backward_layer": _in_step(layer, dback)}, {}
    dxs = []
    for part, layers in layer.parts.items():
        # there = forward_layer(x), back = backward_layer(x): both are functions of x, and their gradients add up
        dx, gradients[part] = chain_backward(layers, *residuals[part], ds[part])
        dxs.append(dx)
    if layer.takes_several:
        # x and its mask
        return (dxs[0][0] + dxs[1][0], None), gradients
    return dxs[0] + dxs[1], gradients


def _in_step(layer, back):
    """Reverses sequences that run from the last step on; its own inverse."""
    return back[:, ::-1] if layer.layer.return_sequences else back


KINDS = {"Bidirectional": (forward, backward)}
