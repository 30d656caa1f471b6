"""Bounds ε from below by one private training run: it adds half of the canaries, and guesses which ones afterwards.

Without a model, it trains on scikit-learn's digits. The exit status is 0 when the bound agrees with the run's own ε,
1 when it contradicts it, 2 for bad input.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from tfbp.console.options import Parser, need, run
from tfbp.errors import InputError, check_count

ACCEPTED = "accepted: package.module:function, which can be imported from here and returns (compiled model, x, y)"


def parser() -> Parser:
    parser = Parser(__doc__, prog="tfbp audit")
    parser.add_argument("--model", help="package.module:function, which returns a compiled model, x and y")
    parser.add_argument("--epsilon", type=float, help="the budget (default: 3, without --noise-multiplier)")
    parser.add_argument("--noise-multiplier", type=float, help="σ, instead of a budget")
    parser.add_argument("--delta", type=float, default=1e-4, help="δ (default: 1e-4)")
    parser.add_argument(
        "--clip", type=float, default=1.0, help="the largest norm of an example's gradient (default: 1)"
    )
    parser.add_argument("--batch-size", type=int, default=128, help="the expected batch size (default: 128)")
    parser.add_argument("--epochs", type=int, default=10, help="default: 10")
    parser.add_argument(
        "--canaries", type=int, default=300, help="the number of canaries; half of them train (default: 300)"
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="the bound's confidence (default: 0.95)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the canaries and their draw (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    return run(parser(), show, given)


def show(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
    from tfbp.privacy import Privacy
    from tfbp.privacy.audit import audit

    check_count("epochs", arguments.epochs)
    budget = arguments.epsilon
    if budget is None and arguments.noise_multiplier is None:
        budget = 3.0
    privacy = Privacy(
        epsilon=budget, noise_multiplier=arguments.noise_multiplier, delta=arguments.delta, clip=arguments.clip
    )
    model, x, y = _model(arguments.model)
    bound = audit(
        model,
        x,
        y,
        privacy,
        canaries=arguments.canaries,
        confidence=arguments.confidence,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        verbose=0,
    )
    if arguments.json:
        print(json.dumps(asdict(bound)))
    else:
        print(f"ε ≤ {bound.epsilon:.4g} at δ = {bound.delta:g}, by the accountant of the steps that ran")
        print(
            f"ε ≥ {bound.lower_bound:.4g}, by the audit with a confidence of {bound.confidence:g}: "
            f"{bound.right} of {bound.guesses} guesses were right"
        )
        print("WRONG: the bound contradicts the account" if bound.contradicts else "no contradiction")
    return int(bound.contradicts)


def _model(name: str | None) -> tuple[Any, Any, Any]:
    if name is None:
        need("sklearn")
        return _digits()
    import importlib
    import os
    import sys

    module, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        model, x, y = getattr(importlib.import_module(module), function)()
        return model, x, y
    except Exception as error:  # the module and the function may run any code
        raise InputError(f"model: got {name!r} ({type(error).__name__}: {error}); {ACCEPTED}.") from error
    finally:
        sys.path.pop(0)


def _digits() -> tuple[Any, Any, Any]:
    import keras
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    x, y = load_digits(return_X_y=True)
    layers = keras.layers
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss)
    return model, (x / 16).astype("float32"), y
