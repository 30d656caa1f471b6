"""Each example's own gradient: norms, clipping, moments."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "per_example",
        {
            "norms-divided-by-B": ("norms_from", "norms * _undo(tensors, loss_scale, norms.dtype)", "norms", "clipped layer 0 dkernel of manual", "clipped"),
            "clip-of-one-layer": ("clip_factors", "tf.sqrt(tf.reduce_sum(norms * norms, axis=1))", "norms[:, 0]", "clipped layer 0 dkernel of manual", "norm of layer 0"),
            "variance-not-centred": ("gradient_mean_and_variance", "tf.maximum(s - m * m, 0)", "s", "variance layer 0 dkernel of manual", "not centred"),
            "example-norm-of-the-first-part": ("_norm", "tf.norm(tf.stack(inner, axis=1), axis=1)", "inner[0]", "norms", ""),
            "example-moments-not-undone": ("_moments", "tf.cast(tensor['dz'], tf.float64) * undo", "tf.cast(tensor['dz'], tf.float64)", "of manual", ""),
            "example-norms-squares-added": ("_norm", "tf.sqrt(squares)", "squares", "norms", ""),
        },
    ),
    *of(
        "manual",
        "convolution",
        {
            "example-strides-lost": ("example_gradients", "Window(x.shape[1:3], layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)", "Window(x.shape[1:3], layer.kernel_size, layer.strides, layer.padding)", "of manual", ""),
            "example-groups-in-another-order": ("example_gradients", "tf.transpose(dkernel, [0, 2, 1, 3])", "tf.transpose(dkernel[:, ::-1], [0, 2, 1, 3])", "of manual", ""),
            "example-depthwise-one-row": ("example_gradients", "tf.reduce_sum(at[..., None] * dz, axis=[1, 2])", "tf.reduce_sum((at[..., None] * dz)[:, :1], axis=[1, 2])", "of manual", ""),
            "example-dbias-a-mean": ("example_gradients", "tf.reduce_sum(dz, axis=[1, 2])", "tf.reduce_mean(dz, axis=[1, 2])", "of manual", ""),
        },
    ),
    *of(
        "manual",
        "dense",
        {
            "example-norms-bias-by-token": ("example_norms", "tf.reduce_sum(tf.square(tf.reduce_sum(dz, axis=1)), axis=1)", "tf.reduce_sum(tf.square(dz), axis=[1, 2])", "norms", ""),
            "example-norms-diagonal-alone": ("example_norms", "tf.matmul(x, x, transpose_b=True) * tf.matmul(dz, dz, transpose_b=True)", "tf.reduce_sum(x * x, axis=2)[:, :, None] * tf.reduce_sum(dz * dz, axis=2)[:, :, None]", "norms", ""),
            "example-norms-not-transposed": ("example_norms", "tf.square(tf.matmul(x, dz, transpose_a=True))", "tf.square(x[:, :, :1] * dz)", "norms", ""),
            "example-moments-of-tokens": ("example_moments", "{name: (tf.reduce_sum(g, axis=0), tf.reduce_sum(g * g, axis=0)) for name, g in each.items()}", "{name: (tf.reduce_sum(g, axis=0), tf.square(tf.reduce_sum(g, axis=0))) for name, g in each.items()}", "variance", ""),
        },
    ),
    *of(
        "manual",
        "normalization",
        {
            "example-normalization-of-y": ("example_gradients", "(dz * normalized, dz)", "(dz * x, dz)", "of manual", ""),
            "example-group-epsilon-default": ("example_gradients", "group_normalization_forward(x, groups=groups, epsilon=layer.epsilon)", "group_normalization_forward(x, groups=groups)", "of manual", ""),
        },
    ),
    *of(
        "manual",
        "embedding",
        {
            "example-embedding-rows-counted-twice": ("example_norms", "tf.reduce_sum(sums * sums, axis=2) / tf.reduce_sum(same, axis=2)", "tf.reduce_sum(sums * sums, axis=2)", "norms", ""),
            "example-moments-embedding-counted-twice": ("example_moments", "sums * sums / tf.reduce_sum(same, axis=2, keepdims=True)", "sums * sums", "variance", ""),
        },
    ),
    *of(
        "manual",
        "position",
        {
            "example-positions-at-the-end": ("example_gradients", "[[0, 0], [0, layer.sequence_length - dz.shape[1]], [0, 0]]", "[[0, 0], [layer.sequence_length - dz.shape[1], 0], [0, 0]]", "of manual", ""),
        },
    ),
]  # fmt: skip
