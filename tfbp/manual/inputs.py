"""Checks the arguments of a pass, and converts them to tensors of one dtype.

B batch, I inputs of the network; x (B, I), or (B, …) where its inputs have a shape.
"""

import tensorflow as tf

from tfbp.errors import InputError
from tfbp.manual.tied import tied_forward
from tfbp.network import map_weights
from tfbp.network.validation import as_tuple, check_parameters, check_x, check_y


def loss_dtype(dtype):
    return tf.float64 if dtype == tf.float64 else tf.float32


def inputs_of(network, parameters, x, y, sample_weight):
    """Returns checked tensors: parameters in x's dtype; x by input; y and sample_weight, in the loss's dtype."""
    parameters, x = parameters_and_x(network, parameters, x)
    outputs = len(network.losses)
    y = tuple(map(tf.convert_to_tensor, as_tuple("y", y, outputs)))
    if sample_weight is None:
        check_y(network, _as_given(x), _as_given(y))
        return parameters, x, y, (None,) * outputs
    dtype = loss_dtype(_computed_in(network, parameters, x))
    weights = tuple(tf.cast(weight, dtype) for weight in as_tuple("sample_weight", sample_weight, outputs))
    check_y(network, _as_given(x), _as_given(y), _as_given(weights))
    of_each = zip(network.output_shapes, weights, strict=True)
    return parameters, x, y, tuple(_of_each_loss(shape, x[0], weight) for shape, weight in of_each)


def _of_each_loss(output_shape, x, weight):
    """Returns the weights, (B, …): an example's weight, (B,), is repeated for each of its tokens."""
    tokens = output_shape[:-1]
    if tokens and weight.shape.rank == 1:
        weight = tf.reshape(weight, [-1, *(1 for _ in tokens)]) * tf.ones([1, *tokens], weight.dtype)
    return weight if weight.shape.is_fully_defined() else tf.ensure_shape(weight, [x.shape[0], *tokens])


def parameters_and_x(network, parameters, x):
    """Returns checked parameters and each input as tensors of one dtype, with the kernel of a tied last layer.

    It reads each variable once."""
    given = tuple(map(tf.convert_to_tensor, as_tuple("x", x, len(network.input_shapes))))
    for index, (one, tokens) in enumerate(zip(given, network.input_tokens, strict=True)):
        if tokens is None and not one.dtype.is_floating:
            argument = "x" if len(given) == 1 else f"x[{index}]"
            accepted = "float64, float32, bfloat16 or float16"
            raise InputError(f"{argument}: got dtype {one.dtype.name}; accepted: {accepted}.")
    check_parameters(network, parameters)
    check_x(network, _as_given(given))
    parameters = map_weights(tf.convert_to_tensor, parameters)
    of_each = zip(given, network.input_shapes, network.input_tokens, strict=True)
    x = tuple(_input(*each_one) for each_one in of_each)
    parameters = _tensors(network.layers, parameters, _computed_in(network, parameters, x))
    return tied_forward(network, parameters), x


def _input(x, shape, tokens):
    if not x.shape.rank or None in x.shape.as_list()[1:]:
        # a shape that is known only at run time: the network has it
        x = tf.ensure_shape(x, [None, *shape])
    # the dtype that all kernels of a lookup accept
    return tf.cast(x, tf.int32) if tokens is not None and x.dtype not in (tf.int32, tf.int64) else x


def _as_given(found):
    return found[0] if len(found) == 1 else found


def _computed_in(network, parameters, x):
    """Returns the computation's dtype: the first input's that is not tokens; if all are tokens, the embeddings'."""
    for one, tokens in zip(x, network.input_tokens, strict=True):
        if tokens is None:
            return one.dtype
    return next(weights["embeddings"].dtype for weights in parameters if "embeddings" in weights)


def _tensors(layers, parameters, dtype):
    """Returns parameters as tensors of one dtype; weights without a gradient have float32 at least."""
    wide = tf.float64 if dtype == tf.float64 else tf.float32
    tensors = []
    for layer, weights in zip(layers, parameters, strict=True):
        tensors.append({part: _tensors(inner, weights[part], dtype) for part, inner in layer.parts.items()})
        for name, w in weights.items():
            if name not in layer.parts:
                tensors[-1][name] = tf.cast(w, wide if name in layer.without_gradient else dtype)
    return tensors
