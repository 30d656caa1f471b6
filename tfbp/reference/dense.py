"""The dense layer along the last axis: z = x · kernel + bias, and its gradients.

B batch, I inputs, O outputs (units); x (B, …, I), kernel (I, O), bias (O,) or None, z (B, …, O).
"""


def dense_forward(x, kernel, bias=None):
    z = x @ kernel
    if bias is not None:
        z = z + bias
    return z, (x, kernel)


def dense_backward(dz, residuals):
    x, kernel = residuals
    # every row of every example has the same weight
    rows, drows = x.reshape(-1, x.shape[-1]), dz.reshape(-1, dz.shape[-1])
    # z = z + bias                                    (B, …, O) <- (O,)
    dbias = drows.sum(axis=0)
    # z = x @ kernel                                  (B, …, O) <- (B, …, I) (I, O)
    dkernel = rows.T @ drows
    dx = dz @ kernel.T
    return dx, dkernel, dbias


def forward(layer, weights, x, *, training, seed):
    z, residuals = dense_forward(x, **weights)
    return z, residuals, {}


def backward(layer, dz, residuals):
    dx, dkernel, dbias = dense_backward(dz, residuals)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


KINDS = {"Dense": (forward, backward)}
