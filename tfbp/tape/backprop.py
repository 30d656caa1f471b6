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
    return _forward([layer.activation for layer in network.layers], _cast(parameters, x.dtype), x)


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
    x = _checked(network, parameters, x)
    y = tf.convert_to_tensor(y)
    loss_dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    weight = None if sample_weight is None else tf.cast(sample_weight, loss_dtype)
    check_y(network, x, y, weight)
    parameters = _cast(parameters, x.dtype)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parameters)
        outputs = _forward(network.activations_before_loss, parameters, x)
        losses = loss_forward(network.loss, y, tf.cast(outputs, loss_dtype))
        loss = tf.reduce_mean(losses if weight is None else weight * losses)
        for layer, weights in zip(network.layers, parameters, strict=True):
            if layer.kernel_regularizer is not None:
                loss += penalty_forward(layer.kernel_regularizer, tf.cast(weights["kernel"], loss_dtype))
            if layer.bias_regularizer is not None and layer.use_bias:
                loss += penalty_forward(layer.bias_regularizer, tf.cast(weights["bias"], loss_dtype))
    return loss, tape.gradient(loss, parameters)


def _forward(activations, parameters, x):
    y = x
    for activation, weights in zip(activations, parameters, strict=True):
        y = activation_forward(activation, dense_forward(y, **weights))
    return y


def _checked(network, parameters, x):
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(f"x: got dtype {x.dtype.name}; accepted: float64, float32, bfloat16 or float16.")
    check_parameters(network, parameters)
    check_x(network, x)
    return x


def _cast(parameters, dtype):
    """Parameters as tensors of one dtype. Each variable is read once, here."""
    return [{name: tf.cast(tf.convert_to_tensor(w), dtype) for name, w in layer.items()} for layer in parameters]
