"""Recurrent layers, forward only: tf.GradientTape differentiates the loop.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,), G
gates: 1 for the plain layer, 4 for an LSTM (i, f, g, o), 3 for a GRU (z, r, candidate). dropped is for x and for h in
their products, (B, G, I) and (B, G, H), with 0 where a gate drops a number, else 1 / (1 - rate); or None.
"""

from functools import partial

import tensorflow as tf

from tfbp.tape.activations import activation_forward
from tfbp.tape.dropout import dropout_forward


def product(x, kernel, dropped=None):
    """Returns x · kernel, (…, G H); with dropped each gate's columns are of x as that gate drops it."""
    multiply = tf.matmul if x.shape.rank == 2 else partial(tf.tensordot, axes=1)
    if dropped is None:
        return multiply(x, kernel)
    kernels = tf.split(kernel, dropped.shape[1], axis=1)
    return tf.concat([multiply(x * dropped[:, g], kernel) for g, kernel in enumerate(kernels)], axis=-1)


def simple_rnn_step(a, states, recurrent_kernel, *, activation, dropped=None):
    (h,) = states
    return (activation_forward(activation, a + product(h, recurrent_kernel, dropped)),)


def lstm_step(a, states, recurrent_kernel, *, activation, recurrent_activation, dropped=None):
    h, c = states
    a_i, a_f, a_g, a_o = tf.split(a + product(h, recurrent_kernel, dropped), 4, axis=1)
    gate, squash = partial(activation_forward, recurrent_activation), partial(activation_forward, activation)
    c = gate(a_f) * c + gate(a_i) * squash(a_g)
    return gate(a_o) * squash(c), c


def gru_step(a, states, recurrent_kernel, bias=None, *, activation, recurrent_activation, reset_after, dropped=None):
    """bias (3H,) belongs to the recurrent product with reset_after."""
    (h,) = states
    x_z, x_r, x_n = tf.split(a, 3, axis=1)
    gate, squash = partial(activation_forward, recurrent_activation), partial(activation_forward, activation)
    if reset_after:
        recurrent = product(h, recurrent_kernel, dropped)
        h_z, h_r, h_n = tf.split(recurrent if bias is None else tf.nn.bias_add(recurrent, bias), 3, axis=1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        n = squash(x_n + r * h_n)
    else:
        units = recurrent_kernel.shape[0]
        of_zr = None if dropped is None else dropped[:, :2]
        h_z, h_r = tf.split(product(h, recurrent_kernel[:, : 2 * units], of_zr), 2, axis=1)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        of_n = h if dropped is None else h * dropped[:, 2]
        n = squash(x_n + tf.matmul(r * of_n, recurrent_kernel[:, 2 * units :]))
    return (z * h + (1 - z) * n,)


_OPTIONS = (
    *("activation", "recurrent_activation", "reset_after", "return_sequences", "go_backwards"),
    "zero_output_for_mask",
)


def recurrence(
    step, count, x, kernel, recurrent_kernel, bias=None, states=None, mask=None, dropped=(None, None), **options
):
    """Returns y and the last states of a step with `count` states.

    Args:
        states: (h,) or (h, c) before the first step, (B, H); 0 by default.
        mask: (B, T). Where it is False, the step is skipped: each state stays, and y is the output before, or 0 with
            zero_output_for_mask.
        options: return_sequences, go_backwards, zero_output_for_mask; and the step's own options."""
    order = {name: options.pop(name, False) for name in ("return_sequences", "go_backwards", "zero_output_for_mask")}
    if bias is not None and bias.shape.rank == 2:
        bias, options["bias"] = tf.unstack(bias)
    # time first: a step is one block of memory
    x, mask = tf.transpose(x, [1, 0, 2]), None if mask is None else tf.transpose(mask)[..., None]
    if order["go_backwards"]:
        x, mask = tf.reverse(x, [0]), None if mask is None else tf.reverse(mask, [0])
    a = product(x, kernel, dropped[0])
    if bias is not None:
        a = tf.nn.bias_add(a, bias)
    steps, units = x.shape[0], recurrent_kernel.shape[0]
    zeros = tf.zeros([tf.shape(x)[1], units], x.dtype)
    zeros.set_shape([x.shape[1], units])
    inputs = tf.TensorArray(x.dtype, size=steps, clear_after_read=False).unstack(a)
    sequences = order["return_sequences"]
    ys = (tf.TensorArray(x.dtype, size=steps, element_shape=zeros.shape),) if sequences else ()
    step = partial(step, recurrent_kernel=recurrent_kernel, dropped=dropped[1], **options)

    def body(t, ys, y, states):
        new = step(inputs.read(t), states)
        if mask is None:
            y, states = new[0], new
        else:
            y = tf.where(mask[t], new[0], 0 if order["zero_output_for_mask"] else y)
            states = tuple(tf.where(mask[t], *pair) for pair in zip(new, states, strict=True))
        return t + 1, tuple(of_step.write(t, y) for of_step in ys), y, states

    states = states or (zeros,) * count
    given = tf.constant(0), ys, zeros, states
    _, ys, y, states = tf.while_loop(lambda t, *_: t < steps, body, given, maximum_iterations=steps)
    return tf.transpose(ys[0].stack(), [1, 0, 2]) if sequences else y, states


def _forward(step, states, layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    x, beside = layer.apart(x)
    by_gate = [None, None]
    if training and layer.draws:
        first, second = (tf.cast(each, tf.int64) for each in seed)
        after = tf.stack([first, second + int(layer.dropout > 0)])
        if layer.recurrent_dropout:
            ones = tf.ones([tf.shape(x)[0], layer.gates, layer.units], x.dtype)
            by_gate[1] = dropout_forward(ones, after, rate=layer.recurrent_dropout)
        if layer.drops_by_gate and layer.dropout:
            ones = tf.ones([tf.shape(x)[0], layer.gates, x.shape[2]], x.dtype)
            by_gate[0] = dropout_forward(ones, tf.stack([first, second]), rate=layer.dropout)
        elif layer.dropout:
            shape = [tf.shape(x)[0], 1, x.shape[2]]
            x = dropout_forward(x, tf.stack([first, second]), rate=layer.dropout, noise_shape=shape)
    mask = beside["mask"] != 0 if "mask" in beside else None
    states_before = beside.get("initial_state")
    y, last = recurrence(step, states, x, **weights, states=states_before, mask=mask, dropped=by_gate, **options)
    if layer.return_state:
        y = tf.concat([y if layer.return_sequences else y[:, None], *(state[:, None] for state in last)], axis=1)
    return y, {}


# the step, and the number of its states
STEPS = {"SimpleRNN": (simple_rnn_step, 1), "LSTM": (lstm_step, 2), "GRU": (gru_step, 1)}
KINDS = {name: partial(_forward, *step) for name, step in STEPS.items()}
