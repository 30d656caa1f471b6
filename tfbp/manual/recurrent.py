"""Recurrent layers: the loop over time forward, and under it the loop backward, which collects each step's gradients.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,) or
None, G gates: 1 for the plain layer, 4 for an LSTM (i, f, g, o), 3 for a GRU (z, r, n). y is hs (B, T, H), the state
after every step, or with return_sequences=False the last one, (B, H). A name a_… is a value before its activation.

dropped is for x and for h in their products, (B, G, I) and (B, G, H), with 0 where a gate drops a number, else
1 / (1 - rate); or None.

One product with x computes all steps, before the loop; without a kernel, x is that product. After the backward loop,
dx, dkernel, drecurrent_kernel and dbias are one product each: the loop computes da alone.
"""

from functools import partial

import tensorflow as tf

from tfbp.manual import halves, steps
from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.dense import dense_forward, product_squares, sum_squares
from tfbp.manual.dropout import dropout_backward, dropout_forward
from tfbp.manual.gates import gates_forward, gates_input_backward, gates_squares

# activations with a backward that needs the output alone; any other needs its input
_KEEP_OUTPUT = ("sigmoid", "tanh")


def simple_rnn_forward(
    x, kernel, recurrent_kernel, bias=None, states=None, *, activation, dropped=(None, None), **order
):
    """Returns y, the last state (h,), and the residuals; states: (h,) before the first step, (B, H), 0 by default."""
    xs = steps.time_first(x, **order)
    x_a, dense_residuals = steps.dense_forward(xs, kernel, bias, dropped[0])

    def step(t, states, arrays):
        (h,) = states
        y, kept_y = _activate(activation, x_a[t] + gates_forward(h, recurrent_kernel, dropped[1]))
        return (y,), steps.written(arrays, t, (h, kept_y))

    states = states or (steps.zeros(xs, recurrent_kernel),)
    y, states, arrays = steps.loop(step, states, steps.lists(2, xs, states[0]), xs, **order)
    return y, states, (xs, dense_residuals, recurrent_kernel, arrays, activation, order, dropped)


def simple_rnn_backward(dy, residuals, dstates=(None,), **asked):
    """Returns dx, dkernel, drecurrent_kernel, dbias, and the first state's gradient.

    dstates: the last state's gradient, 0 by default."""
    xs, dense_residuals, recurrent_kernel, (hs, kept_ys), activation, order, dropped = residuals
    dhs, dstates = steps.split(dy, dstates, **order)
    # transposed once: a product with a transposed kernel takes longer in every step
    back_kernel = tf.transpose(recurrent_kernel)

    def step(t, dstates, das):
        (dh,) = dstates
        # h = activation(a)                                   (B, H)
        da = activation_backward(activation, dh, _activated(activation, kept_ys.read(t))[1])
        # a = x_a[t] + matmul(h, recurrent_kernel)            (B, H) <- (B, H) (B, H) (H, H)
        return (gates_input_backward(da, back_kernel, dropped[1]),), steps.written(das, t, (da,))

    dstates, (das,) = steps.loop_back(step, dhs, dstates, steps.lists(1, xs, dstates[0]), xs, **order)
    da = steps.rows(das)
    # x_a = xs · kernel + bias                                (T B, H) <- (T B, I) (I, H) (H,)
    dx, dkernel, dbias = steps.dense_backward(da, dense_residuals, xs, order, **asked)
    # matmul(h, recurrent_kernel), of every step              (T B, H) <- (T B, H) (H, H)
    drecurrent_kernel, _ = steps.product_backward(hs, da, dropped[1], **asked)
    return dx, dkernel, drecurrent_kernel, dbias, dstates


def lstm_forward(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    states=None,
    *,
    activation,
    recurrent_activation,
    dropped=(None, None),
    **order,
):
    """Returns y, the last states (h, c), and the residuals; states: (h, c) before the first step, 0 by default."""
    xs = steps.time_first(x, **order)
    x_a, dense_residuals = steps.dense_forward(xs, kernel, bias, dropped[0])

    def step(t, states, arrays):
        h, c = states
        a_i, a_f, a_g, a_o = tf.split(x_a[t] + gates_forward(h, recurrent_kernel, dropped[1]), 4, axis=1)
        i, kept_i = _activate(recurrent_activation, a_i)
        f, kept_f = _activate(recurrent_activation, a_f)
        g, kept_g = _activate(activation, a_g)
        o, kept_o = _activate(recurrent_activation, a_o)
        new_c = f * c + i * g
        s, kept_s = _activate(activation, new_c)
        return (o * s, new_c), steps.written(arrays, t, (h, c, kept_i, kept_f, kept_g, kept_o, kept_s))

    states = states or (steps.zeros(xs, recurrent_kernel),) * 2
    y, states, arrays = steps.loop(step, states, steps.lists(7, xs, states[0]), xs, **order)
    activations = activation, recurrent_activation
    return y, states, (xs, dense_residuals, recurrent_kernel, arrays, activations, order, dropped)


def lstm_backward(dy, residuals, dstates=(None, None), **asked):
    """Returns dx, dkernel, drecurrent_kernel, dbias, and the first states' gradients.

    dstates: the last states' gradients, 0 by default."""
    xs, dense_residuals, recurrent_kernel, (hs, *arrays), activations, order, dropped = residuals
    activation, recurrent_activation = activations
    dhs, dstates = steps.split(dy, dstates, **order)
    back_kernel = tf.transpose(recurrent_kernel)

    def step(t, dstates, das):
        c, kept_i, kept_f, kept_g, kept_o, kept_s = (array.read(t) for array in arrays)
        i, residual_i = _activated(recurrent_activation, kept_i)
        f, residual_f = _activated(recurrent_activation, kept_f)
        g, residual_g = _activated(activation, kept_g)
        o, residual_o = _activated(recurrent_activation, kept_o)
        s, residual_s = _activated(activation, kept_s)
        dh, dc = dstates
        # new_h = o * s                                       (B, H)
        da_o = activation_backward(recurrent_activation, dh * s, residual_o)
        # s = activation(new_c), and new_c is the next step's c
        dc += activation_backward(activation, dh * o, residual_s)
        # new_c = f * c + i * g
        da_i = activation_backward(recurrent_activation, dc * g, residual_i)
        da_f = activation_backward(recurrent_activation, dc * c, residual_f)
        da_g = activation_backward(activation, dc * i, residual_g)
        # a_i, a_f, a_g, a_o = split(a)                       (B, H) … <- (B, 4H)
        da = tf.concat([da_i, da_f, da_g, da_o], axis=1)
        # a = x_a[t] + matmul(h, recurrent_kernel)            (B, 4H) <- (B, 4H) (B, H) (H, 4H)
        return (gates_input_backward(da, back_kernel, dropped[1]), dc * f), steps.written(das, t, (da,))

    dstates, (das,) = steps.loop_back(step, dhs, dstates, steps.lists(1, xs, dstates[0], gates=4), xs, **order)
    da = steps.rows(das)
    # x_a = xs · kernel + bias                                (T B, 4H) <- (T B, I) (I, 4H) (4H,)
    dx, dkernel, dbias = steps.dense_backward(da, dense_residuals, xs, order, **asked)
    # matmul(h, recurrent_kernel), of every step              (T B, 4H) <- (T B, H) (H, 4H)
    drecurrent_kernel, _ = steps.product_backward(hs, da, dropped[1], **asked)
    return dx, dkernel, drecurrent_kernel, dbias, dstates


def gru_forward(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    states=None,
    *,
    activation,
    recurrent_activation,
    reset_after=True,
    dropped=(None, None),
    **order,
):
    """Returns y, the last state (h,), and the residuals; states: (h,) before the first step, (B, H), 0 by default.

    bias is (2, 3H) with reset_after, where the second row is for the product with h; else (3H,)."""
    xs = steps.time_first(x, **order)
    (kernel_zr, kernel_n), (xs_zr, xs_n) = (
        ((None, None), _zr_and_n(xs)) if kernel is None else (_zr_and_n(kernel), (xs, xs))
    )
    recurrent_zr, recurrent_n = _zr_and_n(recurrent_kernel)
    bias_zr = bias_n = bias_h_n = None
    if bias is not None and reset_after:
        # for z and r, the two rows are summed at once
        (bias_zr, _), (_, bias_n), (_, bias_h_n) = map(_zr_and_n, (bias[0] + bias[1], bias[0], bias[1]))
    elif bias is not None:
        bias_zr, bias_n = _zr_and_n(bias)
    (x_drops_zr, x_drops_n), (h_drops_zr, h_drops_n) = map(_of_zr_and_n, dropped)
    x_zr, residuals_zr = steps.dense_forward(xs_zr, kernel_zr, bias_zr, x_drops_zr)
    x_n, residuals_n = steps.dense_forward(xs_n, kernel_n, bias_n, x_drops_n)

    def step(t, states, arrays):
        (h,) = states
        a_z, a_r = tf.split(x_zr[t] + gates_forward(h, recurrent_zr, h_drops_zr), 2, axis=1)
        z, kept_z = _activate(recurrent_activation, a_z)
        r, kept_r = _activate(recurrent_activation, a_r)
        of_n = _dropped_once(h, h_drops_n)
        if reset_after:
            reset = dense_forward(of_n, recurrent_n, bias_h_n)[0]
            h_n = r * reset
        else:
            reset = r * of_n
            h_n = tf.matmul(reset, recurrent_n)
        n, kept_n = _activate(activation, x_n[t] + h_n)
        return (z * h + (1 - z) * n,), steps.written(arrays, t, (h, reset, kept_z, kept_r, kept_n))

    states = states or (steps.zeros(xs, recurrent_kernel),)
    y, states, arrays = steps.loop(step, states, steps.lists(5, xs, states[0]), xs, **order)
    options = activation, recurrent_activation, reset_after
    return y, states, (xs, (residuals_zr, residuals_n), (recurrent_zr, recurrent_n), arrays, options, order, dropped)


def gru_backward(dy, residuals, dstates=(None,), **asked):
    """Returns dx, dkernel, drecurrent_kernel, dbias, and the first state's gradient.

    dstates: the last state's gradient, 0 by default."""
    xs, (residuals_zr, residuals_n), recurrent_kernels, (hs, resets, *arrays), options, order, dropped = residuals
    recurrent_zr, recurrent_n = recurrent_kernels
    activation, recurrent_activation, reset_after = options
    h_drops_zr, h_drops_n = _of_zr_and_n(dropped[1])
    dhs, dstates = steps.split(dy, dstates, **order)
    back_zr, back_n = tf.transpose(recurrent_zr), tf.transpose(recurrent_n)

    def step(t, dstates, das):
        h, reset, kept_z, kept_r, kept_n = (array.read(t) for array in (hs, resets, *arrays))
        z, residual_z = _activated(recurrent_activation, kept_z)
        r, residual_r = _activated(recurrent_activation, kept_r)
        n, residual_n = _activated(activation, kept_n)
        (dh,) = dstates
        # new_h = z * h + (1 - z) * n                         (B, H)
        da_z = activation_backward(recurrent_activation, dh * (h - n), residual_z)
        da_n = activation_backward(activation, dh * (1 - z), residual_n)
        dh *= z
        # a_n = x_n[t] + h_n
        if reset_after:
            # h_n = r * reset,  reset = matmul(of_n, recurrent_n) + bias_h_n (B, H) <- (B, H) (H, H) (H,)
            dr, dreset = da_n * reset, da_n * r
            dof_n = tf.matmul(dreset, back_n)
        else:
            # h_n = matmul(reset, recurrent_n),  reset = r * of_n            (B, H) <- (B, H) (H, H)
            dreset = tf.matmul(da_n, back_n)
            dr = dreset * _dropped_once(h, h_drops_n)
            dof_n = dreset * r
        # of_n = h, or h · dropped                            (B, H)
        dh += _dropped_once(dof_n, h_drops_n)
        # a_z, a_r = split(a_zr)                              (B, H) (B, H) <- (B, 2H)
        da_zr = tf.concat([da_z, activation_backward(recurrent_activation, dr, residual_r)], axis=1)
        # a_zr = x_zr[t] + matmul(h, recurrent_zr)            (B, 2H) <- (B, 2H) (B, H) (H, 2H)
        dh += gates_input_backward(da_zr, back_zr, h_drops_zr)
        return (dh,), steps.written(das, t, (da_zr, da_n, dreset)[: len(das)])

    lists = steps.lists(1, xs, dstates[0], gates=2) + steps.lists(2 if reset_after else 1, xs, dstates[0])
    dstates, das = steps.loop_back(step, dhs, dstates, lists, xs, **order)
    da_zr, da_n, *dresets = map(steps.rows, das)
    # x_zr = xs · kernel_zr + bias_zr,  x_n = xs · kernel_n + bias_n         (T B, …) <- (T B, I) (I, …) (…,)
    dx_zr, dkernel_zr, dbias_zr = steps.dense_backward(da_zr, residuals_zr, xs, order, **asked)
    dx_n, dkernel_n, dbias_n = steps.dense_backward(da_n, residuals_n, xs, order, **asked)
    # matmul(h, recurrent_zr), of every step                  (T B, 2H) <- (T B, H) (H, 2H)
    drecurrent_zr, _ = steps.product_backward(hs, da_zr, h_drops_zr, **asked)
    if reset_after:
        # reset = matmul(of_n, recurrent_n) + bias_h_n        (T B, H) <- (T B, H) (H, H) (H,)
        drecurrent_n, dbias_h_n = steps.product_backward(hs, dresets[0], h_drops_n, **asked)
        # bias_zr is the sum of both rows                     (2, 3H) <- (2H,) (H,) (H,)
        rows = [_joined(dbias_zr, dbias_n), _joined(dbias_zr, dbias_h_n)]
        dbias = None if dbias_zr is None else tf.stack(rows)
    else:
        # h_n = matmul(reset, recurrent_n)                    (T B, H) <- (T B, H) (H, H)
        drecurrent_n, _ = steps.product_backward(resets, da_n, **asked)
        dbias = _joined(dbias_zr, dbias_n)
    # kernel_zr, kernel_n = split(kernel)                     (I, 2H) (I, H) <- (I, 3H)
    # without a kernel  x_zr, x_n = split(x)                  (B, T, 2H) (B, T, H) <- (B, T, 3H)
    joined = (lambda zr, n: zr + n) if residuals_n is not None else _joined
    dx = None if dx_zr is None else joined(dx_zr, dx_n)
    return dx, _joined(dkernel_zr, dkernel_n), _joined(drecurrent_zr, drecurrent_n), dbias, dstates


def _activate(activation, a):
    """Returns activation(a), and the tensor for its backward."""
    y, _ = activation_forward(activation, a)
    return y, y if activation.name in _KEEP_OUTPUT else a


def _activated(activation, residual):
    """Returns activation(a) from the tensor in its residuals, and the backward's residuals."""
    return (residual, residual) if activation.name in _KEEP_OUTPUT else activation_forward(activation, residual)


def _zr_and_n(a):
    """Returns the columns of z and r, and those of n."""
    units = a.shape[-1] // 3
    return a[..., : 2 * units], a[..., 2 * units :]


def _of_zr_and_n(dropped):
    """Returns what the gates z and r drop, (B, 2, …), and what n drops, (B, 1, …)."""
    return (None, None) if dropped is None else tf.split(dropped, [2, 1], axis=1)


def _dropped_once(h, dropped):
    """Returns h as the one gate of dropped (B, 1, H) drops it."""
    return h if dropped is None else h * tf.squeeze(dropped, 1)


def _joined(*columns):
    return None if columns[0] is None else tf.concat(columns, axis=-1)


_OPTIONS = ("activation", "recurrent_activation", "reset_after", "return_sequences", "go_backwards")


def _forward(function, layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    x, beside = layer.apart(x)
    dropped, by_gate = None, [None, None]
    if training and layer.dropout and layer.drops_by_gate:
        by_gate[0] = _drawn(layer, seed, layer.dropout, x, x.shape[2])
    elif training and layer.dropout:
        shape = [tf.shape(x)[0], 1, x.shape[2]]
        x, dropped = dropout_forward(x, _pair(*seed), rate=layer.dropout, noise_shape=shape)
    if training and layer.recurrent_dropout:
        after = seed[0], seed[1] + int(layer.dropout > 0)
        by_gate[1] = _drawn(layer, after, layer.recurrent_dropout, x, layer.units)
    if "mask" in beside:
        options |= {"mask": beside["mask"] != 0, "zero_output_for_mask": layer.zero_output_for_mask}
    states = beside.get("initial_state")
    y, last, residuals = halves.forward(function, x, **weights, states=states, dropped=by_gate, **options)
    if layer.return_state:
        y = tf.concat([y if layer.return_sequences else y[:, None], *(state[:, None] for state in last)], axis=1)
    return y, (residuals, dropped), {}


def _drawn(layer, seed, rate, x, width):
    """Returns the factors of each gate, (B, G, width)."""
    ones = tf.ones([tf.shape(x)[0] if x.shape[0] is None else x.shape[0], layer.gates, width], x.dtype)
    return dropout_forward(ones, _pair(*seed), rate=rate)[0]


def _pair(first, second):
    return tf.stack([tf.cast(first, tf.int64), tf.cast(second, tf.int64)])


def _backward(function, layer, dz, residuals):
    step_residuals, dropped = residuals
    dy, dlast = _apart(layer, dz)
    dx, *dweights, dstates = halves.backward(function, dy, step_residuals, dlast, bias_gradient=layer.use_bias)
    # x = dropout_forward(x)                                  (B, T, I)
    dx = dx if dropped is None else dropout_backward(dx, dropped)
    names = ("kernel", "recurrent_kernel", "bias")
    dtaken = layer.in_order(dx, {"initial_state": dstates})
    return dtaken, {name: dw for name, dw in zip(names, dweights, strict=True) if dw is not None}


def _apart(layer, dz):
    """dy, and the last states' gradients, None where z does not have them."""
    if not layer.return_state:
        return dz, None
    # z = concat([y, last state, …])                          (B, T + states, H), or (B, 1 + states, H)
    dys, dlast = dz[:, : -layer.states], dz[:, -layer.states :]
    return dys if layer.return_sequences else dys[:, 0], tuple(tf.unstack(dlast, num=layer.states, axis=1))


def _squares_of(function, layer, x, dz, residuals):
    """Returns each example's squared gradient norm, (B,) of each weight, from products of its own steps.

    The backward loop runs once more for da: of x, of the state before each step, and of a GRU's reset tensor."""
    (residuals, dropped), (x, _) = residuals, layer.apart(x)
    x = x if dropped is None else dropout_backward(x, dropped)
    parts = (
        [(x, dz, residuals[0])]
        if len(residuals) == 1
        else zip(halves.split(x), halves.split(dz), residuals, strict=True)
    )
    found = [_squares_of_half(function, layer, *part) for part in parts]
    return {name: tf.concat([of_half[name] for of_half in found], axis=0) for name in found[0]}


def _squares_of_half(function, layer, x, dz, residuals):
    xs, _, recurrent_kernels, arrays, activations, order, dropped = residuals
    is_gru = layer.keras_name == "GRU"
    # without a kernel dx is da
    without_kernel = (xs, (None, None) if is_gru else None, recurrent_kernels, arrays, activations, order, dropped)
    x_drops, h_drops = (None if each is None else _wide_as(x, each) for each in dropped)
    # the loop runs in the dtype of its residuals; products of its steps may be wider
    dy, dlast = _apart(layer, tf.cast(dz, arrays[0].dtype))
    dlast = {} if dlast is None else {"dstates": dlast}
    da = _wide_as(x, function(dy, without_kernel, bias_gradient=False, **dlast)[0])
    h = _wide_as(x, steps.batch_first(arrays[0].stack(), **order))
    squares = {
        **{"kernel": gates_squares(x, da, x_drops), "recurrent_kernel": gates_squares(h, da, h_drops)},
        "bias": sum_squares(da),
    }
    if is_gru:
        da_zr, da_n = _zr_and_n(da)
        if layer.reset_after:
            # h_n = r * (matmul(h, recurrent_n) + bias_h_n)
            r = _activated(activations[1], arrays[3].stack())[0]
            dh = tf.concat([da_zr, da_n * _wide_as(x, steps.batch_first(r, **order))], axis=2)
            squares["recurrent_kernel"] = gates_squares(h, dh, h_drops)
            squares["bias"] += sum_squares(dh)
        else:
            # h_n = matmul(r * h, recurrent_n)
            reset = _wide_as(x, steps.batch_first(arrays[1].stack(), **order))
            of_zr = gates_squares(h, da_zr, _of_zr_and_n(h_drops)[0])
            squares["recurrent_kernel"] = of_zr + product_squares(reset, da_n)
    return squares if layer.use_bias else {name: squares[name] for name in ("kernel", "recurrent_kernel")}


def _wide_as(x, tensor):
    return tf.cast(tensor, x.dtype)


KINDS = {
    "SimpleRNN": (partial(_forward, simple_rnn_forward), partial(_backward, simple_rnn_backward)),
    "LSTM": (partial(_forward, lstm_forward), partial(_backward, lstm_backward)),
    "GRU": (partial(_forward, gru_forward), partial(_backward, gru_backward)),
}
PER_EXAMPLE = {
    name: {"squares_of_kept": partial(_squares_of, function)}
    for name, function in (("SimpleRNN", simple_rnn_backward), ("LSTM", lstm_backward), ("GRU", gru_backward))
}
