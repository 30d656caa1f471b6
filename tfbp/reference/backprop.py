"""Computes the whole network, forward and backward, in float64 NumPy and in the textbook's order.

B batch, I inputs of the network, O outputs; x (B, I), or (B, …) where its inputs have a shape. There are N losses: B,
or the number of the batch's tokens, where the outputs have the shape (B, T, O).
"""

import numpy as np

from tfbp.network import at, map_weights
from tfbp.network.validation import as_tuple, check_parameters, check_seed, check_x, check_y
from tfbp.reference.graph import add, graph_backward, graph_forward
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.masks import masked_weights
from tfbp.reference.regularizers import penalty_backward, penalty_forward
from tfbp.reference.tied import tied_backward, tied_forward


def forward(network, parameters, x, *, training=False, seed=None):
    """Returns the network's outputs, (B, O) or (B, …, O), for a batch x of shape (B, I) or (B, …).

    Args:
        training: whether layers such as Dropout work in training mode.
        seed: for layers that draw in training.

    Raises:
        InputError: x or parameters that do not fit the network, or no seed where layers draw.

    Example:
        >>> from tfbp import Dense, Network, reference
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> reference.forward(network, [{"kernel": [[3.0], [4.0]]}], [[1.0, 0.5]])
        array([[5.]])
    """
    parameters, x = map_weights(_as_float, parameters), _as_inputs(network, x)
    check_parameters(network, parameters)
    check_x(network, one_or_all(x))
    check_seed(network, training, seed)
    parameters = tied_forward(network, parameters)
    made, *_ = graph_forward(network.graph, parameters, x, training=training, seed=_first(seed))
    return one_or_all([made[end] for end in network.ends])


def loss_and_gradients(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the mean loss over the batch plus penalties, and its gradient for every parameter.

        loss = 1/B Σ_b sample_weight[b] · loss(y[b], forward(x[b])) + Σ penalties

    Where an example has several tokens, the mean is over all tokens of the batch.

    Args:
        parameters: one dict per layer, `{"kernel": (I, O), "bias": (O,)}`.
        x: (B, I) or (B, …). y: targets of the outputs' shape, or labels, (B,) or (B, …), for the sparse loss.
        sample_weight: (B,), or one for each token, (B, …); None for ones.
        training: whether layers such as Dropout work in training mode.
        seed: an integer, for layers that draw in training.

    Returns:
        The loss, and the gradients in the shape of `parameters`. A weight without a gradient, such as a moving
        mean, has
            no entry.

    Raises:
        InputError: arguments that do not fit the network.

    Example:
        >>> from tfbp import Dense, Network, reference
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> loss, gradients = reference.loss_and_gradients(network, [{"kernel": [[3.0], [4.0]]}], [[1.0, 0.5]], [[4.0]])
        >>> float(loss), gradients[0]["kernel"].tolist()
        (0.5, [[1.0], [0.5]])

    Reference: Rumelhart, Hinton and Williams (1986), https://doi.org/10.1038/323533a0
    """
    loss, gradients, _ = loss_gradients_and_tensors(
        network, parameters, x, y, sample_weight, training=training, seed=seed
    )
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """Returns the loss of `loss_and_gradients`, and the outputs before it; forward only, for validation."""
    loss, tensors, _ = _forward(network, *_inputs(network, parameters, x, y, sample_weight), False, None)
    return loss, joined(tensors[-1])["outputs"]


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None, *, training=True, seed=None):
    """Returns the loss, the gradients, and every tensor of the pass.

    The tensors are one dict per layer with x, z, y, dy, dz and dx, and a last dict for the loss with outputs, losses,
    dlosses and doutputs. A layer with parts has their dicts by the part's name. A layer that updates weights without a
    gradient has new_weights."""
    parameters, x, y, weights = _inputs(network, parameters, x, y, sample_weight)
    check_seed(network, training, seed)
    loss, tensors, residuals = _forward(network, parameters, x, y, weights, training, seed)

    dmade, lasts, graph = {}, tensors.pop(), network.graph_before_loss
    for loss_of, counts, at_tensor, last in zip(
        network.losses, network.loss_weights, network.loss_at, lasts, strict=True
    ):
        losses, weight = last["losses"], last.pop("weight")
        # loss = 1/N Σ weight · losses: the 1/N that seeds the backward pass
        dlosses = np.full(losses.shape, 1 / losses.size) if weight is None else weight / losses.size
        dlosses = dlosses * counts
        doutputs = loss_backward(loss_of, dlosses, last.pop("residuals"))
        last.update(dlosses=dlosses, doutputs=doutputs)
        add(dmade, at_tensor, doutputs)
    gradients = tied_backward(network, graph_backward(graph, tensors, residuals, dmade))
    for place, name, regularizer in network.penalties:
        layer = at(gradients, place)
        layer[name] = layer[name] + penalty_backward(regularizer, at(parameters, place)[name])
    return loss, gradients, [*tensors, joined(lasts)]


def _forward(network, parameters, x, y, weights, training, seed):
    tied, graph = tied_forward(network, parameters), network.graph_before_loss
    made, tensors, residuals = graph_forward(graph, tied, x, training=training, seed=_first(seed))
    total, lasts = 0, []
    for loss_of, counts, at_tensor, at_mask, targets, weight in zip(
        network.losses, network.loss_weights, network.loss_at, network.loss_masks, y, weights, strict=True
    ):
        outputs, mask = made[at_tensor], None if at_mask is None else made[at_mask]
        weight = weight if mask is None else masked_weights(weight, mask)
        losses, loss_residuals = loss_forward(loss_of, targets, outputs)
        loss = (losses if weight is None else weight * losses).mean()
        total = total + counts * loss
        last = {"outputs": outputs, "losses": losses, "mask": mask, "weight": weight}
        lasts.append({**last, "residuals": loss_residuals})
    for place, name, regularizer in network.penalties:
        total = total + penalty_forward(regularizer, at(parameters, place)[name])[0]
    return total, [*tensors, lasts], residuals


def joined(lasts):
    """Returns the tensors of the loss by name; tuples for several losses."""
    return {
        name: one_or_all([last[name] for last in lasts]) for name in lasts[0] if name not in ("residuals", "weight")
    }


def one_or_all(found):
    return found[0] if len(found) == 1 else tuple(found)


def _first(seed):
    return None if seed is None else (seed, 0)


def _inputs(network, parameters, x, y, sample_weight):
    """Returns checked parameters, and tuples of x by input, of y and the losses' weights by output."""
    parameters, x, outputs = map_weights(_as_float, parameters), _as_inputs(network, x), len(network.losses)
    y = tuple(map(np.asarray, as_tuple("y", y, outputs)))
    check_parameters(network, parameters)
    check_x(network, one_or_all(x))
    if sample_weight is None:
        weight = (None,) * outputs
    else:
        weight = tuple(map(_as_float, as_tuple("sample_weight", sample_weight, outputs)))
    check_y(network, one_or_all(x), one_or_all(y), None if sample_weight is None else one_or_all(weight))
    of_each = zip(weight, network.output_shapes, strict=True)
    return parameters, x, y, tuple(None if w is None else _of_each_loss(shape, w) for w, shape in of_each)


def _of_each_loss(output_shape, weight):
    """Returns the weights, (B, …): an example's weight, (B,), is repeated for each of its tokens."""
    tokens = output_shape[:-1]
    if weight.ndim == 1 + len(tokens):
        return weight
    return np.broadcast_to(weight.reshape(-1, *(1 for _ in tokens)), (len(weight), *tokens))


def _as_inputs(network, x):
    """Returns each input; tokens stay integers."""
    given = zip(as_tuple("x", x, len(network.input_tokens)), network.input_tokens, strict=True)
    return tuple(_as_float(one) if tokens is None else np.asarray(one) for one, tokens in given)


def _as_float(array):
    array = np.asarray(array)
    return array if np.iscomplexobj(array) else array.astype(np.float64)
