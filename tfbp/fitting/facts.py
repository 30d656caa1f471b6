"""What a trace of a model holds in Python: numbers and objects that are attributes, which variables are trained.

Keras traces a step when it is first run, after callbacks had their turn; this loop traces it before, to see what it
is. What they change meanwhile is seen here, and the step is traced again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

_PLAIN = bool | int | float | complex | str | bytes | None
# what a fit sets itself
_OF_FIT = {
    *("history", "array_run", "stop_training", "stop_evaluating", "stop_predicting"),
    *("train_function", "test_function", "predict_function"),
}


class Facts:
    """Those of a model at this moment; two are equal where no trace would differ."""

    def __init__(self, model: Any) -> None:
        objects = [*model._flatten_layers(), *_helpers(model)]
        # the objects are held, so that no other one gets the id of one that is gone
        self._held = [*objects, *model.trainable_variables, *model.metrics]
        self._found: list[Any] = [id(each) for each in self._held]
        for each in objects:
            known = _names_of_keras(isinstance(each, keras.Model))
            for name, value in vars(each).items():
                if isinstance(value, _PLAIN):
                    if name not in _OF_FIT and not (name.startswith("_") and name in known):
                        self._found.append((name, type(value), value))
                elif (not name.startswith("_") or name == "_learning_rate") and name not in _OF_FIT:
                    self._found.append((name, id(value)))
                    self._held.append(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._found == other._found

    __hash__ = None  # type: ignore[assignment]


def _helpers(model: Any) -> list[Any]:
    """The optimizer, and losses and metrics that are objects."""
    given = [getattr(model, name, None) for name in ("optimizer", "loss")] if model.compiled else []
    kinds = keras.optimizers.Optimizer | keras.losses.Loss
    return [each for each in keras.tree.flatten(given) if isinstance(each, kinds)] + list(model.metrics)


@cache
def _names_of_keras(is_model: bool) -> frozenset[str]:
    """Names that Keras itself uses for what it keeps in a layer, or a model."""
    plain = keras.Model() if is_model else keras.layers.Layer()
    return frozenset(vars(plain)) | {"_initial_epoch", "_called", "_tfbp_programs", "_tfbp_shuffling"}
