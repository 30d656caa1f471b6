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
    parameters, x = _parameters_and_x(network, parameters, x)
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
    loss, gradients, _ = loss_gradients_and_tensors(network, parameters, x, y, sample_weight)
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """The loss of `loss_and_gradients` and the outputs that it is taken at, (B, O); forward only, for validation."""
    loss, tensors, _ = _forward(network, *_inputs(network, parameters, x, y, sample_weight))
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None, loss_scale=None, reweight=None):
    """As `loss_and_gradients`, and every tensor on the way, none of them computed twice: one dict per layer with
    x, z, y, dy and dz, and a last dict for the loss with outputs, losses, dlosses and doutputs.

    With a `loss_scale`, the gradients are those of loss_scale · loss, so that small ones survive in float16.
    With `reweight`, a function of these tensors that gives a factor for each example, (B,), each example's part in the
    gradients is multiplied by its factor; the tensors, the loss and the penalties' part are left as they are."""
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    loss, tensors, residuals = _forward(network, parameters, x, y, weight)
    losses = tensors[-1]["losses"]
    batch = tf.cast(tf.shape(x)[0], losses.dtype)

    # loss = Σ weight · losses / B: the 1/B that seeds the backward pass
    with tf.name_scope("backward/loss"):
        dlosses = tf.ones_like(losses) / batch if weight is None else weight / batch
        if loss_scale is not None:
            dlosses *= tf.cast(loss_scale, losses.dtype)
        # losses = loss_forward(loss, y, outputs)                   (B,) <- (B, O)
        doutputs = loss_backward(network.loss, dlosses, residuals[-1])
    tensors[-1].update(dlosses=dlosses, doutputs=doutputs)
    dy = tf.cast(doutputs, x.dtype)
    gradients = [{} for _ in network.layers]
    for index in reversed(range(len(network.layers))):
        layer, activation = network.layers[index], network.activations_before_loss[index]
        dense_residuals, activation_residuals = residuals[index]
        # outputs = activation_forward(activation, z)             (B, O) <- (B, O)
        with tf.name_scope(f"backward/layer_{index}/{activation.name}"):
            dz = activation_backward(activation, dy, activation_residuals)
        tensors[index].update(dy=dy, dz=dz)
        # z = dense_forward(outputs, kernel, bias)                (B, O) <- (B, I) (I, O) (O,)
        now = reweight is None
        with tf.name_scope(f"backward/layer_{index}/dense"):
            dy, dkernel, dbias = dense_backward(
                dz,
                dense_residuals,
                input_gradient=index > 0,
                kernel_gradient=now,
                bias_gradient=now and layer.use_bias,
            )
        gradients[index] = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    if reweight is not None:
        # the factors follow from every layer's dz: so the parameters' gradients come last, and once
        gradients = _reweighted_gradients(network, tensors, residuals, reweight(tensors))
    for index, name, regularizer in _regularized(network):
        # loss += penalty_forward(regularizer, parameter)
        dparameter = penalty_backward(regularizer, parameters[index][name])
        gradients[index][name] += dparameter if loss_scale is None else dparameter * tf.cast(loss_scale, x.dtype)
    return loss, gradients, tensors


def _reweighted_gradients(network, tensors, residuals, factors):
    """The parameters' gradients with each row of dz, (B, O), multiplied by its example's factor, (B,)."""
    gradients = []
    for layer, tensor, (dense_residuals, _) in zip(network.layers, tensors, residuals, strict=False):
        # in the factors' type, at least float32: a small factor alone may underflow in float16
        dz = tf.cast(factors[:, None] * tf.cast(tensor["dz"], factors.dtype), tensor["dz"].dtype)
        _, dkernel, dbias = dense_backward(dz, dense_residuals, input_gradient=False, bias_gradient=layer.use_bias)
        gradients.append({"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel})
    return gradients


def _forward(network, parameters, x, y, weight):
    """The loss, the tensors on the way, and each layer's residuals with the loss's as the last."""
    outputs = x
    tensors, residuals = [], []
    for index, (activation, weights) in enumerate(zip(network.activations_before_loss, parameters, strict=True)):
        tensors.append({"x": outputs})
        with tf.name_scope(f"forward/layer_{index}/dense"):
            z, dense_residuals = dense_forward(outputs, **weights)
        with tf.name_scope(f"forward/layer_{index}/{activation.name}"):
            outputs, activation_residuals = activation_forward(activation, z)
        tensors[-1].update(z=z, y=outputs)
        residuals.append((dense_residuals, activation_residuals))
    with tf.name_scope("loss"):
        outputs = tf.cast(outputs, _loss_dtype(x))
        losses, loss_residuals = loss_forward(network.loss, y, outputs)
        loss = tf.reduce_mean(losses if weight is None else weight * losses)
    for index, name, regularizer in _regularized(network):
        loss += penalty_forward(regularizer, tf.cast(parameters[index][name], losses.dtype))[0]
    tensors.append({"outputs": outputs, "losses": losses})
    return loss, tensors, [*residuals, loss_residuals]


def _regularized(network):
    """(layer index, parameter name, regularizer) for every parameter that has a penalty."""
    candidates = [
        (index, name, getattr(layer, f"{name}_regularizer"))
        for index, (layer, shapes) in enumerate(zip(network.layers, network.parameter_shapes(), strict=True))
        for name in shapes
    ]
    return [candidate for candidate in candidates if candidate[2] is not None]


def _loss_dtype(x):
    return tf.float64 if x.dtype == tf.float64 else tf.float32


def _inputs(network, parameters, x, y, sample_weight):
    """Checked tensors: parameters in x's dtype, sample_weight in the loss's."""
    parameters, x = _parameters_and_x(network, parameters, x)
    y = tf.convert_to_tensor(y)
    weight = None if sample_weight is None else tf.cast(sample_weight, _loss_dtype(x))
    check_y(network, x, y, weight)
    if weight is not None and not weight.shape.is_fully_defined():
        weight = tf.ensure_shape(weight, x.shape[:1])
    return parameters, x, y, weight


def _parameters_and_x(network, parameters, x):
    """Checked parameters and x as tensors of one dtype. Each variable is read once, here."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    if not x.shape.rank or not x.shape[1]:
        # a shape that is known only as a function runs: the network knows its width
        x = tf.ensure_shape(x, [None, network.inputs])
    tensors = [{name: tf.cast(tf.convert_to_tensor(w), x.dtype) for name, w in layer.items()} for layer in parameters]
    return tensors, x
