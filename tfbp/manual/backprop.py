"""Computes the whole network, forward and backward, with every gradient coded by hand.

B batch, I inputs of the network, O outputs; x (B, I), or (B, …) where its inputs have a shape. There are N losses: B,
or the number of the batch's tokens, where the outputs have the shape (B, T, O). The computation has x's dtype, or the
embeddings' dtype where x is tokens. Two parts have at least float32: from the outputs to the loss and back, and the
weights without a gradient.
"""

from dataclasses import replace

import tensorflow as tf

from tfbp.manual.graph import add, graph_backward, graph_forward
from tfbp.manual.inputs import inputs_of, loss_dtype, parameters_and_x
from tfbp.manual.kinds import WITH_LOSS, kind_of
from tfbp.manual.losses import loss_backward, loss_forward
from tfbp.manual.masks import masked_weights
from tfbp.manual.regularizers import penalty_backward, penalty_forward
from tfbp.manual.tied import tied_backward
from tfbp.network import Graph, Options, at
from tfbp.network.validation import check_seed


def forward(network, parameters, x, *, training=False, seed=None):
    """Returns the network's outputs, (B, O) or (B, …, O), for a batch x of shape (B, I) or (B, …), in x's dtype.

    Args:
        training: whether layers such as Dropout work in training mode.
        seed: for layers that draw in training.

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
    made, *_ = graph_forward(network.graph, parameters, x, training=training, seed=_first(seed))
    return one_or_all([made[end] for end in network.ends])


def loss_and_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the mean loss over the batch plus penalties, and its gradient for every parameter, by hand.

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
    """Returns the loss of `loss_and_gradients`, and the outputs before it; forward only, for validation."""
    loss, last = loss_and_last_tensors(network, parameters, x, y, sample_weight)
    return loss, last["outputs"]


def loss_and_last_tensors(network, parameters, x, y, sample_weight=None):
    """Returns the loss, and a dict with the outputs before it, the losses, each output's own loss and its mask."""
    arguments = inputs_of(network, parameters, x, y, sample_weight)
    loss, _, _, lasts, _ = _forward(network, *arguments, in_one=_in_one(network))
    return loss, {name: one_or_all([last[name] for last in lasts]) for name in ("outputs", "losses", "loss", "mask")}


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the loss, the gradients, and every tensor of the pass.

    The tensors are one dict per layer with x, z, y, dy and dz, and a last dict for the loss with outputs, losses,
    loss (of each output, without penalties), mask, dlosses and doutputs.

    A layer with parts has their dicts by the part's name. A layer that updates weights without a gradient has
    new_weights. Where the last layer contains its loss, its z and dz and the loss's tensors are separate, computed
    only on use."""
    return scaled_pass(network, parameters, x, y, sample_weight, Options(training, seed))


def scaled_pass(network, parameters, x, y, sample_weight, options, reweight=None):
    """Returns what `loss_gradients_and_tensors` returns, with its `Options` as one argument.

    Args:
        reweight: a function of the tensors that returns a factor for each example, (B,). It multiplies the example's
            part of the gradients, not the tensors, the loss or the penalties."""
    training, seed, loss_scale = options
    parameters, x, y, weights = inputs_of(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    # the factors multiply each dz; a layer that contains its loss has no dz in memory
    in_one = None if reweight else _in_one(network)
    loss, layers, residuals, lasts, of_head = _forward(
        network, parameters, x, y, weights, in_one, draws=(training, seed)
    )
    graph, dmade = network.graph_before_loss, {}
    with tf.name_scope("backward"):
        each = zip(network.losses, network.loss_weights, network.loss_at, lasts, strict=True)
        for loss_of, counts, number, last in each:
            losses, weight = last["losses"], last.pop("weight")
            # loss = Σ weight · losses / N: the 1/N that seeds the backward pass
            with tf.name_scope("loss"):
                count = tf.cast(tf.size(losses), losses.dtype)
                dlosses = tf.ones_like(losses) / count if weight is None else weight / count
                if counts != 1:
                    dlosses *= counts
                if loss_scale is not None:
                    dlosses *= tf.cast(loss_scale, losses.dtype)
                # losses = loss_forward(loss, y, outputs)               (B, …) <- (B, …, O)
                doutputs = loss_backward(loss_of, dlosses, last.pop("residuals"))
            last.update(dlosses=dlosses, doutputs=doutputs)
            add(dmade, number, tf.cast(doutputs, last.pop("dtype")))
        tensors = [*layers, {name: one_or_all([last[name] for last in lasts]) for name in lasts[0]}]
        of_last = {}
        if of_head:
            # outputs = y = z of the last layer: only readers of its dz need it, and nothing here reads it
            (dy,) = dmade.values()
            layers[-1].update(dy=dy, dz=dy)
            # loss = mean_loss_and_gradients(layer, parameters, x, y)   () <- (B, …, I)
            dx, of_last = _scaled(of_head, loss_scale, dy.dtype)
            graph, dmade = replace(graph, calls=graph.calls[:-1]), {graph.calls[-1].takes[0]: dx}
        # outputs = graph_forward(graph, parameters, x)                 (B, …, O) <- (B, …)
        gradients = graph_backward(graph, layers, residuals, dmade)
        gradients[-1].update(of_last)
    if reweight is not None:
        # the factors follow from every layer's dz, so the parameters' gradients are computed last, and once
        gradients = _reweighted_gradients(graph, layers, residuals, reweight(tensors))
    # parameters = tied_forward(network, parameters)
    gradients = tied_backward(network, gradients)
    for place, name, regularizer in network.penalties:
        # loss += penalty_forward(regularizer, parameter)
        dparameter = penalty_backward(regularizer, at(parameters, place)[name])
        scaled = dparameter if loss_scale is None else dparameter * tf.cast(loss_scale, dparameter.dtype)
        at(gradients, place)[name] += scaled
    return loss, gradients, tensors


def _reweighted_gradients(graph, tensors, residuals, factors):
    """Returns the parameters' gradients with each example's dz, (B, …), multiplied by its factor, (B,)."""
    gradients = [{} for _ in graph.layers]
    for call, tensor, (layer_residuals, _) in zip(graph.calls, tensors, residuals, strict=False):
        layer = graph.layers[call.layer]
        if layer.parts:
            gradients[call.layer] = {
                part: _reweighted_gradients(Graph.of_chain(inner), *layer_residuals[part], factors)
                for part, inner in layer.parts.items()
            }
            continue
        # in the factors' dtype, at least float32: a small factor alone may underflow in float16
        rows = tf.reshape(factors, [-1] + [1] * (tensor["dz"].shape.rank - 1))
        dz = tf.cast(rows * tf.cast(tensor["dz"], factors.dtype), tensor["dz"].dtype)
        _, backward = kind_of(layer)
        for name, dw in backward(layer, dz, layer_residuals)[1].items():
            add(gradients[call.layer], name, dw)
    return gradients


def _scaled(gradients, loss_scale, dtype):
    """Returns gradients of loss_scale · loss, scaled before they are rounded to dtype."""
    scale = 1.0 if loss_scale is None else loss_scale
    return tf.nest.map_structure(lambda g: tf.cast(g * tf.cast(scale, g.dtype), dtype), gradients)


def _in_one(network):
    """Returns the function for the loss and gradients of a last layer that contains its loss; None for any other layer.

    None also eagerly: the logits are computed there anyway. A tf.function removes unused results."""
    return None if tf.executing_eagerly() else WITH_LOSS.get(network.layers[-1].keras_name)


def _forward(network, parameters, x, y, weights, in_one, *, draws=(False, None)):
    """Returns the loss, the tensors of each call, its residuals, and the tensors of each loss.

    With `in_one` it also returns dx and the gradients of the last layer, which are computed with the loss."""
    training, seed = draws
    with tf.name_scope("forward"):
        graph = network.graph_before_loss
        made, tensors, residuals = graph_forward(graph, parameters, x, training=training, seed=_first(seed))
    total, lasts, of_head = None, [], []
    each = zip(network.losses, network.loss_weights, network.loss_at, network.loss_masks, y, weights, strict=True)
    for loss_of, counts, number, at_mask, targets, weight in each:
        with tf.name_scope("loss"):
            outputs = tf.cast(made[number], loss_dtype(made[number].dtype))
            mask = None if at_mask is None else made[at_mask]
            weight = weight if mask is None else masked_weights(weight, mask, outputs.dtype)
            losses, loss_residuals = loss_forward(loss_of, targets, outputs)
            mean = tf.reduce_mean(losses if weight is None else weight * losses)
            if in_one:
                x_of_head = tensors[-1]["x"]
                mean, *of_head = in_one(network.layers[-1], parameters[-1], x_of_head, targets, weight, losses.dtype)
            loss = mean if counts == 1 else counts * mean
            total = loss if total is None else total + loss
        last = {"outputs": outputs, "losses": losses, "loss": mean, "mask": mask}
        lasts.append({**last, "weight": weight, "residuals": loss_residuals, "dtype": made[number].dtype})
    for place, name, regularizer in network.penalties:
        total += penalty_forward(regularizer, tf.cast(at(parameters, place)[name], total.dtype))[0]
    return total, tensors, residuals, lasts, of_head


def one_or_all(found):
    return found[0] if len(found) == 1 else tuple(found)


def _first(seed):
    return None if seed is None else (seed, 0)
