"""Layers of Keras's that are written by hand."""

from planting.mistake import of

MISTAKES = [
    *of(
        "layers",
        "hand_written",
        {
            "logits-forgotten": ("_as_keras_s", "y._keras_logits = z", "pass", "logits of layers", "None"),
            "rank-3-axes": ("dense", "_as_rows(dz, outputs)", "_as_rows(dz, outputs)[:, ::-1]", "of layers", ""),
        },
    ),
    *of(
        "layers",
        "softmax",
        {
            "mask-ignored": ("Softmax.call", "tf.where(kept, softmax(tf.where(kept, inputs, lowest)), 0)", "softmax(inputs)", "Softmax axis -1 masked y of layers", "mask is ignored"),
        },
    ),
]  # fmt: skip
