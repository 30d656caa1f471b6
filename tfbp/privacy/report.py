"""Writes the report of a private fit: history.privacy, in JSON's types."""

from __future__ import annotations

import weakref
from typing import Any

from tfbp.privacy.ledger import Ledger
from tfbp.privacy.ways import Way

NEIGHBOURS = {"poisson": "add or remove one example", "shuffle": "one example counts or counts 0 (zero out)"}


def report_of(privacy: Any, model: Any, ledger: Ledger, way: Way, epsilon: float) -> dict[str, Any]:
    """Returns ε, and the settings and counts behind it."""
    stretches = ledger.stretches()
    last = stretches[-1]
    void = []
    if int(ledger.seeded):
        void.append("a seed was given, for tests: whoever knows it can take the noise out")
    if int(ledger.strange_updates):
        void.append(
            f"{int(ledger.strange_updates)} updates without noise: if they saw these examples, ε does not count them"
        )
    outside = sorted(model.get_metrics_result()) if privacy.exact_logs else []
    return {
        "epsilon": epsilon,
        "delta": float(privacy.delta),
        "accountant": privacy.accountant,
        "neighbouring_relation": " and ".join(dict.fromkeys(NEIGHBOURS[stretch.sampling] for stretch in stretches)),
        "sampling": last.sampling,
        "N": last.rows,
        "q": last.rate,
        "noise_multiplier": last.noise,
        "clip": last.clip,
        "steps": sum(stretch.steps for stretch in stretches),
        "updates": _updates(model),
        "budget": None if privacy.epsilon is None else float(privacy.epsilon),
        "stretches": [
            {
                "sampling": stretch.sampling,
                "N": stretch.rows,
                "q": stretch.rate,
                "noise_multiplier": stretch.noise,
                "clip": stretch.clip,
                "steps": stretch.steps,
            }
            for stretch in stretches
        ],
        "non_finite_examples": int(ledger.skipped),
        "outside_of_epsilon": [*outside, "non_finite_examples"],
        "void": void,
        "layers": dict(way.layers),
        "reason_for_tape": way.reason,
    }


def note_strange_updates(model: Any, ledger: Ledger) -> None:
    """Counts the updates of the model's optimizer outside private steps.

    An optimizer of a later compile begins to count anew.
    """
    now = _updates(model)
    is_same = ledger.optimizer is None or ledger.optimizer() is model.optimizer
    strange = now - int(ledger.known_updates) if is_same else now
    ledger.optimizer = weakref.ref(model.optimizer)
    if strange > 0:
        ledger.strange_updates.assign(int(ledger.strange_updates) + strange)
    ledger.known_updates.assign(now)


def _updates(model: Any) -> int:
    return int(model.optimizer.iterations)
