"""The whole network, forward and backward, every gradient coded by hand.

B batch, I inputs of the network, O outputs of it; x (B, I), or (B, …) where its inputs have a shape. N losses: B, or as
many as the batch has tokens, where the outputs have a shape, (B, T, O). Everything runs in x's dtype, or, where x is
tokens, in that of the embeddings, except that from the outputs to the loss and back, and in weights that no gradient
moves, nothing is narrower than float32.
"""

import tensorflow as tf

from tfbp.manual.chain import chain_backward, chain_forward
from tfbp.manual.inputs import inputs_of, loss_dtype, parameters_and_x
from tfbp.manual.kinds import WITH_LOSS, kind_of
from tfbp.manual.losses import loss_backward, loss_forward
from tfbp.manual.regularizers import penalty_backward, penalty_forward
from tfbp.manual.tied import tied_backward
from tfbp.network import at
from tfbp.network.validation import check_seed


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
    parameters, x = parameters_and_x(network, parameters, x)
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
    arguments = inputs_of(network, parameters, x, y, sample_weight)
    loss, tensors, *_ = _forward(network, *arguments, training=False, seed=None, in_one=_in_one(network))
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(
    network,
    parameters,
    x,
    y,
    sample_weight=None,
    loss_scale=None,
    reweight=None,
    *,
    penalized=True,
    training=True,
    seed=None,
):
    """As `loss_and_gradients`, and every tensor on the way, none of them computed twice: one dict per layer with
    x, z, y, dy and dz, and a last dict for the loss with outputs, losses, dlosses and doutputs. A layer with parts has
    theirs by the part's name; one that renews weights without a gradient has their new values as new_weights. Where the
    last layer is one with its loss, its z, dz and the loss's tensors are apart, and computed for those who ask alone.

    With a `loss_scale`, the gradients are those of loss_scale · loss, so that small ones survive in float16.
    With `reweight`, a function of these tensors that gives a factor for each example, (B,), each example's part in the
    gradients is multiplied by its factor; the tensors, the loss and the penalties' part are left as they are.
    With penalized=False the gradients are without that of the penalties."""
    parameters, x, y, weight = inputs_of(network, parameters, x, y, sample_weight)
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
        _, gradients = chain_backward(network.layers_before_loss[:rest], layers[:rest], residuals[:rest], dy)
        gradients += of_last
    if reweight is not None:
        # the factors follow from every layer's dz: so the parameters' gradients come last, and once
        gradients = _reweighted_gradients(network.layers, layers, residuals, reweight(tensors))
    # parameters = tied_forward(network, parameters)
    gradients = tied_backward(network, gradients)
    for place, name, regularizer in network.penalties if penalized else ():
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
        _, backward = kind_of(layer)
        gradients.append(backward(layer, dz, kept)[1])
    return gradients


def _scaled(gradients, loss_scale, dtype):
    """Gradients of the loss as those of loss_scale · loss, scaled before they are narrowed to dtype."""
    scale = 1.0 if loss_scale is None else loss_scale
    return tf.nest.map_structure(lambda g: tf.cast(g * tf.cast(scale, g.dtype), dtype), gradients)


def _in_one(network):
    """The function for the loss and the gradients of a last layer that is one with it; None of any other.

    Eagerly none too: there the logits are made anyhow. In a tf.function, what nobody asks for is cut out."""
    return None if tf.executing_eagerly() else WITH_LOSS.get(network.layers[-1].keras_name)


def _forward(network, parameters, x, y, weight, training, seed, in_one):
    """The loss, the tensors on the way, and each layer's residuals with the loss's as the last; and, where `in_one` is
    given, dx and the gradients of the last layer, which come with the loss."""
    with tf.name_scope("forward"):
        outputs, tensors, residuals = chain_forward(
            network.layers_before_loss, parameters, x, training=training, seed=_first(seed)
        )
    with tf.name_scope("loss"):
        outputs = tf.cast(outputs, loss_dtype(outputs.dtype))
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
