#!/usr/bin/env python3
"""Count what XLA makes of a training step: fusions, copies and kernels inside the loop over an epoch's steps.

The programs are those of tfbp.Model for whole epochs and of JAX's scan, with plain SGD in float32, for this machine's
device. The counts need no GPU. Each way needs only its own package: with --ways JAX, JAX may be in another
environment. The exit status is 0, or 2 for bad input.
"""

import argparse
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is a package of scripts/

from tfbp.console import options
from tfbp.errors import InputError

SIZES = {"784-128-10": (784, 128, 10), "784-512-512-10": (784, 512, 512, 10)}
BATCH, STEPS = 128, 64
# what takes no kernel of its own
FREE = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "after-all"}
LOOPS = {"while", "conditional", "call"}


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--ways", default="tfbp.Model,JAX", help="comma-separated (default: tfbp.Model,JAX)")
    parser.add_argument("--text", metavar="DIRECTORY", help="write the programs there, too")
    return options.run(parser, count)


def count(arguments: argparse.Namespace) -> int:
    ways = options.choices("ways", arguments.ways, WAYS)
    if arguments.text and not Path(arguments.text).is_dir():
        raise InputError(f"text: got {arguments.text!r}; accepted: a directory that exists.")
    print("| step | way | fusions | copies | products alone | others | kernels a step |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for title, widths in SIZES.items():
        for way in ways:
            text = WAYS[way](widths)
            if arguments.text:
                (Path(arguments.text) / f"{way}-{title}.txt").write_text(text)
            found = step_of(text)
            products = found["dot"] + found["custom-call"]
            others = found.total() - found["fusion"] - found["copy"] - products
            numbers = (found["fusion"], found["copy"], products, others, found.total())
            print(f"| {title} | {way} | " + " | ".join(map(str, numbers)) + " |", flush=True)
    return 0


def step_of(text: str) -> Counter[str]:
    """Counts the kernels of one turn of the innermost loop with a product, by opcode: those of its body, of its
    condition, and of the branches and calls in them."""
    computations = dict(re.findall(r"^(?:ENTRY )?%?(\S+) [^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    loops = re.findall(r" while\(.*?condition=%?([\w.-]+), body=%?([\w.-]+)", text)
    sizes = {
        (condition, body): _kernels(condition, computations) + _kernels(body, computations)
        for condition, body in loops
        if not re.search(r" while\(", computations[body]) and "f32" in computations[body]
    }
    return max(sizes.values(), key=lambda found: found.total())


def _kernels(name: str, computations: dict[str, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for opcode, rest in re.findall(r"^ +(?:ROOT )?%?\S+ = .+? ([a-z-]+)\((.*)$", computations[name], re.MULTILINE):
        if opcode in LOOPS:
            for inner in re.findall(r"(?:to_apply|true_computation|false_computation)=%?([\w.-]+)", rest):
                found += _kernels(inner, computations)
        elif opcode not in FREE:
            found[opcode] += 1
    return found


def of_tfbp(widths: tuple[int, ...]) -> str:
    """Returns the program of whole epochs of a tfbp.Model, as XLA optimizes it."""
    import tensorflow as tf

    from tfbp import Dense, Model, Network
    from tfbp.fitting import loops, tables
    from tfbp.fitting.compiler import Way
    from tfbp.fitting.contract import build_state

    hidden = [Dense(units, "relu") for units in widths[1:-1]]
    network = Network(widths[0], [*hidden, Dense(widths[-1])], "sparse_categorical_crossentropy")
    model = Model(network, seed=0)
    model.compile("sgd", jit_compile=True)
    rows = BATCH * STEPS
    data = tf.zeros([rows, widths[0]]), tf.zeros([rows], tf.int32)
    build_state(model, data, "train")
    orders, numbers = tf.zeros([1, rows], tf.int32), tf.constant([1, 0, STEPS, BATCH, rows, rows])
    specs = [tf.TensorSpec.from_tensor(array) for array in (orders, numbers, *data)]
    function = loops.epochs(tables.of(model, data), BATCH, specs, "train", Way(True, True), True, 0)
    compiled = tf.function(lambda *given: function(*given)[0], jit_compile=True, autograph=False)
    return str(compiled.experimental_get_compiler_ir(orders, numbers, *data)(stage="optimized_hlo"))


def of_jax(widths: tuple[int, ...]) -> str:
    """Returns JAX's program of an epoch, one jitted scan, as XLA optimizes it."""
    try:
        import jax
        import jax.numpy as jnp

        from benchmarks.contestants.jax_scan import epoch
    except ImportError:
        raise InputError("ways: JAX is not installed; accepted: tfbp.Model, or pip install jax.") from None
    zeros = jnp.zeros
    parameters = [(zeros((n, m)), zeros((m,))) for n, m in pairwise(widths)]
    rows = BATCH * STEPS
    order = zeros((STEPS, BATCH), jnp.int32)
    x, y = zeros((rows, widths[0])), zeros((rows,), jnp.int32)
    return str(jax.jit(epoch).lower(parameters, x, y, order, 0.01).compile().as_text())


WAYS = {"tfbp.Model": of_tfbp, "JAX": of_jax}

if __name__ == "__main__":
    sys.exit(main())
