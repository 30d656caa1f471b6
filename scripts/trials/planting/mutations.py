"""The mistakes: each one text put in the place of another in one file, where it is to be found, and its cause.

`where` is what a complaint's place has to hold, the tensor and the writing; `cause` a regular expression for what may
be said of the cause. A cause of "" is one that the numbers do not show: there, silence is right.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    id: str
    file: str  # in tfbp/
    old: str
    new: str
    where: str
    cause: str


_M, _T, _R = "manual", "tape", "reference"
DENSE, SMOOTH, PIECES = "dense.py", "smooth_activations.py", "piecewise_activations.py"
LOSSES, PASS, CHAIN = "losses.py", "backprop.py", "chain.py"


def _of(writing: str, *rows: tuple[str, str, str, str, str, str]) -> list[Mutation]:
    return [
        Mutation(f"{writing}-{name}", f"{writing}/{file}", old, new, where, cause)
        for name, file, old, new, where, cause in rows
    ]


# a wrong shape, dtype or None; a sum over the wrong axis; an untransposed kernel; short sums
_DENSE = _of(
    _M,
    ("kernel-gradient-transposed", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.matmul(dz, x, transpose_a=True)", "dkernel of manual", "transposed"),
    ("kernel-gradient-none", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True) if kernel_gradient else None", "dkernel = None", "dkernel of manual", "None"),
    ("x-not-transposed", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.matmul(x, dz)", "dkernel of manual", r"matmul\(x, dz\)"),
    ("kernel-not-transposed", DENSE, "tf.matmul(dz, kernel, transpose_b=True)", "tf.matmul(dz, kernel)", "of manual", r"matmul\(dz, kernel\)|not transposed"),
    ("kernel-not-transposed-where-square", DENSE, "tf.matmul(dz, kernel, transpose_b=True)", "tf.matmul(dz, kernel, transpose_b=kernel.shape[0] != kernel.shape[1])", "dx of manual", "not transposed"),
    ("bias-summed-over-the-wrong-axis", DENSE, "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide, axis=1)", "dbias of manual", "wrong axis"),
    ("bias-not-summed", DENSE, "tf.reduce_sum(wide, axis=0)", "wide", "dbias of manual", "not summed over the first axis"),
    ("bias-a-mean", DENSE, "tf.reduce_sum(wide, axis=0)", "tf.reduce_mean(wide, axis=0)", "dbias of manual", "1/B too many"),
    ("bias-without-the-last-row", DENSE, "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide[:-1], axis=0)", "dbias of manual", "last is missing"),
    ("bias-of-1024-rows", DENSE, "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide[:1024], axis=0)", "dbias of manual", "first 1024"),
    ("bias-kept-as-a-row", DENSE, "tf.reduce_sum(wide, axis=0)", "tf.reduce_sum(wide, axis=0, keepdims=True)", "dbias of manual", "axis of size 1|row"),
    ("bias-in-float16", DENSE, "tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz", "dz", "dbias of manual", "long sum|rounding"),
    ("bias-in-float32", DENSE, "tf.cast(dz, tf.float32) if dz.dtype.size == 2 else dz", "tf.cast(dz, tf.float32)", "dbias of manual", "float32"),
    ("input-gradient-rounded", DENSE, "dx = tf.matmul(dz, kernel, transpose_b=True)", "dx = tf.cast(tf.cast(tf.matmul(dz, kernel, transpose_b=True), tf.float32), dz.dtype)", "dx of manual", "float32"),
    ("input-gradient-off-by-1e-13", DENSE, "dx = tf.matmul(dz, kernel, transpose_b=True)", "dx = tf.matmul(dz, kernel, transpose_b=True) * (1 + 1e-13)", "dx of manual", "constant of few digits"),
    ("input-gradient-twice", DENSE, "dx = tf.matmul(dz, kernel, transpose_b=True)", "dx = 2 * tf.matmul(dz, kernel, transpose_b=True)", "dx of manual", "factor 2"),
    ("kernel-gradient-negative", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = -tf.matmul(x, dz, transpose_a=True)", "dkernel of manual", "sign"),
    ("kernel-gradient-without-the-last-row", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.matmul(x[:-1], dz[:-1], transpose_a=True)", "dkernel of manual", "last is missing"),
    ("kernel-gradient-of-1024-rows", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.matmul(x[:1024], dz[:1024], transpose_a=True)", "dkernel of manual", "first 1024"),
    ("kernel-gradient-one-element", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.tensor_scatter_nd_add(tf.matmul(x, dz, transpose_a=True), [[0, 0]], tf.constant([0.25], dz.dtype))", "dkernel of manual", ""),
    ("inputs-beyond-512-left-out", DENSE, "z = tf.matmul(x, kernel)", "z = tf.matmul(x[:, :512], kernel[:512])", "z of manual", "first 512"),
    ("bias-forgotten", DENSE, "z = tf.nn.bias_add(z, bias)", "pass", "z of manual", "bias is missing"),
    ("residuals-swapped", DENSE, "return z, (x, kernel)", "return z, (kernel, x)", "of manual", "shape|matmul|dense"),
    ("batch-read-in-python", DENSE, "dx = tf.matmul(dz, kernel, transpose_b=True)", "dx = tf.reshape(tf.matmul(dz, kernel, transpose_b=True), [int(dz.shape[0]), -1])", "dx of manual", "TypeError|NoneType"),
)  # fmt: skip
_ACTIVATIONS = _of(
    _M,
    ("sigmoid-at-z", SMOOTH, "y = tf.sigmoid(z)\n    return y, y", "y = tf.sigmoid(z)\n    return y, z", "dz of manual", "pre-activation for the activation"),
    ("sigmoid-without-y", SMOOTH, "return dy * y * (1 - y)", "return dy * (1 - y)", "dz of manual", "factor y is missing"),
    ("sigmoid-without-1-y", SMOOTH, "return dy * y * (1 - y)", "return dy * y", "dz of manual", "1 - y is missing|term -dy y² is missing"),
    ("sigmoid-squared", SMOOTH, "return dy * y * (1 - y)", "return dy * (y * (1 - y)) ** 2", "dz of manual", "f' is there once too often"),
    ("tanh-at-z", SMOOTH, "y = tf.tanh(z)\n    return y, y", "y = tf.tanh(z)\n    return y, z", "dz of manual", "pre-activation for the activation"),
    ("tanh-1-minus-y", SMOOTH, "return dy * (1 - y * y)", "return dy * (1 - y)", "dz of manual", "1 \\+ y is missing"),
    ("tanh-derivative-missing", SMOOTH, "return dy * (1 - y * y)", "return dy", "dz of manual", "f' is missing|-dy y² is missing"),
    ("tanh-plus", SMOOTH, "return dy * (1 - y * y)", "return dy * (1 + y * y)", "dz of manual", "-dy y² has the wrong sign"),
    ("tanh-dy-left-out", SMOOTH, "return dy * (1 - y * y)", "return 1 - y * y", "dz of manual", "dy is left out"),
    ("silu-missing-term", SMOOTH, "return dy * s * (1 + z * (1 - s))", "return dy * s", "dz of manual", "term .* is missing"),
    ("silu-missing-factor", SMOOTH, "return dy * s * (1 + z * (1 - s))", "return dy * s * (1 + (1 - s))", "dz of manual", "factor z is missing"),
    ("gelu-missing-term", SMOOTH, "return dy * (0.5 * twice_cdf + z * (tf.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))))", "return dy * (0.5 * twice_cdf)", "dz of manual", "term .* is missing"),
    ("gelu-density-constant", SMOOTH, "(1 / math.sqrt(2 * math.pi))", "(1 / math.sqrt(math.pi))", "dz of manual", "factor 1/√2 is missing"),
    ("gelu-cancels-far-to-the-left", SMOOTH, "twice_cdf = tf.math.erfc(-z * math.sqrt(0.5))", "twice_cdf = 1 + tf.math.erf(z * math.sqrt(0.5))", "gelu far out y of manual", "they cancel"),
    ("gelu-few-digits", SMOOTH, "(z + 0.044715 * (z * z * z))", "(z + 0.0447 * (z * z * z))", "y of manual", "few digits"),
    ("gelu-tanh-inner-derivative", SMOOTH, "(1 + 3 * 0.044715 * z * z)", "(1 + 0.044715 * z * z)", "dz of manual", "factor 3 of"),
    ("mish-without-sigmoid", SMOOTH, "return dy * (t + z * (1 - t * t) * tf.sigmoid(z))", "return dy * (t + z * (1 - t * t))", "dz of manual", "factor sigmoid\\(z\\) is missing"),
    ("mish-sign", SMOOTH, "return dy * (t + z * (1 - t * t) * tf.sigmoid(z))", "return dy * (t - z * (1 - t * t) * tf.sigmoid(z))", "dz of manual", "wrong sign"),
    ("log_sigmoid-side", SMOOTH, "return dy * tf.sigmoid(-z)", "return dy * tf.sigmoid(z)", "dz of manual", "softplus's derivative"),
    ("log_sigmoid-overflows", SMOOTH, "return -softplus_forward(-z)[0], z", "return tf.math.log(tf.sigmoid(z)), z", "log_sigmoid far out y of manual", ""),
    ("softplus-overflows", SMOOTH, "return tf.math.softplus(z), z", "return tf.math.log(1 + tf.exp(z)), z", "softplus far out y of manual", ""),
    ("softsign-not-squared", SMOOTH, "return dy / d / d", "return dy / d", "dz of manual", "factor 1 / \\(1 \\+ \\|z\\|\\) is missing"),
    ("gaussian-sign", SMOOTH, "return dy * -2 * z * y", "return dy * 2 * z * y", "dz of manual", "wrong sign"),
    ("squareplus-default", SMOOTH, "root = tf.sqrt(z * z + b)", "root = tf.sqrt(z * z + 4.0)", "y of manual", "arguments are ignored"),
    ("tanh_shrink-once", SMOOTH, "return dy * t * t", "return dy * t", "dz of manual", "tanh\\(z\\) is missing"),
    ("relu-at-0", PIECES, "return tf.where(residual > 0, dy, 0)", "return tf.where(residual >= 0, dy, 0)", "dz of manual", "f' is missing"),
    ("relu6-without-bound", PIECES, "return dy * tf.sign(y * (6 - y))", "return dy * tf.sign(y)", "on its kinks dz of manual", "relu's derivative|arguments are ignored"),
    ("relu6-at-6", PIECES, "return dy * tf.sign(y * (6 - y))", "return tf.where((y > 0) & (y <= 6), dy, 0)", "on its kinks dz of manual", "relu's derivative|arguments are ignored"),
    ("relu-max-at-its-bound", PIECES, "inside = z < 6 if threshold == 0 and max_value == 6 else z <= max_value", "inside = z < max_value", "kinks dz of manual", "another side"),
    ("leaky_relu-slope-twice", PIECES, "return dy * tf.maximum(tf.sign(z), negative_slope)", "return dy * tf.maximum(tf.sign(z), negative_slope * negative_slope)", "dz of manual", "f' is there once too often|negative_slope is there once too often"),
    ("elu-alpha", PIECES, "dunit = dy if alpha == 1 else tf.where(unit > 0, dy, alpha * dy)", "dunit = dy", "dz of manual", "arguments are ignored|alpha.* is missing"),
    ("elu-at-unit", PIECES, "return dunit * (1 + tf.minimum(unit, 0))", "return dunit * (1 + unit)", "dz of manual", ""),
    ("selu-without-bound", PIECES, "SELU_SCALE - tf.minimum(tf.sign(y), 0)", "SELU_SCALE - tf.sign(y)", "dz of manual", ""),
    ("hard_sigmoid-sixth", PIECES, "return dy / 6 * tf.sign(clipped * (6 - clipped))", "return dy * tf.sign(clipped * (6 - clipped))", "dz of manual", "factor 1/6|factor 6"),
    ("celu-alpha", PIECES, "e = tf.math.expm1(tf.minimum(z, 0) / alpha)", "e = tf.math.expm1(tf.minimum(z, 0))", "y of manual", ""),
    ("hard_tanh-inside", PIECES, "return tf.where(tf.abs(z) <= 1, dy, 0)", "return tf.where(tf.abs(z) < 1, dy, 0)", "hard_tanh on its kinks dz of manual", "another side"),
    ("hard_shrink-default", PIECES, "kept = tf.abs(z) > threshold\n", "kept = tf.abs(z) > 0.5\n", "y of manual", "arguments are ignored"),
    ("sparse_sigmoid-half", PIECES, "return tf.where((y > 0) & (y < 1), 0.5 * dy, 0)", "return tf.where((y > 0) & (y < 1), dy, 0)", "dz of manual", "½ is missing|factor 2"),
    ("softmax-diagonal", "softmax.py", "return y * (dy - tf.reduce_sum(dy * y, axis=axis, keepdims=True))", "return y * dy", "dz of manual", "-y Σ dy y is missing"),
    ("softmax-as-if-elementwise", "softmax.py", "return y * (dy - tf.reduce_sum(dy * y, axis=axis, keepdims=True))", "return dy * y * (1 - y)", "dz of manual", "diagonal"),
    ("softmax-last-axis-alone", "softmax.py", "tf.reduce_sum(dy * y, axis=axis, keepdims=True)", "tf.reduce_sum(dy * y, axis=-1, keepdims=True)", "Softmax axis 1 dx of layers", "last axis"),
    ("softmax-several-axes", "softmax.py", "y = tf.exp(z - tf.reduce_logsumexp(z, axis=axis, keepdims=True))", "y = tf.nn.softmax(z)", "Softmax axis [1, 2] y of layers", "last axis"),
    ("log_softmax-mean", "softmax.py", "return dy - tf.exp(y) * tf.reduce_sum(dy, axis=-1, keepdims=True)", "return dy - tf.exp(y) * tf.reduce_mean(dy, axis=-1, keepdims=True)", "dz of manual", "1/O too many"),
    ("prelu-at-0", "prelu.py", "dx = dy * (tf.nn.relu(sign) - alpha * tf.minimum(sign, 0))", "dx = tf.where(x > 0, dy, alpha * dy)", "PReLU dx of layers", "another side"),
    ("prelu-alpha-in-float16", "prelu.py", "wide = tf.cast(terms, tf.float32) if terms.dtype == tf.float16 else terms", "wide = terms", "PReLU on 1100 rows dalpha of layers", "long sum|rounding"),
)  # fmt: skip
_LOSSES = _of(
    _M,
    ("half_squared_error-sign", LOSSES, "return dlosses[:, None] * error\n\n\ndef mean_squared_error_forward", "return -dlosses[:, None] * error\n\n\ndef mean_squared_error_forward", "doutputs of manual", "sign"),
    ("mean_squared_error-without-1/O", LOSSES, "(dlosses * (2 / error.shape[-1]))", "(dlosses * 2)", "doutputs of manual", "1/O is missing"),
    ("mean_squared_error-without-2", LOSSES, "(dlosses * (2 / error.shape[-1]))", "(dlosses / error.shape[-1])", "doutputs of manual", "factor ½|error itself"),
    ("mean_squared_error-a-sum", LOSSES, "return tf.reduce_mean(error * error, axis=-1), error", "return tf.reduce_sum(error * error, axis=-1), error", "losses of manual", "1/O is missing"),
    ("losses-with-an-axis-more", LOSSES, "return tf.reduce_mean(error * error, axis=-1), error", "return tf.reduce_mean(error * error, axis=-1, keepdims=True), error", "losses of manual", "axis of size 1|row|column"),
    ("mean_absolute_error-at-0", LOSSES, "tf.sign(error)", "tf.where(error >= 0, tf.ones_like(error), -1)", "mean_absolute_error on its kinks doutputs of manual", "another side"),
    ("huber-delta", LOSSES, "clipped = tf.clip_by_value(error, -delta, delta)", "clipped = tf.clip_by_value(error, -1, 1)", "losses of manual", "arguments are ignored"),
    ("huber-not-clipped", LOSSES, "return tf.reduce_mean(clipped * (error - 0.5 * clipped), axis=-1), clipped", "return tf.reduce_mean(clipped * (error - 0.5 * clipped), axis=-1), error", "doutputs of manual", "without its sign or clipping"),
    ("binary_crossentropy-without-1/O", LOSSES, "(dlosses / outputs.shape[-1])[:, None] * (tf.sigmoid(outputs) - y)", "dlosses[:, None] * (tf.sigmoid(outputs) - y)", "doutputs of manual", "1/O is missing"),
    ("binary_crossentropy-without-sigmoid", LOSSES, "(tf.sigmoid(outputs) - y)", "(outputs - y)", "doutputs of manual", "outputs for their sigmoid"),
    ("categorical-targets-sum-to-1", LOSSES, "(softmax * tf.reduce_sum(y, axis=-1, keepdims=True) - y)", "(softmax - y)", "doutputs of manual", "taken to sum to 1"),
    ("categorical-dlosses-left-out", LOSSES, "dlosses[:, None] * (softmax - one_hot)", "(softmax - one_hot)", "doutputs of manual", "dlosses is left out"),
    ("categorical-without-one-hot", LOSSES, "dlosses[:, None] * (softmax - one_hot)", "dlosses[:, None] * softmax", "doutputs of manual", "term -y is missing"),
    ("crossentropy-overflows", LOSSES, "shifted = outputs - tf.reduce_max(outputs, axis=-1, keepdims=True)", "shifted = outputs", "far out losses of manual", ""),
    ("categorical-first-label-alone", LOSSES, "one_hot = tf.one_hot(y, outputs.shape[-1], dtype=outputs.dtype)", "one_hot = tf.one_hot(tf.zeros_like(y), outputs.shape[-1], dtype=outputs.dtype)", "losses of manual", ""),
)  # fmt: skip
_WHOLE = _of(
    _M,
    ("1/B-missing", PASS, "dlosses = tf.ones_like(losses) / count if weight is None else weight / count", "dlosses = tf.ones_like(losses) if weight is None else weight", "dlosses of manual", "1/B is missing"),
    ("weights-ignored", PASS, "dlosses = tf.ones_like(losses) / count if weight is None else weight / count", "dlosses = tf.ones_like(losses) / count", "dlosses of manual", "weights are ignored"),
    ("weights-ignored-in-the-loss", PASS, "loss = tf.reduce_mean(losses if weight is None else weight * losses)", "loss = tf.reduce_mean(losses)", "loss of manual", "weights are ignored"),
    ("divided-by-the-weights", PASS, "dlosses = tf.ones_like(losses) / count if weight is None else weight / count", "dlosses = weight / tf.reduce_sum(weight)", "dlosses of manual", "sum of the sample weights"),
    ("sum-in-place-of-the-mean", PASS, "loss = tf.reduce_mean(losses if weight is None else weight * losses)", "loss = tf.reduce_sum(losses if weight is None else weight * losses)", "loss of manual", "1/B is missing"),
    ("upstream-not-handed-on", CHAIN, "dy = dx", "pass", "layer 0 dy of manual", "handed past its kernel"),
    ("penalty-in-the-loss-forgotten", PASS, "loss += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], losses.dtype))[0]", "pass", "loss of manual", "term of all penalties is missing"),
    ("penalty-gradient-forgotten", PASS, "at(gradients, place)[name] += scaled", "pass", "of manual", "of the penalties is missing"),
    ("penalty-in-the-narrow-type", PASS, "tf.cast(at(parameters, place)[name], losses.dtype))[0]", "at(parameters, place)[name])[0]", "a whole pass of manual", "raised at manual/backprop.py"),
    ("bias-gradient-as-a-row", DENSE, 'found = {"kernel": dkernel, "bias": dbias} if layer.use_bias', 'found = {"kernel": dkernel, "bias": dbias[None]} if layer.use_bias', "dbias of manual", "axis of size 1|row"),
    ("outputs-in-16-bits", PASS, "outputs = tf.cast(outputs, loss_dtype(outputs.dtype))", "outputs = tf.cast(outputs, tf.float32)", "a whole pass of manual", "raised at manual/backprop.py"),
    ("l2-without-2", "regularizers.py", "dw += (2 * regularizer.l2) * w", "dw += regularizer.l2 * w", "of manual", "factor 2 is missing"),
    ("l1-at-0", "regularizers.py", "dw += regularizer.l1 * tf.sign(w)", "dw += regularizer.l1 * tf.where(w >= 0, tf.ones_like(w), -1)", "dkernel of manual", "another side"),
    ("l1-sign", "regularizers.py", "dw += regularizer.l1 * tf.sign(w)", "dw += regularizer.l1", "dkernel of manual", "without its sign"),
    ("norms-without-bias", DENSE, "inputs = _row_squares(x) + 1 if layer.use_bias else _row_squares(x)", "inputs = _row_squares(x)", "norms of manual", "bias"),
    ("norms-divided-by-B", "per_example.py", "return norms * _undo(tensors, loss_scale, norms.dtype)", "return norms", "clipped layer 0 dkernel of manual", "clipped"),
    ("clip-of-one-layer", "per_example.py", "total = tf.sqrt(tf.reduce_sum(norms * norms, axis=1))", "total = norms[:, 0]", "clipped layer 0 dkernel of manual", "norm of layer 0"),
    ("variance-not-centred", "per_example.py", "tf.maximum(s - m * m, 0)", "s", "variance layer 0 dkernel of manual", "not centred"),
    ("linear_cross_entropy-smoothing", "linear_cross_entropy.py", "dlogits -= label_smoothing / _classes(blocks)", "dlogits -= label_smoothing", "dx of manual", ""),
)  # fmt: skip
_OTHERS = [
    *_of(
        _T,
        ("loss-a-sum", PASS, "loss = tf.reduce_mean(losses if weight is None else weight * losses)", "loss = tf.reduce_sum(losses if weight is None else weight * losses)", "loss of tape", "1/B is missing"),
        ("bias-forgotten", DENSE, "return z if bias is None else tf.nn.bias_add(z, bias)", "return z", "z of tape", "bias is missing"),
        ("silu-for-tanh", SMOOTH, "def tanh(z):\n    return tf.tanh(z)", "def tanh(z):\n    return tf.nn.silu(z)", "y of tape", "silu's values"),
        ("half-forgotten", LOSSES, "return tf.reduce_sum(tf.square(y - outputs), axis=-1) / 2", "return tf.reduce_sum(tf.square(y - outputs), axis=-1)", "losses of tape", "factor 2"),
        ("gradient-stopped", DENSE, "z = tf.matmul(x, kernel)", "z = tf.matmul(tf.stop_gradient(x), kernel)", "dx of tape", "all zero"),
        ("huber-delta", LOSSES, "tf.where(distance <= delta, quadratic, linear)", "tf.where(distance <= 1, quadratic, linear)", "losses of tape", ""),
    ),
    *_of(
        _R,
        ("kernel-not-transposed", DENSE, "dx = dz @ kernel.T", "dx = dz @ kernel", "reference", "dz @ kernel|not transposed"),
        ("kernel-not-transposed-where-square", DENSE, "dx = dz @ kernel.T", "dx = dz @ (kernel if kernel.shape[0] == kernel.shape[1] else kernel.T)", "dx of reference", "not transposed"),
        ("bias-a-mean", DENSE, "dbias = drows.sum(axis=0)", "dbias = drows.mean(axis=0)", "dbias of reference", "1/B too many"),
        ("tanh-at-y", SMOOTH, "return dy * (1 - np.tanh(z) ** 2)", "return dy * (1 - z**2)", "dz of reference", "pre-activation for the activation"),
        ("mean_squared_error-without-1/O", LOSSES, "return dlosses[..., None] * 2 * (outputs - y) / outputs.shape[-1]", "return dlosses[..., None] * 2 * (outputs - y)", "doutputs of reference", "1/O is missing"),
        ("1/B-missing", PASS, "dlosses = np.full(losses.shape, 1 / losses.size) if weight is None else weight / losses.size", "dlosses = np.ones(losses.shape) if weight is None else weight", "dlosses of reference", "1/B is missing"),
        ("loss-a-sum", PASS, "loss = (losses if weight is None else weight * losses).mean()", "loss = (losses if weight is None else weight * losses).sum()", "loss of reference", "1/B is missing"),
    ),
    Mutation("layers-logits-forgotten", "layers/hand_written.py", "        y._keras_logits = z\n", "", "logits of layers", "None"),
    Mutation("layers-rank-3-axes", "layers/hand_written.py", "dx, dkernel, dbias = dense_backward(_as_rows(dz, outputs), residuals", "dx, dkernel, dbias = dense_backward(_as_rows(dz, outputs)[:, ::-1], residuals", "of layers", ""),
    Mutation("layers-mask-ignored", "layers/softmax.py", "return tf.where(kept, softmax(tf.where(kept, inputs, lowest)), 0)", "return softmax(inputs)", "Softmax axis -1 masked y of layers", "mask is ignored"),
]  # fmt: skip

MUTATIONS = [*_DENSE, *_ACTIVATIONS, *_LOSSES, *_WHOLE, *_OTHERS]
# what is not wrong, and must not be called so
HARMLESS = _of(
    _M,
    ("tanh-as-a-product", SMOOTH, "return dy * (1 - y * y)", "return dy * ((1 - y) * (1 + y))", "", ""),
    ("sigmoid-by-difference", SMOOTH, "return dy * y * (1 - y)", "return dy * (y - y * y)", "", ""),
    ("kernel-gradient-in-another-order", DENSE, "dkernel = tf.matmul(x, dz, transpose_a=True)", "dkernel = tf.transpose(tf.matmul(dz, x, transpose_a=True))", "", ""),
)  # fmt: skip
