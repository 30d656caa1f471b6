"""Computes the whole network, forward only; tf.GradientTape computes the gradients.

B batch, I inputs of the network, O outputs; x (B, I), or (B, …) where its inputs have a shape. The computation has
x's dtype. Two parts have at least float32: from the outputs to the loss, and the weights without a gradient.
"""

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.network import Options, at, map_weights
from tfbp.network.validation import as_tuple, check_parameters, check_seed, check_x, check_y
from tfbp.tape.graph import graph_forward
from tfbp.tape.losses import loss_forward
from tfbp.tape.masks import masked_weights
from tfbp.tape.regularizers import penalty_forward
from tfbp.tape.tied import tied_forward


def forward(network, parameters, x, *, training=False, seed=None):
    """Returns the network's outputs, (B, O) or (B, …, O), for a batch x of shape (B, I) or (B, …), in x's dtype.

    Args:
        training: whether layers such as Dropout work in training mode.
        seed: for layers that draw in training.

    Raises:
        InputError: x or parameters that do not fit the network, or no seed where layers draw.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, tape
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> tape.forward(network, [{"kernel": [[3.0], [4.0]]}], tf.constant([[1.0, 0.5]])).numpy()
        array([[5.]], dtype=float32)
    """
    weights, x = _checked(network, parameters, x)
    check_seed(network, training, seed)
    weights = tied_forward(network, weights)
    made, _ = graph_forward(network.graph, weights, x, training=training, seed=_first(seed))
    return _one_or_all([made[end] for end in network.ends])


def loss_and_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the mean loss over the batch plus penalties, and its gradient for every parameter, by tape.

        loss = 1/B Σ_b sample_weight[b] · loss(y[b], forward(x[b])) + Σ penalties

    Where an example has several tokens, the mean is over all tokens of the batch.

    Args:
        parameters: one dict per layer, `{"kernel": (I, O), "bias": (O,)}`: arrays, tensors or variables.
        x: (B, I) or (B, …), float64, float32, bfloat16 or float16; the computation runs in this dtype. Tokens are
            integers, (B, T), and the computation runs in the embeddings' dtype.
        y: targets of the outputs' shape, (B, O) or (B, …, O), or labels, (B,) or (B, …), for the sparse loss.
        sample_weight: (B,), or one for each token, (B, …); None for ones.
        training: whether layers such as Dropout work in training mode.
        seed: an integer, for layers that draw in training.

    Returns:
        The loss, at least float32, and the gradients in the shape of `parameters` and the dtype of x. A weight
        without a
            gradient, such as a moving mean, has no entry.

    Raises:
        InputError: arguments that do not fit the network.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, tape
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> x, y = tf.constant([[1.0, 0.5]]), tf.constant([[4.0]])
        >>> loss, gradients = tape.loss_and_gradients(network, [{"kernel": [[3.0], [4.0]]}], x, y)
        >>> float(loss), gradients[0]["kernel"].numpy().tolist()
        (0.5, [[1.0], [0.5]])

    Reference: https://www.tensorflow.org/guide/autodiff
    """
    loss, gradients, _ = loss_gradients_and_tensors(
        network, parameters, x, y, sample_weight, training=training, seed=seed
    )
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """Returns the loss of `loss_and_gradients`, and the outputs before it; forward only, for validation."""
    loss, last = loss_and_last_tensors(network, parameters, x, y, sample_weight)
    return loss, last["outputs"]


def loss_and_last_tensors(network, parameters, x, y, sample_weight=None):
    """Returns the loss, and a dict with the outputs before it, the losses, each output's own loss and its mask."""
    loss, tensors = _loss(network, *_inputs(network, parameters, x, y, sample_weight), False, None)
    return loss, tensors[-1]


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the loss, the gradients, and the tensors of the pass.

    The tensors are one dict per layer with x, z, y and dz, and a last dict for the loss with outputs, losses, loss (of
    each output, without penalties) and mask. A layer with parts has their dicts by the part's name. A layer that
    updates weights without a gradient has new_weights."""
    return scaled_pass(network, parameters, x, y, sample_weight, Options(training, seed))


def scaled_pass(network, parameters, x, y, sample_weight, options):
    """Returns what `loss_gradients_and_tensors` returns, with its `Options` as one argument."""
    training, seed, loss_scale = options
    parameters, x, y, weights = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    trained = _with_gradient(network.layers, parameters)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        # x too, because the first layers may have no weights: they also have a dz
        floats = [tensor for tensor in x if tensor.dtype.is_floating]
        tape.watch((trained, floats) if network.layers[0].parts or not (trained[0] and network.is_chain) else trained)
        loss, tensors = _loss(network, parameters, x, y, weights, training, seed)
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    layers = [at(tensors, node.at) for node in network.nodes]
    gradients, dzs = tape.gradient(scaled, (trained, [layer["z"] for layer in layers]))
    for layer, dz in zip(layers, dzs, strict=True):
        # 0 for a tensor that no loss depends on
        layer["dz"] = tf.zeros_like(layer["z"]) if dz is None else dz
    return loss, gradients, tensors


def example_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns each example's gradient, of its weighted loss without penalties, from one pass of the whole batch.

    It has the shape of `parameters`, each tensor with a first axis B. Layers draw as they do for the batch.
    """
    parameters, x, y, weights = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    trained = _with_gradient(network.layers, parameters)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(trained)
        losses = _loss(network, parameters, x, y, weights, training, seed)[1][-1]["losses"]
        of_each = zip(_several(losses), network.loss_weights, weights, strict=True)
        found = [counts * (each if w is None else w * each) for each, counts, w in of_each]
        losses = sum(tf.reduce_mean(loss, axis=[*range(1, loss.shape.rank)]) for loss in found)
    return tape.jacobian(losses, trained)


def _loss(network, parameters, x, y, weights, training, seed):
    with tf.name_scope("forward"):
        tied, graph = tied_forward(network, parameters), network.graph_before_loss
        made, tensors = graph_forward(graph, tied, x, training=training, seed=_first(seed))
    total, lasts = [], []
    each = zip(network.losses, network.loss_weights, network.loss_at, network.loss_masks, y, weights, strict=True)
    for loss_of, counts, number, at_mask, targets, weight in each:
        with tf.name_scope("loss"):
            outputs = tf.cast(made[number], _loss_dtype(made[number].dtype))
            mask = None if at_mask is None else made[at_mask]
            weight = weight if mask is None else masked_weights(weight, mask, outputs.dtype)
            losses = loss_forward(loss_of, targets, outputs)
            loss = tf.reduce_mean(losses if weight is None else weight * losses)
            total.append(loss if counts == 1 else counts * loss)
        lasts.append({"outputs": outputs, "losses": losses, "loss": loss, "mask": mask})
    loss = total[0] if len(total) == 1 else tf.add_n(total)
    for place, name, regularizer in network.penalties:
        loss += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], loss.dtype))
    return loss, [*tensors, {name: _one_or_all([last[name] for last in lasts]) for name in lasts[0]}]


def _one_or_all(found):
    return found[0] if len(found) == 1 else tuple(found)


def _several(found):
    return found if isinstance(found, tuple) else (found,)


def _first(seed):
    return None if seed is None else (seed, 0)


def _loss_dtype(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _inputs(network, parameters, x, y, sample_weight):
    """Returns checked tensors: parameters in x's dtype; x by input; y and sample_weight, in the loss's dtype."""
    parameters, x = _checked(network, parameters, x)
    outputs, dtype = len(network.losses), _loss_dtype(dtype_of(network, parameters, _one_or_all(x)))
    y = tuple(tf.convert_to_tensor(targets) for targets in as_tuple("y", y, outputs))
    if sample_weight is None:
        check_y(network, _one_or_all(x), _one_or_all(y))
        return parameters, x, y, (None,) * outputs
    weights = [tf.cast(weight, dtype) for weight in as_tuple("sample_weight", sample_weight, outputs)]
    check_y(network, _one_or_all(x), _one_or_all(y), _one_or_all(weights))
    for output, shape in enumerate(network.output_shapes):
        tokens, weight = shape[:-1], weights[output]
        if tokens and weight.shape.rank == 1:
            # each token has its example's weight
            weight = tf.broadcast_to(weight[(..., *(tf.newaxis for _ in tokens))], [tf.shape(weight)[0], *tokens])
        weights[output] = tf.ensure_shape(weight, [x[0].shape[0], *tokens])
    return parameters, x, y, tuple(weights)


def _checked(network, parameters, x):
    """Returns parameters as tensors, each variable read once, and each input."""
    inputs = [tf.convert_to_tensor(one) for one in as_tuple("x", x, len(network.input_shapes))]
    for index, tokens in enumerate(network.input_tokens):
        if tokens is None and not inputs[index].dtype.is_floating:
            argument = "x" if len(inputs) == 1 else f"x[{index}]"
            accepted = "float64, float32, bfloat16 or float16"
            raise InputError(f"{argument}: got dtype {inputs[index].dtype.name}; accepted: {accepted}.")
    check_parameters(network, parameters)
    check_x(network, _one_or_all(inputs))
    for index, (shape, tokens) in enumerate(zip(network.input_shapes, network.input_tokens, strict=True)):
        one = inputs[index]
        # a shape that is known only at run time: the network has it
        known = one.shape.rank and None not in one.shape.as_list()[1:]
        one = one if known else tf.ensure_shape(one, [None, *shape])
        inputs[index] = tf.cast(one, tf.int32) if tokens is not None and one.dtype != tf.int64 else one
    parameters = map_weights(tf.convert_to_tensor, parameters)
    return _cast(network.layers, parameters, dtype_of(network, parameters, _one_or_all(inputs))), tuple(inputs)


def dtype_of(network, parameters, x):
    """Returns the computation's dtype: the first input's that is not tokens; if all are tokens, the embeddings'."""
    for one, tokens in zip(as_tuple("x", x, len(network.input_tokens)), network.input_tokens, strict=True):
        if tokens is None:
            return tf.as_dtype(one.dtype)
    return tf.as_dtype(next(weights["embeddings"].dtype for weights in parameters if "embeddings" in weights))


def _cast(layers, parameters, dtype):
    """Returns parameters as tensors of one dtype; weights without a gradient have float32 at least."""
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    return [
        {
            name: _cast(layer.parts[name], w, dtype)
            if name in layer.parts
            else tf.cast(w, wide if name in layer.without_gradient else dtype)
            for name, w in weights.items()
        }
        for layer, weights in zip(layers, parameters, strict=True)
    ]


def _with_gradient(layers, parameters):
    return [
        {
            name: _with_gradient(layer.parts[name], w) if name in layer.parts else w
            for name, w in weights.items()
            if name not in layer.without_gradient
        }
        for layer, weights in zip(layers, parameters, strict=True)
    ]
