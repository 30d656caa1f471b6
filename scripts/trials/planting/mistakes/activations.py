"""Activations."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "smooth_activations",
        {
            "sigmoid-at-z": ("sigmoid_forward", "return (y, y)", "return (y, z)", "dz of manual", "pre-activation for the activation"),
            "sigmoid-without-y": ("sigmoid_backward", "dy * y * (1 - y)", "dy * (1 - y)", "dz of manual", "factor y is missing"),
            "sigmoid-without-1-y": ("sigmoid_backward", "dy * y * (1 - y)", "dy * y", "dz of manual", "1 - y is missing|term -dy y² is missing"),
            "sigmoid-squared": ("sigmoid_backward", "dy * y * (1 - y)", "dy * (y * (1 - y)) ** 2", "dz of manual", "f' is there once too often"),
            "tanh-at-z": ("tanh_forward", "return (y, y)", "return (y, z)", "dz of manual", "pre-activation for the activation"),
            "tanh-1-minus-y": ("tanh_backward", "1 - y * y", "1 - y", "dz of manual", "1 \\+ y is missing"),
            "tanh-derivative-missing": ("tanh_backward", "dy * (1 - y * y)", "dy", "dz of manual", "f' is missing|-dy y² is missing"),
            "tanh-plus": ("tanh_backward", "1 - y * y", "1 + y * y", "dz of manual", "-dy y² has the wrong sign"),
            "tanh-dy-left-out": ("tanh_backward", "dy * (1 - y * y)", "1 - y * y", "dz of manual", "dy is left out"),
            "silu-missing-term": ("silu_backward", "dy * s * (1 + z * (1 - s))", "dy * s", "dz of manual", "term .* is missing"),
            "silu-missing-factor": ("silu_backward", "z * (1 - s)", "1 - s", "dz of manual", "factor z is missing"),
            "gelu-missing-term": ("gelu_backward", "0.5 * twice_cdf + z * (tf.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi)))", "0.5 * twice_cdf", "dz of manual", "term .* is missing"),
            "gelu-density-constant": ("gelu_backward", "2 * math.pi", "math.pi", "dz of manual", "factor 1/√2 is missing"),
            "gelu-cancels-far-to-the-left": ("gelu_forward", "tf.math.erfc(-z * math.sqrt(0.5))", "1 + tf.math.erf(z * math.sqrt(0.5))", "gelu far out y of manual", "they cancel"),
            "gelu-few-digits": ("gelu_forward", "0.044715 * (z * z * z)", "0.0447 * (z * z * z)", "y of manual", "few digits"),
            "gelu-tanh-inner-derivative": ("gelu_backward", "3 * 0.044715", "0.044715", "dz of manual", "factor 3 of"),
            "mish-without-sigmoid": ("mish_backward", "z * (1 - t * t) * tf.sigmoid(z)", "z * (1 - t * t)", "dz of manual", "factor sigmoid\\(z\\) is missing"),
            "mish-sign": ("mish_backward", "t + z * (1 - t * t) * tf.sigmoid(z)", "t - z * (1 - t * t) * tf.sigmoid(z)", "dz of manual", "wrong sign"),
            "gaussian-sign": ("gaussian_backward", "dy * -2 * z * y", "dy * 2 * z * y", "dz of manual", "sign is flipped"),
            "log_sigmoid-side": ("log_sigmoid_backward", "tf.sigmoid(-z)", "tf.sigmoid(z)", "dz of manual", "softplus's derivative"),
            "log_sigmoid-overflows": ("log_sigmoid_forward", "-softplus_forward(-z)[0]", "tf.math.log(tf.sigmoid(z))", "log_sigmoid far out y of manual", ""),
            "softplus-overflows": ("softplus_forward", "tf.math.softplus(z)", "tf.math.log(1 + tf.exp(z))", "softplus far out y of manual", ""),
            "softsign-not-squared": ("softsign_backward", "dy / d / d", "dy / d", "dz of manual", "factor 1 / \\(1 \\+ \\|z\\|\\) is missing"),
            "squareplus-default": ("squareplus_forward", "z * z + b", "z * z + 4.0", "y of manual", "arguments are ignored"),
            "tanh_shrink-once": ("tanh_shrink_backward", "dy * t * t", "dy * t", "dz of manual", "tanh\\(z\\) is missing"),
        },
    ),
    *of(
        "manual",
        "piecewise_activations",
        {
            "relu-at-0": ("relu_backward", "residual > 0", "residual >= 0", "dz of manual", "f' is missing"),
            "relu6-without-bound": ("relu6_backward", "y * (6 - y)", "y", "on its kinks dz of manual", "relu's derivative|arguments are ignored"),
            "relu6-at-6": ("relu6_backward", "dy * tf.sign(y * (6 - y))", "tf.where((y > 0) & (y <= 6), dy, 0)", "on its kinks dz of manual", "relu's derivative|arguments are ignored"),
            "relu-max-at-its-bound": ("relu_backward", "z < 6 if threshold == 0 and max_value == 6 else z <= max_value", "z < max_value", "kinks dz of manual", "another side"),
            "leaky_relu-slope-twice": ("leaky_relu_backward", "tf.maximum(tf.sign(z), negative_slope)", "tf.maximum(tf.sign(z), negative_slope * negative_slope)", "dz of manual", "f' is there once too often|negative_slope is there once too often"),
            "elu-alpha": ("elu_backward", "dy if alpha == 1 else tf.where(unit > 0, dy, alpha * dy)", "dy", "dz of manual", "arguments are ignored|alpha.* is missing"),
            "elu-at-unit": ("elu_backward", "tf.minimum(unit, 0)", "unit", "dz of manual", ""),
            "selu-without-bound": ("selu_backward", "tf.minimum(tf.sign(y), 0)", "tf.sign(y)", "dz of manual", ""),
            "hard_sigmoid-sixth": ("hard_sigmoid_backward", "dy / 6 * tf.sign(clipped * (6 - clipped))", "dy * tf.sign(clipped * (6 - clipped))", "dz of manual", "factor 1/6|factor 6"),
            "celu-alpha": ("celu_forward", "tf.minimum(z, 0) / alpha", "tf.minimum(z, 0)", "y of manual", ""),
            "hard_tanh-inside": ("hard_tanh_backward", "tf.abs(z) <= 1", "tf.abs(z) < 1", "hard_tanh on its kinks dz of manual", "another side"),
            "hard_shrink-default": ("hard_shrink_forward", "threshold", "0.5", "y of manual", "arguments are ignored"),
            "sparse_sigmoid-half": ("sparse_sigmoid_backward", "tf.where((y > 0) & (y < 1), 0.5 * dy, 0)", "tf.where((y > 0) & (y < 1), dy, 0)", "dz of manual", "½ is missing|factor 2"),
        },
    ),
    *of(
        "manual",
        "softmax",
        {
            "softmax-diagonal": ("softmax_backward", "dy - tf.reduce_sum(dy * y, axis=axis, keepdims=True)", "dy", "dz of manual", "-y Σ dy y is missing"),
            "softmax-as-if-elementwise": ("softmax_backward", "y * (dy - tf.reduce_sum(dy * y, axis=axis, keepdims=True))", "dy * y * (1 - y)", "dz of manual", "diagonal"),
            "softmax-last-axis-alone": ("softmax_backward", "tf.reduce_sum(dy * y, axis=axis, keepdims=True)", "tf.reduce_sum(dy * y, axis=-1, keepdims=True)", "Softmax axis 1 dx of layers", "last axis"),
            "softmax-several-axes": ("softmax_forward", "tf.exp(z - tf.reduce_logsumexp(z, axis=axis, keepdims=True))", "tf.nn.softmax(z)", "Softmax axis [1, 2] y of layers", "last axis"),
            "sparsemax-mean-missing": ("sparsemax_backward", "dy - mean", "dy", "dz of manual", "-s mean of dy is missing"),
            "sparsemax-mean-of-all": ("sparsemax_backward", "tf.reduce_sum(s, axis=-1, keepdims=True)", "tf.cast(tf.shape(y)[-1], y.dtype)", "dz of manual", ""),
            "log_softmax-mean": ("log_softmax_backward", "tf.reduce_sum", "tf.reduce_mean", "dz of manual", "1/O too many"),
        },
    ),
    *of(
        "manual",
        "prelu",
        {
            "prelu-at-0": ("prelu_backward", "dy * (tf.nn.relu(sign) - alpha * tf.minimum(sign, 0))", "tf.where(x > 0, dy, alpha * dy)", "PReLU dx of layers", "another side"),
            "prelu-alpha-in-float16": ("_sum_to_shape_of", "tf.cast(terms, tf.float32) if terms.dtype == tf.float16 else terms", "terms", "PReLU on 1100 rows dalpha of layers", "long sum|rounding", "float16"),
        },
    ),
    *of(
        "tape",
        "smooth_activations",
        {
            "silu-for-tanh": ("tanh", "tf.tanh(z)", "tf.nn.silu(z)", "y of tape", "silu's values"),
        },
    ),
    *of(
        "reference",
        "smooth_activations",
        {
            "tanh-at-y": ("tanh_backward", "np.tanh(z)", "z", "dz of reference", "pre-activation for the activation"),
        },
    ),
]  # fmt: skip
