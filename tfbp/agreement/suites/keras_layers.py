"""Compares tfbp.layers of every kind in the matrix, output and gradient by a tape, with the reference.

Each layer of the matrix's networks is built as its Keras layer with a hand-written backward and the same weights;
recurrences are also called with masks and states. `layers` has Dense and the activations, in more detail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import layers, reference
from tfbp.agreement.arguments import rounded_inputs
from tfbp.agreement.cases import all_cases
from tfbp.agreement.clues.nodes import of_node
from tfbp.agreement.local import by_reference, measured_tolerances
from tfbp.agreement.problems import Case, numpy_dtype, problem
from tfbp.agreement.programs import Cell, Named, Result, SuiteCase, Topic, on, remembered, run_trials
from tfbp.agreement.suites.calls import calls, trial_of_layer
from tfbp.bridge.layers import layer_to_keras, weights_of
from tfbp.judging.tolerances import Units
from tfbp.network import ActivationLayer, Dense, LinearCrossEntropy, Node
from tfbp.vocabulary import Activation

SCOPE = "Keras layers"
# the dtypes and modes of the runs
CELLS = (("float64", "eager"), ("float64", "xla"), ("float32", "graph"))
# kinds that `layers` has, or that are not separate layers in Keras
_ELSEWHERE = (ActivationLayer, Dense, LinearCrossEntropy)


def run_keras_layers(dtype: str, mode: str, device: str = "cpu", tf32: bool = False) -> list[Result]:
    """Runs every kind once for each way to call it, in float64 and, as a graph, float32."""
    if (dtype, mode) not in CELLS:
        return []
    cell = Cell(Topic(SCOPE), dtype, mode, device, tf32)
    with on(cell):
        trials = _all_trials(dtype, device, tf32)
    return run_trials(trials, SCOPE, cell)


@remembered
def _all_trials(dtype: str, device: str, tf32: bool) -> list[SuiteCase]:
    units = Units.of(dtype, "manual", tf32, device)
    of_calls = [trial for call in calls() for trial in trial_of_layer(call, dtype, units)]
    return [*_trials(dtype, units), *of_calls]


def _trials(dtype: str, units: Units) -> Iterator[SuiteCase]:
    seen: set[Any] = set()
    for case in all_cases():
        nodes = [node for node in case.network.nodes if _is_here(node)]
        keys = {
            node.place: (type(node.layer), str(node.layer.arguments()), node.input_shape, case.training)
            for node in nodes
        }
        fresh = [node for node in nodes if keys[node.place] not in seen]
        seen.update(keys.values())
        if fresh:
            fed_of = _fed(case, dtype)
            for node in fresh:
                yield _trial(case, node, fed_of[node.place], dtype, units)


def _is_here(node: Node) -> bool:
    """Whether tfbp.layers has it; Keras draws other numbers, so layers that draw are excluded."""
    by_hand = hasattr(layers, node.layer.keras_name)
    takes_others = node.layer.takes_several or getattr(node.layer, "return_state", False)
    return by_hand and not (node.layer.parts or node.layer.draws or takes_others or isinstance(node.layer, _ELSEWHERE))


def _fed(case: Case, dtype: str) -> dict[Any, Named]:
    numbers, network = problem(case, dtype), case.network
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    options = {"training": case.training} | ({"seed": 0} if network.draws and case.training else {})
    tensors = reference.loss_gradients_and_tensors(network, *arguments, **options)[2]
    inputs = rounded_inputs(Cell(case, dtype, "eager"), numbers, tensors)
    return {node.place: fed for node, fed in zip(network.nodes, inputs, strict=False)}


def _trial(case: Case, node: Node, fed: Named, dtype: str, units: Units) -> SuiteCase:
    layer: Any = node.layer
    linear = _without_activation(layer)
    keras_layer = layer_to_keras(linear, dtype, layers)
    keras_layer.build(*[(case.batch, *node.input_shape)] * (2 if _is_attention(keras_layer) else 1))
    weights = {n: np.asarray(w).astype(numpy_dtype(dtype)) for n, w in fed["weights"].items()}
    for name, variable in weights_of(layer, keras_layer).items():
        variable.assign(weights[name])
    expected = {n: v for n, v in by_reference(node, fed, case.training).items() if not n.startswith("new ")}
    limits = measured_tolerances(node, fed, units, case.training)
    cast = numpy_dtype(dtype)
    given = {"x": fed["x"] if fed["x"].dtype.kind == "i" else fed["x"].astype(cast), "dz": fed["dz"].astype(cast)}
    hints = of_node(node, fed, partial(by_reference, training=case.training))
    return SuiteCase(
        case,
        f"layer {node.name} {type(keras_layer).__name__}",
        "layers",
        partial(_run, layer, keras_layer, case.training),
        given,
        expected,
        {n: limits[n] for n in expected},
        clues={n: hints[n] for n in expected},
    )


def _is_attention(made: Any) -> bool:
    return isinstance(made, layers.MultiHeadAttention | layers.GroupedQueryAttention)


def _without_activation(layer: Any) -> Any:
    """Returns the layer without its activation, as the chain applies it; a recurrence's is inside."""
    if layer.applied_activation == Activation("linear"):
        return layer
    return dataclasses.replace(layer, activation=Activation("linear"))


def _run(layer: Any, made: Any, training: bool, fed: Named) -> Named:
    x = fed["x"]
    named = {n: v for n, v in weights_of(layer, made).items() if n not in layer.without_gradient}
    arguments: dict[str, Any] = {"training": training} if layer.without_gradient else {}
    if getattr(layer, "use_causal_mask", False):
        arguments["use_causal_mask"] = True  # of the call, in Keras
    with tf.GradientTape() as tape:
        if not layer.takes_tokens:
            tape.watch(x)
        z = made(x, x, **arguments) if _is_attention(made) else made(x, **arguments)
    sources = [*(v.value for v in named.values()), *([] if layer.takes_tokens else [x])]
    gradients = tape.gradient(z, sources, output_gradients=fed["dz"], unconnected_gradients="zero")
    gradients = [tf.convert_to_tensor(g) for g in gradients]
    names = [*(f"d{n}" for n in named), *([] if layer.takes_tokens else ["dx"])]
    return {"z": z, **dict(zip(names, gradients, strict=True))}
