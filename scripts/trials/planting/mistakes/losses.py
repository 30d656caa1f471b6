"""Losses."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "losses",
        {
            "half_squared_error-sign": ("half_squared_error_backward", "dlosses[:, None]", "-dlosses[:, None]", "doutputs of manual", "sign"),
            "mean_squared_error-without-1/O": ("mean_squared_error_backward", "2 / error.shape[-1]", "2", "doutputs of manual", "1/O is missing"),
            "mean_squared_error-without-2": ("mean_squared_error_backward", "dlosses * (2 / error.shape[-1])", "dlosses / error.shape[-1]", "doutputs of manual", "factor ½|error itself"),
            "mean_squared_error-a-sum": ("mean_squared_error_forward", "tf.reduce_mean", "tf.reduce_sum", "losses of manual", "1/O is missing"),
            "losses-with-an-axis-more": ("mean_squared_error_forward", "tf.reduce_mean(error * error, axis=-1)", "tf.reduce_mean(error * error, axis=-1, keepdims=True)", "losses of manual", "axis of size 1|row|column"),
            "mean_absolute_error-at-0": ("mean_absolute_error_backward", "tf.sign(error)", "tf.where(error >= 0, tf.ones_like(error), -1)", "mean_absolute_error on its kinks doutputs of manual", "another side"),
            "huber-delta": ("huber_forward", "tf.clip_by_value(error, -delta, delta)", "tf.clip_by_value(error, -1, 1)", "losses of manual", "arguments are ignored"),
            "huber-not-clipped": ("huber_forward", "(tf.reduce_mean(clipped * (error - 0.5 * clipped), axis=-1), clipped)", "(tf.reduce_mean(clipped * (error - 0.5 * clipped), axis=-1), error)", "doutputs of manual", "without its sign or clipping"),
            "binary_crossentropy-without-1/O": ("binary_crossentropy_backward", "dlosses / outputs.shape[-1]", "dlosses", "doutputs of manual", "1/O is missing"),
            "binary_crossentropy-without-sigmoid": ("binary_crossentropy_backward", "tf.sigmoid(outputs)", "outputs", "doutputs of manual", "outputs for their sigmoid"),
            "categorical-targets-sum-to-1": ("categorical_crossentropy_backward", "softmax * tf.reduce_sum(y, axis=-1, keepdims=True)", "softmax", "doutputs of manual", "taken to sum to 1"),
            "categorical-dlosses-left-out": ("sparse_categorical_crossentropy_backward", "dlosses[:, None] * (softmax - one_hot)", "softmax - one_hot", "doutputs of manual", "dlosses is left out"),
            "categorical-without-one-hot": ("sparse_categorical_crossentropy_backward", "softmax - one_hot", "softmax", "doutputs of manual", "term -y is missing"),
            "crossentropy-overflows": ("_log_softmax_and_softmax", "outputs - tf.reduce_max(outputs, axis=-1, keepdims=True)", "outputs", "far out losses of manual", ""),
            "categorical-first-label-alone": ("sparse_categorical_crossentropy_forward", "tf.one_hot(y, outputs.shape[-1], dtype=outputs.dtype)", "tf.one_hot(tf.zeros_like(y), outputs.shape[-1], dtype=outputs.dtype)", "losses of manual", ""),
        },
    ),
    *of(
        "tape",
        "losses",
        {
            "half-forgotten": ("half_squared_error", "tf.reduce_sum(tf.square(y - outputs), axis=-1) / 2", "tf.reduce_sum(tf.square(y - outputs), axis=-1)", "losses of tape", "factor 2"),
            "huber-delta": ("huber", "distance <= delta", "distance <= 1", "losses of tape", ""),
        },
    ),
    *of(
        "reference",
        "losses",
        {
            "mean_squared_error-without-1/O": ("mean_squared_error_backward", "dlosses[..., None] * 2 * (outputs - y) / outputs.shape[-1]", "dlosses[..., None] * 2 * (outputs - y)", "doutputs of reference", "1/O is missing"),
        },
    ),
    *of(
        "tape",
        "masks",
        {
            "masked-loss-each-example-by-its-own-count": ("masked_weights", "tf.reduce_mean(mask)", "tf.reduce_mean(mask, axis=-1, keepdims=True)", "loss of tape", "each example has the mean of its own steps"),
        },
    ),
]  # fmt: skip
