"""Runs the function under test, in any one dtype: a callable, a tf.custom_gradient, a Keras layer, model or loss.

A `Program` takes and returns flat lists: every input, then every trainable variable that was found, its own or closed
over. Values that a call changes (statistics, seeds) are put back before the next: every call sees the same function.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from tfbp.checking.tensorflow_internals import tf_decorator
from tfbp.errors import InputError
from tfbp.judging.failures import Failure, attempt

NUMPY = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
Values = list[np.ndarray]


class Subject:
    """A function and its inputs, named; `at(dtype)` is the program in that dtype, or the `Failure` that came of it.

    Args:
        function: a callable of tensors, a Keras layer, model or loss.
        inputs: its positional arguments, each an array, or any nest of arrays; floats are differentiated, and
            everything else is handed on as it is. One array may come without a list.
        constants: the names of floats that are data, and handed on, too.
    """

    def __init__(self, function: Any, inputs: Any, constants: Sequence[str] | str = ()) -> None:
        if not callable(function):
            raise InputError(f"function: got {function!r}; accepted: a callable of tensors, a Keras layer or a loss.")
        self.function = function
        given = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
        self.arguments = tuple(np.asarray(item) if _is_numbers(item) else item for item in given)
        flat = [_array(argument) for argument in tf.nest.flatten(self.arguments)]
        self.values: Values = [tensor.astype(np.float64) if _is_float(tensor) else tensor for tensor in flat]
        self.names = _names(function, self.arguments)
        targets = 1 if isinstance(function, keras.losses.Loss) else 0  # a Keras loss is differentiated at y_pred alone
        data = _constants(constants, self.names)
        self.differentiable = [i for i, array in enumerate(flat) if _is_float(array) and i >= targets and i not in data]
        for i in self.differentiable:
            if not np.isfinite(self.values[i]).all():
                raise InputError(f"inputs: got {self.names[i]} with a NaN or an infinity; accepted: finite numbers.")
            if self.values[i].size == 0:
                raise InputError(
                    f"inputs: got {self.names[i]} of shape {self.values[i].shape}; accepted: no axis of 0."
                )

    def at(self, dtype: str) -> Program | Failure:
        """The program in a dtype, after one call that shows that it runs and finds its variables."""
        function = attempt(_in_dtype, self.function, dtype)
        return function if isinstance(function, Failure) else attempt(Program, self, function, dtype)


class Program:
    """One function in one dtype.

    Attributes:
        names: of what it is differentiated with respect to: float inputs, then trainable variables.
        where: the place of each in `values`. values: every input, then every variable, float64 where they are floats.
        outputs: how many of its outputs are floats. seeded: whether its random numbers are replayed by a seed.
    """

    def __init__(self, subject: Subject, function: Any, dtype: str) -> None:
        self.dtype, self.function, self.subject = dtype, function, subject
        self.seeded, self.seed = False, 0
        self._seen: dict[int, tuple[np.ndarray, tf.Tensor]] = {}
        layers = _owned(function)
        self._state = [v for v in layers if isinstance(v, tf.Variable)]
        self._kept = [v.numpy() for v in self._state]
        tensors = self.tensors(subject.values)
        with tf.GradientTape() as tape:
            tape.watch([tensors[i] for i in subject.differentiable])
            outputs = self.call(tensors)
        self.restore()
        if not any(_is_float_tensor(output) for output in outputs):
            raise InputError("function: got no output of floating-point numbers; accepted: at least one.")
        self.shapes = [tuple(output.shape) for output in outputs if _is_float_tensor(output)]
        self.output_dtypes = [output.dtype.name for output in outputs if _is_float_tensor(output)]
        watched = [v for v in tape.watched_variables() if v.dtype.is_floating]
        # the tape's order is another one in every program: a layer's own order is not
        known = {id(v): place for place, v in enumerate(self._state)}
        self.variables = sorted(watched, key=lambda v: known.get(id(v), len(known)))
        self._state += [v for v in self.variables if id(v) not in known]
        self._kept = [v.numpy() for v in self._state]
        self.values = [*subject.values, *(np.asarray(v.numpy()).astype(np.float64) for v in self.variables)]
        inputs = len(subject.values)
        self.where = [*subject.differentiable, *range(inputs, inputs + len(self.variables))]
        self.names = [subject.names[i] for i in subject.differentiable] + _variable_names(self.variables)

    def tensors(self, values: Values) -> list[tf.Tensor]:
        """The inputs as tensors, floats in the program's dtype; the variables take their values."""
        inputs = len(self.subject.values)
        for variable, value in zip(getattr(self, "variables", ()), values[inputs:], strict=False):
            variable.assign(value.astype(NUMPY[variable.dtype.name]))
        return [self._tensor(i, v) for i, v in enumerate(values[:inputs])]

    def _tensor(self, place: int, value: np.ndarray) -> tf.Tensor:
        """The array as a tensor; of the array that was last here, the tensor that was made of it."""
        if place not in self._seen or self._seen[place][0] is not value:
            narrow = value.astype(NUMPY[self.dtype], copy=False) if value.dtype.kind == "f" else value
            self._seen[place] = value, tf.constant(narrow)
        return self._seen[place][1]

    def call(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The function's outputs, flat."""
        packed = tf.nest.pack_sequence_as(self.subject.arguments, list(tensors))
        return [tf.convert_to_tensor(output) for output in tf.nest.flatten(self.function(*packed))]

    def forward(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        """The outputs that are floats."""
        return [output for output in self.call(tensors) if _is_float_tensor(output)]

    def backward(self, tensors: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor]) -> tuple[list[Any], list[Any]]:
        """The float outputs, and the gradient of Σ upstream · output for each name; None where there is none."""
        watched = [tensors[i] for i in self.subject.differentiable]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            outputs = self.forward(*tensors)
        gradients = tape.gradient(outputs, [*watched, *self.variables], output_gradients=list(upstream))
        # IndexedSlices name a row as often as it was gathered: they are summed
        return outputs, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]

    def upstream(self, arrays: Sequence[np.ndarray]) -> list[tf.Tensor]:
        """Upstream gradients in the outputs' dtypes."""
        pairs = zip(arrays, self.output_dtypes, strict=True)
        return [tf.constant(np.asarray(array).astype(NUMPY[dtype])) for array, dtype in pairs]

    def restore(self) -> None:
        """Put the state back, and the seeds where random numbers are replayed."""
        for variable, value in zip(self._state, self._kept, strict=True):
            variable.assign(value)
        if self.seeded:
            tf.random.set_seed(self.seed)
            np.random.seed(self.seed)  # noqa: NPY002  the function's own may be this one
            random.seed(self.seed)

    def changed(self) -> list[str]:
        """The variables that one call leaves with other values, which are put back."""
        self.restore()
        attempt(self.call, self.tensors(self.values))
        names = [
            getattr(v, "path", None) or v.name.split(":")[0]
            for v, kept in zip(self._state, self._kept, strict=True)
            if not np.array_equal(v.numpy(), kept)
        ]
        self.restore()
        return names

    def run(self, values: Values, upstream: Sequence[np.ndarray]) -> tuple[Values, list[Any]]:
        """Outputs and gradients as they come, eagerly, from the function's first state."""
        self.restore()
        tensors = self.tensors(values)
        outputs, gradients = self.backward(tensors, self.upstream(upstream))
        self.restore()
        return outputs, gradients


def oracle_of(function: Any) -> Callable[..., Any] | None:
    """The body of a tf.custom_gradient without the gradient that it returns: autodiff can differentiate this."""
    decorated, body = tf_decorator.unwrap(function)
    own = [mark for mark in decorated if mark.decorator_name == "custom_gradient"]
    if not own and not _is_custom_gradient(function):
        return None
    if body is function:
        body = getattr(function, "__wrapped__", None)
    return None if body is None else (lambda *arguments: body(*arguments)[0])


def _is_custom_gradient(function: Any) -> bool:
    return "custom_gradient" in getattr(getattr(function, "__code__", None), "co_filename", "")


def _in_dtype(function: Any, dtype: str) -> Callable[..., Any]:
    """The function; a Keras object is made again in the dtype, with the same weights, where it has another."""
    if isinstance(function, keras.losses.Loss):
        return type(function).from_config({**function.get_config(), "dtype": dtype})
    if not isinstance(function, keras.Layer):
        return function
    layer = function
    if layer.dtype_policy.name != dtype:
        converted = type(function).from_config(with_dtype(function.get_config(), dtype))
        shapes = getattr(function, "_build_shapes_dict", None)
        if not converted.built and shapes:
            converted.build(**shapes) if len(shapes) > 1 else converted.build(*shapes.values())
        if function.built and converted.built:
            converted.set_weights(
                [w.astype(NUMPY[dtype]) if w.dtype.kind == "f" else w for w in function.get_weights()]
            )
        layer = converted
    training = {"training": True} if "training" in inspect.signature(layer.call).parameters else {}
    called = lambda *arguments: layer(*arguments, **training)  # noqa: E731
    called.owner = layer  # type: ignore[attr-defined]
    return called


def with_dtype(config: Any, dtype: str) -> Any:
    """A configuration, and those inside it, with another dtype."""
    if isinstance(config, dict):
        changed = {key: with_dtype(value, dtype) for key, value in config.items()}
        return {key: dtype if key == "dtype" else value for key, value in changed.items()}
    return [with_dtype(item, dtype) for item in config] if isinstance(config, list) else config


def _owned(function: Any) -> list[Any]:
    """The variables of a function: those of its layers and generators, its own or closed over."""
    try:
        names = inspect.getclosurevars(function)
        held = [*names.nonlocals.values(), *names.globals.values()]
    except TypeError:
        held = []
    held += [getattr(function, "owner", None), getattr(function, "__self__", None), function]
    found: dict[int, tf.Variable] = {}
    for owner in tf.nest.flatten([list(h) if isinstance(h, list | tuple) else h for h in held]):
        if isinstance(owner, tf.random.Generator):
            owner = owner.state
        variables = [v.value for v in owner.variables] if isinstance(owner, keras.Layer) else [owner]
        found.update({id(v): v for v in variables if isinstance(v, tf.Variable)})
    return list(found.values())


def _names(function: Any, arguments: tuple[Any, ...]) -> list[str]:
    """x, kernel, states[0], weights['bias']: the signature's names, with the place inside a nest."""
    called = function.call if isinstance(function, keras.Layer | keras.losses.Loss) else function
    parameters: list[Any] = []
    signature = attempt(inspect.signature, oracle_signature(called))
    if not isinstance(signature, Failure):
        parameters = [
            p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    names = [p.name for p in parameters[: len(arguments)]]
    names += [f"input {i}" for i in range(len(names), len(arguments))]
    found = []
    for name, argument in zip(names, arguments, strict=True):
        paths = keras.tree.flatten_with_path(argument) if tf.nest.is_nested(argument) else [((), None)]
        found += [name + "".join(f"[{part!r}]" for part in path) for path, _ in paths]
    return found


def _constants(constants: Sequence[str] | str, names: Sequence[str]) -> set[int]:
    """The places of the inputs that are named, each alone or with all that is nested in it."""
    found: set[int] = set()
    for name in constants if isinstance(constants, Iterable) and not isinstance(constants, str) else (constants,):
        places = {i for i, known in enumerate(names) if known == name or known.startswith(f"{name}[")}
        if not places:
            raise InputError(f"constants: got {name!r}; accepted: names of inputs, of {', '.join(names)}.")
        found |= places
    return found


def oracle_signature(function: Any) -> Any:
    """The function that was written, without what decorates it."""
    return getattr(function, "__wrapped__", function)


def _variable_names(variables: Sequence[tf.Variable]) -> list[str]:
    names = [getattr(v, "path", None) or v.name.split(":")[0] for v in variables]
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]


def _array(value: Any) -> np.ndarray:
    array = attempt(np.asarray, value.numpy() if isinstance(value, tf.Tensor | tf.Variable) else value)
    if isinstance(array, Failure) or array.dtype.kind in "OUSc":
        what = type(value).__name__ if isinstance(array, Failure) else f"dtype {array.dtype}"
        raise InputError(f"inputs: got {what}; accepted: arrays or tensors of real numbers, or nests of them.")
    return array


def _is_numbers(value: Any) -> bool:
    """A list of Python's numbers is an array, not a nest."""
    leaves = tf.nest.flatten(value) if isinstance(value, list | tuple) else []
    return bool(leaves) and all(isinstance(leaf, int | float) for leaf in leaves)


def _is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16


def _is_float_tensor(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating)
