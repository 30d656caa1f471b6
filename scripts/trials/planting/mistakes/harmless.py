"""Harmless changes, which the harness must not report."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "smooth_activations",
        {
            "tanh-as-a-product": ("tanh_backward", "1 - y * y", "(1 - y) * (1 + y)", "", ""),
            "sigmoid-by-difference": ("sigmoid_backward", "dy * y * (1 - y)", "dy * (y - y * y)", "", ""),
        },
    ),
    *of(
        "manual",
        "dense",
        {
            "kernel-gradient-in-another-order": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.transpose(tf.matmul(dz, x, transpose_a=True))", "", ""),
        },
    ),
]  # fmt: skip
