"""Each example's own gradient in recurrent layers and attention, by hand, against a backward pass an example."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Flatten,
    GroupedQueryAttention,
    MultiHeadAttention,
    Network,
    SimpleRNN,
    manual,
    reference,
)

KINDS = {
    "simple-rnn": [SimpleRNN(5, return_sequences=True), SimpleRNN(3)],
    "lstm-deep": [LSTM(5, return_sequences=True), LSTM(3, go_backwards=True)],
    "lstm-no-bias": [LSTM(5, use_bias=False)],
    "gru": [GRU(5, return_sequences=True), GRU(3, go_backwards=True)],
    "gru-before": [GRU(5, reset_after=False), Dense(4)],
    "gru-relu-gate": [GRU(4, recurrent_activation="hard_sigmoid")],
    "bidirectional": [Bidirectional(LSTM(3, return_sequences=True)), Bidirectional(GRU(2), merge_mode="mul")],
    "attention": [MultiHeadAttention(2, 3), Flatten()],
    "attention-causal-no-bias": [MultiHeadAttention(2, 3, use_bias=False, use_causal_mask=True), Flatten()],
    "grouped-attention": [GroupedQueryAttention(3, 4, 2), Flatten()],
}


def problem(kind):
    network = Network((6, 4), [*KINDS[kind], Dense(3)], "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    parameters = [
        tf.nest.map_structure(lambda w: w + 0.2 * rng.normal(size=w.shape), layer) for layer in network.init(0)
    ]
    return network, parameters, rng.normal(size=(5, 6, 4)), rng.integers(0, 3, 5), rng.uniform(0.3, 2, 5)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sampled(3)
def test_norms_and_clipped_gradients_are_the_reference_s(kind, mode):
    network, parameters, x, y, weight = problem(kind)
    each = reference.per_example.gradient_norms(network, parameters, x, y, weight)
    clip = float(np.median(np.linalg.norm(each, axis=1)))
    right = reference.per_example.loss_and_clipped_gradients(network, parameters, x, y, clip, weight)
    arguments = parameters, tf.constant(x), tf.constant(y), tf.constant(weight)

    def answers(parameters, x, y, weight):
        norms = manual.per_example.gradient_norms(network, parameters, x, y, weight)
        return norms, manual.per_example.loss_and_clipped_gradients(network, parameters, x, y, clip, weight)

    norms, clipped = (tf.function(answers, autograph=False) if mode == "graph" else answers)(*arguments)
    np.testing.assert_allclose(norms, each, rtol=1e-11, atol=1e-13)
    for got, expected in zip(tf.nest.flatten(clipped), tf.nest.flatten(right), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["lstm-no-bias", "gru", "gru-before", "attention"])
def test_norms_whose_squares_overflow_in_float32_are_those_of_float64(kind):
    network, parameters, x, y, weight = problem(kind)
    weight *= 1e25
    right = manual.per_example.gradient_norms(network, parameters, tf.constant(x), tf.constant(y), tf.constant(weight))
    narrow = tf.nest.map_structure(lambda w: tf.constant(w, tf.float32), parameters)
    given = tf.constant(x, tf.float32), tf.constant(y), tf.constant(weight, tf.float32)
    norms = manual.per_example.gradient_norms(network, narrow, *given)
    assert norms.dtype == tf.float32
    np.testing.assert_allclose(norms, right, rtol=1e-5)
