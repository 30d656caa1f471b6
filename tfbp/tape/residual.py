"""The residual connection: the sum of the shortcut's output and the branch's. B batch; x and y (B, …)."""

from tfbp.tape.chain import chain_forward


def add_forward(shortcut, branch):
    return shortcut + branch


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors of each part."""
    made, tensors = {"projection": x}, {}
    for part, layers in layer.parts.items():
        made[part], tensors[part] = chain_forward(layers, weights[part], x, training=training, seed=seed, scope=part)
        seed = seed and (seed[0], seed[1] + sum(inner.draws for inner in layers))
    return add_forward(made["projection"], made["layers"]), tensors


KINDS = {"Residual": forward}
