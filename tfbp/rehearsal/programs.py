"""Lists the programs of a GPU run, as functions with their arguments, for the rehearsal without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import layers, manual, reference
from tfbp.agreement.arguments import as_tensors, rounded_inputs, typed
from tfbp.agreement.cases import activation_cases
from tfbp.agreement.matrix import LOCAL, WRITINGS, options_of
from tfbp.agreement.problems import Case, numpy_dtype, problem
from tfbp.agreement.programs import Cell
from tfbp.bridge.activations import keras_activation
from tfbp.fitting import loops
from tfbp.fitting.compiler import Way
from tfbp.fitting.tables import of as programs_of
from tfbp.judging.failures import Failure
from tfbp.losses import linear_cross_entropy
from tfbp.network import Dense, Network
from tfbp.rehearsal.findings import Rehearsed
from tfbp.tape.linear_cross_entropy import linear_cross_entropy as on_tape
from tfbp.training.model import Model
from tfbp.training.rules import build

PARTS = ("writings", "layers", "per example", "linear cross-entropy", "training")
_WITHOUT_LABELS = Network(6, [Dense(5, "tanh", kernel_regularizer="l2"), Dense(4)], "mean_squared_error")
_TRAINED = (
    Network(6, [Dense(5, "relu"), Dense(4)], "sparse_categorical_crossentropy"),
    Network(6, [Dense(5, "gelu", bias_regularizer="l1"), Dense(4, "softmax")], "categorical_crossentropy"),
)
_LINEAR_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"label_smoothing": 0.1, "z_loss": 0.05, "soft_cap": 2.0, "ignore_index": -1},
)
_BATCH = 3


def programs(cases: list[Case], dtype: str, parts: Any = PARTS) -> Iterator[Rehearsed]:
    """Yields the programs of a GPU run: the writings on each case, tfbp.layers, losses, per-example norms, training."""
    if "writings" in parts:
        for case in cases:
            yield from writings_of(case, dtype)
    others = {
        "layers": layers_of,
        "per example": per_example,
        "linear cross-entropy": linear_cross_entropies,
        "training": training,
    }
    for part, of in others.items():
        if part in parts:
            yield from of(dtype)


def writings_of(case: Case, dtype: str, writings: Any = tuple(WRITINGS)) -> Iterator[Rehearsed]:
    """Yields a whole pass of each writing, and each of its operations, on the matrix's numbers."""
    cell, numbers = Cell(case, dtype, "graph"), problem(case, dtype)
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    tensors = reference.loss_gradients_and_tensors(case.network, *arguments, **options_of(case))[2]
    fed = {"local": as_tensors(rounded_inputs(cell, numbers, tensors), cell), **typed(cell, *arguments)}
    for writing in writings:
        run, by_hand = partial(_write, writing, case), writing == "manual"
        yield Rehearsed("writings", f"{case.name}-{writing}", dtype, run, fed, by_hand=by_hand)


def _write(writing: str, case: Case, fed: Any) -> Any:
    local = LOCAL[writing](case.network, fed["local"], case.training)
    for name, value in local.items():
        if isinstance(value, Failure):
            raise RuntimeError(f"{name}: {value.sentence}")
    whole = [fed[name] for name in ("parameters", "x", "y", "sample_weight")]
    found = WRITINGS[writing].loss_gradients_and_tensors(case.network, *whole, **options_of(case))
    # residuals are not always tensors, and no program returns them
    return [value for value in tf.nest.flatten((local, found)) if tf.is_tensor(value)]


def layers_of(dtype: str) -> Iterator[Rehearsed]:
    """Yields every layer of tfbp.layers, forward and backward."""
    named = {case.name.split("-B")[0]: case.network.layers[0].applied_activation for case in activation_cases()}
    layers_by_name = {
        f"Activation {name}": layers.Activation(keras_activation(a), dtype=dtype) for name, a in named.items()
    }
    layers_by_name |= {
        "Dense": layers.Dense(6, "relu", dtype=dtype),
        "Dense without bias": layers.Dense(6, use_bias=False, dtype=dtype),
        "ReLU": layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.1, dtype=dtype),
        "LeakyReLU": layers.LeakyReLU(dtype=dtype),
        "ELU": layers.ELU(0.5, dtype=dtype),
        "PReLU": layers.PReLU(shared_axes=[1], dtype=dtype),
        "Softmax": layers.Softmax(dtype=dtype),
        "Softmax over two axes": layers.Softmax(axis=(1, 2), dtype=dtype),
    }
    x = tf.constant(_in(dtype, np.linspace(-2.0, 2.0, 24).reshape(2, 3, 4)))
    for name, layer in layers_by_name.items():
        layer.build(x.shape)
        weights = {weight.name: tf.convert_to_tensor(weight) for weight in layer.weights}
        fed = {"x": x, "dy": tf.ones_like(layer(x)), "weights": weights}
        yield Rehearsed("layers", name, dtype, partial(_forward_and_backward, layer), fed, by_hand=True)


def _forward_and_backward(layer: keras.layers.Layer, fed: Any) -> Any:
    # the weights are arguments: a program with variables cannot be lowered without the device
    weights = [(variable, fed["weights"][variable.name]) for variable in layer.weights]
    with keras.StatelessScope(weights), tf.GradientTape() as record:
        record.watch((fed["x"], fed["weights"]))
        y = layer(fed["x"])
    sources = (fed["x"], fed["weights"])
    return y, record.gradient(y, sources, output_gradients=fed["dy"], unconnected_gradients="zero")


def per_example(dtype: str) -> Iterator[Rehearsed]:
    """Yields every example's norm, clipped gradients, and the moments of the examples' gradients, by hand."""
    room = manual.per_example
    functions: dict[str, Callable[..., Any]] = {
        "gradient_norms": room.gradient_norms,
        "gradient_mean_and_variance": room.gradient_mean_and_variance,
        "loss_and_clipped_gradients": partial(room.loss_and_clipped_gradients, clip=0.5),
    }
    for network in (_TRAINED[0], _WITHOUT_LABELS):
        for name, function in functions.items():
            title, run = f"{name}-{network.loss.name}", partial(_of_examples, function, network)
            yield Rehearsed("per example", title, dtype, run, _batch(network, dtype), by_hand=True)


def _of_examples(function: Callable[..., Any], network: Network, fed: Any) -> Any:
    return function(network, fed["parameters"], fed["x"], fed["y"])


def linear_cross_entropies(dtype: str) -> Iterator[Rehearsed]:
    """Yields the last layer with its loss, with chunks and a remainder, its gradients, and the tape's version."""
    batch = _batch(_TRAINED[0], dtype)
    fed = {"x": batch["x"], "labels": tf.constant([0, 1, 2, 3, 4, 0, 1]), **batch["parameters"][0]}
    by: dict[str, Callable[..., Any]] = {"manual": partial(linear_cross_entropy, chunk_size=3), "tape": on_tape}
    for name, function in by.items():
        for options in _LINEAR_OPTIONS:
            run = partial(_loss_and_gradients, partial(function, **options))
            title = f"{name}-{'all' if options else 'no'}-options"
            yield Rehearsed("linear cross-entropy", title, dtype, run, fed, by_hand=name == "manual")


def _loss_and_gradients(function: Callable[..., Any], fed: Any) -> Any:
    sources = [fed[name] for name in ("x", "kernel", "bias")]
    with tf.GradientTape() as record:
        record.watch(sources)
        loss = function(fed["x"], fed["kernel"], fed["labels"], bias=fed["bias"])
    return loss, record.gradient(loss, sources)


def training(dtype: str) -> Iterator[Rehearsed]:
    """Yields the compiled programs of `tfbp.Model` on arrays: blocks of steps, remainder, whole epochs, predictions."""
    policy = f"mixed_{dtype}" if "16" in dtype else dtype
    for network in _TRAINED:
        for gradients, optimizer in (("manual", "adam"), ("tape", "sgd")):
            for mode in ("graph", "xla"):
                model = Model(network, gradients, dtype=policy, seed=0)
                model.compile(optimizer, metrics=["accuracy"], jit_compile=mode == "xla")
                batch = _batch(network, "float64" if dtype == "float64" else "float32")
                x, y = batch["x"], batch["y"]
                build(model, (x[:_BATCH], y[:_BATCH]))
                for name, (make, data, arguments) in _made(x, y).items():
                    title = f"{network.loss.name}-{gradients}-{optimizer}-{name}"
                    fed = (*arguments, *data)
                    specs, way = list(map(tf.TensorSpec.from_tensor, fed)), Way(mode == "xla", mode == "xla")
                    function = make(programs_of(model, data), _BATCH, specs, way=way)
                    run = partial(_unpacked, function)
                    yield Rehearsed("training", title, dtype, run, fed, (mode,), True, gradients == "manual")


def _unpacked(function: Callable[..., Any], fed: Any) -> Any:
    results, _ = function(*fed)
    return results


def _made(x: tf.Tensor, y: tf.Tensor) -> dict[str, tuple[Callable[..., Any], tuple[tf.Tensor, ...], tuple[Any, ...]]]:
    """Returns the function of each program, the data, and the arguments before them."""
    order, between, left = tf.range(len(x)), tf.constant([0, 2, _BATCH, len(x)]), len(x) % _BATCH
    built: dict[str, Any] = {}
    for name in ("train", "test"):
        built[name] = partial(loops.block, name=name, even=False), (x, y), (order, between)
        built[f"{name} rest"] = partial(loops.rest, name=name, left=left), (x, y), (order[-left:], tf.constant([left]))
    built["train guarded"] = partial(loops.block, name="train", even=False, guarded=True), (x, y), (order, between)
    numbers = tf.constant([2, 0, 3, _BATCH, 2 * _BATCH, len(x)])
    whole = partial(loops.epochs, name="train", full=True, left=left)
    built["epochs"] = whole, (x, y), (tf.stack([order, order]), numbers)
    built["predictions"] = partial(loops.predictions, name="predict", even=False), (x,), (order, tf.constant([2]))
    return built


def _batch(network: Network, dtype: str) -> dict[str, Any]:
    """Returns parameters, and seven rows of x and y."""
    rng = np.random.default_rng(0)
    labels = np.arange(7) % network.outputs
    targets = np.eye(network.outputs)[labels].astype("float64" if dtype == "float64" else "float32")
    y = labels.astype("int32") if network.loss.name.startswith("sparse") else targets
    fed = {
        "parameters": _in(dtype, network.init(0)),
        "x": _in(dtype, rng.normal(size=(7, *network.input_shape))),
        "y": y,
    }
    return tf.nest.map_structure(tf.constant, fed)


def _in(dtype: str, arrays: Any) -> Any:
    return tf.nest.map_structure(lambda a: np.asarray(a).astype(numpy_dtype(dtype)), arrays)
