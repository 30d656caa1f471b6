"""Each example's own gradient: norms, clipping, moments."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "per_example",
        {
            "norms-divided-by-B": ("norms_from", "tf.sqrt(tf.maximum(squares, 0)) * _undo(tensors, loss_scale, squares.dtype)", "tf.sqrt(tf.maximum(squares, 0))", "clipped layer 0 dkernel of manual", "clipped"),
            "norms-without-a-root": ("norms_from", "tf.sqrt(tf.maximum(squares, 0))", "tf.maximum(squares, 0)", "norms of manual", "the root is missing"),
            "variance-not-centred": ("gradient_mean_and_variance", "tf.maximum(s - m * m, 0)", "s", "variance layer 0 dkernel of manual", "not centred"),
            "example-norm-of-the-first-part": ("_squares", "tf.add_n(inner)", "inner[0]", "norms", ""),
            "example-norms-of-one-weight": ("_squares", "tf.add_n(counted) if counted else tf.zeros(tf.shape(dz)[:1], dz.dtype)", "counted[0] if counted else tf.zeros(tf.shape(dz)[:1], dz.dtype)", "norms", "the bias' gradient is left out"),
            "clip-of-one-layer": ("reweighting", "tf.reduce_sum(tf.square(norms_from(network, tensors, loss_scale, trained, dtype)), axis=1)", "tf.square(norms_from(network, tensors, loss_scale, trained, dtype))[:, 0]", "clipped layer 0 dkernel of manual", "norm of layer 0"),
        },
    ),
    *of(
        "manual",
        "dense",
        {
            "example-norms-bias-by-token": ("sum_squares", "tf.reduce_sum(tf.square(tf.reduce_sum(dz, axis=1)), axis=1)", "tf.reduce_sum(tf.square(dz), axis=[1, 2])", "norms", "of its bias the squares of the places are added up"),
            "example-norms-diagonal-alone": ("squares_by_terms", "of_x * of_dz", "tf.linalg.diag(tf.linalg.diag_part(of_x * of_dz))", "norms", "the squares of its places are added up"),
            "example-norms-not-transposed": ("product_squares", "tf.square(tf.matmul(x, dz, transpose_a=True))", "tf.square(x[:, :, :1] * dz)", "norms", ""),
            "example-moments-of-tokens": ("example_moments", "{name: (tf.reduce_sum(g, axis=0), tf.reduce_sum(g * g, axis=0)) for name, g in each.items()}", "{name: (tf.reduce_sum(g, axis=0), tf.square(tf.reduce_sum(g, axis=0))) for name, g in each.items()}", "variance", "the square of the sum"),
        },
    ),
    *of(
        "manual",
        "embedding",
        {
            "example-embedding-rows-counted-twice": ("example_squares", "tf.reduce_sum(sums * sums, axis=2) / tf.reduce_sum(same, axis=2)", "tf.reduce_sum(sums * sums, axis=2)", "norms", "a token counts once for each of its places"),
            "example-moments-embedding-counted-twice": ("example_moments", "sums * sums / tf.reduce_sum(same, axis=2, keepdims=True)", "sums * sums", "variance", ""),
        },
    ),
]  # fmt: skip
