"""What a GPU run runs, as functions with the tensors they are called with: for the rehearsal of it without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp import layers, manual, reference
from tfbp.agreement.cases import Case, activation_cases, numpy_dtype, problem
from tfbp.agreement.matrix import LOCAL, WRITINGS, Cell, as_tensors, rounded_inputs
from tfbp.agreement.rehearsal import Program
from tfbp.keras_activations import keras_activation
from tfbp.losses import linear_cross_entropy
from tfbp.network import Dense, Network
from tfbp.tape.linear_cross_entropy import linear_cross_entropy as on_tape
from tfbp.training.array_loop import build
from tfbp.training.model import Model
from tfbp.training.programs import PROGRAMS, program

PARTS = ("writings", "layers", "per example", "linear_cross_entropy", "training")
_WITHOUT_LABELS = Network(6, [Dense(5, "tanh", kernel_regularizer="l2"), Dense(4)], "mean_squared_error")
_TRAINED = (
    Network(6, [Dense(5, "relu"), Dense(4)], "sparse_categorical_crossentropy"),
    Network(6, [Dense(5, "gelu", bias_regularizer="l1"), Dense(4, "softmax")], "categorical_crossentropy"),
)
_LINEAR_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"label_smoothing": 0.1, "z_loss": 0.05, "soft_cap": 2.0, "ignore_index": -1},
)


def programs(cases: list[Case], dtypes: Any, parts: tuple[str, ...] = PARTS) -> list[Program]:
    """What a GPU run runs: the writings on each case, and tfbp.layers, losses, per-example norms and training."""
    found: list[Program] = []
    for dtype in dtypes:
        if "writings" in parts:
            found += [p for case in cases for p in writings_of(case, dtype)]
        if "layers" in parts:
            found += layers_of(dtype)
        if "per example" in parts:
            found += per_example(dtype)
        if "linear_cross_entropy" in parts:
            found += linear_cross_entropies(dtype)
        if "training" in parts:
            found += training(dtype)
    return found


def writings_of(case: Case, dtype: str, writings: Any = tuple(WRITINGS)) -> Iterator[Program]:
    """A whole pass of each writing, and each of its layers by itself, on the numbers that the matrix tries."""
    cell, numbers = Cell(case, dtype, "graph"), problem(case, dtype)
    fed = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    tensors = reference.loss_gradients_and_tensors(case.network, *fed)[2]
    rounded = as_tensors(rounded_inputs(cell, numbers, tensors), cell)
    wide = np.float64 if dtype == "float64" else np.float32
    y = numbers.y if numbers.y.dtype.kind == "i" else numbers.y.astype(wide)
    whole = tf.nest.map_structure(
        tf.constant,
        (_in(dtype, numbers.parameters), _in(dtype, numbers.x), y, numbers.sample_weight.astype(wide)),
    )
    for writing in writings:
        yield Program(
            "writings", f"{case.name}-{writing}", dtype,
            lambda whole, rounded, w=writing: (
                WRITINGS[w].loss_and_gradients(case.network, *whole), LOCAL[w](case.network, rounded)
            ),
            (whole, rounded),
        )  # fmt: skip


def layers_of(dtype: str) -> Iterator[Program]:
    """Every layer of tfbp.layers, forward and backward."""
    named = {case.name.split("-B")[0]: case.network.layers[0].activation for case in activation_cases()}
    made = {f"Activation {name}": layers.Activation(keras_activation(a), dtype=dtype) for name, a in named.items()}
    made |= {
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
    for name, layer in made.items():
        layer.build(x.shape)
        weights = [tf.convert_to_tensor(weight) for weight in layer.weights]
        yield Program("layers", name, dtype, _forward_and_backward(layer), (x, tf.ones_like(layer(x)), weights))


def per_example(dtype: str) -> Iterator[Program]:
    """Every example's norm, clipped gradients, and the moments of the examples' gradients, by hand."""
    for network in (_TRAINED[0], _WITHOUT_LABELS):
        parameters, x, y = _batch(network, dtype)
        for name in ("gradient_norms", "gradient_mean_and_variance"):
            function = getattr(manual.per_example, name)
            yield Program(
                "per example", f"{name} {network.loss.name}", dtype,
                lambda p, x, y, f=function, n=network: f(n, p, x, y), (parameters, x, y),
            )  # fmt: skip
        yield Program(
            "per example", f"clipped {network.loss.name}", dtype,
            lambda p, x, y, n=network: manual.per_example.loss_and_clipped_gradients(n, p, x, y, 0.5),
            (parameters, x, y),
        )  # fmt: skip


def linear_cross_entropies(dtype: str) -> Iterator[Program]:
    """The last layer and its loss, with chunks and a remainder, and its gradients; and what the tape writes for it."""
    (weights, *_), x, _ = _batch(_TRAINED[0], dtype)
    labels = tf.constant([0, 1, 2, 3, 4, 0, 1])
    for name, function in {"by hand": linear_cross_entropy, "by tape": on_tape}.items():
        for options in _LINEAR_OPTIONS:
            chunk = {"chunk_size": 3} if name == "by hand" else {}

            def run(x: Any, weights: Any, labels: Any, f: Any = function, o: Any = options, c: Any = chunk) -> Any:
                with tf.GradientTape() as record:
                    record.watch((x, weights))
                    loss = f(x, weights["kernel"], labels, bias=weights["bias"], **o, **c)
                return loss, record.gradient(loss, (x, weights))

            title = f"{name} {'all options' if options else 'plain'}"
            yield Program("linear_cross_entropy", title, dtype, run, (x, weights, labels))


def training(dtype: str) -> Iterator[Program]:
    """The compiled programs of `tfbp.Model` on arrays: blocks of steps, the rest, whole epochs and validation."""
    policy = f"mixed_{dtype}" if "16" in dtype else dtype
    for network in _TRAINED:
        for gradients, optimizer in (("manual", "adam"), ("tape", "sgd")):
            model = Model(network, gradients, dtype=policy, seed=0)
            model.compile(optimizer)
            _, x, y = _batch(network, "float64" if dtype == "float64" else "float32")
            build(model, (x[:3], y[:3]))
            order = tf.range(7)
            arguments: dict[str, tuple[Any, ...]] = {name: (order, tf.constant([0, 2])) for name in ("train", "test")}
            arguments |= {f"{name} rest": (order,) for name in ("train", "test")}
            arguments["epochs"] = (tf.stack([order, order]), tf.constant(2))
            for name in PROGRAMS:
                yield Program(
                    "training", f"{network.loss.name} {gradients} {optimizer} {name}", dtype,
                    program(model, name, 3), (*arguments[name], x, y), compiled=True,
                )  # fmt: skip


def _forward_and_backward(layer: keras.layers.Layer) -> Callable[..., Any]:
    def run(x: Any, dy: Any, weights: Any) -> Any:
        with keras.StatelessScope(list(zip(layer.variables, weights, strict=True))), tf.GradientTape() as record:
            record.watch((x, weights))
            y = layer(x)
        return y, record.gradient(y, (x, weights), output_gradients=dy, unconnected_gradients="zero")

    return run


def _batch(network: Network, dtype: str) -> tuple[Any, tf.Tensor, tf.Tensor]:
    """Parameters, and seven rows of x and y."""
    rng = np.random.default_rng(0)
    labels = np.arange(7) % network.outputs
    targets = np.eye(network.outputs)[labels].astype("float64" if dtype == "float64" else "float32")
    y = labels.astype("int32") if network.loss.name.startswith("sparse") else targets
    parameters, x = network.init(0), rng.normal(size=(7, network.inputs))
    return *tf.nest.map_structure(tf.constant, (_in(dtype, parameters), _in(dtype, x))), tf.constant(y)


def _in(dtype: str, arrays: Any) -> Any:
    return tf.nest.map_structure(lambda a: np.asarray(a).astype(numpy_dtype(dtype)), arrays)
