"""Recurrent layers, forward only: tf.GradientTape differentiates the loop.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,), G
gates: 1 of the plain layer, 4 of an LSTM (i, f, g, o), 3 of a GRU (z, r, candidate).
"""

from functools import partial

import tensorflow as tf

from tfbp.tape.activations import activation_forward


def simple_rnn_step(a, states, recurrent_kernel, *, activation):
    (h,) = states
    return (activation_forward(activation, a + tf.matmul(h, recurrent_kernel)),)


def lstm_step(a, states, recurrent_kernel, *, activation, recurrent_activation):
    h, c = states
    a_i, a_f, a_g, a_o = tf.split(a + tf.matmul(h, recurrent_kernel), 4, axis=1)
    gate, squash = partial(activation_forward, recurrent_activation), partial(activation_forward, activation)
    c = gate(a_f) * c + gate(a_i) * squash(a_g)
    return gate(a_o) * squash(c), c


def gru_step(a, states, recurrent_kernel, bias=None, *, activation, recurrent_activation, reset_after):
    """bias (3H,) is that of the recurrent product, where reset_after."""
    (h,) = states
    x_z, x_r, x_n = tf.split(a, 3, axis=1)
    gate, squash = partial(activation_forward, recurrent_activation), partial(activation_forward, activation)
    if reset_after:
        recurrent = tf.matmul(h, recurrent_kernel)
        h_z, h_r, h_n = tf.split(recurrent if bias is None else tf.nn.bias_add(recurrent, bias), 3, axis=1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        n = squash(x_n + r * h_n)
    else:
        units = recurrent_kernel.shape[0]
        h_z, h_r = tf.split(tf.matmul(h, recurrent_kernel[:, : 2 * units]), 2, axis=1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        n = squash(x_n + tf.matmul(r * h, recurrent_kernel[:, 2 * units :]))
    return (z * h + (1 - z) * n,)


_OPTIONS = ("activation", "recurrent_activation", "reset_after")


def _forward(step, states, layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    kernel, recurrent_kernel, bias = weights["kernel"], weights["recurrent_kernel"], weights.get("bias")
    if bias is not None and bias.shape.rank == 2:
        bias, options["bias"] = tf.unstack(bias)
    # time first: a step is a row of memory
    x = tf.transpose(x, [1, 0, 2])
    if layer.go_backwards:
        x = tf.reverse(x, [0])
    a = tf.tensordot(x, kernel, 1)
    if bias is not None:
        a = tf.nn.bias_add(a, bias)
    steps, units = x.shape[0], layer.units
    h = tf.zeros([tf.shape(x)[1], units], x.dtype)
    h.set_shape([x.shape[1], units])
    inputs = tf.TensorArray(x.dtype, size=steps, clear_after_read=False).unstack(a)
    hs = (tf.TensorArray(x.dtype, size=steps, element_shape=h.shape),) if layer.return_sequences else ()
    step = partial(step, recurrent_kernel=recurrent_kernel, **options)

    def body(t, hs, states):
        states = step(inputs.read(t), states)
        return t + 1, tuple(each.write(t, states[0]) for each in hs), states

    first = (tf.constant(0), hs, (h,) * states)
    _, hs, states = tf.while_loop(lambda t, *_: t < steps, body, first, maximum_iterations=steps)
    return tf.transpose(hs[0].stack(), [1, 0, 2]) if hs else states[0], {}


# the step, and how many states it carries
KINDS = {
    "SimpleRNN": partial(_forward, simple_rnn_step, 1),
    "LSTM": partial(_forward, lstm_step, 2),
    "GRU": partial(_forward, gru_step, 1),
}
