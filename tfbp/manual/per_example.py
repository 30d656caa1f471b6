"""Computes the norms, the clipping and the moments of single examples' gradients from one backward pass.

The gradient of a dense layer is a sum of outer products, dkernel = Σ_b x_b ⊗ dz_b and dbias = Σ_b dz_b. So example b's
part follows from a row of x and a row of dz, without a tensor of size B · I · O:

    g_b           = x_b ⊗ dz_b and dz_b             of sample_weight[b] · losses[b], without 1/B or penalties
    ‖g_b‖²        = (‖x_b‖² + 1) · ‖dz_b‖²          with the 1 only where the layer has a bias
    Σ_b f_b g_b   = xᵀ (f · dz) and Σ_b f_b dz_b    for a factor f_b of each example
    Σ_b g_b²      = (x²)ᵀ dz² and Σ_b dz_b²         elementwise

A kind of layer has these in its own file, under PER_EXAMPLE: "squares" (of a norm, by the weights' names) and
"moments". Where the weights are few and shared by an image's positions, it has "gradients", which computes every g_b.
B batch, I inputs, O outputs of a layer, L layers; x (B, I), dz (B, O). Norms and factors are at least float32.
Reference: Goodfellow, Efficient per-example gradient computations (2015), https://arxiv.org/abs/1510.01799
"""

import math

import tensorflow as tf

from tfbp.errors import InputError, check_positive
from tfbp.manual.backprop import scaled_pass
from tfbp.manual.graph import add
from tfbp.manual.kinds import examples_of
from tfbp.manual.tied import tied_moments, tied_squares
from tfbp.network import Graph, Options, at, named_weights
from tfbp.network.validation import check_examples_apart


def gradient_norms(network, parameters, x, y, sample_weight=None, options=None, trained=None):
    """Returns the norm of each example's gradient in each layer, (B, L); arguments as in `manual.loss_and_gradients`.

    `options` are `tfbp.network.Options`. `trained` has the shape of `parameters`: True for a trained weight. The others
    add 0.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, manual
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> x, y = tf.constant([[3.0, 4.0], [0.0, 1.0]]), tf.constant([[5.0], [1.0]])
        >>> manual.per_example.gradient_norms(network, [{"kernel": [[1.0], [1.0]]}], x, y).numpy().tolist()
        [[10.0], [0.0]]
    """
    check_examples_apart(network, _has("squares", "squares_of_kept", "norms"))
    tensors, scale = _undivided(network, parameters, x, y, sample_weight, options)
    norms = norms_from(network, tensors, scale, trained)
    if norms.dtype == tf.float64:
        return norms
    finite = tf.reduce_all(tf.math.is_finite(norms))
    # in float32 a square overflows long before its norm does
    return tf.cond(
        finite, lambda: norms, lambda: tf.cast(norms_from(network, tensors, scale, trained, tf.float64), norms.dtype)
    )


def loss_and_clipped_gradients(network, parameters, x, y, clip, sample_weight=None, *, seed=None):
    """Returns the loss and gradients of `manual.loss_and_gradients`, with each example's gradient clipped to `clip`.

        gradient = 1/B Σ_b min(1, clip / ‖g_b‖) g_b + gradient of the penalties

    The norm is over all parameters together. The loss is not clipped.

    Raises:
        InputError: a clip that is not a finite number above 0, or arguments that do not fit the network.

    Reference: Abadi et al., Deep learning with differential privacy (2016), https://arxiv.org/abs/1607.00133
    """
    reweight = reweighting(network, clipping(clip))
    return scaled_pass(network, parameters, x, y, sample_weight, Options(seed=seed), reweight)[:2]


def private_gradients(network, parameters, x, y, private, sample_weight=None, *, seed=None):
    """Returns (Σ_b min(1, clip / ‖g_b‖) g_b + noise) / expected + the gradient of the penalties, of a `Private`.

    Reference: Abadi et al., Deep learning with differential privacy (2016), https://arxiv.org/abs/1607.00133
    """
    reweight = reweighting(network, clipping(private.clip, private.expected))
    _, gradients, _ = scaled_pass(network, parameters, x, y, sample_weight, Options(seed=seed), reweight)
    for place, name, entry in named_weights(private.noise):
        layer = at(gradients, place)
        layer[name] += tf.cast(entry, layer[name].dtype) / private.expected
    return gradients


def clipping(clip, rows=None):
    """Returns the function that computes the factors min(1, clip / ‖g_b‖), (B,), from ‖g_b‖².

    rows: the divisor of the sum in place of B: else a last, shorter batch would weigh its examples more."""
    check_positive("clip", clip)

    def factors(squares):
        found = clip_factors(tf.sqrt(squares), clip)
        # the gradients contain 1/B
        return found if rows is None else found * tf.cast(tf.shape(squares)[0], found.dtype) / rows

    return factors


def reweighting(network, factors, loss_scale=None, trained=None):
    """Returns the `reweight` of `scaled_pass` that multiplies each example's gradient by a factor.

    Args:
        factors: computes them, (B,), from ‖g_b‖², (B,), which is float64 and does not overflow.
        loss_scale: the pass's.
        trained: True for a trained weight, in the shape of `parameters`: the norm is over these; all by default."""
    check_examples_apart(network, _has("squares", "squares_of_kept", "norms"))

    def squares(tensors, dtype=None):
        return tf.reduce_sum(tf.square(norms_from(network, tensors, loss_scale, trained, dtype)), axis=1)

    def reweight(tensors):
        found = squares(tensors)
        if found.dtype == tf.float64:
            return factors(found)
        finite = tf.reduce_all(tf.math.is_finite(found))
        wide = tf.cond(finite, lambda: tf.cast(found, tf.float64), lambda: squares(tensors, tf.float64))
        return tf.cast(factors(wide), found.dtype)

    return reweight


def gradient_mean_and_variance(network, parameters, x, y, sample_weight=None, options=None):
    """Returns the mean and the variance of the examples' gradients over the batch, each in the shape of `parameters`.

    The sums are in float64, because a variance is a small difference of large numbers."""
    rows = tf.cast(tf.shape(x)[0], tf.float64)
    moments = gradient_moments(network, parameters, x, y, sample_weight, options)
    mean, second = tf.nest.map_structure(lambda total: total / rows, moments)
    return mean, tf.nest.map_structure(lambda m, s: tf.maximum(s - m * m, 0), mean, second)


def gradient_moments(network, parameters, x, y, sample_weight=None, options=None):
    """Returns Σ_b g_b and Σ_b g_b², elementwise, in the shape of `parameters` and in float64; batches add up."""
    check_examples_apart(network, _has("moments"))
    return moments_from(network, *_undivided(network, parameters, x, y, sample_weight, options))


def norms_from(network, tensors, loss_scale=None, trained=None, dtype=None):
    """Returns ‖g_b‖ of each layer, (B, L), from the tensors of `loss_gradients_and_tensors` and its loss scale.

    Args:
        trained: True for a trained weight, in the shape of `parameters`; all by default. Others add 0.
        dtype: the dtype of the norms, where it is wider than float32."""
    given = [None] * len(network.layers) if trained is None else trained
    by_layer = _by_layer(network.graph, tensors)
    squares = [_squares(*each, flags, dtype) for each, flags in zip(by_layer, given, strict=True)]
    # a mask's gradient is always float32
    widest = max((each.dtype for each in squares), key=lambda each: each.size)
    squares = [tf.cast(each, widest) for each in squares]
    is_tied = trained is None or trained[0].get("embeddings", True)
    squares = tf.stack(tied_squares(network, tensors, squares) if is_tied else squares, axis=1)
    # rounding can make a sum that cancels negative; dz contains the loss scale and 1/B
    return tf.sqrt(tf.maximum(squares, 0)) * _undo(tensors, loss_scale, squares.dtype)


def clip_factors(norms, clip):
    """Returns min(1, clip / ‖g_b‖), (B,), for norms (B,); 1 where the gradient is 0."""
    return tf.minimum(tf.ones_like(norms), tf.constant(float(clip), norms.dtype) / norms)


def moments_from(network, tensors, loss_scale=None):
    """Returns `gradient_moments` from the tensors of `loss_gradients_and_tensors` and its loss scale."""
    undo = _undo(tensors, loss_scale, tf.float64)
    pairs = [_moments(layer, of_layer, undo) for layer, of_layer in _by_layer(network.graph, tensors)]
    totals, squares = (list(each) for each in zip(*pairs, strict=True))
    return tied_moments(network, tensors, undo, totals, squares)


def _by_layer(graph, tensors):
    """Yields each layer with the tensors of its calls."""
    return [
        (layer, [tensor for call, tensor in zip(graph.calls, tensors, strict=False) if call.layer == index])
        for index, layer in enumerate(graph.layers)
    ]


def _squares(layer, calls, trained, dtype):
    """Returns the squared norm of each example's gradient of one layer's weights, (B,), with dz unscaled."""
    if layer.parts:
        inner = []
        for part, layers in layer.parts.items():
            flags = trained[part] if trained else [None] * len(layers)
            by_layer = _by_layer(Graph.of_chain(layers), calls[0][part])
            inner += [_squares(*each, of_each, dtype) for each, of_each in zip(by_layer, flags, strict=True)]
        return tf.add_n(inner)
    dz, functions = _wide(calls[0]["dz"], dtype), examples_of(layer)
    if not functions:
        return tf.zeros(tf.shape(dz)[:1], dz.dtype)
    # tokens, too
    pairs = [(_cast(tensor["x"], dz.dtype), _wide(tensor["dz"], dtype)) for tensor in calls]
    if "squares_of_kept" in functions:
        if len(calls) > 1:
            raise InputError(
                f"network: got a {layer.keras_name} that is called {len(calls)} times; accepted: one call of it, for "
                "the gradients of single examples."
            )
        squares = functions["squares_of_kept"](layer, *pairs[0], calls[0]["kept"])
    elif "squares" in functions:
        squares = functions["squares"](layer, *_as_rows_of_one(pairs))
    elif "norms" in functions:
        # of all weights of the layer together
        squares = {None: tf.square(functions["norms"](layer, *_as_rows_of_one(pairs)))}
    else:
        each = _example_gradients(functions, layer, pairs)
        squares = {name: tf.reduce_sum(g * g, axis=list(range(1, g.shape.rank))) for name, g in each.items()}
    counted = [
        each
        for name, each in squares.items()
        if not trained or (any(trained.values()) if name is None else trained[name])
    ]
    return tf.add_n(counted) if counted else tf.zeros(tf.shape(dz)[:1], dz.dtype)


def _cast(x, dtype):
    """x, or all that a layer takes, in a dtype."""
    return tf.nest.map_structure(lambda each: tf.cast(each, dtype), x)


def _moments(layer, calls, undo):
    """Returns Σ_b g_b and Σ_b g_b² of one layer's weights, in float64."""
    if layer.parts:
        found = {
            part: [_moments(*pair, undo) for pair in _by_layer(Graph.of_chain(inner), calls[0][part])]
            for part, inner in layer.parts.items()
        }
        return tuple({part: [pair[i] for pair in pairs] for part, pairs in found.items()} for i in (0, 1))
    functions = examples_of(layer)
    if not functions:
        return {}, {}
    pairs = [(_cast(tensor["x"], tf.float64), tf.cast(tensor["dz"], tf.float64) * undo) for tensor in calls]
    if "moments" in functions:
        return functions["moments"](layer, *_as_rows_of_one(pairs))
    each = _example_gradients(functions, layer, pairs)
    return tuple({name: tf.reduce_sum(g**power, axis=0) for name, g in each.items()} for power in (1, 2))


def _as_rows_of_one(pairs):
    """Joins x and dz of a layer's calls as rows of one tensor: an example's gradient is the sum over all calls."""
    if len(pairs) == 1:
        return pairs[0]
    xs, dzs = zip(*pairs, strict=True)
    places = dzs[0].shape.rank - 2
    tokens = xs[0].shape.rank == dzs[0].shape.rank - 1
    rows = [tf.reshape(x, [tf.shape(x)[0], -1] if tokens else [tf.shape(x)[0], -1, x.shape[-1]]) for x in xs]
    drows = [tf.reshape(dz, [tf.shape(dz)[0], math.prod(dz.shape[1:-1]) if places else 1, dz.shape[-1]]) for dz in dzs]
    return tf.concat(rows, axis=1), tf.concat(drows, axis=1)


def _example_gradients(functions, layer, pairs):
    """Returns g_b of each weight by name, (B, …), the sum over the layer's calls."""
    found = {}
    for pair in pairs:
        for name, g in functions["gradients"](layer, *pair).items():
            add(found, name, g)
    return found


def _has(*names):
    """Whether a kind of layer has one of these functions, or the gradients from which it follows."""
    return lambda layer: any(name in examples_of(layer) for name in (*names, "gradients"))


def _undivided(network, parameters, x, y, sample_weight, options):
    """Runs a pass with B as the loss scale, which cancels 1/B: float16 would lose digits. Returns tensors and scale."""
    scale = tf.cast(tf.shape(x)[0], tf.float32)
    options = (options or Options())._replace(loss_scale=scale)
    return scaled_pass(network, parameters, x, y, sample_weight, options)[2], scale


def _undo(tensors, loss_scale, dtype):
    rows = tf.cast(tf.shape(tensors[0]["dz"])[0], dtype)
    return rows if loss_scale is None else rows / tf.cast(loss_scale, dtype)


def _wide(tensor, dtype=None):
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, dtype or tf.float32)
