"""Train one network by several writings: same parameters, same batches, curves on the same charts.

The exit status is 0, or 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence

from tfbp import datasets
from tfbp.checks import InputError, check_choice, check_learning_rate
from tfbp.commands.options import Parser, check_directory, choices, memory, need, run, what_fits
from tfbp.commands.run_directory import check_free
from tfbp.network import Dense, Network
from tfbp.vocabulary import OPTIMIZERS

WRITINGS = ("manual", "tape", "reference")
DTYPES = ("float32", "float64")


def parser() -> Parser:
    parser = Parser(__doc__, names={"units": "--layers"}, prog="tfbp train")
    parser.add_argument("--dataset", default="digits", help=f"{', '.join(datasets.DATASETS)} (default: digits)")
    parser.add_argument("--gradients", help="default: reference,manual,tape; with workers manual,tape")
    parser.add_argument("--layers", default="64,32", help="units of the hidden layers, '' for none (default: 64,32)")
    parser.add_argument("--activation", default="relu", help="of the hidden layers, a Keras name (default: relu)")
    parser.add_argument("--loss", default="sparse_categorical_crossentropy", help="default: %(default)s")
    parser.add_argument("--optimizer", default="adam", help=f"{', '.join(OPTIMIZERS)} (default: adam)")
    rates = ", ".join(f"{name} {rate}" for name, rate in OPTIMIZERS.items())
    parser.add_argument("--learning-rate", type=float, help=f"default: {rates}")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--dtype", default="float32", help="float32 (default) or float64; the reference: float64")
    parser.add_argument("--seed", type=int, default=0, help="of the initial parameters and the shuffling (default: 0)")
    parser.add_argument(
        "--deterministic", action="store_true", help="the same bits at every run, also on a GPU; slower"
    )
    parser.add_argument("--workers", type=int, help="processes that share every batch; see docs/several_machines.md")
    parser.add_argument("--start-within", type=float, default=120, help="seconds a worker waits for all (default: 120)")
    parser.add_argument("--log-dir", help="a new directory for the curves (default: logs/<dataset>-<date>-<time>)")
    parser.add_argument(
        "--statistics",
        type=int,
        nargs="?",
        const=True,
        metavar="EVERY",
        help="histograms, norms and ratios of every layer for TensorBoard, every so many steps (default: an epoch)",
    )
    parser.add_argument("--picture", action="store_true", help="of the plane's sets: a GIF and TensorBoard images")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), train, given)


def train(arguments: argparse.Namespace) -> int:
    need("rich", "sklearn", *(("matplotlib",) if arguments.picture else ()))
    several = arguments.workers is not None or "TF_CONFIG" in os.environ
    writings, units = _check(arguments, several)
    # what only a data set knows is checked as soon as it is there: inputs and outputs are stand-ins until then
    hidden = [Dense(each, arguments.activation) for each in units]
    Network(1, [*hidden, Dense(1)], arguments.loss)
    if arguments.log_dir is None:
        arguments.log_dir = time.strftime(f"logs/{arguments.dataset}-%Y%m%d-%H%M%S")
    check_free(arguments.log_dir)
    dataset = datasets.load(arguments.dataset, arguments.dtype)
    samples = len(dataset.x_train)
    if not 1 <= arguments.batch_size <= samples:
        raise InputError(f"batch-size: got {arguments.batch_size}; accepted: 1 to {samples}, the training samples.")
    network = Network(dataset.inputs, [*hidden, Dense(dataset.classes)], arguments.loss)
    weights = sum(math.prod(shape) for layer in network.parameter_shapes() for shape in layer.values())
    if 8 * weights > memory():
        size = f"{weights:,} weights, {8 * weights / 2**30:,.0f} GiB in float64"
        raise InputError(f"layers: got {arguments.layers!r} ({size}); accepted: {what_fits()}.")
    if not several:  # of several processes, each looks whether the directory is free
        check_directory("log_dir", arguments.log_dir)

    # from here on TensorFlow is needed, whose import takes seconds
    from tfbp.commands.quiet_tensorflow import tensorflow  # noqa: I001  before anything else that imports it
    from tfbp.commands import train_with_workers, train_writings

    if arguments.deterministic:
        tensorflow.config.experimental.enable_op_determinism()
    if arguments.workers is not None and not train_with_workers.is_worker():
        return train_with_workers.start(arguments)
    work = train_with_workers.work if several else train_writings.work
    return work(arguments, writings, network, dataset)


def _check(arguments: argparse.Namespace, several: bool) -> tuple[list[str], list[int]]:
    """What no other part of the program checks; the writings and the hidden layers' units."""
    check_choice("dataset", arguments.dataset, datasets.DATASETS)
    check_choice("dtype", arguments.dtype, DTYPES)
    check_choice("optimizer", arguments.optimizer, OPTIMIZERS)
    if arguments.learning_rate is not None:
        check_learning_rate(arguments.learning_rate)
    if arguments.gradients is None:
        arguments.gradients = "manual,tape" if several else "reference,manual,tape"
    writings = choices("gradients", arguments.gradients, WRITINGS)
    if several and "reference" in writings:
        raise InputError(f"gradients: got {arguments.gradients!r} with workers; accepted: manual, tape.")
    for option in ("picture", "statistics"):
        if several and getattr(arguments, option) not in (None, False):
            raise InputError(f"{option}: got it with workers; accepted: with a single process.")
    if arguments.picture and arguments.dataset not in datasets.PLANE:
        plane = ", ".join(datasets.PLANE)
        raise InputError(f"picture: got the dataset {arguments.dataset!r}; accepted: {plane}.")
    for option, least in (("epochs", 1), ("seed", 0), ("batch_size", 1), ("workers", 1), ("statistics", 1)):
        value = getattr(arguments, option)
        if value is not None and value < least:
            raise InputError(f"{option}: got {value}; accepted: an integer of at least {least}.")
    if not 0 < arguments.start_within < float("inf"):
        raise InputError(f"start-within: got {arguments.start_within}; accepted: a number of seconds above 0.")
    if (workers := arguments.workers) is not None and arguments.batch_size < workers:
        accepted = f"at most {arguments.batch_size}, the batch size: a row for each"
        raise InputError(f"workers: got {workers}; accepted: {accepted}.")
    try:
        return writings, [int(word) for word in arguments.layers.split(",") if arguments.layers]
    except ValueError as error:
        raise InputError(f"layers: got {arguments.layers!r}; accepted: integers with commas, as in 64,32.") from error
