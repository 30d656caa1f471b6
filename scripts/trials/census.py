#!/usr/bin/env python3
"""Convert models of other people into networks, and compare their gradients with Keras's tape.

Each model has a row: its number of calls, the kinds of its layers, and the reason if `Network.from_keras` refuses it.
With `--gradients` the script also compares the gradients of a training step in float64: by hand, and by the tape of
Keras's own model. Examples and targets are random, and both use the network's dropout masks. `difference` is the
largest of any weight, relative to the norm of its gradient. `rounding` is the same for two runs of Keras with inputs
that differ in the last bit. The exit status is 0 if every model converts and no difference is above both 1e-12 and
ten times `rounding`, 1 otherwise, 2 for bad input.
"""

from __future__ import annotations

import argparse
import gc
import time
from importlib.util import find_spec
from typing import Any

from census_models import FAMILIES, PACKAGES
from tfbp.console import options
from tfbp.errors import InputError

MODELS = {name: make for family in FAMILIES.values() for name, make in family.items()}
# those of packages that are not here are left out
HERE = [
    name
    for family, models in FAMILIES.items()
    if family not in PACKAGES or find_spec(PACKAGES[family]) is not None
    for name in models
]
LEAST, TIMES_ROUNDING = 1e-12, 10
LOSS = "mean_squared_error"
ROW = "{:<34}{:>6}{:>7}{:>9}{:>9}{:>12}{:>10}  {}"


def main() -> int:
    parser = options.Parser(__doc__)
    parser.add_argument(
        "--models", default=",".join(HERE), help=f"of {','.join(MODELS)} (default: all whose package is installed)"
    )
    parser.add_argument("--gradients", action="store_true", help="compare gradients with Keras's, in float64")
    return options.run(parser, take)


def take(arguments: argparse.Namespace) -> int:
    names = options.choices("models", arguments.models, MODELS)
    # the import of TensorFlow takes seconds: only from here on
    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it

    # isort: split
    import keras

    if arguments.gradients:
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
    print(ROW.format("model", "calls", "kinds", "converts", "seconds", "difference", "rounding", ""), flush=True)
    taken = alike = 0
    for name in names:
        row, is_taken, is_alike = _row(name, arguments.gradients)
        print(row, flush=True)
        taken, alike = taken + is_taken, alike + is_alike
        keras.backend.clear_session()
        gc.collect()
    print(f"{taken} of {len(names)} convert" + (f", {alike} with Keras's gradients" if arguments.gradients else ""))
    return 0 if taken == alike == len(names) else 1


def _row(name: str, compares: bool) -> tuple[str, bool, bool]:
    """Returns the row of a model, whether it converts, and whether its gradients are Keras's, if compared."""
    from census_models.gradients import difference_and_rounding
    from tfbp.bridge.models import network_and_sources

    model: Any = MODELS[name]()
    begun = time.perf_counter()
    losses = [LOSS] * len(model.outputs)
    try:
        network, sources = network_and_sources(model, losses if len(losses) > 1 else LOSS)
    except InputError as error:
        return ROW.format(name, "", "", "no", "", "", "", str(error).partition("; accepted")[0]), False, False
    row = (name, len(network.calls), len({layer.keras_name for layer in network.layers}), "yes")
    seconds = f"{time.perf_counter() - begun:.1f}"
    if not compares:
        return ROW.format(*row, seconds, "", "", ""), True, True
    difference, rounding = difference_and_rounding(model, network, sources)
    is_alike = difference <= max(LEAST, TIMES_ROUNDING * rounding)
    sentence = "" if is_alike else "OTHER GRADIENTS"
    return ROW.format(*row, seconds, f"{difference:.1e}", f"{rounding:.1e}", sentence), True, is_alike


if __name__ == "__main__":
    raise SystemExit(main())
