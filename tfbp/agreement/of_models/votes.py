"""Names the outlier where a layer and the reference disagree: the hand-written network has a vote."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfbp.agreement.of_models.layers import Fed, by_name
from tfbp.agreement.of_models.running import Answer, tensors_of
from tfbp.agreement.of_models.truth import ByReference
from tfbp.agreement.problems import numpy_dtype, round_to
from tfbp.judging.arrays import as_float64
from tfbp.judging.failures import Failure, attempt
from tfbp.manual import graph
from tfbp.network import at, map_weights


def outlier(truth: Any, fed: Fed, name: str, got: Any, dtype: str) -> str:
    """Names the one that differs from the two others; empty where the hand-written network does not have the layer."""
    if not isinstance(truth, ByReference):
        return ""
    answer = attempt(by_manual, truth, fed, dtype)
    if isinstance(answer, Failure) or name not in (votes := by_name(answer)):
        return ""
    right, tolerance = fed.right[name], fed.tolerances.get(name, 0.0)
    if votes[name].shape == right.shape and bool((np.abs(votes[name] - right) <= tolerance).all()):
        return "the hand-written network agrees with the reference: the layer is the outlier"
    mine = None if isinstance(got, Failure) or got is None else as_float64(got)
    if mine is not None and mine.shape == votes[name].shape and bool((np.abs(mine - votes[name]) <= tolerance).all()):
        return "the hand-written network agrees with the layer: the reference is the outlier"
    return "the hand-written network gives a third value"


def by_manual(truth: ByReference, fed: Fed, dtype: str) -> Answer:
    """Returns the call's answer by `tfbp.manual`, eagerly in the dtype."""
    cast = numpy_dtype(dtype)
    weights = map_weights(lambda w: tf.constant(round_to(w, dtype).astype(cast)), truth.parameters)
    calls = truth.network.graph
    made, tensors, residuals = graph.graph_forward(calls, weights, tensors_of(fed.xs, dtype), training=truth.training)
    dmade: dict[int, Any] = {}
    for end, dy in zip(truth.network.ends, tensors_of(fed.dys, dtype), strict=True):
        graph.add(dmade, end, dy)
    gradients = graph.graph_backward(calls, tensors, residuals, dmade)
    answer = Answer([as_float64(made[end]) for end in truth.network.ends])
    answer.dxs = [None if i not in dmade else as_float64(dmade[i]) for i in range(len(fed.xs))]
    for (place, weight), number in truth.numbers.items():
        if weight in (found := at(gradients, place)):
            answer.dweights[number] = as_float64(found[weight])
    return answer
