"""Zero padding and cropping of sequences, images and volumes; the backward of each is the other.

B batch; x (B, …, C), y (B, …, C); padding and cropping (before, after) for each axis between.
"""

import numpy as np


def zero_padding_forward(x, padding):
    return np.pad(x, ((0, 0), *padding, (0, 0)))


def zero_padding_backward(dy, padding):
    # y = pad(x): the padding does not depend on x
    return dy[_inside(dy, padding)]


def cropping_forward(x, cropping):
    return x[_inside(x, cropping)]


def cropping_backward(dy, cropping):
    # y = x[inside]: no y depends on the cropped part
    return np.pad(dy, ((0, 0), *cropping, (0, 0)))


def _inside(x, ends):
    sizes = zip(ends, x.shape[1:-1], strict=True)
    return (slice(None), *(slice(before, size - after) for (before, after), size in sizes))


def _padding(layer, weights, x, *, training, seed):
    return zero_padding_forward(x, layer.ends), None, {}


def _padding_back(layer, dz, residuals):
    return zero_padding_backward(dz, layer.ends), {}


def _cropping(layer, weights, x, *, training, seed):
    return cropping_forward(x, layer.ends), None, {}


def _cropping_back(layer, dz, residuals):
    return cropping_backward(dz, layer.ends), {}


KINDS = {
    **{f"ZeroPadding{axes}D": (_padding, _padding_back) for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": (_cropping, _cropping_back) for axes in (1, 2, 3)},
}
