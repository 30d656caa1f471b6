"""A recurrence in both directions, and their merge. B batch, T steps, H units; both (B, T, H) or (B, H)."""

import tensorflow as tf

from tfbp.tape.chain import chain_forward

MERGE = {
    "concat": lambda both: tf.concat(both, axis=-1),
    "sum": tf.add_n,
    "mul": lambda both: tf.multiply(*both),
    "ave": lambda both: tf.add_n(both) / 2,
}


def forward(layer, weights, x, *, training, seed):
    """Returns y, and the tensors of each part."""
    made, tensors = [], {}
    for number, (part, layers) in enumerate(layer.parts.items()):
        drawn = seed and (seed[0], seed[1] + number * layer.layer.draws)
        y, tensors[part] = chain_forward(layers, weights[part], x, training=training, seed=drawn, scope=part)
        turned = layer.layer.return_sequences and part == "backward_layer"
        made.append(tf.reverse(y, [1]) if turned else y)
    return MERGE[layer.merge_mode](made), tensors


KINDS = {"Bidirectional": forward}
