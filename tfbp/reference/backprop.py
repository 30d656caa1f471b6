"""The whole network, forward and backward, in float64 NumPy and in the textbook's order. The truth.

B batch, I inputs, O outputs of a layer; x (B, I), z and y (B, O).
"""

import numpy as np

from tfbp.checks import check_parameters, check_x, check_y
from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.dense import dense_backward, dense_forward
from tfbp.reference.losses import loss_backward, loss_forward
from tfbp.reference.regularizers import penalty_backward, penalty_forward


def forward(network, parameters, x):
    """The network's outputs, (B, O), for a batch x of shape (B, I).

    Raises:
        InputError: x or parameters that do not fit the network.

    Example:
        >>> from tfbp import Dense, Network, reference
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> reference.forward(network, [{"kernel": [[3.0], [4.0]]}], [[1.0, 0.5]])
        array([[5.]])
    """
    parameters, x = _as_floats(parameters), _as_float(x)
    check_parameters(network, parameters)
    check_x(network, x)
    y = x
    for layer, weights in zip(network.layers, parameters, strict=True):
        z, _ = dense_forward(y, **weights)
        y, _ = activation_forward(layer.activation, z)
    return y


def loss_and_gradients(network, parameters, x, y, sample_weight=None):
    """The mean loss over the batch plus penalties, and its gradient with respect to every parameter.

        loss = 1/B Σ_b sample_weight[b] · loss(y[b], forward(x[b])) + Σ penalties

    Args:
        parameters: one dict per layer, `{"kernel": (I, O), "bias": (O,)}`.
        x: (B, I). y: (B, O) targets, or (B,) labels for the sparse loss. sample_weight: (B,) or None for ones.

    Returns:
        The loss, and the gradients in the shape of `parameters`.

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
    loss, gradients, _ = loss_gradients_and_tensors(network, parameters, x, y, sample_weight)
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """The loss of `loss_and_gradients` and the outputs that it is taken at, (B, O); forward only, for validation."""
    loss, tensors, _ = _forward(network, *_inputs(network, parameters, x, y, sample_weight))
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None):
    """As `loss_and_gradients`, and every tensor on the way: one dict per layer with x, z, y, dy, dz and dx, and a
    last dict for the loss with outputs, losses, dlosses and doutputs."""
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    loss, tensors, loss_residuals = _forward(network, parameters, x, y, weight)

    # loss = 1/B Σ weight · losses: the 1/B that seeds the backward pass
    dlosses = np.full(len(x), 1 / len(x)) if weight is None else weight / len(x)
    dy = loss_backward(network.loss, dlosses, loss_residuals)
    tensors[-1].update(dlosses=dlosses, doutputs=dy)
    gradients = [{} for _ in network.layers]
    for index in reversed(range(len(network.layers))):
        tensor, weights = tensors[index], parameters[index]
        tensor["dy"] = dy
        tensor["dz"] = activation_backward(network.activations_before_loss[index], dy, tensor["z"])
        tensor["dx"], dkernel, dbias = dense_backward(tensor["dz"], (tensor["x"], weights["kernel"]))
        gradients[index] = {"kernel": dkernel, "bias": dbias} if "bias" in weights else {"kernel": dkernel}
        for name, regularizer in _regularizers(network.layers[index]).items():
            gradients[index][name] = gradients[index][name] + penalty_backward(regularizer, weights[name])
        dy = tensor["dx"]
    return loss, gradients, tensors


def _forward(network, parameters, x, y, weight):
    tensors = []
    penalties = 0.0
    outputs = x
    for layer, activation, weights in zip(network.layers, network.activations_before_loss, parameters, strict=True):
        tensor = {"x": outputs}
        tensor["z"], _ = dense_forward(tensor["x"], **weights)
        tensor["y"], _ = activation_forward(activation, tensor["z"])
        tensors.append(tensor)
        outputs = tensor["y"]
        for name, regularizer in _regularizers(layer).items():
            penalties = penalties + penalty_forward(regularizer, weights[name])[0]
    losses, residuals = loss_forward(network.loss, y, outputs)
    loss = (losses if weight is None else weight * losses).mean() + penalties
    return loss, [*tensors, {"outputs": outputs, "losses": losses}], residuals


def _inputs(network, parameters, x, y, sample_weight):
    parameters, x, y = _as_floats(parameters), _as_float(x), np.asarray(y)
    weight = None if sample_weight is None else _as_float(sample_weight)
    check_parameters(network, parameters)
    check_x(network, x)
    check_y(network, x, y, weight)
    return parameters, x, y, weight


def _regularizers(layer):
    regularizers = {"kernel": layer.kernel_regularizer, "bias": layer.bias_regularizer if layer.use_bias else None}
    return {name: regularizer for name, regularizer in regularizers.items() if regularizer is not None}


def _as_float(array):
    array = np.asarray(array)
    return array if np.iscomplexobj(array) else array.astype(np.float64)


def _as_floats(parameters):
    return [{name: _as_float(w) for name, w in layer.items()} for layer in parameters]
