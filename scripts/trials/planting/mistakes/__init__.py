"""Every planted mistake, by topic; `HARMLESS` are changes that only look like one."""

from planting.mistakes import (
    activations,
    attention,
    dense,
    harmless,
    images,
    kinds,
    layers,
    losses,
    normalization,
    passes,
    recurrence,
    single_examples,
    tokens,
)

MISTAKES = [
    *dense.MISTAKES,
    *activations.MISTAKES,
    *losses.MISTAKES,
    *passes.MISTAKES,
    *layers.MISTAKES,
    *single_examples.MISTAKES,
    *tokens.MISTAKES,
    *images.MISTAKES,
    *kinds.MISTAKES,
    *normalization.MISTAKES,
    *recurrence.MISTAKES,
    *attention.MISTAKES,
]
HARMLESS = harmless.MISTAKES
