"""Time the examples' own gradients: by one hand-written backward pass, and by the tape's two ways.

3 dense layers of 256, batch 256, relu, sparse softmax cross-entropy, float32; a time is of one call, or a step of fit.
B batch, I inputs, O outputs of a layer, L layers.
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from tfbp import Dense, Model, Network, manual, tape

WIDTH = BATCH = 256
STEPS = 40
CLIP = 0.5
NETWORK = Network(WIDTH, [Dense(WIDTH, "relu"), Dense(WIDTH, "relu"), Dense(WIDTH)], "sparse_categorical_crossentropy")


def data(rows):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, WIDTH)).astype(np.float32), rng.integers(0, WIDTH, rows)


def gradient_by_tape(parameters, x, y):
    return tape.loss_and_gradients(NETWORK, parameters, x, y)[1]


def gradient_by_hand(parameters, x, y):
    return manual.loss_and_gradients(NETWORK, parameters, x, y)[1]


def norms_and_gradient_by_hand(parameters, x, y):
    _, gradients, tensors = manual.loss_gradients_and_tensors(NETWORK, parameters, x, y)
    return gradients, manual.per_example.norms_from(NETWORK, tensors)


def clipped_gradient_by_hand(parameters, x, y):
    return manual.per_example.loss_and_clipped_gradients(NETWORK, parameters, x, y, CLIP)[1]


def norms_and_gradient_by_vectorized_map(parameters, x, y):
    return _summed_up(tape.per_example.example_gradients(NETWORK, parameters, x, y))


def norms_and_gradient_by_jacobian(parameters, x, y):
    with tf.GradientTape(watch_accessed_variables=False) as recorded:
        recorded.watch(parameters)
        losses = tape.losses.loss_forward(NETWORK.loss, y, tape.forward(NETWORK, parameters, x))
    return _summed_up(recorded.jacobian(losses, parameters))


def _summed_up(examples):
    """Returns the gradient and the norms, (B, L), of gradients (B, I, O) and (B, O)."""
    norms = [
        tf.sqrt(tf.add_n([tf.reduce_sum(g * g, tf.range(1, g.ndim)) for g in example.values()])) for example in examples
    ]
    return tf.nest.map_structure(lambda g: tf.reduce_mean(g, axis=0), examples), tf.stack(norms, axis=1)


CALLS = {
    "tape": gradient_by_tape,
    "manual": gradient_by_hand,
    "manual, with norms": norms_and_gradient_by_hand,
    "manual, clipped": clipped_gradient_by_hand,
    "vectorized_map, with norms": norms_and_gradient_by_vectorized_map,
    "jacobian, with norms": norms_and_gradient_by_jacobian,
}


def calls(jit_compile):
    """Returns every way to a batch's gradient, as a function of no arguments; those that name norms agree on them."""
    x, y = (tf.constant(array) for array in data(BATCH))
    parameters = tf.nest.map_structure(lambda w: tf.constant(w, tf.float32), NETWORK.init(seed=0))
    functions = {name: tf.function(call, jit_compile=jit_compile, autograph=False) for name, call in CALLS.items()}
    # a benchmark of wrong numbers means nothing
    found = {name: tf.nest.flatten(function(parameters, x, y)) for name, function in functions.items()}
    for name, tensors in found.items():
        right = found["jacobian, with norms"]
        if "clipped" in name:
            right = tf.nest.flatten(tape.per_example.loss_and_clipped_gradients(NETWORK, parameters, x, y, CLIP)[1])
        for got, expected in zip(tensors, right, strict=False):
            # products of 256 terms, in float32, through three layers
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=name)
    return {name: lambda f=function: f(parameters, x, y) for name, function in functions.items()}


def fits(path):
    """Returns functions that run Model.fit for one epoch, without and with clipping; already compiled."""
    x, y = data(STEPS * BATCH)
    arguments = {"x": x, "y": y, "batch_size": BATCH, "shuffle": False}
    if path == "tf.data":
        arguments = {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH), "shuffle": False}
    runs = {}
    for name, clip in {"fit": None, "fit, clipped": CLIP}.items():
        model = Model(NETWORK, seed=0)
        model.compile(keras.optimizers.SGD(0.01))
        runs[name] = lambda model=model, clip=clip: model.fit(**arguments, verbose=0, clip_per_example=clip)
        runs[name]()
    return runs


def turns(runs, rounds, seconds, units=1):
    """Returns the microseconds a unit of every run, in turns of at least `seconds`, each round in another order."""
    repeats = {name: max(1, round(seconds / _time(run, 1))) for name, run in runs.items()}
    times = {name: [] for name in runs}
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for name in order.permutation(list(runs)):
            times[name].append(_time(runs[name], repeats[name]) / units * 1e6)
    return times


def _time(run, repeats):
    """Returns the seconds a call."""
    started = time.perf_counter()
    for _ in range(repeats):
        result = run()
    for tensor in tf.nest.flatten(result):
        if isinstance(tensor, tf.Tensor):
            tensor.numpy()
            break
    return (time.perf_counter() - started) / repeats


def run(rounds, seconds, tell):
    """Returns the table, and its numbers."""
    table = Table(box=None, pad_edge=False)
    for heading in ("gradient", "mode", "min µs", "median", "/ first", "median"):
        table.add_column(heading, justify="left" if heading in ("gradient", "mode") else "right", no_wrap=True)
    results = []
    sections = [("tf.function", lambda: calls(False), 1), ("XLA", lambda: calls(True), 1)]
    sections += [(path, lambda path=path: fits(path), STEPS) for path in ("arrays", "tf.data")]
    for mode, prepare, units in sections:
        tell(f"{mode}: compiling")
        runs = prepare()
        tell(f"{mode}: {rounds} rounds")
        times = turns(runs, rounds, seconds, units)
        # the others are compared with the first of each section
        first = next(iter(times.values()))
        for name, found in times.items():
            low, middle = min(found), statistics.median(found)
            ratios = low / min(first), middle / statistics.median(first)
            table.add_row(name, mode, f"{low:,.0f}", f"{middle:,.0f}", *(f"{ratio:.3f}" for ratio in ratios))
            results.append(
                {
                    "gradient": name,
                    "mode": mode,
                    "microseconds": found,
                    "ratio of min": ratios[0],
                    "of median": ratios[1],
                }
            )
        table.add_row()
    return table, results
