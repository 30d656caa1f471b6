"""The choice of the steps that fit and evaluate run: on arrays, on a dataset, or by Keras's own loop."""

from __future__ import annotations

import logging
from typing import Any

import keras

from tfbp.errors import check_integer
from tfbp.fitting import arrays, contract, generators
from tfbp.fitting import epochs as loop
from tfbp.fitting.contract import KERAS
from tfbp.fitting.evaluation import dataset_run, run_of, trace, validation_of
from tfbp.fitting.hooks import flat
from tfbp.fitting.rules import Rules, rules_of
from tfbp.fitting.run import Run
from tfbp.fitting.steps import Unsuitable

LOG = logging.getLogger("tfbp")


def fit(model: Any, given: dict[str, Any]) -> keras.callbacks.History:
    """Train a model, without its own fit.

    Args:
        given: all arguments of keras.Model.fit by name.
    """
    contract.check_compiled(model)
    for name in ("epochs", "initial_epoch"):
        check_integer(name, given[name])
    rules = rules_of(model)
    names = ("batch_size", "validation_batch_size")
    given = {**given, **dict(zip(names, contract.sizes(**{name: given[name] for name in names}), strict=True))}
    contract.check_data(**{name: given[name] for name in ("x", "y", "sample_weight")})
    try:
        run, given = _training_run(rules, given)
    except Unsuitable as reason:
        rules.check_keras("x", given["x"])
        return _fit_by_keras(model, given, str(reason))
    contract.build_optimizer(model)
    size = given["validation_batch_size"] or given["batch_size"]
    validate = validation_of(rules, given["validation_data"], size, given)
    schedule = loop.Schedule(
        given["epochs"],
        given["initial_epoch"],
        validate=validate,
        validation_freq=given["validation_freq"],
        block_steps=rules.block_steps(run),
        check=lambda first, pace: rules.check_run(run, getattr(validate, "data", None), given, first, pace),
    )
    return loop.train(model, run, given["callbacks"], schedule, rules.verbose(given["verbose"]))


def evaluate(model: Any, given: dict[str, Any], of_fit: dict[str, Any]) -> Any:
    """Evaluate a model, without its own evaluate.

    Args:
        given: all arguments of keras.Model.evaluate by name.
        of_fit: what Keras's own fit asks for, between epochs.
    """
    contract.check_compiled(model)
    rules = rules_of(model)
    contract.sizes(batch_size=given["batch_size"])
    x, y, sample_weight = data = tuple(given[name] for name in ("x", "y", "sample_weight"))
    contract.check_data(x=x, y=y, sample_weight=sample_weight)
    if of_fit:
        return KERAS["evaluate"](model, **given, **of_fit)
    try:
        run = run_of(rules, data, given["batch_size"], given["steps"], given["callbacks"], bool(given["callbacks"]))
    except Unsuitable as reason:
        rules.check_keras("x", x)
        LOG.info("%s: evaluated by Keras's own loop, because %s", model.name, reason)
        return KERAS["evaluate"](model, **given)
    logs = loop.evaluate(model, run, given["callbacks"], rules.verbose(given["verbose"]), rules.block_steps(run))
    return logs if given["return_dict"] else model._flatten_metrics_in_order(logs)


def _training_run(rules: Rules, given: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """The steps that train a model, and the arguments with the validation data that are split off.

    Raises:
        Unsuitable: Keras's own loop is to do it.
    """
    data = tuple(given[name] for name in ("x", "y", "sample_weight"))
    beside = ("y", "sample_weight", "class_weight", "batch_size", "steps_per_epoch")
    if not given["validation_split"] and all(given[name] is None for name in beside):
        run = dataset_run(rules, given["x"])
        if run is not None:
            trace(rules, run, "train", given["callbacks"])
            contract.warn_of_shuffle(given["shuffle"])
            return run, given
    if why := rules.why_keras(data, steps_per_epoch=given["steps_per_epoch"]):
        raise Unsuitable(why)
    batch_size = rules.batch_size(given["batch_size"], trains=True)
    data = rules.checked(data, batch_size)
    if given["validation_split"] and given["validation_data"] is None:
        data, validation = arrays.split(data, given["validation_split"])
        given = {**given, "validation_data": validation}
    packed = rules.packed(data, given["class_weight"], own=True)
    passes = given["epochs"] - given["initial_epoch"]
    run = rules.run(packed, batch_size, passes, given["shuffle"] or False)
    trace(rules, run, "train", given["callbacks"])
    return run, given


def _fit_by_keras(model: Any, given: dict[str, Any], why: str) -> keras.callbacks.History:
    """Keras's own loop; only a generator's validation is not its."""
    LOG.info("%s: trained by Keras's own loop, because %s", model.name, why)
    if generators.is_generator(given["validation_data"]):
        given = {**given, **_with_generator(model, given)}
    history = KERAS["fit"](model, **given)
    if history is not None:
        history.params = {**(history.params or {}), "jit_compile": "keras"}
    return history


def _with_generator(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The validation data and callbacks with which Keras's own fit evaluates on a generator as ours does."""
    first = generators.Validation(*(given[f"validation_{name}"] for name in ("data", "steps", "freq")))
    others = flat(given["callbacks"])
    first.callbacks = keras.callbacks.CallbackList(others, model=model)
    return {"validation_data": None, "callbacks": [first, *others]}
