"""Rejects models that private training cannot train, before it starts."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfbp.errors import InputError
from tfbp.fitting import arrays
from tfbp.fitting.contract import is_overridden
from tfbp.privacy.recording import all_layers

# layers with a batch's statistics, or a state that one batch passes to the next
TYING = {
    keras.layers.BatchNormalization: "GroupNormalization or LayerNormalization",
    keras.layers.SpectralNormalization: "a layer without a state of its own",
}


def build(model: Any, data: Any) -> None:
    """Builds the model's variables, its loss's and its metrics', before the checks."""
    first = keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[:1], data)
    model._symbolic_build(data_batch=first)


def check_arrays(cause: str = "", **given: Any) -> None:
    """Raises `InputError` unless arguments of fit are arrays of numbers in memory; all but x may be None."""
    for name, value in given.items():
        leaves = [leaf for leaf in keras.tree.flatten(value) if leaf is not None]
        if not leaves and (name == "x" or value is not None):
            leaves = [None]
        for leaf in leaves:
            if leaf is None or not arrays.in_memory(leaf):
                dtype = f" of dtype {leaf.dtype}" if isinstance(leaf, np.ndarray) else ""
                kind = "nothing" if leaf is None else f"a {type(leaf).__name__}{dtype}"
                raise InputError(f"{name}: got {kind}; accepted: arrays of numbers in memory{cause}.")


def check_layers(model: Any, of_norms: bool = False) -> None:
    """Raises `InputError` for a layer that leaves no example its own gradient."""
    for layer in all_layers(model):
        for kind, instead in TYING.items():
            # a frozen one treats each example by itself
            if isinstance(layer, kind) and not (kind is keras.layers.BatchNormalization and not layer.trainable):
                raise InputError(
                    f"model: got a {type(layer).__name__}, {layer.name!r}, through which examples see each other; "
                    f"accepted: layers that take each example by itself, such as {instead}."
                )
        if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
            raise InputError(
                f"model: got {layer.name!r} with stateful=True, which hands a state from batch to batch; accepted: "
                "layers without one."
            )
        if getattr(layer, "activity_regularizer", None) is not None:
            raise InputError(
                f"model: got an activity_regularizer in {layer.name!r}, a penalty on the whole batch that no clipping "
                "bounds; accepted: penalties on weights."
            )
    if not model.trainable_variables:
        raise InputError(f"model: got {model.name!r} without a trainable weight; accepted: a model with some.")


def check_model(model: Any) -> None:
    """Raises `InputError` for a model whose own methods would bypass the clipping."""
    # a model that clips by itself has checked its own methods
    own = () if hasattr(model, "clipped_examples") else ("train_step", "make_train_function", "train_on_batch")
    for name in own:
        if is_overridden(model, name):
            raise InputError(
                f"privacy: got a {type(model).__name__} with a {name} of its own, which would go around the clipping; "
                "accepted: a model that is trained by Keras's train_step (own losses go into compute_loss)."
            )
    if model._distribute_strategy is not None:
        raise InputError("privacy: got a model of a distribution strategy; accepted: a model on one device.")
    if model.run_eagerly:
        raise InputError("privacy: got a model with run_eagerly=True; accepted: one without, its step is one program.")
    if hasattr(model, "clipped_examples") and "16" in str(model.compute_dtype):
        raise InputError(
            f"privacy: got a tfbp.Model that computes in {model.compute_dtype}, in which clipped sums lose digits; "
            "accepted: float32 or float64."
        )
    if not isinstance(model.optimizer, keras.optimizers.Optimizer):
        raise InputError(f"privacy: got the optimizer {model.optimizer!r}; accepted: a keras optimizer.")
