"""Copies a user's layers to another dtype, with the same weights; in its own dtype a layer is used itself."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfbp.agreement.of_models.opened import Call, Opened
from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.checking.subject import with_dtype
from tfbp.errors import InputError
from tfbp.judging.failures import Failure, attempt


@contextmanager
def _of_zeros(dtype: str) -> Iterator[None]:
    """Layers that are made while open have a dtype, and weights begin as zeros.

    A layer may make others without a word about their dtype, as in a model under that policy; and TensorFlow has no
    orthogonal matrices in bfloat16."""
    add_weight, policy = keras.Layer.add_weight, keras.config.dtype_policy()

    def of_zeros(layer: Any, shape: Any = None, initializer: Any = None, *given: Any, **options: Any) -> Any:
        return add_weight(layer, shape, "zeros", *given, **options)

    keras.Layer.add_weight = of_zeros
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.Layer.add_weight = add_weight
        keras.config.set_dtype_policy(policy)


class Copies:
    """The operations of a model in each dtype.

    Attributes:
        missing: by (layer's name, dtype) the cause why there is no copy.
    """

    def __init__(self, model: Opened) -> None:
        self.model = model
        self.missing: dict[tuple[str, str], str] = {}
        self._made: dict[tuple[int, str], Any] = {}
        # the weights before any run: all dtypes' copies start from them
        self._weights = {id(layer): [v.numpy() for v in layer.variables] for layer in model.layers}

    def of(self, call: Call, dtype: str) -> Any:
        """Returns the call's operation in a dtype; a `Failure` without one."""
        key = id(call.operation), dtype
        if key not in self._made:
            self._made[key] = attempt(self._copy, call.operation, dtype)
            if isinstance(self._made[key], Failure):
                self.refuse(call, dtype, self._made[key])
        return self._made[key]

    def refuse(self, call: Call, dtype: str, failure: Failure) -> None:
        """Notes that the call's operation does not run in a dtype."""
        self._made[id(call.operation), dtype] = failure
        self.missing[call.operation.name, dtype] = failure.sentence

    def missing_in(self, dtype: str) -> list[str]:
        """Returns the layers without a copy in a dtype."""
        return [call.name for call in self.model.calls if isinstance(self.of(call, dtype), Failure)]

    def _copy(self, operation: Any, dtype: str) -> Any:
        if not isinstance(operation, keras.Layer):
            # a copy has its own record of symbolic calls
            duplicate = copy.copy(operation)
            duplicate._inbound_nodes, duplicate._outbound_nodes = [], []
            return duplicate
        if operation.compute_dtype == dtype == operation.variable_dtype:
            return operation
        return self.fresh(operation, dtype)

    def fresh(self, layer: Any, dtype: str) -> Any:
        """Returns a layer of the same class, configuration and weights, in a dtype.

        Raises:
            InputError: a layer that its configuration does not reproduce.
        """
        with _of_zeros(dtype):
            if isinstance(layer, keras.layers.Lambda):
                copy_of_layer = keras.layers.Lambda(
                    layer.function, layer._output_shape, layer.mask, layer.arguments, dtype=dtype, name=layer.name
                )
            else:
                copy_of_layer = type(layer).from_config(with_dtype(layer.get_config(), dtype))
            if not copy_of_layer.built:
                copy_of_layer.build_from_config(layer.get_build_config() or {})
        copy_of_layer.trainable = layer.trainable
        values = self._weights[id(layer)]
        if len(copy_of_layer.variables) != len(values):
            raise InputError(
                f"model: got {layer.name!r}, of which from_config makes another; accepted: a layer that it makes again."
            )
        for variable, value in zip(copy_of_layer.variables, values, strict=True):
            is_float = keras.backend.is_float_dtype(variable.dtype)
            variable.assign(round_to(value, dtype).astype(numpy_dtype(variable.dtype)) if is_float else value)
        if hasattr(copy_of_layer, "finalize_state"):
            copy_of_layer.finalize_state()
        return copy_of_layer

    def assign(self, layer: Any, operation: Any, dtype: str) -> None:
        """Assigns the layer's weights, rounded to a dtype, to an operation."""
        for variable, value in zip(operation.variables, self._weights[id(layer)], strict=True):
            is_float = keras.backend.is_float_dtype(variable.dtype)
            variable.assign(round_to(value, dtype).astype(numpy_dtype(variable.dtype)) if is_float else value)
