"""Recurrent layers, step by step through time and back, and their gradients.

B batch, T steps, I inputs of each, H units; x (B, T, I), kernel (I, G H), recurrent_kernel (H, G H), bias (G H,) or
None, G gates: 1 of the plain layer, 4 of an LSTM (i, f, g, o), 3 of a GRU (z, r, candidate). hs (B, T, H) is every
step's state; before the first it is 0. A name a_… is a value before its activation.
"""

from functools import partial

import numpy as np

from tfbp.reference.activations import activation_backward, activation_forward


def simple_rnn_forward(x, kernel, recurrent_kernel, bias=None, *, activation):
    h, hs, steps = _zeros(x, recurrent_kernel), [], []
    for t in range(x.shape[1]):
        a = x[:, t] @ kernel + h @ recurrent_kernel
        if bias is not None:
            a = a + bias
        y, kept = activation_forward(activation, a)
        steps.append((h, kept))
        h = y
        hs.append(h)
    return np.stack(hs, axis=1), (x, kernel, recurrent_kernel, activation, steps)


def simple_rnn_backward(dhs, residuals):
    x, kernel, recurrent_kernel, activation, steps = residuals
    dx, dkernel, drecurrent_kernel, dbias, dh = [], 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        h, kept = steps[t]
        # hs[t] = y, and y is the next step's h
        # y = activation(a)                                   (B, H)
        da = activation_backward(activation, dhs[:, t] + dh, kept)
        # a = x[t] @ kernel + h @ recurrent_kernel + bias     (B, H) <- (B, I) (I, H) (B, H) (H, H) (H,)
        dx.append(da @ kernel.T)
        dh = da @ recurrent_kernel.T
        dkernel = dkernel + x[:, t].T @ da
        drecurrent_kernel = drecurrent_kernel + h.T @ da
        dbias = dbias + da.sum(axis=0)
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias


def lstm_forward(x, kernel, recurrent_kernel, bias=None, *, activation, recurrent_activation):
    h, hs, steps = _zeros(x, recurrent_kernel), [], []
    c = h
    for t in range(x.shape[1]):
        a = x[:, t] @ kernel + h @ recurrent_kernel
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
        h, c = o * squashed, new_c
        hs.append(h)
    return np.stack(hs, axis=1), (x, kernel, recurrent_kernel, activation, recurrent_activation, steps)


def lstm_backward(dhs, residuals):
    x, kernel, recurrent_kernel, activation, recurrent_activation, steps = residuals
    dx, dkernel, drecurrent_kernel, dbias, dh, dc = [], 0, 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        h, c, i, f, g, o, squashed, kept_i, kept_f, kept_g, kept_o, kept_c = steps[t]
        # hs[t] = new_h, which is the next step's h
        dnew_h = dhs[:, t] + dh
        # new_h = o * squashed                                (B, H)
        do, dsquashed = dnew_h * squashed, dnew_h * o
        # squashed = activation(new_c), and new_c is the next step's c
        dnew_c = dc + activation_backward(activation, dsquashed, kept_c)
        # new_c = f * c + i * g
        df, dc, di, dg = dnew_c * c, dnew_c * f, dnew_c * g, dnew_c * i
        # i, f, o = recurrent_activation(a_…), g = activation(a_g)
        da_i = activation_backward(recurrent_activation, di, kept_i)
        da_f = activation_backward(recurrent_activation, df, kept_f)
        da_g = activation_backward(activation, dg, kept_g)
        da_o = activation_backward(recurrent_activation, do, kept_o)
        # a_i, a_f, a_g, a_o = gates(a)                       (B, H) … <- (B, 4H)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        # a = x[t] @ kernel + h @ recurrent_kernel + bias     (B, 4H) <- (B, I) (I, 4H) (B, H) (H, 4H) (4H,)
        dx.append(da @ kernel.T)
        dh = da @ recurrent_kernel.T
        dkernel = dkernel + x[:, t].T @ da
        drecurrent_kernel = drecurrent_kernel + h.T @ da
        dbias = dbias + da.sum(axis=0)
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias


def gru_forward(x, kernel, recurrent_kernel, bias=None, *, activation, recurrent_activation, reset_after):
    """bias is (2, 3H) with reset_after, the second row that of the product with h; else (3H,)."""
    input_bias = bias[0] if reset_after and bias is not None else bias
    h, hs, steps = _zeros(x, recurrent_kernel), [], []
    recurrent = _gates(recurrent_kernel, 3)
    for t in range(x.shape[1]):
        a = x[:, t] @ kernel
        if bias is not None:
            a = a + input_bias
        x_z, x_r, x_n = _gates(a, 3)
        h_z, h_r = h @ recurrent[0], h @ recurrent[1]
        if reset_after and bias is not None:
            bias_z, bias_r, bias_n = _gates(bias[1], 3)
            h_z, h_r = h_z + bias_z, h_r + bias_r
        z, kept_z = activation_forward(recurrent_activation, x_z + h_z)
        r, kept_r = activation_forward(recurrent_activation, x_r + h_r)
        if reset_after:
            reset = h @ recurrent[2]
            if bias is not None:
                reset = reset + bias_n
            h_n = r * reset
        else:
            reset = r * h
            h_n = reset @ recurrent[2]
        n, kept_n = activation_forward(activation, x_n + h_n)
        steps.append((h, z, r, n, reset, kept_z, kept_r, kept_n))
        h = z * h + (1 - z) * n
        hs.append(h)
    residuals = x, kernel, recurrent_kernel, activation, recurrent_activation, reset_after, steps
    return np.stack(hs, axis=1), residuals


def gru_backward(dhs, residuals):
    x, kernel, recurrent_kernel, activation, recurrent_activation, reset_after, steps = residuals
    recurrent = _gates(recurrent_kernel, 3)
    dx, dkernel, drecurrent_kernel, dbias, drecurrent_bias, dh = [], 0, 0, 0, 0, 0
    for t in reversed(range(x.shape[1])):
        h, z, r, n, reset, kept_z, kept_r, kept_n = steps[t]
        # hs[t] = new_h, which is the next step's h
        dnew_h = dhs[:, t] + dh
        # new_h = z * h + (1 - z) * n                         (B, H)
        dz, dn, dh = dnew_h * (h - n), dnew_h * (1 - z), dnew_h * z
        # n = activation(x_n + h_n)
        dx_n = dh_n = activation_backward(activation, dn, kept_n)
        if reset_after:
            # h_n = r * reset,  reset = h @ recurrent[2] + bias_n
            dr, dreset = dh_n * reset, dh_n * r
            dh = dh + dreset @ recurrent[2].T
            drecurrent_n, dbias_n = h.T @ dreset, dreset.sum(axis=0)
        else:
            # h_n = reset @ recurrent[2],  reset = r * h
            dreset = dh_n @ recurrent[2].T
            dr, dh = dreset * h, dh + dreset * r
            drecurrent_n, dbias_n = reset.T @ dh_n, 0 * dh_n.sum(axis=0)
        # z, r = recurrent_activation(x_… + h_…)
        da_z = activation_backward(recurrent_activation, dz, kept_z)
        da_r = activation_backward(recurrent_activation, dr, kept_r)
        # h_z, h_r = h @ recurrent[0] + bias_z, h @ recurrent[1] + bias_r
        dh = dh + da_z @ recurrent[0].T + da_r @ recurrent[1].T
        drecurrent = np.concatenate([h.T @ da_z, h.T @ da_r, drecurrent_n], axis=1)
        drecurrent_kernel = drecurrent_kernel + drecurrent
        drecurrent_bias = drecurrent_bias + np.concatenate([da_z.sum(axis=0), da_r.sum(axis=0), dbias_n])
        # x_z, x_r, x_n = gates(x[t] @ kernel + bias)         (B, H) … <- (B, I) (I, 3H) (3H,)
        da = np.concatenate([da_z, da_r, dx_n], axis=1)
        dx.append(da @ kernel.T)
        dkernel = dkernel + x[:, t].T @ da
        dbias = dbias + da.sum(axis=0)
    if reset_after:
        dbias = np.stack([dbias, drecurrent_bias])
    return np.stack(dx[::-1], axis=1), dkernel, drecurrent_kernel, dbias


def _zeros(x, recurrent_kernel):
    return np.zeros((len(x), len(recurrent_kernel)), x.dtype)


def _gates(a, count):
    """The columns of each gate."""
    units = a.shape[-1] // count
    return [a[..., k * units : (k + 1) * units] for k in range(count)]


_OPTIONS = ("activation", "recurrent_activation", "reset_after")


def _forward(function, layer, weights, x, *, training, seed):
    options = {name: getattr(layer, name) for name in _OPTIONS if hasattr(layer, name)}
    hs, residuals = function(x[:, ::-1] if layer.go_backwards else x, **weights, **options)
    return hs if layer.return_sequences else hs[:, -1], residuals, {}


def _backward(function, layer, dz, residuals):
    steps = residuals[0].shape[1]
    # z = hs, or hs[:, -1]                                    (B, T, H), or (B, H)
    dhs = dz if layer.return_sequences else np.stack([0 * dz] * (steps - 1) + [dz], axis=1)
    dx, dkernel, drecurrent_kernel, dbias = function(dhs, residuals)
    gradients = {"kernel": dkernel, "recurrent_kernel": drecurrent_kernel}
    return dx[:, ::-1] if layer.go_backwards else dx, {**gradients, "bias": dbias} if layer.use_bias else gradients


KINDS = {
    "SimpleRNN": (partial(_forward, simple_rnn_forward), partial(_backward, simple_rnn_backward)),
    "LSTM": (partial(_forward, lstm_forward), partial(_backward, lstm_backward)),
    "GRU": (partial(_forward, gru_forward), partial(_backward, gru_backward)),
}
