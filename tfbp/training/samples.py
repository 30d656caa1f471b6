"""The arrays for a `tfbp.Model`: checked against its network, weighted by class.

N samples; x, y and sample_weight as NumPy arrays.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting import arrays
from tfbp.network.validation import check_x, check_y
from tfbp.training.structures import inputs_of, outputs_of, weights_of

Samples = tuple[Any, ...]


def rows_of_a_batch(x: Any, batch_size: int | None) -> int | None:
    """B, of arrays and of a dataset that was batched; None where it is not known."""
    if not isinstance(x, tf.data.Dataset):
        return batch_size or 32
    first = keras.tree.flatten(x.element_spec)[0].shape
    if first.rank and first[0] is not None:
        return int(first[0])
    # the last batch may be shorter: what it was batched by is known to the dataset, or to what that is made of
    while x is not None:
        if (found := getattr(x, "_batch_size", None)) is not None:
            return int(found)
        x = getattr(x, "_input_dataset", None)
    return None


def checked(model: Any, x: Any, y: Any, sample_weight: Any = None) -> Samples:
    """(x, y) or (x, y, sample_weight), that fit the model's network.

    Raises:
        InputError: unequal lengths, shapes or labels that do not fit, dtypes that are no numbers.
    """
    x, y = _arrays("x", inputs_of(model, x)), _arrays("y", outputs_of(model, "y", y))
    first, target = keras.tree.flatten(x)[0], keras.tree.flatten(y)[0]
    if first.ndim and target.ndim and len(first) != len(target):
        raise InputError(f"y: got {len(target)} rows; accepted: {len(first)}, as x.")
    check_x(model.network, x)
    check_y(model.network, x, y)
    weights = weights_of(model, sample_weight, lambda: np.ones(len(first)))
    if weights is None:
        return x, y
    weights = _arrays("sample_weight", weights)
    check_y(model.network, x, y, weights)
    several = weights if isinstance(weights, tuple) else (weights,)
    shapes = model.network.output_shapes
    each = tuple(
        _of_tokens(w, shape[:-1]).astype(model.variable_dtype) for w, shape in zip(several, shapes, strict=True)
    )
    return x, y, each if isinstance(weights, tuple) else each[0]


def weighted(model: Any, samples: Samples, class_weight: Any) -> Samples:
    """The samples with the weight of each one's class as its sample weight, or of each token's.

    Raises:
        InputError: a class_weight that is not a dict of numbers, or one beside sample_weight.
    """
    if not isinstance(class_weight, dict):
        kind = type(class_weight).__name__
        raise InputError(f"class_weight: got a {kind}; accepted: a dict from class numbers to weights.")
    if len(model.network.losses) > 1:
        raise InputError("class_weight: got one for several outputs; accepted: a sample_weight for each of them.")
    if len(samples) == 3:
        raise InputError("class_weight: got one beside sample_weight; accepted: one of the two.")
    x, y = samples
    of_each = (len(y), *model.network.output_shape[:-1])
    # Keras's rule for rows
    labels = np.round(y.reshape(of_each)).astype(int) if y.size == math.prod(of_each) else y.argmax(axis=-1)
    try:
        weights = np.array([float(class_weight.get(label, 1.0)) for label in labels.ravel().tolist()])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"class_weight: got {class_weight!r}; accepted: a dict from class numbers to weights."
        ) from error
    return x, y, weights.reshape(of_each)


def tensors(model: Any, samples: Samples, own: bool = True) -> tuple[tf.Tensor, ...]:
    """The samples as tensors, integers as they are; floats in the dtype that the model keeps its weights in, but of
    targets in no narrower one than float32: labels above 256 would be others in bfloat16."""
    wide = "float64" if model.variable_dtype == "float64" else "float32"
    dtypes = [model.variable_dtype, wide, model.variable_dtype]
    return tuple(arrays.to_tensors(sample, dtype, own) for sample, dtype in zip(samples, dtypes, strict=False))


def _of_tokens(weight: np.ndarray, tokens: tuple[int, ...]) -> np.ndarray:
    """The weights of samples for each of their tokens: Keras's metrics take a row's weight for all of them only where
    it is repeated."""
    if not tokens or weight.ndim > 1:
        return weight
    return np.broadcast_to(weight.reshape(-1, *(1 for _ in tokens)), (len(weight), *tokens))


def _arrays(name: str, given: Any) -> Any:
    """The array, or a tuple of them for several inputs or outputs."""
    if not isinstance(given, tuple):
        return _array(name, given)
    return tuple(_array(f"{name}[{number}]", one) for number, one in enumerate(given))


def _array(name: str, given: Any) -> np.ndarray:
    if hasattr(given, "tocsr") or isinstance(given, tf.SparseTensor | tf.RaggedTensor):
        raise InputError(f"{name}: got a {type(given).__name__}, which is sparse; accepted: dense arrays.")
    array = np.asarray(given)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise InputError(f"{name}: got an array of dtype {array.dtype}; accepted: numbers or Booleans.")
    return array
