"""tfbp.Privacy: the settings of a private fit. N rows, B the batch's expected size, q = B / N."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import keras

from tfbp.errors import InputError, check_choice, check_count, check_integer, check_positive
from tfbp.fitting import arrays, contract
from tfbp.fitting import epochs as loop
from tfbp.fitting.evaluation import validation_of
from tfbp.fitting.rules import rules_of
from tfbp.privacy import accounting, choosing, refusals, report, sampling
from tfbp.privacy.budget import Budget
from tfbp.privacy.ledger import SAMPLINGS, Stretch, ledger_of
from tfbp.privacy.program import Plan
from tfbp.privacy.run import PrivateRun
from tfbp.privacy.ways import Way, rows_a_chunk

# numbers below 1e-19 have a square of 0 in float32: many of them have a norm that is still far below this
LEAST_CLIP = 1e-12
# σ C and its inverse are numbers of float32, and the accountants' powers of σ of float64
SMALLEST, LARGEST = 1e-15, 1e18
# the defaults of fit's arguments
_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(keras.Model.fit).parameters.items()
    if name != "self"
}


@dataclass(frozen=True)
class Privacy:
    """Differentially private training: one object samples, clips, adds noise and accounts for the steps.

        g = (Σ_b min(1, C / ‖g_b‖) g_b + σ C · normal) / (q N)

    Pass it to `tfbp.fit` or `tfbp.Model.fit` as `privacy`. ε counts only steps that ran. It is in the logs of each
    epoch, and in `history.privacy` with all its terms. A step beyond the budget is rejected before it runs.

    Args:
        epsilon: the budget; σ is the smallest that keeps the requested epochs within it. Or
        noise_multiplier: σ, without a budget.
        delta: δ, below 1 / N.
        clip: C, the largest norm of an example's own gradient, at least 1e-12.
        sampling: "poisson", each step takes every example with probability q; or "shuffle", with its own accounting.
        accountant: "pld", privacy loss distributions, or "rdp", which overestimates ε.
        physical_batch_size: the number of examples in memory at once, for less memory. With "poisson" the same seed
            draws other examples for another number.
        exact_logs: whether to count the loss and the metrics of the training examples; ε does not cover them.
        seed: for tests: noise and samples that can be had again. It voids the claim, and the report says so.

    Raises:
        InputError: epsilon and noise_multiplier both or neither, or a number outside its range.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> privacy = tfbp.Privacy(noise_multiplier=1.0, delta=1e-3, clip=1.0)
        >>> fit = lambda: tfbp.fit(model, np.ones((64, 2)), np.ones(64), batch_size=8, privacy=privacy, verbose=0)
        >>> fit().privacy["steps"]  # doctest: +SKIP
        8

    Reference: Abadi et al., Deep learning with differential privacy (2016), https://arxiv.org/abs/1607.00133
    """

    epsilon: float | None = None
    noise_multiplier: float | None = None
    delta: float | None = None
    clip: float = 1.0
    sampling: str = "poisson"
    accountant: str = "pld"
    physical_batch_size: int | None = None
    exact_logs: bool = True
    seed: int | None = None

    def __post_init__(self) -> None:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise InputError(
                f"epsilon: got {self.epsilon!r} and noise_multiplier={self.noise_multiplier!r}; accepted: one of the "
                "two, a budget or the noise."
            )
        for name in ("epsilon", "noise_multiplier", "clip"):
            if getattr(self, name) is not None or name == "clip":
                check_positive(name, getattr(self, name))
        if self.clip < LEAST_CLIP:
            raise InputError(
                f"clip: got {self.clip:g}; accepted: at least {LEAST_CLIP:g}, for the squares of smaller gradients "
                "vanish in float32."
            )
        if self.clip > LARGEST:
            raise InputError(f"clip: got {self.clip:g}; accepted: at most {LARGEST:g}, for float32 holds the noise.")
        if self.noise_multiplier is not None and not SMALLEST <= self.noise_multiplier <= LARGEST:
            raise InputError(
                f"noise_multiplier: got {self.noise_multiplier:g}; accepted: {SMALLEST:g} to {LARGEST:g}, for float32 "
                "holds the noise."
            )
        delta = self.delta
        if isinstance(delta, bool) or not isinstance(delta, Real) or not 0 < float(delta) < 1:
            raise InputError(f"delta: got {delta!r}; accepted: a number between 0 and 1, below 1 / N.")
        check_choice("sampling", self.sampling, SAMPLINGS)
        check_choice("accountant", self.accountant, accounting.ACCOUNTANTS)
        if self.physical_batch_size is not None:
            check_count("physical_batch_size", self.physical_batch_size)
        if not isinstance(self.exact_logs, bool):
            raise InputError(f"exact_logs: got {self.exact_logs!r}; accepted: True or False.")
        seed = self.seed
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0):
            raise InputError(f"seed: got {seed!r}; accepted: None, or an integer of at least 0 for tests.")

    def fit(self, model: Any, given: dict[str, Any]) -> keras.callbacks.History:
        """Trains with the arguments of `tfbp.fit`, which calls this."""
        given = {**_DEFAULTS, **given}
        contract.check_compiled(model)
        refusals.check_model(model)
        accounting.check_installed()
        for name in ("epochs", "initial_epoch"):
            check_integer(name, given[name])
        data, ways, validation_data, batch_size = _data_of(model, given)
        rows = int(next(leaf for leaf in keras.tree.flatten(data) if leaf is not None).shape[0])
        if batch_size > rows:
            raise InputError(
                f"batch_size: got {batch_size} of {rows} examples, a rate q = {batch_size / rows:.4g}; accepted: at "
                f"most {rows}, because q is a probability."
            )
        if float(self.delta or 0) >= 1 / rows:
            warnings.warn(
                f"delta: got {self.delta:g}, which is at least 1 / N = {1 / rows:.3g}: it would allow to publish an "
                "example.",
                stacklevel=3,
            )
        if given["steps_per_epoch"] is not None:
            raise InputError(
                f"steps_per_epoch: got {given['steps_per_epoch']!r}; accepted: None, an epoch has N / B private steps."
            )
        refusals.build(model, data)
        refusals.check_layers(model)
        way = choosing.way_of(model, data) if ways is None else Way(layers=ways)
        contract.build_optimizer(model)
        ledger = ledger_of(model)
        report.note_strange_updates(model, ledger)
        an_epoch = math.ceil(rows / batch_size)
        epochs = max(given["epochs"] - given["initial_epoch"], 0)
        planned = Stretch(
            self.sampling,
            batch_size / rows,
            self.noise_multiplier or 0.0,
            rows,
            float(self.clip),
            an_epoch,
            an_epoch * epochs,
        )
        budget = Budget(self.epsilon, float(self.delta or 0), self.accountant, ledger, planned)
        planned = budget.planned
        ledger.begin(planned)
        ledger.draw_key(self.seed)
        if self.seed is not None:
            ledger.seeded.assign(1)
        size = rows_a_chunk(model, way, sampling.chunk_size(planned.rate, rows, self.physical_batch_size))
        way.most = size
        is_cut = way.is_by_hand and way.losses != "each" and not hasattr(model, "clipped_examples")
        plan = Plan(way, planned, batch_size, size, self.exact_logs, is_cut)
        run = PrivateRun(model, data, ledger, plan, budget)
        size_of_validation = given["validation_batch_size"] or given["batch_size"]
        try:
            schedule = loop.Schedule(
                given["epochs"],
                given["initial_epoch"],
                validate=validation_of(rules_of(model), validation_data, size_of_validation, given),
                validation_freq=given["validation_freq"],
                block_steps=model.steps_per_execution if model.steps_per_execution > 1 else None,
            )
            history = loop.train(model, run, given["callbacks"], schedule, given["verbose"])
        finally:
            # with the seed, anybody could subtract the noise from the weights
            ledger.forget_key()
        report.note_strange_updates(model, ledger)
        history.privacy = report.report_of(self, model, ledger, way, budget.spent())
        return history


def _data_of(model: Any, given: dict[str, Any]) -> tuple[Any, dict[str, str] | None, Any, int]:
    """Returns the packed training data, the way of each layer if the model has one, the validation data, and B."""
    x, y, sample_weight = given["x"], given["y"], given["sample_weight"]
    contract.check_data(x=x, y=y, sample_weight=sample_weight)
    cause = ", for each step draws its examples from all of them"
    refusals.check_arrays(cause, x=x, y=y, sample_weight=sample_weight)
    rules = rules_of(model)
    batch_size = rules.batch_size(given["batch_size"], trains=True)
    data, validation_data = rules.checked((x, y, sample_weight), batch_size), given["validation_data"]
    if given["validation_split"] and validation_data is None:
        data, validation_data = arrays.split(data, given["validation_split"])
    ways = model.ways_of_layers() if hasattr(model, "ways_of_layers") else None
    return rules.packed(data, given["class_weight"], own=True), ways, validation_data, batch_size
