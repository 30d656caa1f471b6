"""Every kind's forward and backward by its Keras name: from the file that has it, or from `tfbp.register`."""

from tfbp.network import is_known, writings_of

# each file's own KINDS, joined by the room's __init__: a kind made of others needs the chain, which needs all kinds
KINDS: dict = {}
# functions of single examples, {"norms": …, "moments": …} or {"gradients": …}, and of a last layer with its loss
PER_EXAMPLE: dict = {}
WITH_LOSS: dict = {}


def kind_of(layer):
    """The forward and backward of a layer's kind.

    Raises:
        InputError: a kind that has none.
    """
    return KINDS[layer.keras_name] if layer.keras_name in KINDS and is_known(layer) else writings_of(layer).manual


def examples_of(layer):
    """The functions of single examples that a layer's kind has, by name; of a kind without, none."""
    if not is_known(layer):
        return {}
    if layer.keras_name in KINDS:
        return PER_EXAMPLE.get(layer.keras_name, {})
    return writings_of(layer).per_example
