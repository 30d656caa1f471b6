"""What a private fit tells of itself: history.privacy, all of it JSON."""

from __future__ import annotations

from typing import Any

from tfbp.privacy.ledger import Ledger
from tfbp.privacy.ways import Way

NEIGHBOURS = {"poisson": "add or remove one example", "shuffle": "one example counts or counts 0 (zero out)"}


def report_of(privacy: Any, model: Any, ledger: Ledger, way: Way, epsilon: float) -> dict[str, Any]:
    """ε, and all that it rests on."""
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
        "neighbouring_relation": " and ".join(dict.fromkeys(NEIGHBOURS[each.sampling] for each in stretches)),
        "sampling": last.sampling,
        "N": last.rows,
        "q": last.rate,
        "noise_multiplier": last.noise,
        "clip": last.clip,
        "steps": sum(each.steps for each in stretches),
        "updates": _updates(model),
        "budget": None if privacy.epsilon is None else float(privacy.epsilon),
        "stretches": [
            {
                "sampling": each.sampling,
                "N": each.rows,
                "q": each.rate,
                "noise_multiplier": each.noise,
                "clip": each.clip,
                "steps": each.steps,
            }
            for each in stretches
        ],
        "non_finite_examples": int(ledger.skipped),
        "outside_of_epsilon": [*outside, "non_finite_examples"],
        "void": void,
        "layers": dict(way.layers),
        "reason_for_tape": way.reason,
    }


def note_strange_updates(model: Any, ledger: Ledger) -> None:
    """Count the updates of the model's optimizer that no private step has made."""
    now = _updates(model)
    strange = now - int(ledger.known_updates)
    if strange > 0:
        ledger.strange_updates.assign(int(ledger.strange_updates) + strange)
    ledger.known_updates.assign(now)


def _updates(model: Any) -> int:
    return int(model.optimizer.iterations)
