"""Finds every kind's forward and backward by its Keras name, in its file or in `tfbp.register`."""

from tfbp.manual import kernels
from tfbp.network import is_known, writings_of

# each file's own KINDS; the package's __init__ joins them, because a kind with parts needs the chain, and it all kinds
KINDS: dict = {}
# functions of single examples, {"norms": …, "moments": …} or {"gradients": …}, and of a last layer with its loss
PER_EXAMPLE: dict = {}
WITH_LOSS: dict = {}


def kind_of(layer):
    """Returns the forward and backward of a layer's kind.

    Raises:
        InputError: a kind without them.
    """
    if layer.keras_name not in KINDS or not is_known(layer):
        return writings_of(layer).manual
    return kernels.pair_of(layer) or KINDS[layer.keras_name]


def examples_of(layer):
    """Returns the per-example functions of a layer's kind, by name; an empty dict without any."""
    if not is_known(layer):
        return {}
    if layer.keras_name in KINDS:
        return PER_EXAMPLE.get(layer.keras_name, {})
    return writings_of(layer).per_example
