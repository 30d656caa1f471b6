"""The choice of the steps that fit and evaluate run: on arrays, on a dataset, or by Keras's own loop."""

from __future__ import annotations

import logging
from typing import Any

import keras

from tfbp.fitting import arrays, contract, datasets, generators, loops
from tfbp.fitting import epochs as loop
from tfbp.fitting.contract import KERAS
from tfbp.fitting.hooks import flat, writes_batches
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
    validate, validation = validation_of(rules, given["validation_data"], size, given)
    schedule = loop.Schedule(
        given["epochs"],
        given["initial_epoch"],
        validate=validate,
        validation_freq=given["validation_freq"],
        block_steps=rules.block_steps(run),
        check=lambda first, pace: rules.check_run(run, validation, given, first, pace),
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
        run = _test_run(rules, data, given["batch_size"], given["steps"], given["callbacks"], bool(given["callbacks"]))
    except Unsuitable as reason:
        rules.check_keras("x", x)
        LOG.info("%s: evaluated by Keras's own loop, because %s", model.name, reason)
        return KERAS["evaluate"](model, **given)
    logs = loop.evaluate(model, run, given["callbacks"], rules.verbose(given["verbose"]), rules.block_steps(run))
    return logs if given["return_dict"] else model._flatten_metrics_in_order(logs)


def validation_of(rules: Rules, data: Any, batch_size: int | None, given: dict[str, Any]) -> tuple[Any, Any]:
    """The function that evaluates between epochs, called with the callbacks, and its packed data; None without data."""
    if data is None:
        return None, None
    model, steps = rules.model, given["validation_steps"]
    own = contract.own_evaluate(model)
    if generators.is_generator(data) and not own:
        rules.check_keras("validation_data", data)
        return lambda callbacks: generators.evaluate(model, data, steps, callbacks), None
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if not own:
        try:
            run = _test_run(rules, (x, y, sample_weight), batch_size, steps, given["callbacks"], True, _times(given))
            block = rules.block_steps(run)
            return lambda callbacks: loop.evaluate(model, run, callbacks, 0, block), getattr(run, "data", None)
        except Unsuitable as reason:
            rules.check_keras("validation_data", data)
            LOG.info("%s: evaluated by Keras's own loop, because %s", model.name, reason)
    by = own or KERAS["evaluate"].__get__(model)
    options = {"batch_size": batch_size, "steps": steps, "return_dict": True}
    return lambda callbacks: by(x=x, y=y, sample_weight=sample_weight, callbacks=callbacks, **options), None


def trace(rules: Rules, run: Run, name: str, callbacks: Any) -> None:
    """Trace a step.

    Raises:
        Unsuitable: one that Keras's own loop is to run.
    """
    step = rules.trace(run, name)
    if step is not None and writes_batches(callbacks) and loops.writes_summaries(step):
        # Keras's loop has a step's number for these
        raise Unsuitable("its step writes summaries")


def _training_run(rules: Rules, given: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """The steps that train a model, and the arguments with the validation data that are split off.

    Raises:
        Unsuitable: Keras's own loop is to do it.
    """
    data = tuple(given[name] for name in ("x", "y", "sample_weight"))
    beside = ("y", "sample_weight", "class_weight", "batch_size", "steps_per_epoch")
    if not given["validation_split"] and all(given[name] is None for name in beside):
        run = _dataset_run(rules, given["x"])
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


def _test_run(
    rules: Rules, data: Any, batch_size: int | None, steps: Any, callbacks: Any, own: bool, passes: int = 1
) -> Run:
    """The steps that evaluate a model so often; `own`, on data that nobody can change meanwhile.

    Raises:
        Unsuitable: Keras's own loop is to do it.
    """
    run: Run | None = None
    if data[1] is None and data[2] is None and steps is None:
        run = _dataset_run(rules, data[0])
    if run is None:
        if why := rules.why_keras(data, steps=steps):
            raise Unsuitable(why)
        size = rules.batch_size(batch_size, trains=False)
        run = rules.run(rules.packed(rules.checked(data, size), own=own), size, passes)
    trace(rules, run, "test", callbacks)
    return run


def _times(given: dict[str, Any]) -> int:
    """After how many of a fit's epochs the model is evaluated."""
    freq, first, stop = given["validation_freq"], given["initial_epoch"], given["epochs"]
    if isinstance(freq, int):
        return max(0, stop // max(1, freq) - first // max(1, freq))
    return sum(first < epoch <= stop for epoch in freq)


def _dataset_run(rules: Rules, data: Any) -> Run | None:
    return datasets.run_of(rules.model, data) if rules.takes_datasets else None


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
