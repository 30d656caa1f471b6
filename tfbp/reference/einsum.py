"""A dense layer along any axes, by the letters of an equation, and its gradients. B batch; x (B, …), z (B, …)."""

import numpy as np


def einsum_dense_forward(x, kernel, bias=None, *, letters):
    """Returns z = Σ x · kernel + bias, summed over the letters that are missing in z."""
    z = np.einsum(f"{letters.x},{letters.kernel}->{letters.z}", x, kernel)
    return z if bias is None else z + bias, (x, kernel, bias)


def einsum_dense_backward(dz, residuals, *, letters):
    """Returns dx, dkernel and dbias, of the shapes of x, kernel and bias."""
    x, kernel, bias = residuals
    dbias = None
    if bias is not None:
        # z = z + bias, along the last axes, and over all axes where it has 1
        dbias = dz.sum(axis=tuple(range(dz.ndim - bias.ndim)))
        dbias = dbias.sum(axis=tuple(np.flatnonzero(np.equal(bias.shape, 1))), keepdims=True)
    # z = einsum(x, kernel)
    dx = np.einsum(f"{letters.z},{letters.kernel}->{letters.x}", dz, kernel)
    dkernel = np.einsum(f"{letters.x},{letters.z}->{letters.kernel}", x, dz)
    return dx, dkernel, dbias


def forward(layer, weights, x, *, training, seed):
    letters = layer.letters(x.shape[1:])
    z, residuals = einsum_dense_forward(x, **weights, letters=letters)
    return z, (residuals, letters), {}


def backward(layer, dz, residuals):
    residuals, letters = residuals
    dx, dkernel, dbias = einsum_dense_backward(dz, residuals, letters=letters)
    return dx, {"kernel": dkernel} if dbias is None else {"kernel": dkernel, "bias": dbias}


KINDS = {"EinsumDense": (forward, backward)}
