"""Finds every kind's forward and backward by its Keras name, in its file or in `tfbp.register`."""

from tfbp.network import is_known, writings_of

# each file's own KINDS; the package's __init__ joins them, because a kind with parts needs the chain, and it all kinds
KINDS: dict = {}


def kind_of(layer):
    """Returns the forward and backward of a layer's kind.

    Raises:
        InputError: a kind without them.
    """
    return KINDS[layer.keras_name] if layer.keras_name in KINDS and is_known(layer) else writings_of(layer).reference
