"""Run by test_determinism.py in processes of its own, because determinism cannot be turned off again.

Trains in the block and computes gradients, and prints every result's bits, as JSON.
"""

import hashlib
import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tfbp import Dense, Model, Network, manual, tape
from tfbp.agreement.arguments import typed
from tfbp.agreement.cases import shape_cases
from tfbp.agreement.problems import problem
from tfbp.agreement.programs import Cell, compiled
from tfbp.console import quiet_tensorflow  # noqa: F401  before anything else that imports TensorFlow
from tfbp.judging.placement import array_from, check_device, strictly, strictly_on

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(1100, 70)).astype(np.float32), RNG.integers(0, 10, 1100)
NETWORK = Network(70, [Dense(96, "gelu"), Dense(64, "relu"), Dense(10)], "sparse_categorical_crossentropy")


def bits(arrays):
    assert all(isinstance(each, np.ndarray | np.generic) for each in arrays), arrays
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()


def trained(device, gradients, dtype, jit_compile):
    model = Model(NETWORK, gradients, dtype=dtype)
    model.compile(keras.optimizers.Adam(), jit_compile=jit_compile)
    history = model.fit(X, LABELS, batch_size=128, epochs=3, verbose=0)
    weights = [array_from(w.value, device) for w in model.trainable_variables]
    return bits([np.array(history.history["loss"]), *weights])


def gradients_of(device, case, dtype, mode):
    cell, numbers = Cell(case, dtype, mode, device), problem(case, dtype)
    found = []
    with strictly_on(device):
        fed = typed(cell, numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
        for writing in (manual, tape):
            answers = compiled(program_of(writing, case.network), mode, fed)(fed)
            found += [array_from(each, device) for each in tf.nest.flatten(answers)]
    return bits(found)


def program_of(writing, network):
    def program(fed):
        arguments = (fed["parameters"], fed["x"], fed["y"], fed["sample_weight"])
        return writing.loss_and_gradients(network, *arguments)

    return program


def main(device):
    check_device(device)
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")  # for what fit places by itself
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    results = {}
    with strictly():
        for gradients, dtype, jit_compile in (
            ("manual", "float32", True),
            ("manual", "float32", False),
            ("manual", "mixed_bfloat16", True),
        ):
            name = f"{gradients} {dtype} {'XLA' if jit_compile else 'graph'}"
            results[name] = trained(device, gradients, dtype, jit_compile)
    for case in shape_cases():
        if case.name.startswith(("long", "deep5")):
            for dtype, mode in (("float32", "eager"), ("float64", "graph"), ("bfloat16", "xla")):
                results[f"{case.name} {dtype} {mode}"] = gradients_of(device, case, dtype, mode)
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
