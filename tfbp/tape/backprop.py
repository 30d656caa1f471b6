"""The whole network, forward only; tf.GradientTape finds the gradients.

B batch, I inputs of the network, O outputs of it; x (B, I), or (B, …) where its inputs have a shape. Everything runs in
x's dtype, except that from the outputs to the loss, and in weights that no gradient moves, nothing is narrower than
float32.
"""

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.network import at, map_weights
from tfbp.network.validation import check_parameters, check_seed, check_x, check_y
from tfbp.tape.chain import chain_forward
from tfbp.tape.losses import loss_forward
from tfbp.tape.regularizers import penalty_forward
from tfbp.tape.tied import tied_forward


def forward(network, parameters, x, *, training=False, seed=None):
    """The network's outputs, (B, O) or (B, …, O), for a batch x of shape (B, I) or (B, …), in x's dtype.

    Args:
        training: whether layers that act otherwise in training act so.
        seed: what layers that draw in training draw from.

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
    return chain_forward(network.layers, weights, x, training=training, seed=_first(seed))[0]


def loss_and_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """The mean loss over the batch plus penalties, and its gradient with respect to every parameter, by tape.

        loss = 1/B Σ_b sample_weight[b] · loss(y[b], forward(x[b])) + Σ penalties

    Where an example has several tokens, the mean is over all tokens of the batch.

    Args:
        parameters: one dict per layer, `{"kernel": (I, O), "bias": (O,)}`: arrays, tensors or variables.
        x: (B, I) or (B, …), float64, float32, bfloat16 or float16; the computation runs in this dtype. Tokens are
            integers, (B, T), and the computation runs in the embeddings' dtype.
        y: targets of the outputs' shape, (B, O) or (B, …, O), or labels, (B,) or (B, …), for the sparse loss.
        sample_weight: (B,), or one for each token, (B, …); None for ones.
        training: whether layers that act otherwise in training act so.
        seed: an integer, where layers draw in training: what they draw from.

    Returns:
        The loss, at least float32, and the gradients in the shape of `parameters` and the dtype of x; none of a weight
        that has no gradient, such as a moving mean.

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
    """The loss of `loss_and_gradients` and the outputs that it is taken at; forward only, for validation."""
    loss, tensors = _loss(network, *_inputs(network, parameters, x, y, sample_weight), False, None)
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(
    network, parameters, x, y, sample_weight=None, loss_scale=None, *, training=True, seed=None
):
    """As `loss_and_gradients`, and the tensors on the way: one dict per layer with x, z, y and dz, and a last dict for
    the loss with outputs and losses. A layer with parts has theirs by the part's name; one that renews weights without
    a gradient has their new values as new_weights.

    With a `loss_scale`, the gradients are those of loss_scale · loss, so that small ones survive in float16."""
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    trained = _with_gradient(network.layers, parameters)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        # x too where the first layers may have no weights: they have a dz as well
        tape.watch((trained, x) if network.layers[0].parts or not trained[0] else trained)
        loss, tensors = _loss(network, parameters, x, y, weight, training, seed)
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    layers = [at(tensors, node.place) for node in network.nodes]
    gradients, dzs = tape.gradient(scaled, (trained, [layer["z"] for layer in layers]))
    for layer, dz in zip(layers, dzs, strict=True):
        layer["dz"] = dz
    return loss, gradients, tensors


def example_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Each example's own gradient, of its weighted loss without penalties, from one pass of the whole batch.

    As `parameters`, each tensor with a first axis B more. Layers draw as they do for the batch.
    """
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    trained = _with_gradient(network.layers, parameters)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(trained)
        losses = _loss(network, parameters, x, y, weight, training, seed)[1][-1]["losses"]
        losses = losses if weight is None else weight * losses
        losses = tf.reduce_mean(losses, axis=[*range(1, losses.shape.rank)])
    return tape.jacobian(losses, trained)


def _loss(network, parameters, x, y, weight, training, seed):
    with tf.name_scope("forward"):
        outputs, tensors = chain_forward(
            network.layers_before_loss, tied_forward(network, parameters), x, training=training, seed=_first(seed)
        )
    with tf.name_scope("loss"):
        outputs = tf.cast(outputs, _loss_dtype(outputs.dtype))
        losses = loss_forward(network.loss, y, outputs)
        loss = tf.reduce_mean(losses if weight is None else weight * losses)
    for place, name, regularizer in network.penalties:
        loss += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], loss.dtype))
    return loss, [*tensors, {"outputs": outputs, "losses": losses}]


def _first(seed):
    return None if seed is None else (seed, 0)


def _loss_dtype(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _inputs(network, parameters, x, y, sample_weight):
    """Checked tensors: parameters in x's dtype, sample_weight in the loss's."""
    parameters, x = _checked(network, parameters, x)
    y = tf.convert_to_tensor(y)
    weight = None if sample_weight is None else tf.cast(sample_weight, _loss_dtype(dtype_of(network, parameters, x)))
    check_y(network, x, y, weight)
    if weight is not None:
        tokens = network.output_shape[:-1]
        if tokens and weight.shape.rank == 1:
            # an example's weight is that of each of its tokens
            weight = tf.broadcast_to(weight[(..., *(tf.newaxis for _ in tokens))], [tf.shape(weight)[0], *tokens])
        weight = tf.ensure_shape(weight, [x.shape[0], *tokens])
    return parameters, x, y, weight


def _checked(network, parameters, x):
    """Parameters as tensors, each variable read once, here; and x."""
    x = tf.convert_to_tensor(x)
    if network.tokens is None and not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    # a shape that is known only as a function runs: the network knows its own
    known = x.shape.rank and None not in x.shape.as_list()[1:]
    x = x if known else tf.ensure_shape(x, [None, *network.input_shape])
    if network.tokens is not None:
        x = x if x.dtype == tf.int64 else tf.cast(x, tf.int32)
    parameters = map_weights(tf.convert_to_tensor, parameters)
    return _cast(network.layers, parameters, dtype_of(network, parameters, x)), x


def dtype_of(network, parameters, x):
    """What a pass is computed in: x's type; tokens have none, and it is that of the embeddings."""
    return tf.as_dtype((x if network.tokens is None else parameters[0]["embeddings"]).dtype)


def _cast(layers, parameters, dtype):
    """Parameters as tensors of one dtype; those that no gradient moves keep what a small step adds, in float32."""
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
