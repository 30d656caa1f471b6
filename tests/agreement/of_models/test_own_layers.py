"""`tfbp.agree` on layers and losses of a user's own, which the reference does not have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp

L = keras.layers
EAGER = {"modes": ["eager"]}


class Normalized(L.Layer):
    """A normalization with a statistic, of which a graph renews `times` as much."""

    def __init__(self, times=1.0, **options):
        super().__init__(**options)
        self.times = times

    def build(self, shape):
        self.moving = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="moving")

    def call(self, x, training=None):
        mean, variance = tf.nn.moments(x, [0])
        if training:
            share = 0.1 if tf.executing_eagerly() else 0.1 * self.times
            self.moving.assign((1 - share) * self.moving + share * mean)
        return (x - mean) * tf.math.rsqrt(variance + 1e-3)

    def get_config(self):
        return {**super().get_config(), "times": self.times}


def normalized(rng, times):
    model = keras.Sequential([keras.Input((5,)), Normalized(times, name="own"), L.Dense(3)])
    return model, rng.normal(size=(64, 5))


def test_a_statistic_is_held_against_the_roundings_of_its_own_formula(rng):
    """A mean that is small beside its terms: their sum rounds by more than the mean's last bit."""
    report = tfbp.agree(*normalized(rng, 1.0), dtypes=["float64", "float32", "bfloat16"], **EAGER)
    assert report.agrees, str(report)
    assert report.lines[0].by == "differences"


def test_a_statistic_that_only_graphs_renew_wrongly_is_named(rng):
    report = tfbp.agree(*normalized(rng, 1.1), dtypes=["float32"], modes=["eager", "graph"])
    assert [(f.layer, f.tensor, f.mode) for f in report.findings] == [("own", "new moving", "graph")]


class Placed(L.Layer):
    """Makes a layer without a word about its dtype, as in a model under a policy."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table = L.Embedding(4, 3)

    def build(self, shape):
        self.table.build(())
        super().build(shape)

    def call(self, x):
        return x + self.table(keras.ops.arange(4))


def test_the_layers_that_a_layer_makes_have_the_dtype_of_its_copy(rng):
    x = keras.Input((4, 3))
    model = keras.Model(x, L.Dense(2)(Placed(name="placed")(x)))
    before = keras.config.dtype_policy().name
    report = tfbp.agree(model, rng.normal(size=(5, 4, 3)), dtypes=["float64", "float32", "bfloat16"], **EAGER)
    assert report.agrees, str(report)
    assert sorted(report.lines[0].worst) == ["bfloat16 eager", "float32 eager", "float64 eager"]
    assert keras.config.dtype_policy().name == before


def squares(times):
    """The mean square, with a gradient of its own."""

    @tf.custom_gradient
    def mean_square(outputs):
        return tf.reduce_mean(outputs**2, -1), lambda dy: dy[:, None] * times * outputs / 3

    return lambda y, outputs: mean_square(outputs - y)


@pytest.mark.parametrize("times", [2.0, 3.0])
def test_the_gradient_of_a_loss_is_held_against_differences(rng, times):
    x = keras.Input((4,))
    model = keras.Model(x, [L.Dense(2, name="size")(x), L.Dense(3, name="kind")(x)])
    y = [rng.normal(size=(6, 2)), rng.normal(size=(6, 3))]
    report = tfbp.agree(
        model, rng.normal(size=(6, 4)), y, loss=["mse", squares(times)], dtypes=["float64"], modes=["eager"]
    )
    found = [(f.layer, f.tensor, f.part) for f in report.findings]
    assert found == ([] if times == 2 else [("loss", "gradient of kind", "differences")])


@pytest.mark.parametrize("loss", ["mae", "hinge", "huber", "kl_divergence", "binary_crossentropy", "cosine_similarity"])
def test_a_right_loss_with_kinks_and_bounds_has_no_finding(rng, loss):
    """Some outputs are 0 or 1, where hinge has its kink and a cross-entropy its bounds."""
    x = keras.Input((4,))
    model = keras.Model(x, L.Dense(3, "hard_sigmoid", name="out")(x))
    y = rng.integers(0, 2, (6, 3)).astype(float)
    report = tfbp.agree(model, 3 * rng.normal(size=(6, 4)), y, loss=loss, dtypes=["float64", "float32"], **EAGER)
    assert report.agrees, str(report)
    assert np.isfinite(max(report.whole.values()))
