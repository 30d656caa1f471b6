"""Train one network by several writings: same parameters, same batches, curves on the same charts.

    --model mlp        dense layers (default): --layers and --activation say which
    --model cnn        two convolutions with pooling, dropout, two dense layers; for images
    --model resnet     a convolution and three residual blocks with batch normalization; for images
    --model lstm       characters of a text, one after another, through an LSTM; writes text after every epoch
    --model gpt        the same by four blocks of attention
    --model FILE.json  the network that Network.to_json wrote; its inputs are rows, or images of the data's shape

The reference is NumPy in float64: it takes seconds an epoch for images of digits, and many minutes for
fashion_mnist and for a gpt; --gradients manual,tape skips it. The exit status is 0, or 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence

from tfbp import datasets, texts
from tfbp.commands import models
from tfbp.console.options import Parser, check_directory, choices, memory, need, run, what_fits
from tfbp.console.run_directory import check_free
from tfbp.errors import InputError, check_choice, check_count, check_positive
from tfbp.network import Network, named_weights
from tfbp.vocabulary import OPTIMIZERS

WRITINGS = ("manual", "tape", "reference")
DTYPES = ("float32", "float64")
LAYERS, ACTIVATION, LOSS = "64,32", "relu", "sparse_categorical_crossentropy"
CONTEXT = 64


def parser() -> Parser:
    parser = Parser(__doc__, names={"units": "--layers"}, prog="tfbp train")
    names = ", ".join((*datasets.DATASETS, datasets.TEXT))
    parser.add_argument("--dataset", help=f"{names} (default: digits; text for lstm and gpt)")
    parser.add_argument("--text", metavar="FILE", help="your own text (default: a text that comes with Python)")
    parser.add_argument("--context", type=int, help=f"characters of a text in a window (default: {CONTEXT})")
    parser.add_argument("--gradients", help="default: reference,manual,tape; with workers manual,tape")
    parser.add_argument("--model", default="mlp", help=f"{', '.join(models.MODELS)} or a FILE.json (default: mlp)")
    parser.add_argument("--layers", help=f"units of mlp's hidden layers, '' for none (default: {LAYERS})")
    parser.add_argument("--activation", help=f"Keras name, for mlp's hidden layers (default: {ACTIVATION})")
    parser.add_argument("--loss", help=f"default: {LOSS}; a file's network has its own")
    parser.add_argument("--optimizer", default="adam", help=f"{', '.join(OPTIMIZERS)} (default: adam)")
    rates = ", ".join(f"{name} {rate}" for name, rate in OPTIMIZERS.items())
    parser.add_argument("--learning-rate", type=float, help=f"default: {rates}")
    parser.add_argument("--epochs", type=int, default=20, help="default: 20")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--dtype", default="float32", help="float32 (default) or float64; the reference: float64")
    parser.add_argument("--seed", type=int, default=0, help="the seed of first parameters and shuffling (default: 0)")
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
    parser.add_argument("--picture", action="store_true", help="for sets in the plane: a GIF and TensorBoard images")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), train, given)


def train(arguments: argparse.Namespace) -> int:
    need("rich", "sklearn", *(("matplotlib",) if arguments.picture else ()))
    several = arguments.workers is not None or "TF_CONFIG" in os.environ
    writings = _check(arguments, several)
    network_for = models.network_for(arguments.model, arguments.layers, arguments.activation, arguments.loss)
    if arguments.log_dir is None:
        arguments.log_dir = time.strftime(f"logs/{arguments.dataset}-%Y%m%d-%H%M%S")
    check_free(arguments.log_dir)
    if arguments.dataset == datasets.TEXT:
        dataset = texts.load(arguments.text, arguments.context)
    else:
        dataset = datasets.load(arguments.dataset, arguments.dtype)
    samples = len(dataset.x_train)
    if not 1 <= arguments.batch_size <= samples:
        raise InputError(f"batch-size: got {arguments.batch_size}; accepted: 1 to {samples}, the training samples.")
    network = network_for(dataset)
    dataset = dataset.shaped(network.input_shape)
    _check_size(arguments, network, several)
    if not several:  # of several processes, each checks the directory itself
        check_directory("log_dir", arguments.log_dir)

    # the import of TensorFlow takes seconds: only now
    from tfbp.console.quiet_tensorflow import tensorflow  # noqa: I001  before anything else that imports it
    from tfbp.commands import train_with_workers, train_writings

    if arguments.deterministic:
        tensorflow.config.experimental.enable_op_determinism()
    if arguments.workers is not None and not train_with_workers.is_worker():
        return train_with_workers.start(arguments)
    work = train_with_workers.work if several else train_writings.work
    return work(arguments, writings, network, dataset)


def _check_size(arguments: argparse.Namespace, network: Network, several: bool) -> None:
    """Raises `InputError` where the weights exceed the memory, or layers cannot train in several processes."""
    weights = sum(math.prod(shape) for _, _, shape in named_weights(network.parameter_shapes()))
    if 8 * weights > memory():
        option = "layers" if arguments.model == "mlp" else "model"
        size = f"{weights:,} weights, {8 * weights / 2**30:,.0f} GiB in float64"
        raise InputError(f"{option}: got {getattr(arguments, option)!r} ({size}); accepted: {what_fits()}.")
    if several and (network.draws or any(node.layer.without_gradient for node in network.nodes)):
        raise InputError(
            f"model: got {arguments.model!r} with workers; accepted: layers that neither draw nor renew weights in "
            "training (each process would do so on its own piece of a batch)."
        )


def _check(arguments: argparse.Namespace, several: bool) -> list[str]:
    """Checks the options that no other part of the program checks, and returns the writings."""
    if arguments.dataset is None:
        of_text = arguments.model in models.OF_TEXTS or arguments.text is not None
        arguments.dataset = datasets.TEXT if of_text else "digits"
    check_choice("dataset", arguments.dataset, (*datasets.DATASETS, datasets.TEXT))
    models.check_model(arguments.model, arguments.dataset)
    _check_options_of_text(arguments)
    _check_options_of_model(arguments)
    check_choice("dtype", arguments.dtype, DTYPES)
    check_choice("optimizer", arguments.optimizer, OPTIMIZERS)
    if arguments.learning_rate is not None:
        check_positive("learning_rate", arguments.learning_rate)
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
    return writings


def _check_options_of_text(arguments: argparse.Namespace) -> None:
    """Checks options that only a text has."""
    if arguments.dataset == datasets.TEXT:
        arguments.context = CONTEXT if arguments.context is None else arguments.context
        check_count("context", arguments.context)
        return
    for option in ("text", "context"):
        if (value := getattr(arguments, option)) is not None:
            raise InputError(f"{option}: got {value!r} with the dataset {arguments.dataset!r}; accepted: with text.")


def _check_options_of_model(arguments: argparse.Namespace) -> None:
    """Checks options that only one model has, and sets their defaults."""
    if arguments.model == "mlp":
        arguments.layers = LAYERS if arguments.layers is None else arguments.layers
        arguments.activation = ACTIVATION if arguments.activation is None else arguments.activation
    for option in ("layers", "activation"):
        if arguments.model != "mlp" and getattr(arguments, option) is not None:
            value = getattr(arguments, option)
            raise InputError(f"{option}: got {value!r} with the model {arguments.model!r}; accepted: with mlp.")
    if arguments.picture and arguments.model != "mlp":
        raise InputError(f"picture: got it with the model {arguments.model!r}; accepted: with mlp.")
    if not models.is_file(arguments.model):
        arguments.loss = LOSS if arguments.loss is None else arguments.loss
    elif arguments.loss is not None:
        raise InputError(
            f"loss: got {arguments.loss!r} with the model {arguments.model!r}; accepted: none, the file says it."
        )
