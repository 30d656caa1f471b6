"""The whole network, forward and backward, every gradient coded by hand.

B batch, I inputs, O outputs of a layer; x (B, I), z and y (B, O). Everything runs in x's dtype, except that from the
outputs to the loss and back nothing is narrower than float32.
"""

import tensorflow as tf

from tfbp.checks import InputError, check_parameters, check_x, check_y
from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.dense import dense_backward, dense_forward
from tfbp.manual.losses import loss_backward, loss_forward
from tfbp.manual.regularizers import penalty_backward, penalty_forward


def forward(network, parameters, x):
    """The network's outputs, (B, O), for a batch x of shape (B, I), in x's dtype.

    Raises:
        InputError: x or parameters that do not fit the network.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, manual
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> manual.forward(network, [{"kernel": [[3.0], [4.0]]}], tf.constant([[1.0, 0.5]])).numpy()
        array([[5.]], dtype=float32)
    """
    parameters, x = _inputs(network, parameters, x)
    y = x
    for layer, weights in zip(network.layers, parameters, strict=True):
        z, _ = dense_forward(y, **weights)
        y, _ = activation_forward(layer.activation, z)
    return y


def loss_and_gradients(network, parameters, x, y, sample_weight=None):
    """The mean loss over the batch plus penalties, and its gradient with respect to every parameter, by hand.

        loss = 1/B Σ_b sample_weight[b] · loss(y[b], forward(x[b])) + Σ penalties

    Args:
        parameters: one dict per layer, `{"kernel": (I, O), "bias": (O,)}`: arrays, tensors or variables.
        x: (B, I), float64, float32, bfloat16 or float16; the computation runs in this dtype.
        y: (B, O) targets, or (B,) labels for the sparse loss. sample_weight: (B,) or None for ones.

    Returns:
        The loss, at least float32, and the gradients in the shape of `parameters` and the dtype of x.

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
    parameters, x = _inputs(network, parameters, x)
    y = tf.convert_to_tensor(y)
    loss_dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    weight = None if sample_weight is None else tf.cast(sample_weight, loss_dtype)
    check_y(network, x, y, weight)
    activations = network.activations_before_loss
    regularized = _regularized(network)

    outputs = x
    residuals = []
    for activation, weights in zip(activations, parameters, strict=True):
        z, dense_residuals = dense_forward(outputs, **weights)
        outputs, activation_residuals = activation_forward(activation, z)
        residuals.append((dense_residuals, activation_residuals))
    losses, loss_residuals = loss_forward(network.loss, y, tf.cast(outputs, loss_dtype))
    batch = tf.cast(tf.shape(x)[0], loss_dtype)
    loss = tf.reduce_sum(losses if weight is None else weight * losses) / batch
    for index, name, regularizer in regularized:
        loss += penalty_forward(regularizer, tf.cast(parameters[index][name], loss_dtype))[0]

    # loss = Σ weight · losses / B: the 1/B that seeds the backward pass
    dlosses = tf.ones_like(losses) / batch if weight is None else weight / batch
    # losses = loss_forward(loss, y, outputs)                   (B,) <- (B, O)
    dy = tf.cast(loss_backward(network.loss, dlosses, loss_residuals), x.dtype)
    gradients = [{} for _ in network.layers]
    for index in reversed(range(len(network.layers))):
        dense_residuals, activation_residuals = residuals[index]
        use_bias = network.layers[index].use_bias
        # outputs = activation_forward(activation, z)             (B, O) <- (B, O)
        dz = activation_backward(activations[index], dy, activation_residuals)
        # z = dense_forward(outputs, kernel, bias)                (B, O) <- (B, I) (I, O) (O,)
        dy, dkernel, dbias = dense_backward(dz, dense_residuals, input_gradient=index > 0, bias_gradient=use_bias)
        gradients[index] = {"kernel": dkernel, "bias": dbias} if use_bias else {"kernel": dkernel}
    for index, name, regularizer in regularized:
        gradients[index][name] += penalty_backward(regularizer, parameters[index][name])
    return loss, gradients


def _regularized(network):
    """(layer index, parameter name, regularizer) for every parameter that has a penalty."""
    candidates = [
        (index, name, getattr(layer, f"{name}_regularizer"))
        for index, (layer, shapes) in enumerate(zip(network.layers, network.parameter_shapes(), strict=True))
        for name in shapes
    ]
    return [candidate for candidate in candidates if candidate[2] is not None]


def _inputs(network, parameters, x):
    """Checked parameters and x as tensors of one dtype. Each variable is read once, here."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    tensors = [{name: tf.cast(tf.convert_to_tensor(w), x.dtype) for name, w in layer.items()} for layer in parameters]
    return tensors, x
