"""The scalar of a model's outputs that is differentiated: its losses, or random signed weights without losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.inputs import array_of
from tfbp.agreement.of_models.opened import Opened, with_mask
from tfbp.agreement.tolerances.monte_carlo import Rounding
from tfbp.errors import InputError
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt

Array = np.ndarray


class Objective:
    """The sum of the outputs' losses.

    Args:
        y: the targets, flat, in the order of the outputs; None for a random weighted sum of each output.
        loss: for one output; for several a list, or a dict by their names.
        outputs: arrays with the outputs' shapes.
        masks: of each output, an array that Keras's loss uses, or None.

    Raises:
        InputError: a loss that names no output, no loss, or targets of another number.
    """

    def __init__(
        self,
        model: Opened,
        y: Any,
        loss: Any,
        outputs: Sequence[Array],
        rng: np.random.Generator,
        masks: Sequence[Any] = (),
    ) -> None:
        self.rng = rng
        self.masks = masks or [None] * len(outputs)
        self.is_random = y is None
        names = list(model.output_names)
        if y is None:
            self.targets = [rng.uniform(0.5, 1.5, o.shape) * rng.choice([-1.0, 1.0], o.shape) for o in outputs]
            self.losses: list[Any] = [None] * len(outputs)
            return
        self.targets = [array_of("y", target) for target in _by_output("y", y, names)]
        given = loss if loss is not None else getattr(model.model, "loss", None)
        if given is None:
            raise InputError("loss: got none, and a model that is not compiled; accepted: a loss, or a compiled model.")
        self.losses = [_loss(one_loss) for one_loss in _by_output("loss", given, names)]
        for name, target, output in zip(names, self.targets, outputs, strict=True):
            if not target.shape or len(target) != len(output):
                raise InputError(f"y: got shape {target.shape} for {name!r}; accepted: {len(output)} rows, as x has.")
        self._check(outputs)

    def _check(self, outputs: Sequence[Array]) -> None:
        """Raises `InputError` where a loss does not take these targets and outputs, or is not finite."""
        found = attempt(self.upstream, outputs)
        pairs = zip(self.targets, outputs, strict=True)
        shapes = ", ".join(f"{target.shape} and {output.shape}" for target, output in pairs)
        if isinstance(found, Failure):
            sentence = found.sentence.partition(", raised at ")[0]
            raise InputError(f"loss: got {sentence} for y and outputs of shapes {shapes}; accepted: a loss of these.")
        if not np.isfinite(found[0]) and all(np.isfinite(output).all() for output in outputs):
            raise InputError(f"loss: got {found[0]} for y and outputs of shapes {shapes}; accepted: a finite loss.")

    def __call__(self, outputs: Sequence[Any], dtype: str) -> Any:
        """Returns the loss of output tensors, computed in float32 at least, as in Keras."""
        wide = "float64" if dtype == "float64" else "float32"
        total = tf.zeros([], wide)
        for loss, target, output in zip(self.losses, self.targets, outputs, strict=True):
            y = tf.constant(target if target.dtype.kind in "iub" else target.astype(wide))
            if output.shape[0] != len(target):
                # a smaller batch, or one of unknown size
                y = y[: tf.shape(output)[0]]
            if loss is None:
                total += tf.reduce_sum(tf.cast(output, wide) * y)
            else:
                total += tf.cast(_in_dtype(loss, wide)(y, output), wide)
        return total

    def function(self, *outputs: Any) -> Any:
        """Returns the loss in float64 of output tensors, with their masks."""
        return self([with_mask(y, mask) for y, mask in zip(outputs, self.masks, strict=True)], "float64")

    def upstream(self, outputs: Sequence[Array], noise: Rounding | None = None) -> tuple[float, list[Array]]:
        """Returns the loss and its gradients, in float64."""
        tensors = [tf.constant(y) for y in outputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = self.function(*tensors)
        found = tape.gradient(loss, tensors, unconnected_gradients="zero")
        value, gradients = float(loss), [as_float64(tf.convert_to_tensor(each)) for each in found]
        if noise is None:
            return value, gradients
        moved = [noise.of_terms(g, np.abs(g), np.sqrt(np.mean(g**2))) for g in gradients]
        return float(noise.of_terms(value, abs(value), 1.0)), moved


def _by_output(argument: str, given: Any, names: list[str]) -> list[Any]:
    """Returns one for each output."""
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise InputError(f"{argument}: got {sorted(given)}; accepted: one for each of {', '.join(names)}.")
        return [given[name] for name in names]
    values = list(given) if isinstance(given, list | tuple) and not _is_numbers(given) else [given]
    if len(values) == 1 and len(names) > 1 and argument == "loss":
        values *= len(names)
    if len(values) != len(names):
        raise InputError(f"{argument}: got {len(values)}; accepted: one for each of {', '.join(names)}.")
    return values


def _is_numbers(given: Any) -> bool:
    return all(isinstance(item, int | float) for item in given)


def _loss(given: Any) -> Any:
    loss = attempt(keras.losses.get, given)
    if isinstance(loss, Failure) or not callable(loss):
        raise InputError(f"loss: got {given!r}; accepted: a Keras loss, its name, or a function.")
    if isinstance(loss, keras.losses.Loss):
        return loss
    return keras.src.losses.losses.LossFunctionWrapper(loss, name=getattr(loss, "__name__", "loss"))


def _in_dtype(loss: Any, dtype: str) -> Any:
    """Returns the loss in a dtype; one that cannot be reproduced stays as it is."""
    if loss.dtype == dtype:
        return loss
    if type(loss).__name__ == "LossFunctionWrapper":
        return type(loss)(loss.fn, loss.reduction, loss.name, dtype, **loss._fn_kwargs)
    converted = attempt(lambda: type(loss).from_config({**loss.get_config(), "dtype": dtype}))
    return loss if isinstance(converted, Failure) else converted
