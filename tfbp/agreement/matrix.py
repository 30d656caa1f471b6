"""One cell of the matrix: a case in one dtype, mode and device, compared locally and end to end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual, reference, tape
from tfbp.agreement.cases import Case, Problem, numpy_dtype, problem, round_to
from tfbp.agreement.local import Inputs, inputs_from, local_manual, local_reference, local_tape, local_tolerances
from tfbp.agreement.running_error import end_to_end_errors
from tfbp.checking.comparison import Comparison, compare
from tfbp.checking.tolerances import Units
from tfbp.checks import InputError

MODES = ("eager", "graph", "xla")
WRITINGS: dict[str, Any] = {"manual": manual, "tape": tape}
LOCAL = {"manual": local_manual, "tape": local_tape}
PAIRS = ("manual-reference", "tape-reference", "manual-tape")
LAYERS = "layers-reference"
_ORDER = (*PAIRS, LAYERS)


@dataclass(frozen=True)
class Cell:
    """Where a case runs.

    Example:
        >>> from tfbp.agreement.cases import shape_cases
        >>> Cell(next(shape_cases()), "float32", "xla").id
        'dense-B33-I64-O10-float32-xla-cpu'
    """

    case: Case
    dtype: str
    mode: str
    device: str = "cpu"
    tf32: bool = False

    @property
    def id(self) -> str:
        return "-".join([self.case.name, self.dtype, self.mode, self.device] + ["tf32"] * self.tf32)


@dataclass(frozen=True)
class Result:
    """A comparison, and where it was made: the pair of writings, local or end-to-end."""

    cell: Cell
    pair: str
    scope: str
    comparison: Comparison


def run_cell(cell: Cell) -> list[Result]:
    """Every comparison of one cell: three pairs of writings, each locally and end to end."""
    network, numbers = cell.case.network, problem(cell.case, cell.dtype)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    loss, gradients, tensors = reference.loss_gradients_and_tensors(network, *arguments)
    rounded = rounded_inputs(cell, numbers, tensors)
    expected = {
        "local": local_reference(network, rounded),
        "end to end": _named(loss, gradients),
    }
    got: dict[str, dict[str, Any]] = {}
    tolerances: dict[str, dict[str, Any]] = {}
    with on(cell):
        for writing in WRITINGS:
            got[writing] = {
                "local": compiled(lambda fed, w=writing: LOCAL[w](network, fed), cell)(as_tensors(rounded, cell)),
                "end to end": _named(*_run_end_to_end(cell, writing, arguments)),
            }
            units = Units.of(cell.dtype, writing, cell.tf32)
            end_to_end = end_to_end_errors(
                network, numbers.parameters, tensors, numbers.y, numbers.sample_weight, units
            )
            tolerances[writing] = {
                "local": local_tolerances(network, rounded, units),
                "end to end": _named(*end_to_end),
            }
    results = []
    for scope, right in expected.items():
        for name, value in right.items():
            both = tolerances["manual"][scope][name] + tolerances["tape"][scope][name]
            for pair in PAIRS:
                left, other = pair.split("-")
                target = value if other == "reference" else _float64(got[other][scope][name])
                tolerance = tolerances[left][scope][name] if other == "reference" else both
                wide = name.startswith("loss")
                dtype = ("float64" if cell.dtype == "float64" else "float32") if wide else cell.dtype
                comparison = compare(name, as_array(got[left][scope][name]), target, tolerance, dtype)
                results.append(Result(cell, pair, scope, comparison))
    return results


def rounded_inputs(cell: Cell, numbers: Problem, tensors: Any) -> Inputs:
    """What each op is fed in the cell's dtype: the reference's tensors, rounded."""
    return [
        {name: value if name == "y" and value.dtype.kind == "i" else round_to(value, _input_dtype(cell, name))
         for name, value in layer.items()}
        for layer in inputs_from(tensors, numbers.parameters, numbers.y)
    ]  # fmt: skip


def first_wrong(results: list[Result]) -> Result | None:
    """The first disagreement: local before end to end, for a local check names the layer and tensor."""
    wrong = [result for result in results if not result.comparison.agrees]
    return min(wrong, key=lambda result: (result.scope != "local", _ORDER.index(result.pair)), default=None)


def cells(cases: list[Case], dtypes: Any, modes: Any, device: str = "cpu", tf32: Any = (False,)) -> list[Cell]:
    """The matrix. TF32 is an axis of float32 on the GPU alone: nothing else has it."""
    plain = [Cell(case, dtype, mode, device) for case in cases for dtype in dtypes for mode in modes]
    return [
        replace(cell, tf32=on)
        for cell in plain
        for on in (tf32 if device == "gpu" and cell.dtype == "float32" else (False,))
    ]


def check_device(device: str) -> None:
    """Raise `InputError` unless TensorFlow sees the device."""
    if not tf.config.list_physical_devices(device.upper()):
        seen = ", ".join(sorted({d.device_type.lower() for d in tf.config.list_physical_devices()}))
        raise InputError(f"device: got {device!r}, which TensorFlow does not find here; accepted: {seen}.")


def _run_end_to_end(cell: Cell, writing: str, arguments: Any) -> Any:
    parameters, x, y, sample_weight = arguments
    network = cell.case.network
    wide = "float64" if cell.dtype == "float64" else "float32"
    fed = (
        tf.nest.map_structure(lambda w: tf.constant(w.astype(numpy_dtype(cell.dtype))), parameters),
        tf.constant(x.astype(numpy_dtype(cell.dtype))),
        tf.constant(y if y.dtype.kind == "i" else y.astype(wide)),
        tf.constant(sample_weight.astype(wide)),
    )
    return compiled(lambda *a: WRITINGS[writing].loss_and_gradients(network, *a), cell)(*fed)


def compiled(function: Callable[..., Any], cell: Cell) -> Callable[..., Any]:
    return function if cell.mode == "eager" else tf.function(function, jit_compile=cell.mode == "xla")


def as_tensors(inputs: Any, cell: Cell) -> Any:
    return [
        {
            name: tf.constant(value if value.dtype.kind == "i" else value.astype(numpy_dtype(_input_dtype(cell, name))))
            for name, value in layer.items()
        }
        for layer in inputs
    ]


def _input_dtype(cell: Cell, name: str) -> str:
    wide = name in {"outputs", "dlosses", "y"} and cell.dtype != "float64"
    return "float32" if wide else cell.dtype


@contextmanager
def on(cell: Cell) -> Any:
    """The cell's device, and TF32 as it says; the setting is put back afterwards."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(cell.tf32)
    try:
        with tf.device(f"/{cell.device.upper()}:0"):
            yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _named(loss: Any, gradients: Any) -> dict[str, Any]:
    layers = {f"layer {i} d{name}": dw for i, layer in enumerate(gradients) for name, dw in layer.items()}
    return {"loss": loss, **layers}


def as_array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy())


def _float64(tensor: Any) -> np.ndarray:
    return as_array(tensor).astype(np.float64)
