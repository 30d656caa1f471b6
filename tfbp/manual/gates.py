"""A product with a kernel before which each gate drops its input by a mask of its own; each backward under its forward.

B batch, I inputs, G gates of H units; x (…, B, I), kernel (I, G H), a = x · kernel (…, B, G H). dropped (B, G, I) has 0
where a gate drops a number, else 1 / (1 - rate); None where nothing is dropped.
"""

import tensorflow as tf

from tfbp.manual.dense import product_squares


def gates_forward(x, kernel, dropped):
    """Returns a."""
    if dropped is None:
        return tf.matmul(x, kernel)
    kernels = tf.reshape(kernel, [kernel.shape[0], dropped.shape[1], -1])
    return _joined(tf.einsum("...gi,igh->...gh", _of_gates(x, dropped), kernels))


def gates_input_backward(da, back_kernel, dropped):
    """Returns dx, from the transposed kernel (G H, I)."""
    if dropped is None:
        return tf.matmul(da, back_kernel)
    kernels = tf.reshape(back_kernel, [dropped.shape[1], -1, back_kernel.shape[1]])
    # a = joined(of_gates · kernels)                          (…, B, G H) <- (…, B, G, I) (I, G, H)
    dof_gates = tf.einsum("...gh,ghi->...gi", _apart(da, dropped), kernels)
    # of_gates = x · dropped                                  (…, B, G, I) <- (…, B, I) (B, G, I)
    return tf.reduce_sum(dof_gates * dropped, axis=-2)


def gates_kernel_backward(da, x, dropped):
    """Returns dkernel, for x (T, B, I) of all steps."""
    # a = joined(of_gates · kernels)                          (T, B, G H) <- (T, B, G, I) (I, G, H)
    return _joined(tf.einsum("tbgh,tbgi->igh", _apart(da, dropped), _of_gates(x, dropped)))


def gates_squares(x, da, dropped):
    """Returns each example's ‖dkernel‖², (B,), for x (B, T, I) and da (B, T, G H)."""
    if dropped is None:
        return product_squares(x, da)
    pairs = zip(tf.unstack(dropped, axis=1), tf.split(da, dropped.shape[1], axis=2), strict=True)
    return tf.add_n([product_squares(x * of_gate[:, None], da_g) for of_gate, da_g in pairs])


def _of_gates(x, dropped):
    return x[..., None, :] * dropped


def _apart(a, dropped):
    """(…, G H) -> (…, G, H)."""
    return tf.stack(tf.split(a, dropped.shape[1], axis=-1), axis=-2)


def _joined(a):
    """(…, G, H) -> (…, G H)."""
    return tf.concat(tf.unstack(a, axis=-2), axis=-1)
