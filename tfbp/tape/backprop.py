"""The whole network, forward only; tf.GradientTape finds the gradients.

B batch, I inputs, O outputs of a layer; x (B, I), z and y (B, O). Everything runs in x's dtype, except that from the
outputs to the loss nothing is narrower than float32.
"""

import tensorflow as tf

from tfbp.checks import InputError, check_parameters, check_x, check_y
from tfbp.tape.activations import activation_forward
from tfbp.tape.dense import dense_forward
from tfbp.tape.losses import loss_forward
from tfbp.tape.regularizers import penalty_forward


def forward(network, parameters, x):
    """The network's outputs, (B, O), for a batch x of shape (B, I), in x's dtype.

    Raises:
        InputError: x or parameters that do not fit the network.

    Example:
        >>> import tensorflow as tf
        >>> from tfbp import Dense, Network, tape
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> tape.forward(network, [{"kernel": [[3.0], [4.0]]}], tf.constant([[1.0, 0.5]])).numpy()
        array([[5.]], dtype=float32)
    """
    x = _checked(network, parameters, x)
    return _forward([layer.activation for layer in network.layers], _cast(parameters, x.dtype), x)[-1]["y"]


def loss_and_gradients(network, parameters, x, y, sample_weight=None):
    """The mean loss over the batch plus penalties, and its gradient with respect to every parameter, by tape.

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
        >>> from tfbp import Dense, Network, tape
        >>> network = Network(2, [Dense(1, use_bias=False)], "half_squared_error")
        >>> x, y = tf.constant([[1.0, 0.5]]), tf.constant([[4.0]])
        >>> loss, gradients = tape.loss_and_gradients(network, [{"kernel": [[3.0], [4.0]]}], x, y)
        >>> float(loss), gradients[0]["kernel"].numpy().tolist()
        (0.5, [[1.0], [0.5]])

    Reference: https://www.tensorflow.org/guide/autodiff
    """
    loss, gradients, _ = loss_gradients_and_tensors(network, parameters, x, y, sample_weight)
    return loss, gradients


def loss_and_outputs(network, parameters, x, y, sample_weight=None):
    """The loss of `loss_and_gradients` and the outputs that it is taken at, (B, O); forward only, for validation."""
    loss, tensors = _loss(network, *_inputs(network, parameters, x, y, sample_weight))
    return loss, tensors[-1]["outputs"]


def loss_gradients_and_tensors(network, parameters, x, y, sample_weight=None, loss_scale=None):
    """As `loss_and_gradients`, and the tensors on the way: one dict per layer with x, z, y and dz, and a last dict for
    the loss with outputs and losses.

    With a `loss_scale`, the gradients are those of loss_scale · loss, so that small ones survive in float16."""
    parameters, x, y, weight = _inputs(network, parameters, x, y, sample_weight)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parameters)
        loss, tensors = _loss(network, parameters, x, y, weight)
        scaled = loss if loss_scale is None else loss * tf.cast(loss_scale, loss.dtype)
    *layers, _ = tensors
    gradients, dzs = tape.gradient(scaled, (parameters, [layer["z"] for layer in layers]))
    for layer, dz in zip(layers, dzs, strict=True):
        layer["dz"] = dz
    return loss, gradients, tensors


def _loss(network, parameters, x, y, weight):
    tensors = _forward(network.activations_before_loss, parameters, x)
    with tf.name_scope("loss"):
        outputs = tf.cast(tensors[-1]["y"], _loss_dtype(x))
        losses = loss_forward(network.loss, y, outputs)
        loss = tf.reduce_mean(losses if weight is None else weight * losses)
    for layer, weights in zip(network.layers, parameters, strict=True):
        if layer.kernel_regularizer is not None:
            loss += penalty_forward(layer.kernel_regularizer, tf.cast(weights["kernel"], loss.dtype))
        if layer.bias_regularizer is not None and layer.use_bias:
            loss += penalty_forward(layer.bias_regularizer, tf.cast(weights["bias"], loss.dtype))
    return loss, [*tensors, {"outputs": outputs, "losses": losses}]


def _forward(activations, parameters, x):
    """One dict per layer with x, z and y."""
    tensors = []
    for index, (activation, weights) in enumerate(zip(activations, parameters, strict=True)):
        with tf.name_scope(f"forward/layer_{index}/dense"):
            z = dense_forward(x, **weights)
        with tf.name_scope(f"forward/layer_{index}/{activation.name}"):
            y = activation_forward(activation, z)
        tensors.append({"x": x, "z": z, "y": y})
        x = y
    return tensors


def _loss_dtype(x):
    return tf.float64 if x.dtype == tf.float64 else tf.float32


def _inputs(network, parameters, x, y, sample_weight):
    """Checked tensors: parameters in x's dtype, sample_weight in the loss's."""
    x = _checked(network, parameters, x)
    y = tf.convert_to_tensor(y)
    weight = None if sample_weight is None else tf.cast(sample_weight, _loss_dtype(x))
    check_y(network, x, y, weight)
    if weight is not None and not weight.shape.is_fully_defined():
        weight = tf.ensure_shape(weight, x.shape[:1])
    return _cast(parameters, x.dtype), x, y, weight


def _checked(network, parameters, x):
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    # a shape that is known only as a function runs: the network knows its width
    return x if x.shape.rank and x.shape[1] else tf.ensure_shape(x, [None, network.inputs])


def _cast(parameters, dtype):
    """Parameters as tensors of one dtype. Each variable is read once, here."""
    return [{name: tf.cast(tf.convert_to_tensor(w), dtype) for name, w in layer.items()} for layer in parameters]
