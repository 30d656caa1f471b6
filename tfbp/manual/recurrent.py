"""Recurrent layers: the loop over time forward, and under it the loop back, which collects what each step hands on.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,) or
None, G gates: 1 of the plain layer, 4 of an LSTM (i, f, g, o), 3 of a GRU (z, r, n). y is hs (B, T, H), the state after
every step, or with return_sequences=False the last of them, (B, H). What is called a_… is before its activation.

The product with x is one for all steps, before the loop; and so are, after the loop back, dx, dkernel,
drecurrent_kernel and dbias: that loop makes da alone. Inside, time is the first axis, and a step a row of memory. What
the steps keep lies in lists of one tensor a step, which are not copied together.
"""

import tensorflow as tf

from tfbp.manual.activations import activation_backward, activation_forward
from tfbp.manual.dense import dense_backward, dense_forward

# whose backward needs their output alone; of any other the input is kept
_KEEP_OUTPUT = ("sigmoid", "tanh")


def simple_rnn_forward(x, kernel, recurrent_kernel, bias=None, states=None, *, activation, **order):
    """y, the last state (h,), and the residuals; states: (h,) before the first step, (B, H), 0 by default."""
    xs = _time_first(x, **order)
    x_a, dense_residuals = _dense_forward(xs, kernel, bias)

    def step(t, states, kept):
        (h,) = states
        y, kept_y = _activate(activation, x_a[t] + tf.matmul(h, recurrent_kernel))
        return (y,), _written(kept, t, (h, kept_y))

    states = states or (_zeros(xs, recurrent_kernel),)
    y, states, kept = _loop(step, states, _lists(2, xs, states[0]), xs, **order)
    return y, states, (xs, dense_residuals, recurrent_kernel, kept, activation, order)


def simple_rnn_backward(dy, residuals, dstates=(None,), **asked):
    """dx, dkernel, drecurrent_kernel, dbias, and the first state's gradient; dstates: the last one's, 0 by default."""
    xs, dense_residuals, recurrent_kernel, (hs, kept_ys), activation, order = residuals
    dhs, dstates = _split(dy, dstates, **order)
    # once: a product with a transposed kernel takes longer in every step
    back_kernel = tf.transpose(recurrent_kernel)

    def step(t, dstates, das):
        # y[t] = h, and it is the next step's h
        dh = _plus(dstates[0], dhs, t)
        # h = activation(a)                                   (B, H)
        da = activation_backward(activation, dh, _activated(activation, kept_ys.read(t))[1])
        # a = x_a[t] + matmul(h, recurrent_kernel)            (B, H) <- (B, H) (B, H) (H, H)
        return (tf.matmul(da, back_kernel),), _written(das, t, (da,))

    dstates, (das,) = _loop_back(step, dstates, _lists(1, xs, dstates[0]), xs)
    da = _rows(das)
    # x_a = xs · kernel + bias                                (T B, H) <- (T B, I) (I, H) (H,)
    dx, dkernel, dbias = _dense_backward(da, dense_residuals, xs, order, **asked)
    # matmul(h, recurrent_kernel), of every step              (T B, H) <- (T B, H) (H, H)
    drecurrent_kernel, _ = _product_backward(hs, da, **asked)
    return dx, dkernel, drecurrent_kernel, dbias, dstates


def lstm_forward(x, kernel, recurrent_kernel, bias=None, states=None, *, activation, recurrent_activation, **order):
    """y, the last states (h, c), and the residuals; states: (h, c) before the first step, (B, H), 0 by default."""
    xs = _time_first(x, **order)
    x_a, dense_residuals = _dense_forward(xs, kernel, bias)

    def step(t, states, kept):
        h, c = states
        a_i, a_f, a_g, a_o = tf.split(x_a[t] + tf.matmul(h, recurrent_kernel), 4, axis=1)
        i, kept_i = _activate(recurrent_activation, a_i)
        f, kept_f = _activate(recurrent_activation, a_f)
        g, kept_g = _activate(activation, a_g)
        o, kept_o = _activate(recurrent_activation, a_o)
        new_c = f * c + i * g
        s, kept_s = _activate(activation, new_c)
        return (o * s, new_c), _written(kept, t, (h, c, kept_i, kept_f, kept_g, kept_o, kept_s))

    states = states or (_zeros(xs, recurrent_kernel),) * 2
    y, states, kept = _loop(step, states, _lists(7, xs, states[0]), xs, **order)
    activations = activation, recurrent_activation
    return y, states, (xs, dense_residuals, recurrent_kernel, kept, activations, order)


def lstm_backward(dy, residuals, dstates=(None, None), **asked):
    """dx, dkernel, drecurrent_kernel, dbias, and the first states' gradients; dstates: the last ones', 0 by default."""
    xs, dense_residuals, recurrent_kernel, (hs, *kept), activations, order = residuals
    activation, recurrent_activation = activations
    dhs, dstates = _split(dy, dstates, **order)
    back_kernel = tf.transpose(recurrent_kernel)

    def step(t, dstates, das):
        c, kept_i, kept_f, kept_g, kept_o, kept_s = (each.read(t) for each in kept)
        i, residual_i = _activated(recurrent_activation, kept_i)
        f, residual_f = _activated(recurrent_activation, kept_f)
        g, residual_g = _activated(activation, kept_g)
        o, residual_o = _activated(recurrent_activation, kept_o)
        s, residual_s = _activated(activation, kept_s)
        # y[t] = new_h, and it is the next step's h
        dh, dc = _plus(dstates[0], dhs, t), dstates[1]
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
        return (tf.matmul(da, back_kernel), dc * f), _written(das, t, (da,))

    dstates, (das,) = _loop_back(step, dstates, _lists(1, xs, dstates[0], gates=4), xs)
    da = _rows(das)
    # x_a = xs · kernel + bias                                (T B, 4H) <- (T B, I) (I, 4H) (4H,)
    dx, dkernel, dbias = _dense_backward(da, dense_residuals, xs, order, **asked)
    # matmul(h, recurrent_kernel), of every step              (T B, 4H) <- (T B, H) (H, 4H)
    drecurrent_kernel, _ = _product_backward(hs, da, **asked)
    return dx, dkernel, drecurrent_kernel, dbias, dstates


def gru_forward(
    x, kernel, recurrent_kernel, bias=None, states=None, *, activation, recurrent_activation, reset_after=True, **order
):
    """y, the last state (h,), and the residuals; states: (h,) before the first step, (B, H), 0 by default.

    bias is (2, 3H) with reset_after, the second row that of the product with h; else (3H,)."""
    xs = _time_first(x, **order)
    kernel_zr, kernel_n = _zr_and_n(kernel)
    recurrent_zr, recurrent_n = _zr_and_n(recurrent_kernel)
    bias_zr = bias_n = bias_h_n = None
    if bias is not None and reset_after:
        # of z and r the two rows are added at once
        (bias_zr, _), (_, bias_n), (_, bias_h_n) = map(_zr_and_n, (bias[0] + bias[1], bias[0], bias[1]))
    elif bias is not None:
        bias_zr, bias_n = _zr_and_n(bias)
    x_zr, residuals_zr = _dense_forward(xs, kernel_zr, bias_zr)
    x_n, residuals_n = _dense_forward(xs, kernel_n, bias_n)

    def step(t, states, kept):
        (h,) = states
        a_z, a_r = tf.split(x_zr[t] + tf.matmul(h, recurrent_zr), 2, axis=1)
        z, kept_z = _activate(recurrent_activation, a_z)
        r, kept_r = _activate(recurrent_activation, a_r)
        if reset_after:
            reset = dense_forward(h, recurrent_n, bias_h_n)[0]
            h_n = r * reset
        else:
            reset = r * h
            h_n = tf.matmul(reset, recurrent_n)
        n, kept_n = _activate(activation, x_n[t] + h_n)
        return (z * h + (1 - z) * n,), _written(kept, t, (h, reset, kept_z, kept_r, kept_n))

    states = states or (_zeros(xs, recurrent_kernel),)
    y, states, kept = _loop(step, states, _lists(5, xs, states[0]), xs, **order)
    options = activation, recurrent_activation, reset_after
    return y, states, (xs, (residuals_zr, residuals_n), (recurrent_zr, recurrent_n), kept, options, order)


def gru_backward(dy, residuals, dstates=(None,), **asked):
    """dx, dkernel, drecurrent_kernel, dbias, and the first state's gradient; dstates: the last one's, 0 by default."""
    xs, (residuals_zr, residuals_n), (recurrent_zr, recurrent_n), (hs, resets, *kept), options, order = residuals
    activation, recurrent_activation, reset_after = options
    dhs, dstates = _split(dy, dstates, **order)
    back_zr, back_n = tf.transpose(recurrent_zr), tf.transpose(recurrent_n)

    def step(t, dstates, das):
        h, reset, kept_z, kept_r, kept_n = (each.read(t) for each in (hs, resets, *kept))
        z, residual_z = _activated(recurrent_activation, kept_z)
        r, residual_r = _activated(recurrent_activation, kept_r)
        n, residual_n = _activated(activation, kept_n)
        # y[t] = new_h, and it is the next step's h
        dh = _plus(dstates[0], dhs, t)
        # new_h = z * h + (1 - z) * n                         (B, H)
        da_z = activation_backward(recurrent_activation, dh * (h - n), residual_z)
        da_n = activation_backward(activation, dh * (1 - z), residual_n)
        dh *= z
        # a_n = x_n[t] + h_n
        if reset_after:
            # h_n = r * reset,  reset = matmul(h, recurrent_n) + bias_h_n    (B, H) <- (B, H) (H, H) (H,)
            dr, dreset = da_n * reset, da_n * r
            dh += tf.matmul(dreset, back_n)
        else:
            # h_n = matmul(reset, recurrent_n),  reset = r * h               (B, H) <- (B, H) (H, H)
            dreset = tf.matmul(da_n, back_n)
            dr = dreset * h
            dh += dreset * r
        # a_z, a_r = split(a_zr)                              (B, H) (B, H) <- (B, 2H)
        da_zr = tf.concat([da_z, activation_backward(recurrent_activation, dr, residual_r)], axis=1)
        # a_zr = x_zr[t] + matmul(h, recurrent_zr)            (B, 2H) <- (B, 2H) (B, H) (H, 2H)
        dh += tf.matmul(da_zr, back_zr)
        return (dh,), _written(das, t, (da_zr, da_n, dreset)[: len(das)])

    lists = _lists(1, xs, dstates[0], gates=2) + _lists(2 if reset_after else 1, xs, dstates[0])
    dstates, das = _loop_back(step, dstates, lists, xs)
    da_zr, da_n, *dresets = map(_rows, das)
    # x_zr = xs · kernel_zr + bias_zr,  x_n = xs · kernel_n + bias_n         (T B, …) <- (T B, I) (I, …) (…,)
    dx_zr, dkernel_zr, dbias_zr = _dense_backward(da_zr, residuals_zr, xs, order, **asked)
    dx_n, dkernel_n, dbias_n = _dense_backward(da_n, residuals_n, xs, order, **asked)
    # matmul(h, recurrent_zr), of every step                  (T B, 2H) <- (T B, H) (H, 2H)
    drecurrent_zr, _ = _product_backward(hs, da_zr, **asked)
    if reset_after:
        # reset = matmul(h, recurrent_n) + bias_h_n           (T B, H) <- (T B, H) (H, H) (H,)
        drecurrent_n, dbias_h_n = _product_backward(hs, dresets[0], **asked)
        # bias_zr is the sum of both rows                     (2, 3H) <- (2H,) (H,) (H,)
        rows = [_joined(dbias_zr, dbias_n), _joined(dbias_zr, dbias_h_n)]
        dbias = None if dbias_zr is None else tf.stack(rows)
    else:
        # h_n = matmul(reset, recurrent_n)                    (T B, H) <- (T B, H) (H, H)
        drecurrent_n, _ = _product_backward(resets, da_n, **asked)
        dbias = _joined(dbias_zr, dbias_n)
    # kernel_zr, kernel_n = split(kernel)                     (I, 2H) (I, H) <- (I, 3H)
    dx = None if dx_zr is None else dx_zr + dx_n
    return dx, _joined(dkernel_zr, dkernel_n), _joined(drecurrent_zr, drecurrent_n), dbias, dstates


def _activate(activation, a):
    """activation(a), and what its backward starts from."""
    y, _ = activation_forward(activation, a)
    return y, y if activation.name in _KEEP_OUTPUT else a


def _activated(activation, kept):
    """The same of what was kept, and the backward's residuals."""
    return (kept, kept) if activation.name in _KEEP_OUTPUT else activation_forward(activation, kept)


def _time_first(x, *, return_sequences=False, go_backwards=False):
    xs = tf.transpose(x, [1, 0, 2])
    return tf.reverse(xs, [0]) if go_backwards else xs


def _time_first_backward(dxs, *, return_sequences=False, go_backwards=False):
    # xs = reverse(transpose(x))                              (T, B, I) <- (B, T, I)
    return tf.transpose(tf.reverse(dxs, [0]) if go_backwards else dxs, [1, 0, 2])


def _dense_forward(xs, kernel, bias):
    """xs · kernel + bias of every step, (T, B, …), and the residuals."""
    a, residuals = dense_forward(tf.reshape(xs, [-1, kernel.shape[0]]), kernel, bias)
    return _per_step(a, xs), residuals


def _dense_backward(da, residuals, xs, order, **asked):
    """dx (B, T, I), dkernel and dbias."""
    dx, dkernel, dbias = dense_backward(da, residuals, **asked)
    return None if dx is None else _time_first_backward(_per_step(dx, xs), **order), dkernel, dbias


def _product_backward(hs, da, input_gradient=True, **asked):
    """The gradients of R and of b in h · R + b of all steps, (H, …) and (…,)."""
    return dense_backward(da, (_rows(hs), None), input_gradient=False, **asked)[1:]


def _loop(step, states, kept, xs, *, return_sequences=False, go_backwards=False):
    """y, the last states and the full lists, of step(t, states, lists) -> states, lists for every t."""
    steps = _steps(xs)
    hs = _lists(1, xs, states[0]) if return_sequences else ()

    def body(t, states, kept, hs):
        states, kept = step(t, states, kept)
        return t + 1, states, kept, _written(hs, t, states[: len(hs)])

    _, states, kept, hs = tf.while_loop(
        lambda t, *_: t < steps, body, (tf.constant(0), states, kept, hs), maximum_iterations=steps
    )
    return tf.transpose(hs[0].stack(), [1, 0, 2]) if return_sequences else states[0], states, kept


def _loop_back(step, dstates, das, xs):
    """The first states' gradients and the full lists, of step(t, dstates, das) -> dstates, das from the last t on."""
    steps = _steps(xs)
    _, dstates, das = tf.while_loop(
        lambda t, *_: t >= 0,
        lambda t, dstates, das: (t - 1, *step(t, dstates, das)),
        (tf.convert_to_tensor(steps - 1), dstates, das),
        maximum_iterations=steps,
    )
    return dstates, das


def _split(dy, dstates, *, return_sequences=False, go_backwards=False):
    """dy of every step, (T, B, H), or None where y is the last h, and the last states' gradients."""
    # y = batch_first(hs), or the last h                      (B, T, H), or (B, H)
    zeros = tf.zeros_like(dy[:, 0] if return_sequences else dy)
    dstates = tuple(zeros if dstate is None else dstate for dstate in dstates)
    if return_sequences:
        return tf.transpose(dy, [1, 0, 2]), dstates
    return None, (dstates[0] + dy, *dstates[1:])


def _plus(dh, dhs, t):
    return dh if dhs is None else dh + dhs[t]


def _lists(count, xs, like, gates=1):
    """Lists of a tensor (B, G H) for each step."""
    shape = [like.shape[0], gates * like.shape[1]]
    return tuple(
        tf.TensorArray(like.dtype, size=_steps(xs), element_shape=shape, clear_after_read=False) for _ in range(count)
    )


def _written(lists, t, tensors):
    return tuple(each.write(t, tensor) for each, tensor in zip(lists, tensors, strict=True))


def _rows(tensors):
    """(T B, …): what stands in a list, of all steps."""
    stacked = tensors.stack()
    return tf.reshape(stacked, [-1, stacked.shape[-1]])


def _per_step(rows, xs):
    """(T, B, …) of (T B, …)."""
    sizes = tf.unstack(tf.shape(xs)[:2])
    leading = [dynamic if size is None else size for size, dynamic in zip(xs.shape[:2], sizes, strict=True)]
    return tf.reshape(rows, [*leading, rows.shape[-1]])


def _zeros(xs, recurrent_kernel):
    return tf.zeros([tf.shape(xs)[1], recurrent_kernel.shape[0]], xs.dtype)


def _steps(xs):
    return tf.shape(xs)[0] if xs.shape[0] is None else xs.shape[0]


def _zr_and_n(a):
    """The columns of z and r, and those of n."""
    units = a.shape[-1] // 3
    return a[..., : 2 * units], a[..., 2 * units :]


def _joined(*columns):
    return None if columns[0] is None else tf.concat(columns, axis=-1)


_FUNCTIONS = {
    "SimpleRNN": (simple_rnn_forward, simple_rnn_backward),
    "LSTM": (lstm_forward, lstm_backward),
    "GRU": (gru_forward, gru_backward),
}
_OPTIONS = ("activation", "recurrent_activation", "reset_after", "return_sequences", "go_backwards")


def forward(layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    y, _, residuals = _FUNCTIONS[layer.keras_name][0](x, **weights, **options)
    return y, residuals, {}


def backward(layer, dz, residuals, *, input_gradient=True, weight_gradients=True):
    dx, *dweights, _ = _FUNCTIONS[layer.keras_name][1](
        dz,
        residuals,
        input_gradient=input_gradient,
        kernel_gradient=weight_gradients,
        bias_gradient=weight_gradients and layer.use_bias,
    )
    names = ("kernel", "recurrent_kernel", "bias")
    return dx, {name: dw for name, dw in zip(names, dweights, strict=True) if dw is not None}
