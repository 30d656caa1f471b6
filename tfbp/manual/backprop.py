"""The whole network, forward and backward, every gradient coded by hand.

B batch, I inputs of the network, O outputs of it; x (B, I), or (B, …) where its inputs have a shape. N losses: B, or as
many as the batch has tokens, where the outputs have a shape, (B, T, O). Everything runs in x's dtype, or, where x is
tokens, in that of the embeddings, except that from the outputs to the loss and back, and in weights that no gradient
moves, nothing is narrower than float32.
"""

import tensorflow as tf

from tfbp.checks import InputError, check_parameters, check_seed, check_x, check_y
from tfbp.manual.chain import chain_backward, chain_forward, kind_of
from tfbp.manual.losses import loss_backward, loss_forward
from tfbp.manual.regularizers import penalty_backward, penalty_forward
from tfbp.manual.tied import tied_backward, tied_forward
from tfbp.network import at, map_weights


def forward(network, parameters, x, *, training=False, seed=None):
    """The network's outputs, (B, O) or (B, …, O), for a batch x of shape (B, I) or (B, …), in x's dtype.

    Args:
        training: whether layers that act otherwise in training act so.
        seed: what layers that draw in training draw from.

    Raises:
        InputError: x or parameters that do not fit the network, or no seed where layers draw.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, manual
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> manual.forward(network, [{"kernel": [[3.0], [4.0]]}], tf.constant([[1.0, 0.5]])).numpy()
        array([[5.]], dtype=float32)
    """
    parameters, x = _parameters_and_x(network, parameters, x)
    check_seed(network, training, seed)
    return chain_forward(network.layers, parameters, x, training=training, seed=_first(seed))[0]


def loss_and_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """The mean loss over the batch plus penalties, and its gradient with respect to every parameter, by hand.

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
        >>> from tfbp import Dense, Network, manual
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> x, y = tf.constant([[1.0, 0.5]]), tf.constant([[4.0]])
        >>> loss, gradients = manual.loss_and_gradients(network, [{"kernel": [[3.0], [4.0]]}], x, y)
        >>> float(loss), gradients[0]["kernel"].numpy().tolist()
        (0.5, [[1.0], [0.5]])

    Reference: Rumelhart, Hinton and Williams (1986), https://doi.org/10.1038/323533a0
    """
    loss, gradients, _ = loss_gradients_and_tensors(
        network, parameters, x, y, sample_weight, training=training, seed=seed
    )
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """The loss of `loss_and_gradients` and the outputs that it is taken at; forward only, for validation."""
    arguments = _inputs(network, parameters, x, y, sample_weight)
    loss, tensors, *_ = _forward(network, *arguments, training=False, seed=None, in_one=_in_one(network))
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(
    network, parameters, x, y, sample_weight=None, loss_scale=None, reweight=None, *, training=True, seed=None
):
    """As `loss_and_gradients`, and every tensor on the way, none of them computed twice: one dict per layer with
    x, z, y, dy and dz, and a last dict for the loss with outputs, losses, dlosses and doutputs. A layer with parts has
    theirs by the part's name; one that renews weights without a gradient has their new values as new_weights. Where the
    last layer is one with its loss, its z, dz and the loss's tensors are apart, and computed for those who ask alone.

    With a `loss_scale`, the gradients are those of loss_scale · loss, so that small ones survive in float16.
    With `reweight`, a function of these tensors that gives a factor for each example, (B,), each example's part in the
    gradients is multiplied by its factor; the tensors, the loss and the penalties' part are left as they are."""
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    # factors of examples are for each dz, which a layer that is one with its loss never holds
    in_one = None if reweight else _in_one(network)
    loss, tensors, residuals, of_head = _forward(network, parameters, x, y, weight, training, seed, in_one)
    *layers, last = tensors
    losses = last["losses"]
    count = tf.cast(tf.size(losses), losses.dtype)

    with tf.name_scope("backward"):
        # loss = Σ weight · losses / N: the 1/N that seeds the backward pass
        with tf.name_scope("loss"):
            dlosses = tf.ones_like(losses) / count if weight is None else weight / count
            if loss_scale is not None:
                dlosses *= tf.cast(loss_scale, losses.dtype)
            # losses = loss_forward(loss, y, outputs)                   (B, …) <- (B, …, O)
            doutputs = loss_backward(network.loss, dlosses, residuals[-1])
        last.update(dlosses=dlosses, doutputs=doutputs)
        dy, rest, of_last = tf.cast(doutputs, layers[-1]["y"].dtype), len(layers), []
        if of_head:
            # outputs = y = z of the last layer: for those who ask for its dz, as nothing here does
            layers[-1].update(dy=dy, dz=dy)
            # loss = mean_loss_and_gradients(layer, parameters, x, y)   () <- (B, …, I)
            dy, *of_last = _scaled(of_head, loss_scale, dy.dtype)
            rest -= 1
        # outputs = chain_forward(layers, parameters, x)                (B, …, O) <- (B, …)
        _, gradients = chain_backward(
            network.layers[:rest],
            layers[:rest],
            residuals[:rest],
            dy,
            activations=network.activations_before_loss,
            input_gradient=False,
            weight_gradients=reweight is None,
        )
        gradients += of_last
    if reweight is not None:
        # the factors follow from every layer's dz: so the parameters' gradients come last, and once
        gradients = _reweighted_gradients(network.layers, layers, residuals, reweight(tensors))
    # parameters = tied_forward(network, parameters)
    gradients = tied_backward(network, gradients)
    for place, name, regularizer in network.penalties:
        # loss += penalty_forward(regularizer, parameter)
        dparameter = penalty_backward(regularizer, at(parameters, place)[name])
        scaled = dparameter if loss_scale is None else dparameter * tf.cast(loss_scale, dparameter.dtype)
        at(gradients, place)[name] += scaled
    return loss, gradients, tensors


def _reweighted_gradients(layers, tensors, residuals, factors):
    """The parameters' gradients with each example's dz, (B, …), multiplied by its factor, (B,)."""
    gradients = []
    for layer, tensor, (kept, _) in zip(layers, tensors, residuals, strict=False):
        if layer.parts:
            gradients.append(
                {part: _reweighted_gradients(inner, *kept[part], factors) for part, inner in layer.parts.items()}
            )
            continue
        # in the factors' type, at least float32: a small factor alone may underflow in float16
        rows = tf.reshape(factors, [-1] + [1] * (tensor["dz"].shape.rank - 1))
        dz = tf.cast(rows * tf.cast(tensor["dz"], factors.dtype), tensor["dz"].dtype)
        gradients.append(kind_of(layer).backward(layer, dz, kept, input_gradient=False)[1])
    return gradients


def _scaled(gradients, loss_scale, dtype):
    """Gradients of the loss as those of loss_scale · loss, scaled before they are narrowed to dtype."""
    scale = 1.0 if loss_scale is None else loss_scale
    return tf.nest.map_structure(lambda g: tf.cast(g * tf.cast(scale, g.dtype), dtype), gradients)


def _in_one(network):
    """The function for the loss and the gradients of a last layer that is one with it; None of any other.

    Eagerly none too: there the logits are made anyhow. In a tf.function, what nobody asks for is cut out."""
    return None if tf.executing_eagerly() else getattr(kind_of(network.layers[-1]), "mean_loss_and_gradients", None)


def _forward(network, parameters, x, y, weight, training, seed, in_one):
    """The loss, the tensors on the way, and each layer's residuals with the loss's as the last; and, where `in_one` is
    given, dx and the gradients of the last layer, which come with the loss."""
    with tf.name_scope("forward"):
        outputs, tensors, residuals = chain_forward(
            network.layers,
            parameters,
            x,
            activations=network.activations_before_loss,
            training=training,
            seed=_first(seed),
        )
    with tf.name_scope("loss"):
        outputs = tf.cast(outputs, _loss_dtype(outputs.dtype))
        losses, loss_residuals = loss_forward(network.loss, y, outputs)
        loss = tf.reduce_mean(losses if weight is None else weight * losses)
        of_head = []
        if in_one:
            loss, *of_head = in_one(network.layers[-1], parameters[-1], tensors[-1]["x"], y, weight, losses.dtype)
    for place, name, regularizer in network.penalties:
        loss += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], losses.dtype))[0]
    tensors.append({"outputs": outputs, "losses": losses})
    return loss, tensors, [*residuals, loss_residuals], of_head


def _first(seed):
    return None if seed is None else (seed, 0)


def _loss_dtype(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def _inputs(network, parameters, x, y, sample_weight):
    """Checked tensors: parameters in x's dtype, sample_weight in the loss's."""
    parameters, x = _parameters_and_x(network, parameters, x)
    y = tf.convert_to_tensor(y)
    dtype = _loss_dtype(_computed_in(network, parameters, x))
    weight = None if sample_weight is None else tf.cast(sample_weight, dtype)
    check_y(network, x, y, weight)
    return parameters, x, y, None if weight is None else _of_each_loss(network, x, weight)


def _of_each_loss(network, x, weight):
    """(B, …): an example's weight, (B,), is that of each of its tokens."""
    tokens = network.output_shape[:-1]
    if tokens and weight.shape.rank == 1:
        weight = tf.reshape(weight, [-1, *(1 for _ in tokens)]) * tf.ones([1, *tokens], weight.dtype)
    return weight if weight.shape.is_fully_defined() else tf.ensure_shape(weight, [x.shape[0], *tokens])


def _parameters_and_x(network, parameters, x):
    """Checked parameters and x as tensors of one dtype, with the kernel of a tied last layer. Each variable is read
    once, here."""
    x = tf.convert_to_tensor(x)
    if network.tokens is None and not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    if not x.shape.rank or None in x.shape.as_list()[1:]:
        # a shape that is known only as a function runs: the network knows its own
        x = tf.ensure_shape(x, [None, *network.input_shape])
    parameters = map_weights(tf.convert_to_tensor, parameters)
    if network.tokens is not None and x.dtype not in (tf.int32, tf.int64):
        # which all kernels of a lookup take
        x = tf.cast(x, tf.int32)
    parameters = _tensors(network.layers, parameters, _computed_in(network, parameters, x))
    return tied_forward(network, parameters), x


def _computed_in(network, parameters, x):
    """The dtype of the computation: x's, or, where x is tokens, that of the embeddings."""
    return x.dtype if network.tokens is None else parameters[0]["embeddings"].dtype


def _tensors(layers, parameters, dtype):
    """Parameters as tensors of one dtype; those that no gradient moves keep what a small step adds, in float32."""
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    tensors = []
    for layer, weights in zip(layers, parameters, strict=True):
        tensors.append({part: _tensors(inner, weights[part], dtype) for part, inner in layer.parts.items()})
        for name, w in weights.items():
            if name not in layer.parts:
                tensors[-1][name] = tf.cast(w, wide if name in layer.without_gradient else dtype)
    return tensors
