"""Layers of integers, and of parts: their variables are checked, in one order in every dtype."""

import keras
import numpy as np
import pytest

from tfbp import check_gradients

TOKENS = np.array([[0, 3, 3], [4, 1, 3]])


class HalfOfIt(keras.layers.Embedding):
    def call(self, inputs):
        rows = super().call(inputs)
        return 0.5 * rows + keras.ops.stop_gradient(0.5 * rows)


@pytest.mark.parametrize(("kind", "agrees"), [(keras.layers.Embedding, True), (HalfOfIt, False)])
def test_a_layer_of_integers_is_judged_by_its_variables(kind, agrees):
    layer = kind(5, 3)
    layer.build((2, 3))
    report = check_gradients(layer, [TOKENS], modes=["eager"])
    assert report.agrees == agrees
    assert bool(report.findings) != agrees
    assert all("embeddings" in finding.argument for finding in report.findings)


def test_variables_have_one_order_in_every_dtype():
    layer = keras.layers.Bidirectional(keras.layers.SimpleRNN(2))
    layer.build((2, 3, 2))
    report = check_gradients(
        layer, [np.random.default_rng(0).normal(size=(2, 3, 2))], modes=["eager"], auto_perturb=True
    )
    assert report.agrees, report
