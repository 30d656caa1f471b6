"""The dense layer: z = x · kernel + bias, and its gradients.

B batch, I inputs, O outputs (units); x (B, I), kernel (I, O), bias (O,) or None, z (B, O).
"""


def dense_forward(x, kernel, bias=None):
    z = x @ kernel
    if bias is not None:
        z = z + bias
    return z, (x, kernel)


def dense_backward(dz, residuals):
    x, kernel = residuals
    # z = z + bias                                    (B, O) <- (O,)
    dbias = dz.sum(axis=0)
    # z = x @ kernel                                  (B, O) <- (B, I) (I, O)
    dkernel = x.T @ dz
    dx = dz @ kernel.T
    return dx, dkernel, dbias
