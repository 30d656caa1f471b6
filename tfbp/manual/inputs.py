"""What a pass is given, checked and as tensors of one dtype.

B batch, I inputs of the network; x (B, I), or (B, …) where its inputs have a shape.
"""

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.manual.tied import tied_forward
from tfbp.network import map_weights
from tfbp.network.validation import check_parameters, check_x, check_y


def loss_dtype(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def inputs_of(network, parameters, x, y, sample_weight):
    """Checked tensors: parameters in x's dtype, sample_weight in the loss's."""
    parameters, x = parameters_and_x(network, parameters, x)
    y = tf.convert_to_tensor(y)
    dtype = loss_dtype(_computed_in(network, parameters, x))
    weight = None if sample_weight is None else tf.cast(sample_weight, dtype)
    check_y(network, x, y, weight)
    return parameters, x, y, None if weight is None else _of_each_loss(network, x, weight)


def _of_each_loss(network, x, weight):
    """(B, …): an example's weight, (B,), is that of each of its tokens."""
    tokens = network.output_shape[:-1]
    if tokens and weight.shape.rank == 1:
        weight = tf.reshape(weight, [-1, *(1 for _ in tokens)]) * tf.ones([1, *tokens], weight.dtype)
    return weight if weight.shape.is_fully_defined() else tf.ensure_shape(weight, [x.shape[0], *tokens])


def parameters_and_x(network, parameters, x):
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
