"""A whole pass: seeds, penalties, weights, layers one after another."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "backprop",
        {
            "loss-weight-forgotten-in-dlosses": ("scaled_pass", "dlosses *= counts", "pass", "dlosses 0 of manual", "its loss weight, is missing"),
            "1/B-missing": ("scaled_pass", "tf.ones_like(losses) / count if weight is None else weight / count", "tf.ones_like(losses) if weight is None else weight", "dlosses of manual", "1/B is missing"),
            "weights-ignored": ("scaled_pass", "tf.ones_like(losses) / count if weight is None else weight / count", "tf.ones_like(losses) / count", "dlosses of manual", "weights are ignored"),
            "weights-ignored-in-the-loss": ("_forward", "losses if weight is None else weight * losses", "losses", "loss of manual", "weights are ignored"),
            "divided-by-the-weights": ("scaled_pass", "tf.ones_like(losses) / count if weight is None else weight / count", "weight / tf.reduce_sum(weight)", "dlosses of manual", "sum of the sample weights"),
            "sum-in-place-of-the-mean": ("_forward", "tf.reduce_mean", "tf.reduce_sum", "loss of manual", "1/B is missing"),
            "penalty-in-the-loss-forgotten": ("_forward", "total += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], total.dtype))[0]", "pass", "loss of manual", "term of all penalties is missing"),
            "penalty-gradient-forgotten": ("scaled_pass", "at(gradients, place)[name] += scaled", "pass", "of manual", "of the penalties is missing"),
            "penalty-in-the-narrow-type": ("_forward", "tf.cast(at(parameters, place)[name], total.dtype)", "at(parameters, place)[name]", "a whole pass of manual", "raised at manual/backprop.py"),
            "outputs-in-16-bits": ("_forward", "loss_dtype(made[number].dtype)", "tf.float32", "a whole pass of manual", "raised at manual/backprop.py"),
            "1/B-for-1/N": ("scaled_pass", "loss_backward(loss_of, dlosses, last.pop(\"residuals\"))", "loss_backward(loss_of, dlosses * tf.cast(tf.size(dlosses) // tf.shape(dlosses)[0], dlosses.dtype), last.pop(\"residuals\"))", "doutputs of manual", "factor"),
            "head-loss-scale-unasked": ("_scaled", "g * tf.cast(scale, g.dtype)", "g * tf.cast(scale, g.dtype) / 2", "of manual", "", "graph"),
            "example-factor-squared": ("_reweighted_gradients", "rows * tf.cast(tensor['dz'], factors.dtype)", "rows * rows * tf.cast(tensor['dz'], factors.dtype)", "clipped", "clipped twice: the factors are squared"),
        },
    ),
    *of(
        "manual",
        "regularizers",
        {
            "l2-without-2": ("penalty_backward", "2 * regularizer.l2", "regularizer.l2", "of manual", "factor 2 is missing"),
            "l1-at-0": ("penalty_backward", "tf.sign(w)", "tf.where(w >= 0, tf.ones_like(w), -1)", "dkernel of manual", "another side"),
            "l1-sign": ("penalty_backward", "regularizer.l1 * tf.sign(w)", "regularizer.l1", "dkernel of manual", "without its sign"),
        },
    ),
    *of(
        "tape",
        "backprop",
        {
            "loss-a-sum": ("_loss", "tf.reduce_mean", "tf.reduce_sum", "loss of tape", "1/B is missing"),
        },
    ),
    *of(
        "reference",
        "backprop",
        {
            "1/B-missing": ("loss_gradients_and_tensors", "np.full(losses.shape, 1 / losses.size) if weight is None else weight / losses.size", "np.ones(losses.shape) if weight is None else weight", "dlosses of reference", "1/B is missing"),
            "loss-a-sum": ("_forward", "(losses if weight is None else weight * losses).mean()", "(losses if weight is None else weight * losses).sum()", "loss of reference", "1/B is missing"),
        },
    ),
    *of(
        "manual",
        "inputs",
        {
            "first-token-s-weight-for-all": ("_of_each_loss", "weight = tf.reshape(weight, [-1, *(1 for _ in tokens)]) * tf.ones([1, *tokens], weight.dtype)", "weight = tf.reshape(weight[:1], [-1, *(1 for _ in tokens)]) * tf.ones([tf.shape(weight)[0], *tokens], weight.dtype)", "of manual", ""),
        },
    ),
]  # fmt: skip
