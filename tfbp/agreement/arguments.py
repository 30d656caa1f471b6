"""The arguments of a cell's programs, in its dtype: a layer's inputs, and those of a whole pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.local import Inputs, inputs_from
from tfbp.agreement.problems import Problem, numpy_dtype, round_to
from tfbp.agreement.programs import Cell, Named


def rounded_inputs(cell: Cell, numbers: Problem, tensors: Any) -> Inputs:
    """Returns each layer's inputs in the cell's dtype: the reference's tensors, rounded."""
    inputs = inputs_from(cell.case.network, tensors, numbers.parameters, numbers.y)
    return _mapped(inputs, lambda name, value: round_to(value, _input_dtype(cell, name)))


def _mapped(inputs: Any, function: Callable[[str, Any], Any]) -> Any:
    """Applies function(name, array) to each float array of the inputs; integers stay."""
    if isinstance(inputs, list):
        return [_mapped(tensor, function) for tensor in inputs]
    return {
        name: _mapped(value, function)
        if isinstance(value, dict | list)
        else tuple(_mapped({name: item}, function)[name] for item in value)
        if isinstance(value, tuple)
        else value
        if value.dtype.kind == "i"
        else function(name, value)
        for name, value in inputs.items()
    }


def typed(cell: Cell, parameters: Any, x: Any, y: Any, sample_weight: Any) -> Named:
    """Returns the arguments of a whole pass as tensors."""
    wide = "float64" if cell.dtype == "float64" else "float32"
    return {
        "parameters": tf.nest.map_structure(lambda w: tf.constant(w.astype(numpy_dtype(cell.dtype))), parameters),
        "x": tf.nest.map_structure(lambda a: _constant(a, numpy_dtype(cell.dtype)), x),
        "y": tf.nest.map_structure(lambda a: _constant(a, wide), y),
        "sample_weight": tf.nest.map_structure(lambda a: _constant(a, wide), sample_weight),
    }


def _constant(array: np.ndarray, dtype: Any) -> tf.Tensor:
    """Returns a tensor of that dtype; integers stay."""
    return tf.constant(array if array.dtype.kind == "i" else array.astype(dtype))


def as_tensors(inputs: Any, cell: Cell) -> Any:
    """Returns each layer's inputs as tensors of the cell's dtype; weights without a gradient are wider."""
    arrays = _mapped(inputs, lambda name, value: value.astype(numpy_dtype(_input_dtype(cell, name))))
    wide = numpy_dtype("float64" if cell.dtype == "float64" else "float32")
    for node, fed in zip(cell.case.network.nodes, arrays, strict=False):
        for name in node.layer.without_gradient:
            fed["weights"][name] = fed["weights"][name].astype(wide)
    return tf.nest.map_structure(tf.constant, arrays)


def _input_dtype(cell: Cell, name: str) -> str:
    wide = name in {"outputs", "dlosses", "y"} and cell.dtype != "float64"
    return "float32" if wide else cell.dtype
