"""Dense and layers that move numbers: shapes, sums over rows, a branch and its shortcut."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "dense",
        {
            "kernel-gradient-transposed": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.matmul(dz, x, transpose_a=True)", "dkernel of manual", "transposed"),
            "kernel-gradient-none": ("dense_backward", "tf.matmul(x, dz, transpose_a=True) if kernel_gradient else None", "None", "dkernel of manual", "None"),
            "x-not-transposed": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.matmul(x, dz)", "dkernel of manual", "matmul\\(x, dz\\)"),
            "kernel-not-transposed": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "tf.matmul(dz, kernel)", "of manual", "matmul\\(dz, kernel\\)|not transposed"),
            "kernel-not-transposed-where-square": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "tf.matmul(dz, kernel, transpose_b=kernel.shape[0] != kernel.shape[1])", "dx of manual", "not transposed"),
            "bias-summed-over-the-wrong-axis": ("_sum_over_batch", "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide, axis=1)", "dbias of manual", "wrong axis"),
            "bias-not-summed": ("_sum_over_batch", "tf.reduce_sum(wide, axis=0)", "wide", "dbias of manual", "not summed over the first axis"),
            "bias-a-mean": ("_sum_over_batch", "tf.reduce_sum", "tf.reduce_mean", "dbias of manual", "1/B too many"),
            "bias-without-the-last-row": ("_sum_over_batch", "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide[:-1], axis=0)", "dbias of manual", "last is missing"),
            "bias-of-1024-rows": ("_sum_over_batch", "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide[:1024], axis=0)", "dbias of manual", "first 1024"),
            "bias-kept-as-a-row": ("_sum_over_batch", "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide, axis=0, keepdims=True)", "dbias of manual", "axis of size 1|row"),
            "bias-in-float16": ("_sum_over_batch", "tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz", "dz", "dbias of manual", "long sum|rounding", "float16"),
            "bias-in-float32": ("_sum_over_batch", "tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz", "tf.cast(dz, tf.float32)", "dbias of manual", "float32"),
            "input-gradient-rounded": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "tf.cast(tf.cast(tf.matmul(dz, kernel, transpose_b=True), tf.float32), dz.dtype)", "dx of manual", "float32"),
            "input-gradient-off-by-1e-13": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "tf.matmul(dz, kernel, transpose_b=True) * (1 + 1e-13)", "dx of manual", "constant of few digits"),
            "input-gradient-twice": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "2 * tf.matmul(dz, kernel, transpose_b=True)", "dx of manual", "factor 2"),
            "kernel-gradient-negative": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "-tf.matmul(x, dz, transpose_a=True)", "dkernel of manual", "sign"),
            "kernel-gradient-without-the-last-row": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.matmul(x[:-1], dz[:-1], transpose_a=True)", "dkernel of manual", "last is missing"),
            "kernel-gradient-of-1024-rows": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.matmul(x[:1024], dz[:1024], transpose_a=True)", "dkernel of manual", "first 1024"),
            "kernel-gradient-one-element": ("dense_backward", "tf.matmul(x, dz, transpose_a=True)", "tf.tensor_scatter_nd_add(tf.matmul(x, dz, transpose_a=True), [[0, 0]], tf.constant([0.25], dz.dtype))", "dkernel of manual", ""),
            "inputs-beyond-512-left-out": ("dense_forward", "tf.matmul(x, kernel)", "tf.matmul(x[:, :512], kernel[:512])", "z of manual", "first 512"),
            "bias-forgotten": ("dense_forward", "z = tf.nn.bias_add(z, bias)", "pass", "z of manual", "bias is missing"),
            "residuals-swapped": ("dense_forward", "(x, kernel)", "(kernel, x)", "of manual", "shape|matmul|dense"),
            "batch-read-in-python": ("dense_backward", "tf.matmul(dz, kernel, transpose_b=True)", "tf.reshape(tf.matmul(dz, kernel, transpose_b=True), [int(dz.shape[0]), -1])", "dx of manual", "TypeError|NoneType", "graph"),
            "bias-gradient-as-a-row": ("backward", "{'kernel': dkernel, 'bias': dbias}", "{'kernel': dkernel, 'bias': dbias[None]}", "dbias of manual", "axis of size 1|row"),
            "norms-without-bias": ("example_squares", "squares if layer.use_bias else {\"kernel\": squares[\"kernel\"]}", "{\"kernel\": squares[\"kernel\"]}", "norms of manual", "bias"),
            "rows-of-rank-3-mixed": ("_as_rows", "tf.reshape(tensor, [-1, tensor.shape[-1]])", "tf.reshape(tf.reverse(tensor, [1]) if tensor.shape[-1] == 5 else tensor, [-1, tensor.shape[-1]])", "of manual", ""),
        },
    ),
    *of(
        "tape",
        "dense",
        {
            "bias-forgotten": ("dense_forward", "z if bias is None else tf.nn.bias_add(z, bias)", "z", "z of tape", "bias is missing"),
            "gradient-stopped": ("dense_forward", "tf.matmul(x, kernel)", "tf.matmul(tf.stop_gradient(x), kernel)", "dx of tape", "all zero"),
        },
    ),
    *of(
        "reference",
        "dense",
        {
            "kernel-not-transposed": ("dense_backward", "dz @ kernel.T", "dz @ kernel", "reference", "dz @ kernel|not transposed"),
            "kernel-not-transposed-where-square": ("dense_backward", "dz @ kernel.T", "dz @ (kernel if kernel.shape[0] == kernel.shape[1] else kernel.T)", "dx of reference", "not transposed"),
            "bias-a-mean": ("dense_backward", "drows.sum", "drows.mean", "dbias of reference", "1/B too many"),
        },
    ),
    *of(
        "manual",
        "residual",
        {
            "shortcut-dx-left-out": ("backward", "return dshortcut + dx, gradients", "return dx, gradients", "dx of manual", "shortcut"),
            "shortcut-dx-twice": ("backward", "return dshortcut + dx, gradients", "return 2 * dshortcut + dx, gradients", "dx of manual", "shortcut"),
            "branch-subtracted": ("add_forward", "shortcut + branch", "shortcut - branch", "z of manual", "the layers' output is subtracted"),
            "branch-alone": ("add_forward", "shortcut + branch", "branch", "z of manual", "nothing is added"),
            "dy-halved-at-the-addition": ("add_backward", "return dy, dy", "return dy / 2, dy / 2", "dx of manual", "factor"),
            "parts-draw-alike": ("forward", "seed and (seed[0], seed[1] + sum(inner.draws for inner in layers))", "seed", "of manual", ""),
            "a-part-draws-once": ("forward", "sum(inner.draws for inner in layers)", "any(inner.draws for inner in layers)", "of manual", ""),
        },
    ),
    *of(
        "manual",
        "shapes",
        {
            "flatten-in-another-order": ("reshape_forward", "tf.reshape(x, [-1, *shape])", "tf.reshape(tf.reverse(x, [-1]), [-1, *shape])", "z of manual", "in another order"),
            "flatten-dx-in-another-order": ("reshape_backward", "tf.reshape(dy, [-1, *shape])", "tf.reverse(tf.reshape(dy, [-1, *shape]), [-1])", "dx of manual", "in the reverse order along C"),
        },
    ),
    *of(
        "manual",
        "activation",
        {
            "activation-layer-dx-negative": ("backward", "return dz, {}", "return -dz, {}", "dx of manual", "sign"),
        },
    ),
]  # fmt: skip
