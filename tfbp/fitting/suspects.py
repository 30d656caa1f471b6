"""One step of any Keras model, layer by layer: finds the first output, gradient or variable that is not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.fitting.state import optimizers_of

# its name, its kind, its first element that is not finite, and where that is
Found = tuple[str, str, float, tuple[int, ...]]


def first_non_finite(model: Any, batch: Any) -> Found | None:
    """Take one step, eagerly: the first tensor that is not finite, in the order in which they are computed.

    Args:
        model: any compiled keras.Model.
        batch: packed data of one step.

    Returns:
        The first of these that is not finite: a variable before the step, a layer's output, the loss, a gradient, a
        variable after the step; by the path of the layer or variable. None where all are finite.
    """
    for variable in model.variables:
        if not is_finite(variable.value):
            return path_in(model, variable), "parameter", *first_of(variable.value)
    suspects: list[Found] = []

    def look(name: str, kind: str, tensors: Any) -> None:
        for tensor in tf.nest.flatten(tensors):
            if isinstance(tensor, tf.Tensor) and not suspects and not is_finite(tensor):
                suspects.append((name, kind, *first_of(tensor)))

    with _watched(model, look):
        logs = model.train_step(batch)
    if not suspects and isinstance(logs, dict):
        for name, value in logs.items():
            if name.endswith("loss"):
                look(name, "loss", tf.convert_to_tensor(value))
    if suspects:
        return suspects[0]
    for variable in model.variables:
        if not is_finite(variable.value):
            return path_in(model, variable), "update", *first_of(variable.value)
    return None


def path_in(model: Any, part: Any) -> str:
    """Where a layer or a variable is in a model."""
    return (part.path or part.name).removeprefix(f"{model.name}/")


def is_finite(tensor: Any) -> bool:
    return not tensor.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(tensor)))


def first_of(tensor: Any) -> tuple[float, tuple[int, ...]]:
    """The first element that is not finite, and its index."""
    values = tf.cast(tensor, tf.float64).numpy()
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    return float(values[index]), index


@contextmanager
def _watched(model: Any, look: Callable[[str, str, Any], None]) -> Iterator[None]:
    """Within it every layer shows its outputs, the model its loss, and every optimizer its gradients."""
    layers = [inner for inner in model._flatten_layers(include_self=False) if not inner._layers]
    optimizers = optimizers_of(model)
    patched: list[tuple[Any, str]] = []

    def patch(owner: Any, name: str, seen: Callable[..., Any]) -> None:
        object.__setattr__(owner, name, seen)
        patched.append((owner, name))

    def shows_outputs(layer: Any, call: Any) -> Any:
        def seen(*arguments: Any, **options: Any) -> Any:
            outputs = call(*arguments, **options)
            look(path_in(model, layer), "activation", outputs)
            return outputs

        return seen

    def shows_gradients(optimizer: Any, apply: Any) -> Any:
        def seen(grads: Any, trainable_variables: Any = None) -> Any:
            # a loss scale lets gradients overflow on purpose: the optimizer skips the step
            if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                for gradient, variable in zip(grads, trainable_variables or model.trainable_variables, strict=False):
                    look(path_in(model, variable), "gradient", getattr(gradient, "values", gradient))
            return apply(grads, trainable_variables)

        return seen

    for layer in layers:
        patch(layer, "call", shows_outputs(layer, layer.call))
    compute_loss = model.compute_loss

    def shows_loss(*arguments: Any, **options: Any) -> Any:
        loss = compute_loss(*arguments, **options)
        look("loss", "loss", loss)
        return loss

    patch(model, "compute_loss", shows_loss)
    for optimizer in optimizers:
        patch(optimizer, "apply", shows_gradients(optimizer, optimizer.apply))
    try:
        yield
    finally:
        for owner, name in patched:
            object.__delattr__(owner, name)
