"""The residual connection: the sum of the shortcut's output and the branch's.

B batch; shortcut and branch (B, …), y (B, …), all of one shape.
"""

from tfbp.manual.chain import chain_backward, chain_forward


def add_forward(shortcut, branch):
    """Returns y = shortcut + branch, without residuals."""
    return shortcut + branch


def add_backward(dy):
    """Returns dshortcut and dbranch: both are dy."""
    # y = shortcut + branch                            (B, …) <- (B, …) (B, …)
    return dy, dy


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors and residuals of each part."""
    made, residuals = {"projection": x}, {}
    for part, layers in layer.parts.items():
        made[part], *residuals[part] = chain_forward(layers, weights[part], x, training=training, seed=seed, scope=part)
        seed = seed and (seed[0], seed[1] + sum(inner.draws for inner in layers))
    return add_forward(made["projection"], made["layers"]), residuals, {}


def backward(layer, dz, residuals):
    # y = add_forward(shortcut, branch)
    dshortcut, dbranch = add_backward(dz)
    gradients = {}

    def through(part, dy):
        dx, gradients[part] = chain_backward(layer.parts[part], *residuals[part], dy, scope=part)
        return dx

    # branch = layers(x), shortcut = projection(x) or x: both are functions of x, and their gradients add up
    dx = through("layers", dbranch)
    if "projection" in layer.parts:
        dshortcut = through("projection", dshortcut)
    return dshortcut + dx, gradients


KINDS = {"Residual": (forward, backward)}
