"""Whether an activation's or a loss's arguments differ from its defaults."""

from __future__ import annotations

from tfbp.vocabulary import ACTIVATIONS, LOSSES, Activation, Loss


def off_default(choice: Activation | Loss) -> bool:
    table = ACTIVATIONS if isinstance(choice, Activation) else LOSSES
    return choice.name != "threshold" and dict(choice.arguments) != dict(table[choice.name])
