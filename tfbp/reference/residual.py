"""The residual connection: the sum of the shortcut's output and the branch's.

B batch; shortcut and branch (B, …), y (B, …), all of one shape.
"""

from tfbp.reference.chain import chain_backward, chain_forward


def add_forward(shortcut, branch):
    return shortcut + branch


def add_backward(dy):
    # y = shortcut + branch                           (B, …) <- (B, …) (B, …)
    return dy, dy


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors and residuals of each part."""
    made, residuals = {"projection": x}, {}
    for part, layers in layer.parts.items():
        made[part], *residuals[part] = chain_forward(layers, weights[part], x, training=training, seed=seed)
        seed = seed and (seed[0], seed[1] + sum(inner.draws for inner in layers))
    return add_forward(made["projection"], made["layers"]), residuals, {}


def backward(layer, dz, residuals):
    # y = add_forward(shortcut, branch)
    dshortcut, dbranch = add_backward(dz)
    # branch = layers(x)
    dx, dlayers = chain_backward(layer.layers, *residuals["layers"], dbranch)
    gradients = {"layers": dlayers}
    # shortcut = projection(x), or x
    if "projection" in layer.parts:
        dshortcut, gradients["projection"] = chain_backward(layer.projection, *residuals["projection"], dshortcut)
    # both are functions of x: their gradients add up
    return dshortcut + dx, gradients


KINDS = {"Residual": (forward, backward)}
