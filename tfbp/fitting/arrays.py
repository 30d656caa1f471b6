"""The data of fit, evaluate and predict: whether they are arrays in memory, and these as tensors, by Keras's rules.

N samples. Packed data are what a `train_step` takes: x, (x,), (x, y) or (x, y, sample_weight), each a tensor or a
structure of tensors and Nones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError
from tfbp.fitting.keras_internals import ArrayDataAdapter, convert_to_sliceable
from tfbp.fitting.sharing import tensor_of

ACCEPTED = "arrays, tensors, structures of these, or a tf.data.Dataset, a PyDataset, a DataLoader or a generator"


def in_memory(*given: Any) -> bool:
    """Whether all leaves of some structures are dense numbers in memory (or None), which the loop takes.

    Example:
        >>> in_memory({"a": np.ones(3)}, [tf.zeros(3), None]), in_memory(tf.data.Dataset.range(3))
        (True, False)
    """
    return all(leaf is None or _is_dense(leaf) for leaf in keras.tree.flatten(given))


def check_data(name: str, given: Any) -> None:
    """Raise `InputError` for what neither this loop nor Keras's can train on: lists of numbers, dates, objects."""
    if _streams(given):
        return
    for leaf in keras.tree.flatten(given):
        if leaf is None:
            continue
        if not hasattr(leaf, "shape") or (not hasattr(leaf, "dtype") and not _is_frame(leaf)):
            kind = type(given).__name__ if leaf is given else f"{type(given).__name__} of {type(leaf).__name__}"
            raise InputError(f"{name}: got a {kind}; accepted: {ACCEPTED}.")
        if isinstance(leaf, np.ndarray) and (leaf.dtype.kind in "mM" or _holds_objects(leaf)):
            raise InputError(f"{name}: got an array of dtype {leaf.dtype}; accepted: numbers, Booleans or strings.")
        if len(leaf.shape) == 0:
            raise InputError(f"{name}: got a single number; accepted: at least one axis, that of the samples.")


def check_lengths(**given: Any) -> None:
    """Raise `InputError` unless all arrays have the same number of rows, at least one."""
    first: tuple[str, int] | None = None
    for name, structure in given.items():
        for path, leaf in _named_leaves(name, structure):
            rows = int(leaf.shape[0])
            if first is None:
                first = path, rows
            if rows != first[1]:
                raise InputError(f"{path}: got {rows} rows; accepted: {first[1]}, as {first[0]}.")
            if rows == 0:
                raise InputError(f"{path}: got no rows; accepted: at least one.")


def packed(x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, own: bool = False) -> Any:
    """The data as Keras packs them for a step, as tensors; floats in Keras's floatx.

    Args:
        own: copied, so that nobody changes them while a model is trained.

    Raises:
        InputError: unequal lengths; a class_weight that is not a dict, or beside sample_weight or several outputs.

    Example:
        >>> x, y, weight = packed(np.ones((3, 2)), np.array([0, 1, 1]), class_weight={1: 0.5})
        >>> x.dtype.name, weight.numpy().tolist()
        ('float32', [1.0, 0.5, 0.5])
    """
    check_lengths(x=x, y=y, sample_weight=sample_weight)
    if class_weight is not None:
        if not isinstance(class_weight, dict):
            kind = type(class_weight).__name__
            raise InputError(f"class_weight: got a {kind}; accepted: a dict from class numbers to weights.")
        if sample_weight is not None:
            raise InputError("class_weight: got one beside sample_weight; accepted: one of the two.")
        if keras.tree.is_nested(y) or y is None:
            kind = "no y" if y is None else f"a {type(y).__name__} of targets"
            raise InputError(f"class_weight: got one with {kind}; accepted: with one array of targets.")
    x, y, sample_weight = _as_arrays((x, y, sample_weight))
    # Keras's own rules for weights: by class, one for each output
    inputs = ArrayDataAdapter(x, y, sample_weight, class_weight=class_weight)._inputs
    return keras.tree.lists_to_tuples(to_tensors(inputs, keras.config.floatx(), own))


def to_tensors(structure: Any, dtype: Any, own: bool = False) -> Any:
    """Arrays as tensors, floats in `dtype`; copied where they must be, or are to be the tensors' own."""
    return keras.tree.map_structure(lambda leaf: None if leaf is None else _tensor(leaf, dtype, own), structure)


def split(data: Any, share: float) -> tuple[Any, Any]:
    """The first rows and the last `share` of them, as Keras's validation_split.

    Raises:
        InputError: a share that leaves no row on one side.
    """
    given = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    rows = int(given[0].shape[0])
    if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 < share < 1:
        raise InputError(f"validation_split: got {share!r}; accepted: above 0 and below 1, leaving rows on both sides.")
    first = math.floor(rows * (1.0 - share))
    if not 0 < first < rows:
        raise InputError(f"validation_split: got {share}; accepted: above 0 and below 1, leaving rows on both sides.")

    def part(start: int, stop: int) -> Any:
        def rows_of(leaf: Any) -> Any:
            if leaf is None:
                return None
            return leaf.iloc[start:stop] if _is_frame(leaf) else leaf[start:stop]

        return keras.tree.map_structure(rows_of, data)

    return part(0, first), part(first, rows)


def _is_dense(leaf: Any) -> bool:
    if _is_frame(leaf):
        return _dtypes(leaf) <= set("biuf") and leaf.ndim in (1, 2)
    if isinstance(leaf, tf.Tensor):
        return _is_number(leaf.dtype) and leaf.shape.rank > 0
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind in "biufcV" and leaf.dtype.names is None and leaf.ndim > 0 and not _is_mapped(leaf)
    is_array = hasattr(leaf, "__array__") and hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    return is_array and not hasattr(leaf, "tocsr") and not isinstance(leaf, tf.Variable | keras.KerasTensor)


def _is_number(dtype: tf.DType) -> bool:
    return dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex


def _is_mapped(array: Any) -> bool:
    """Whether an array, or the array that it is a view of, is in a file: Keras reads it batch by batch."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _is_frame(leaf: Any) -> bool:
    return type(leaf).__module__.split(".")[0] == "pandas"


def _dtypes(frame: Any) -> set[str]:
    kinds = frame.dtypes if frame.ndim == 2 else [frame.dtype]
    return {getattr(kind, "kind", "O") for kind in kinds}


def _holds_objects(array: np.ndarray) -> bool:
    return array.dtype.kind == "O" and not all(isinstance(element, str) for element in array.flat)


def _streams(given: Any) -> bool:
    """Whether data come by themselves, batch by batch."""
    kinds = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
    module = type(given).__module__.split(".")[0]
    return isinstance(given, kinds) or hasattr(given, "__next__") or module in ("torch", "grain", "keras")


def _as_arrays(structure: Any) -> Any:
    """Converts data that have only `__array__` (JAX, PyTorch, …) to NumPy arrays; Keras knows all others."""

    def one(leaf: Any) -> Any:
        known = leaf is None or isinstance(leaf, np.ndarray | tf.Tensor) or _is_frame(leaf)
        return leaf if known else np.asarray(leaf)

    return keras.tree.map_structure(one, structure)


def _tensor(leaf: Any, dtype: Any, own: bool) -> tf.Tensor:
    if _is_frame(leaf):
        leaf = leaf.copy() if own else leaf
        leaf = convert_to_sliceable(leaf, target_backend="tensorflow")
    if isinstance(leaf, tf.Tensor):
        return tf.cast(leaf, dtype) if leaf.dtype.is_floating else leaf
    floats = keras.backend.standardize_dtype(leaf.dtype).startswith(("float", "bfloat"))
    return tensor_of(leaf, tf.as_dtype(dtype).as_numpy_dtype if floats else leaf.dtype, own)


def _named_leaves(name: str, structure: Any) -> Iterator[tuple[str, Any]]:
    for path, leaf in keras.tree.flatten_with_path(structure):
        if leaf is not None:
            yield name + "".join(f"[{part!r}]" for part in path), leaf
