"""Recurrent layers, step by step through time and back, and their gradients.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,) or
None, G gates: 1 for the plain layer, 4 for an LSTM (i, f, g, o), 3 for a GRU (z, r, candidate). hs (B, T, H) is every
step's state; states are those before the first step, (h,) or (h, c), 0 by default. A step with mask (B, T) False is
skipped: each state stays. A name a_… is a value before its activation. dropped is for x and for h in their products,
(B, G, I) and (B, G, H), with 0 where a gate drops a number, else 1 / (1 - rate); or None.
"""

from functools import partial

import numpy as np

from tfbp.reference.activations import activation_backward, activation_forward
from tfbp.reference.dropout import dropout_backward, dropout_forward


def simple_rnn_forward(
    x, kernel, recurrent_kernel, bias=None, states=None, mask=None, *, activation, dropped=(None, None)
):
    (h,), hs, steps = states or (_zeros(x, recurrent_kernel),), [], []
    for t in range(x.shape[1]):
        a = product_forward(x[:, t], kernel, dropped[0]) + product_forward(h, recurrent_kernel, dropped[1])
        if bias is not None:
            a = a + bias
        y, of_activation = activation_forward(activation, a)
        steps.append((h, of_activation))
        h = _stays(mask, t, y, h)
        hs.append(h)
    return np.stack(hs, axis=1), (h,), (x, kernel, recurrent_kernel, activation, steps, mask, dropped)


def simple_rnn_backward(dhs, residuals, dstates=None):
    x, kernel, recurrent_kernel, activation, steps, mask, dropped = residuals
    dx, dkernel, drecurrent_kernel, dbias, (dh,) = [], 0, 0, 0, dstates or (0,)
    for t in reversed(range(x.shape[1])):
        h, of_activation = steps[t]
        # hs[t] = y, which is the next step's h; or the h before
        dy, dh = _stays_backward(mask, t, dhs[:, t] + dh)
        # y = activation(a)                                   (B, H)
        da = activation_backward(activation, dy, of_activation)
        # a = x[t] @ kernel + h @ recurrent_kernel + bias     (B, H) <- (B, I) (I, H) (B, H) (H, H) (H,)
        dx_t, dkernel_t = product_backward(da, x[:, t], kernel, dropped[0])
        dh_t, drecurrent_t = product_backward(da, h, recurrent_kernel, dropped[1])
        dx.append(dx_t)
        dh = dh + dh_t
        dkernel = dkernel + dkernel_t
        drecurrent_kernel = drecurrent_kernel + drecurrent_t
        dbias = dbias + da.sum(axis=0)
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias, (dh,)


def lstm_forward(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    states=None,
    mask=None,
    *,
    activation,
    recurrent_activation,
    dropped=(None, None),
):
    (h, c), hs, steps = states or (_zeros(x, recurrent_kernel),) * 2, [], []
    for t in range(x.shape[1]):
        a = product_forward(x[:, t], kernel, dropped[0]) + product_forward(h, recurrent_kernel, dropped[1])
        if bias is not None:
            a = a + bias
        a_i, a_f, a_g, a_o = _gates(a, 4)
        i, kept_i = activation_forward(recurrent_activation, a_i)
        f, kept_f = activation_forward(recurrent_activation, a_f)
        g, kept_g = activation_forward(activation, a_g)
        o, kept_o = activation_forward(recurrent_activation, a_o)
        new_c = f * c + i * g
        squashed, kept_c = activation_forward(activation, new_c)
        steps.append((h, c, i, f, g, o, squashed, kept_i, kept_f, kept_g, kept_o, kept_c))
        h, c = _stays(mask, t, o * squashed, h), _stays(mask, t, new_c, c)
        hs.append(h)
    residuals = x, kernel, recurrent_kernel, activation, recurrent_activation, steps, mask, dropped
    return np.stack(hs, axis=1), (h, c), residuals


def lstm_backward(dhs, residuals, dstates=None):
    x, kernel, recurrent_kernel, activation, recurrent_activation, steps, mask, dropped = residuals
    dx, dkernel, drecurrent_kernel, dbias, (dh, dc) = [], 0, 0, 0, dstates or (0, 0)
    for t in reversed(range(x.shape[1])):
        h, c, i, f, g, o, squashed, kept_i, kept_f, kept_g, kept_o, kept_c = steps[t]
        # hs[t] = new_h, which is the next step's h; or the h before, and so of c
        dnew_h, dh = _stays_backward(mask, t, dhs[:, t] + dh)
        dnew_c, dc = _stays_backward(mask, t, dc)
        # new_h = o * squashed                                (B, H)
        do, dsquashed = dnew_h * squashed, dnew_h * o
        # squashed = activation(new_c), and new_c is the next step's c
        dnew_c = dnew_c + activation_backward(activation, dsquashed, kept_c)
        # new_c = f * c + i * g
        df, dc, di, dg = dnew_c * c, dc + dnew_c * f, dnew_c * g, dnew_c * i
        # i, f, o = recurrent_activation(a_…), g = activation(a_g)
        da_i = activation_backward(recurrent_activation, di, kept_i)
        da_f = activation_backward(recurrent_activation, df, kept_f)
        da_g = activation_backward(activation, dg, kept_g)
        da_o = activation_backward(recurrent_activation, do, kept_o)
        # a_i, a_f, a_g, a_o = gates(a)                       (B, H) … <- (B, 4H)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        # a = x[t] @ kernel + h @ recurrent_kernel + bias     (B, 4H) <- (B, I) (I, 4H) (B, H) (H, 4H) (4H,)
        dx_t, dkernel_t = product_backward(da, x[:, t], kernel, dropped[0])
        dh_t, drecurrent_t = product_backward(da, h, recurrent_kernel, dropped[1])
        dx.append(dx_t)
        dh = dh + dh_t
        dkernel = dkernel + dkernel_t
        drecurrent_kernel = drecurrent_kernel + drecurrent_t
        dbias = dbias + da.sum(axis=0)
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias, (dh, dc)


def gru_forward(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    states=None,
    mask=None,
    *,
    activation,
    recurrent_activation,
    reset_after,
    dropped=(None, None),
):
    """bias is (2, 3H) with reset_after, where the second row is for the product with h; else (3H,)."""
    input_bias = bias[0] if reset_after and bias is not None else bias
    (h,), hs, steps = states or (_zeros(x, recurrent_kernel),), [], []
    recurrent = _gates(recurrent_kernel, 3)
    for t in range(x.shape[1]):
        a = product_forward(x[:, t], kernel, dropped[0])
        if bias is not None:
            a = a + input_bias
        x_z, x_r, x_n = _gates(a, 3)
        of_z, of_r, of_n = (h * factor for factor in _factors(dropped[1]))
        h_z, h_r = of_z @ recurrent[0], of_r @ recurrent[1]
        if reset_after and bias is not None:
            bias_z, bias_r, bias_n = _gates(bias[1], 3)
            h_z, h_r = h_z + bias_z, h_r + bias_r
        z, kept_z = activation_forward(recurrent_activation, x_z + h_z)
        r, kept_r = activation_forward(recurrent_activation, x_r + h_r)
        if reset_after:
            reset = of_n @ recurrent[2]
            if bias is not None:
                reset = reset + bias_n
            h_n = r * reset
        else:
            reset = r * of_n
            h_n = reset @ recurrent[2]
        n, kept_n = activation_forward(activation, x_n + h_n)
        steps.append((h, z, r, n, reset, kept_z, kept_r, kept_n))
        h = _stays(mask, t, z * h + (1 - z) * n, h)
        hs.append(h)
    residuals = x, kernel, recurrent_kernel, activation, recurrent_activation, reset_after, steps, mask, dropped
    return np.stack(hs, axis=1), (h,), residuals


def gru_backward(dhs, residuals, dstates=None):
    x, kernel, recurrent_kernel, activation, recurrent_activation, reset_after, steps, mask, dropped = residuals
    recurrent = _gates(recurrent_kernel, 3)
    dx, dkernel, drecurrent_kernel, dbias, drecurrent_bias, (dh,) = [], 0, 0, 0, 0, dstates or (0,)
    for t in reversed(range(x.shape[1])):
        h, z, r, n, reset, kept_z, kept_r, kept_n = steps[t]
        of_z, of_r, of_n = (h * factor for factor in _factors(dropped[1]))
        # hs[t] = new_h, which is the next step's h; or the h before
        dnew_h, dh = _stays_backward(mask, t, dhs[:, t] + dh)
        # new_h = z * h + (1 - z) * n                         (B, H)
        dz, dn, dh = dnew_h * (h - n), dnew_h * (1 - z), dh + dnew_h * z
        # n = activation(x_n + h_n)
        dx_n = dh_n = activation_backward(activation, dn, kept_n)
        if reset_after:
            # h_n = r * reset,  reset = of_n @ recurrent[2] + bias_n
            dr, dreset = dh_n * reset, dh_n * r
            dof_n = dreset @ recurrent[2].T
            drecurrent_n, dbias_n = of_n.T @ dreset, dreset.sum(axis=0)
        else:
            # h_n = reset @ recurrent[2],  reset = r * of_n
            dreset = dh_n @ recurrent[2].T
            dr, dof_n = dreset * of_n, dreset * r
            drecurrent_n, dbias_n = reset.T @ dh_n, 0 * dh_n.sum(axis=0)
        # z, r = recurrent_activation(x_… + h_…)
        da_z = activation_backward(recurrent_activation, dz, kept_z)
        da_r = activation_backward(recurrent_activation, dr, kept_r)
        # h_z, h_r = of_z @ recurrent[0] + bias_z, of_r @ recurrent[1] + bias_r
        dof_z, dof_r = da_z @ recurrent[0].T, da_r @ recurrent[1].T
        drecurrent = np.concatenate([of_z.T @ da_z, of_r.T @ da_r, drecurrent_n], axis=1)
        # of_z, of_r, of_n = h * factors of each gate         (B, H)
        dh = dh + sum(dof * factor for dof, factor in zip((dof_z, dof_r, dof_n), _factors(dropped[1]), strict=True))
        drecurrent_kernel = drecurrent_kernel + drecurrent
        drecurrent_bias = drecurrent_bias + np.concatenate([da_z.sum(axis=0), da_r.sum(axis=0), dbias_n])
        # x_z, x_r, x_n = gates(x[t] @ kernel + bias)         (B, H) … <- (B, I) (I, 3H) (3H,)
        da = np.concatenate([da_z, da_r, dx_n], axis=1)
        dx_t, dkernel_t = product_backward(da, x[:, t], kernel, dropped[0])
        dx.append(dx_t)
        dkernel = dkernel + dkernel_t
        dbias = dbias + da.sum(axis=0)
    if reset_after:
        dbias = np.stack([dbias, drecurrent_bias])
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias, (dh,)


def product_forward(x, kernel, dropped=None):
    """Returns x @ kernel, (B, G H); with dropped (B, G, I) each gate's columns are of x as that gate drops it."""
    if dropped is None:
        return x @ kernel
    columns = _gates(kernel, dropped.shape[1])
    return np.concatenate([(x * dropped[:, g]) @ of_gate for g, of_gate in enumerate(columns)], axis=1)


def product_backward(da, x, kernel, dropped=None):
    """Returns dx and dkernel."""
    if dropped is None:
        return da @ kernel.T, x.T @ da
    dx, dkernel, count = 0, [], dropped.shape[1]
    for g, (da_g, kernel_g) in enumerate(zip(_gates(da, count), _gates(kernel, count), strict=True)):
        # a_g = (x * dropped_g) @ kernel_g                    (B, H) <- (B, I) (B, I) (I, H)
        dx = dx + (da_g @ kernel_g.T) * dropped[:, g]
        dkernel.append((x * dropped[:, g]).T @ da_g)
    return dx, np.concatenate(dkernel, axis=1)


def outputs_forward(hs, mask=None, *, return_sequences, zero_output_for_mask=False):
    """Returns y of every step, (B, T, H), or of the last, (B, H): the state.

    It is 0 before the first step that counts and, with zero_output_for_mask, at every skipped step."""
    shown = np.ones(hs.shape[:2], bool)
    if mask is not None:
        shown = mask if zero_output_for_mask else np.logical_or.accumulate(mask, axis=1)
    ys = np.where(shown[..., None], hs, 0)
    return ys if return_sequences else ys[:, -1], (shown, return_sequences)


def outputs_backward(dy, residuals):
    """Returns dhs (B, T, H)."""
    shown, return_sequences = residuals
    # y = ys, or ys[:, -1]                                    (B, T, H), or (B, H)
    dys = dy if return_sequences else np.stack([0 * dy] * (shown.shape[1] - 1) + [dy], axis=1)
    # ys = hs where shown, else 0                             (B, T, H)
    return np.where(shown[..., None], dys, 0)


def _stays(mask, t, new, old):
    """Returns the state after step t: the new one, or the old one where the step is skipped."""
    return new if mask is None else np.where(mask[:, t, None], new, old)


def _stays_backward(mask, t, dstate):
    """Returns dnew and dold."""
    if mask is None:
        return dstate, 0
    shown = mask[:, t, None]
    return np.where(shown, dstate, 0), np.where(shown, 0, dstate)


def _zeros(x, recurrent_kernel):
    return np.zeros((len(x), len(recurrent_kernel)), x.dtype)


def _factors(dropped):
    """Returns the factors of h for z, r and the candidate of a GRU."""
    return (1, 1, 1) if dropped is None else [dropped[:, g] for g in range(3)]


def _gates(a, count):
    """Returns the columns of each gate."""
    units = a.shape[-1] // count
    return [a[..., k * units : (k + 1) * units] for k in range(count)]


_OPTIONS = ("activation", "recurrent_activation", "reset_after")


def _forward(function, layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    x, beside = layer.apart(x)
    dropped, by_gate = None, [None, None]
    if training and layer.dropout and layer.drops_by_gate:
        by_gate[0] = _drawn(layer, seed, layer.dropout, (len(x), x.shape[2]))
    elif training and layer.dropout:
        x, dropped = dropout_forward(x, seed, rate=layer.dropout, noise_shape=(len(x), 1, x.shape[2]))
    if training and layer.recurrent_dropout:
        after = seed[0], seed[1] + (layer.dropout > 0)
        by_gate[1] = _drawn(layer, after, layer.recurrent_dropout, (len(x), layer.units))
    mask = np.asarray(beside["mask"] != 0) if "mask" in beside else None
    if layer.go_backwards:
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    states = beside.get("initial_state")
    hs, last, of_steps = function(x, **weights, states=states, mask=mask, dropped=by_gate, **options)
    y, of_outputs = outputs_forward(
        hs, mask, return_sequences=layer.return_sequences, zero_output_for_mask=layer.zero_output_for_mask
    )
    if layer.return_state:
        y = np.concatenate([y if layer.return_sequences else y[:, None], *(state[:, None] for state in last)], axis=1)
    return y, (of_steps, of_outputs, dropped), {}


def _drawn(layer, seed, rate, shape):
    """Returns the factors of each gate, (B, G, …)."""
    batch, width = shape
    return dropout_forward(np.ones((batch, layer.gates, width)), seed, rate=rate)[0]


def _backward(function, layer, dz, residuals):
    of_steps, of_outputs, dropped = residuals
    dy, dlast = dz, None
    if layer.return_state:
        # z = concatenate([y, last state, …])                 (B, T + states, H), or (B, 1 + states, H)
        steps = dz.shape[1] - layer.states
        dy, dlast = dz[:, :steps], tuple(dz[:, steps + number] for number in range(layer.states))
        dy = dy if layer.return_sequences else dy[:, 0]
    # y = outputs_forward(hs)                                 (B, T, H), or (B, H)
    dhs = outputs_backward(dy, of_outputs)
    dx, dkernel, drecurrent_kernel, dbias, dstates = function(dhs, of_steps, dlast)
    dx = dx[:, ::-1] if layer.go_backwards else dx
    # x = dropout_forward(x)
    dx = dx if dropped is None else dropout_backward(dx, dropped)
    gradients = {"kernel": dkernel, "recurrent_kernel": drecurrent_kernel}
    dtaken = layer.in_order(dx, {"initial_state": dstates})
    return dtaken, {**gradients, "bias": dbias} if layer.use_bias else gradients


KINDS = {
    "SimpleRNN": (partial(_forward, simple_rnn_forward), partial(_backward, simple_rnn_backward)),
    "LSTM": (partial(_forward, lstm_forward), partial(_backward, lstm_backward)),
    "GRU": (partial(_forward, gru_forward), partial(_backward, gru_backward)),
}
