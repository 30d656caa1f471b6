"""Runs the steps of recurrent layers forward and backward, and the products over all steps at once.

xs (T, B, …) has time first, so that a step is one block of memory. The residuals are lists of one tensor per step,
without a copy. `order` is go_backwards and return_sequences, and mask (B, T) with zero_output_for_mask. A step with
mask False is skipped: each state stays, and y[t] is the output before, or 0.
"""

import tensorflow as tf

from tfbp.manual import dense, gates
from tfbp.manual.sizes import size_of


def time_first(x, *, go_backwards=False, **_):
    xs = tf.transpose(x, [1, 0, 2])
    return tf.reverse(xs, [0]) if go_backwards else xs


def batch_first(dxs, *, go_backwards=False, **_):
    # xs = reverse(transpose(x))                              (T, B, I) <- (B, T, I)
    return tf.transpose(tf.reverse(dxs, [0]) if go_backwards else dxs, [1, 0, 2])


def dense_forward(xs, kernel, bias, dropped=None):
    """Returns xs · kernel + bias of every step, (T, B, …), and the residuals; without a kernel xs is that product."""
    if kernel is None:
        return xs if bias is None else xs + bias, None
    if dropped is not None:
        a = gates.gates_forward(xs, kernel, dropped)
        return a if bias is None else a + bias, (xs, kernel, dropped)
    a, residuals = dense.dense_forward(tf.reshape(xs, [-1, kernel.shape[0]]), kernel, bias)
    return _per_step(a, xs), residuals


def dense_backward(da, residuals, xs, order, **asked):
    """Returns dx (B, T, I), dkernel and dbias; without a kernel dx is da."""
    if residuals is None:
        return batch_first(_per_step(da, xs), **order), None, None
    if len(residuals) == 3:
        _, kernel, dropped = residuals
        # a = gates_forward(xs, kernel, dropped) + bias       (T, B, G H) <- (T, B, I) (I, G H) (G H,)
        dx = gates.gates_input_backward(_per_step(da, xs), tf.transpose(kernel), dropped)
        return batch_first(dx, **order), *_of_weights(da, xs, dropped, **asked)
    dx, dkernel, dbias = dense.dense_backward(da, residuals, **asked)
    return None if dx is None else batch_first(_per_step(dx, xs), **order), dkernel, dbias


def product_backward(hs, da, dropped=None, input_gradient=True, **asked):
    """Returns the gradients of R and of b in h · R + b over all steps, (H, …) and (…,)."""
    if dropped is not None:
        return _of_weights(da, hs.stack(), dropped, **asked)
    return dense.dense_backward(da, (rows(hs), None), input_gradient=False, **asked)[1:]


def _of_weights(da, xs, dropped, bias_gradient=True, **_):
    """Returns dkernel and dbias of a product with a mask for each gate."""
    dkernel = gates.gates_kernel_backward(_per_step(da, xs), xs, dropped)
    of_bias = {"input_gradient": False, "kernel_gradient": False, "bias_gradient": bias_gradient}
    return dkernel, dense.dense_backward(da, (None, None), **of_bias)[2]


def loop(
    step, states, arrays, xs, *, return_sequences=False, mask=None, zero_output_for_mask=False, go_backwards=False
):
    """Returns y, the last states and the full lists, from step(t, states, lists) -> states, lists for every t."""
    steps, masks = _steps(xs), _masks(mask, go_backwards)
    hs = lists(1, xs, states[0]) if return_sequences else ()

    def body(t, states, arrays, hs):
        new_states, arrays = step(t, states, arrays)
        states = new_states if masks is None else _where(masks[t], new_states, states)
        return t + 1, states, arrays, written(hs, t, states[: len(hs)])

    _, states, arrays, hs = tf.while_loop(
        lambda t, *_: t < steps, body, (tf.constant(0), states, arrays, hs), maximum_iterations=steps
    )
    h = hs[0].stack() if return_sequences else states[0]
    if masks is not None:
        h = tf.where(_shown(masks, return_sequences, zero_output_for_mask), h, 0)
    return tf.transpose(h, [1, 0, 2]) if return_sequences else h, states, arrays


def loop_back(step, dhs, dstates, das, xs, *, mask=None, go_backwards=False, **_):
    """Returns the first states' gradients and the full lists, from step(t, dstates, das) -> dstates, das."""
    steps, masks = _steps(xs), _masks(mask, go_backwards)

    def body(t, dstates, das):
        # y[t] = h, and it is the next step's h               (B, H)
        dh = dstates[0] if dhs is None else dstates[0] + dhs[t]
        dstates = (dh, *dstates[1:])
        if masks is None:
            return t - 1, *step(t, dstates, das)
        # states = where(masks[t], new_states, states): the new state, or the old one
        through, das = step(t, _where(masks[t], dstates, (0,) * len(dstates)), das)
        return t - 1, _where(masks[t], through, dstates), das

    _, dstates, das = tf.while_loop(
        lambda t, *_: t >= 0, body, (tf.convert_to_tensor(steps - 1), dstates, das), maximum_iterations=steps
    )
    return dstates, das


def split(dy, dstates, *, return_sequences=False, mask=None, zero_output_for_mask=False, go_backwards=False):
    """Returns dy of every step, (T, B, H), or None where y is the last h, and the last states' gradients."""
    # y = batch_first(h), of all steps or the last            (B, T, H), or (B, H)
    dh = tf.transpose(dy, [1, 0, 2]) if return_sequences else dy
    if mask is not None:
        # h = where(shown, h, 0)                              (T, B, H), or (B, H)
        dh = tf.where(_shown(_masks(mask, go_backwards), return_sequences, zero_output_for_mask), dh, 0)
    zeros = tf.zeros_like(dh[0] if return_sequences else dh)
    dstates = tuple(zeros if dstate is None else dstate for dstate in dstates)
    return (dh, dstates) if return_sequences else (None, (dstates[0] + dh, *dstates[1:]))


def _masks(mask, go_backwards):
    """Returns (T, B, 1) in the order of the steps, or None."""
    return None if mask is None else time_first(mask[..., None], go_backwards=go_backwards)


def _shown(masks, sequences, zero_output_for_mask):
    """Returns a mask, True where y is h; elsewhere y is 0, also before the first step, for every first state."""
    if not zero_output_for_mask:
        masks = tf.cumsum(tf.cast(masks, tf.float32)) > 0
    return masks if sequences else masks[-1]


def _where(mask, states, others):
    return tuple(tf.where(mask, state, other) for state, other in zip(states, others, strict=True))


def lists(count, xs, like, gates=1):
    """Returns empty lists of one tensor (B, G H) per step."""
    shape = [xs.shape[1] if like.shape[0] is None else like.shape[0], gates * like.shape[1]]
    return tuple(
        tf.TensorArray(like.dtype, size=_steps(xs), element_shape=shape, clear_after_read=False) for _ in range(count)
    )


def written(arrays, t, tensors):
    return tuple(array.write(t, tensor) for array, tensor in zip(arrays, tensors, strict=True))


def rows(tensors):
    """Returns (T B, …): the tensors of a list, of all steps."""
    stacked = tensors.stack()
    return tf.reshape(stacked, [-1, stacked.shape[-1]])


def _per_step(a, xs):
    """(T B, …) -> (T, B, …)."""
    return tf.reshape(a, [size_of(xs, 0), size_of(xs, 1), a.shape[-1]])


def zeros(xs, recurrent_kernel):
    return tf.zeros([tf.shape(xs)[1], recurrent_kernel.shape[0]], xs.dtype)


def _steps(xs):
    return size_of(xs, 0)
