"""Flatten and Reshape: the numbers of an example in another shape.

B batch; x (B, …), y (B, …) with the same number of numbers.
"""


def reshape_forward(x, shape):
    return x.reshape(len(x), *shape), x.shape


def reshape_backward(dy, shape):
    # y = x.reshape(B, *shape)                        (B, …) <- (B, …)
    return dy.reshape(shape)


def forward(layer, weights, x, *, training, seed):
    y, residuals = reshape_forward(x, layer.output_shape(x.shape[1:]))
    return y, residuals, {}


def backward(layer, dz, residuals):
    return reshape_backward(dz, residuals), {}


KINDS = {"Flatten": (forward, backward), "Reshape": (forward, backward)}
