#!/usr/bin/env python3
"""The checker on what nobody here wrote: operations of TensorFlow, and Keras's activations, losses and layers.

Every finding is one of those that are known, each confirmed by hand, or the exit status is 1; 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from tfbp.commands import options
from tfbp.commands.check import DTYPES, MODES

# what a finding is: a bug, a kink's convention, or on purpose
KNOWN = {
    "celu": "a bug of Keras: at 0, where both slopes are 1, its derivative is 2",
    "cumprod": "a bug of TensorFlow: its backward divides by the input, and takes 0/0 for 0",
    "svd": "of XLA: its svd iterates to float32's precision, in float64, too",
    "tf.math.atanh": "of XLA: its atanh in float64 is off by some forty roundings",
    "PReLU": "a kink's convention that is no derivative: 0 at 0, where the slopes of the two sides are alpha and 1",
    "SpectralNormalization": "on purpose: what scales the kernel is taken for constant",
}
ACTIVATIONS = (
    "relu elu selu gelu silu softplus sigmoid tanh softsign mish hard_sigmoid hard_tanh celu glu log_softmax "
    "sparse_plus squareplus tanh_shrink soft_shrink relu6 exponential"
)
EVERYWHERE = "sin cos tan sinh erf expm1 square"
POSITIVE = "log log1p sqrt rsqrt lgamma digamma reciprocal"
INSIDE = "asin acos atan atanh"
LOSSES = "MeanSquaredError Huber LogCosh CosineSimilarity KLDivergence BinaryCrossentropy Poisson Hinge Dice Tversky"

OPERATIONS = (
    "cumsum cumprod logsumexp reduce_prod reduce_max pow atan2 l2_normalize max_pool avg_pool conv2d depthwise_conv2d "
    "softmax_cross_entropy gather inv det slogdet cholesky solve svd rfft"
)
LAYERS = (
    "Dense EinsumDense PReLU LayerNormalization BatchNormalization RMSNormalization UnitNormalization "
    "SpectralNormalization GroupNormalization Conv2D Conv2DTranspose SeparableConv2D SimpleRNN LSTM"
)
# a test holds them against `subjects`
NAMES = (
    *ACTIVATIONS.split(),
    *(f"tf.math.{name}" for name in f"{EVERYWHERE} {POSITIVE} {INSIDE}".split()),
    *f"{OPERATIONS} {LOSSES} {LAYERS}".split(),
)


def subjects() -> dict[str, tuple[Any, list[np.ndarray]]]:
    """What is checked, by name, each with its inputs."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, images, square = rng.normal(size=(6, 4)), rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(3, 4, 4))
    positive, inside = rng.uniform(0.2, 2, (6, 4)), rng.uniform(-0.9, 0.9, (6, 4))
    definite = 3 * np.eye(4) + 0.3 * (square + np.swapaxes(square, 1, 2))
    shares = rng.dirichlet(np.ones(4), 6)
    found: dict[str, tuple[Any, list[np.ndarray]]] = {}
    found |= {name: (getattr(keras.activations, name), [x]) for name in ACTIVATIONS.split()}
    for names, at in ((EVERYWHERE, x), (POSITIVE, positive), (INSIDE, inside)):
        found |= {f"tf.math.{name}": (getattr(tf.math, name), [at]) for name in names.split()}
    found |= {
        "cumsum": (lambda a: tf.cumsum(a, 1), [x]),
        "cumprod": (lambda a: tf.math.cumprod(a, 1), [x]),
        "logsumexp": (lambda a: tf.reduce_logsumexp(a, 1), [x]),
        "reduce_prod": (lambda a: tf.reduce_prod(a, 1), [x]),
        "reduce_max": (lambda a: tf.reduce_max(a, 1), [x]),
        "pow": (lambda a, b: tf.pow(a, b), [positive, x]),
        "atan2": (tf.math.atan2, [x, x[::-1] + 0.1]),
        "l2_normalize": (lambda a: tf.nn.l2_normalize(a, 1), [x]),
        "max_pool": (lambda a: tf.nn.max_pool2d(a, 2, 2, "VALID"), [images]),
        "avg_pool": (lambda a: tf.nn.avg_pool2d(a, 3, 2, "SAME"), [images]),
        "conv2d": (lambda a, k: tf.nn.conv2d(a, k, 1, "SAME"), [images, rng.normal(size=(3, 2, 3, 4))]),
        "depthwise_conv2d": (
            lambda a, k: tf.nn.depthwise_conv2d(a, k, [1, 1, 1, 1], "SAME"),
            [images, rng.normal(size=(3, 3, 3, 2))],
        ),
        "softmax_cross_entropy": (lambda z, t: tf.nn.softmax_cross_entropy_with_logits(t, z), [x, shares]),
        "gather": (tf.gather, [x, np.array([0, 1, 1, 5])]),
        "inv": (tf.linalg.inv, [definite]),
        "det": (tf.linalg.det, [definite]),
        "slogdet": (lambda a: tf.linalg.slogdet(a)[1], [definite]),
        "cholesky": (lambda a: tf.linalg.cholesky(a + tf.linalg.matrix_transpose(a)), [definite]),
        "solve": (tf.linalg.solve, [definite, rng.normal(size=(3, 4, 2))]),
        "svd": (lambda a: tf.linalg.svd(a, compute_uv=False), [square]),
        "rfft": (lambda a: tf.abs(tf.signal.rfft(a)), [x]),
    }
    other = rng.dirichlet(np.ones(4), 6)
    found |= {name: (getattr(keras.losses, name)(), [shares, other]) for name in LOSSES.split()}
    sequences = rng.normal(size=(2, 4, 3))
    for layer, at in (
        (keras.layers.Dense(3), x),
        (keras.layers.EinsumDense("bi,io->bo", 3), x),
        (keras.layers.PReLU(), x),
        (keras.layers.LayerNormalization(), x),
        (keras.layers.BatchNormalization(), x),
        (keras.layers.RMSNormalization(), x),
        (keras.layers.UnitNormalization(), x),
        (keras.layers.SpectralNormalization(keras.layers.Dense(3)), x),
        (keras.layers.GroupNormalization(3), images),
        (keras.layers.Conv2D(2, 3), images),
        (keras.layers.Conv2DTranspose(2, 3), images),
        (keras.layers.SeparableConv2D(2, 3), images),
        (keras.layers.SimpleRNN(3), sequences),
        (keras.layers.LSTM(3), sequences),
    ):
        layer.build(at.shape)
        found[type(layer).__name__] = (layer, [at])
    return found


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only those whose name contains this")
    parser.add_argument("--dtype", default="float64,float32", help=f"of {','.join(DTYPES)} (default: float64,float32)")
    parser.add_argument("--mode", default=",".join(MODES), help="comma-separated (default: eager,graph,xla)")
    return options.run(parser, check)


def check(arguments: argparse.Namespace) -> int:
    dtypes = options.choices("dtype", arguments.dtype, DTYPES)
    modes = options.choices("mode", arguments.mode, MODES)
    names = options.part_of("only", arguments.only, NAMES)
    # from here on TensorFlow is needed, whose import takes seconds
    import tfbp.commands.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track
    from rich.table import Table

    from tfbp.checking.api import check_gradients

    chosen = {name: each for name, each in subjects().items() if name in names}
    console, unknown = Console(), 0
    table = Table(box=None, pad_edge=False)
    for heading in ("", "error / tolerance", "seconds", "finding"):
        table.add_column(heading)
    for name, (function, inputs) in track(chosen.items(), "checked", console=console, transient=True):
        start, weights = time.perf_counter(), isinstance(function, keras.Layer)
        report = check_gradients(
            function,
            inputs,
            dtypes=dtypes,
            modes=modes,
            auto_perturb=weights,
        )
        said = "" if report.agrees else KNOWN.get(name) or f"NEW: {report.findings[0]}"
        unknown += said.startswith("NEW")
        ratio = max(report.worst.values(), default=0.0)
        table.add_row(name, f"{ratio:.2f}", f"{time.perf_counter() - start:.1f}", escape(said))
    console.print(table)
    print(f"{len(chosen)} checked, {unknown} with a finding that is not known.")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
