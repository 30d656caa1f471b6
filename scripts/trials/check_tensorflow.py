#!/usr/bin/env python3
"""Check the gradients of TensorFlow's operations, and of Keras's activations, losses and layers.

The exit status is 0 if every finding is known and was confirmed by hand, 1 otherwise, 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

from known_operations.subjects import NAMES, subjects
from tfbp.commands.agree import DTYPES, MODES
from tfbp.console import options
from tfbp.errors import InputError

# the kind of a finding: a bug, a kink's convention, or on purpose
STRAIGHT = "straight through the rounding, as if it were not there"
KNOWN = {
    "celu": "a bug of Keras: at 0, where both slopes are 1, its derivative is 2",
    "cumprod": "a bug of TensorFlow: its backward divides by the input, and takes 0/0 for 0",
    "tf.math.bessel_i1": "a bug of TensorFlow: at 0 its derivative is 1, and ½ is right",
    "tf.math.xlogy": "a convention: 0 where x is 0, although both slopes are log(y)",
    "tf.math.xlog1py": "a convention: 0 where x is 0, although both slopes are log1p(y)",
    "tf.math.xdivy": "a convention: 0 where x is 0, although both slopes are 1/y",
    "weighted_cross_entropy": "a bug of TensorFlow: at a logit of 0 it adds up one-sided slopes of |z| and relu",
    "expm": "of XLA: it cannot compile the backward",
    "eigh": "of XLA: in float64 right to 6e-10 of the gradient",
    "pinv": "of TensorFlow: the gradient of svd wants its inner sizes known while tracing",
    "resize_bilinear": "of XLA: a NaN in the gradient of float64",
    "svd": "of XLA: its svd iterates to float32's precision, in float64, too",
    "tf.math.atanh": "of XLA: its atanh in float64 is off by some forty roundings",
    "PReLU": "a kink's convention that is not a derivative: 0 at 0, where the slopes of the two sides are alpha and 1",
    "ELU": "of TensorFlow: in float32 it is exp(x) - 1, which loses digits where x is near 0",
    "Resizing": "of XLA: a NaN in the gradient of float64, as resize_bilinear",
    "tf.math.special.bessel_k0e": "of TensorFlow: in float32 off by up to 24 roundings below 2",
    "tf.math.special.bessel_k1e": "of TensorFlow: in float32 off by up to 14 roundings below 2",
    "dynamic_stitch": "a bug of TensorFlow: a row that another one overwrites gets that one's gradient, too",
    "rgb_to_hsv": "a bug of TensorFlow: at a channel of 0 the saturation has derivative 0, and both slopes are another",
    "projective_transform": "of TensorFlow: its backward transforms back, which is not the transform's adjoint",
    "fractional_avg_pool": "of TensorFlow: the gradient wants its sizes known while tracing",
    "isotonic_regression": "of TensorFlow: the gradient wants its sizes known while tracing",
    "resize_nearest": "of XLA: it cannot compile the backward in float64",
    "grad_pass_through": f"on purpose: {STRAIGHT}",
    "stop_gradient": "on purpose: what is stopped is taken for constant",
    "fake_quant_args": f"on purpose: {STRAIGHT}",
    "fake_quant_vars": f"on purpose: {STRAIGHT}",
    "fake_quant_per_channel": f"on purpose: {STRAIGHT}",
    "quantize_and_dequantize": f"on purpose: {STRAIGHT}",
    "keras_fake_quant": f"on purpose: {STRAIGHT}",
    "quantized_dense": f"on purpose: {STRAIGHT}",
    "quantized_einsum_dense": f"on purpose: {STRAIGHT}",
    "SpectralNormalization": "on purpose: what scales the kernel is taken for constant",
}


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument("--only", default="", help="only those with this in their name")
    parser.add_argument("--dtype", default="float64,float32", help=f"of {','.join(DTYPES)} (default: float64,float32)")
    parser.add_argument("--mode", default=",".join(MODES), help="comma-separated (default: eager,graph,xla)")
    return options.run(parser, check)


def check(arguments: argparse.Namespace) -> int:
    dtypes = options.choices("dtype", arguments.dtype, DTYPES)
    modes = options.choices("mode", arguments.mode, MODES)
    names = options.part_of("only", arguments.only, NAMES)
    # the import of TensorFlow takes seconds: only from here on
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

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
        try:
            report = check_gradients(function, inputs, dtypes=dtypes, modes=modes, auto_perturb=weights)
            finding = None if report.agrees else report.findings[0]
            ratio = max(report.worst.values(), default=0.0)
        except InputError as error:
            finding, ratio = error, math.inf
        sentence = "" if finding is None else KNOWN.get(name) or f"NEW: {finding}"
        unknown += sentence.startswith("NEW")
        table.add_row(name, f"{ratio:.2f}", f"{time.perf_counter() - start:.1f}", escape(sentence))
    console.print(table)
    print(f"{len(chosen)} checked, {unknown} with a finding that is not known.")
    return int(unknown > 0)


if __name__ == "__main__":
    sys.exit(main())
