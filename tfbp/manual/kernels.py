"""Convolutions and pooling by TensorFlow's kernels, forward and backward, for a pass that XLA does not compile.

`tfbp.Model` asks for them, because there they are faster than products over patches. The kinds' own functions, which
the agreement matrix compares, spell every gradient out.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

from tfbp.manual import fused
from tfbp.manual.compiled import is_compiled

_ASKED = ContextVar("kernels", default=False)


@contextmanager
def by_kernels(asked=True):
    """Within it, `kinds.kind_of` returns the functions of this file where they fit a layer; not under XLA."""
    token = _ASKED.set(asked)
    try:
        yield
    finally:
        _ASKED.reset(token)


def pair_of(layer):
    """Returns the forward and backward of a layer by kernels; None where it has none, or nobody asks."""
    if not _ASKED.get() or layer.keras_name not in _FITS or is_compiled() or not _FITS[layer.keras_name](layer):
        return None
    return _PAIRS[layer.keras_name]


def _convolve(function, layer, weights, x, *, training, seed):
    return *function(x, **weights, strides=layer.strides, padding=layer.padding), {}


def _convolve_back(function, layer, dz, residuals):
    dx, dkernel, dbias = function(dz, residuals, bias_gradient=layer.use_bias)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def _pool(function, layer, weights, x, *, training, seed):
    return *function(x, pool_size=layer.pool_size, strides=layer.strides, padding=layer.padding), {}


def _pool_back(function, layer, dz, residuals):
    return function(dz, residuals), {}


# the kernels take neither groups nor, backward, a dilation; that of the depthwise convolution takes one stride
_FITS = {
    "Conv2D": lambda layer: layer.groups == 1 and max(layer.dilation_rate) == 1,
    "DepthwiseConv2D": lambda layer: len(set(layer.strides)) == 1 and max(layer.dilation_rate) == 1,
    "MaxPooling2D": lambda layer: True,
    "AveragePooling2D": lambda layer: True,
}
_PAIRS = {
    name: (partial(forward, getattr(fused, f"{kind}_forward")), partial(backward, getattr(fused, f"{kind}_backward")))
    for name, kind, forward, backward in (
        ("Conv2D", "conv2d", _convolve, _convolve_back),
        ("DepthwiseConv2D", "depthwise_conv2d", _convolve, _convolve_back),
        ("MaxPooling2D", "max_pool2d", _pool, _pool_back),
        ("AveragePooling2D", "average_pool2d", _pool, _pool_back),
    )
}
