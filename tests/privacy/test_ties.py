"""Models whose examples see each other in ways that two rows do not show: each is refused before it is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from private_models import L, logits, norms_of, one_tape_an_example

import tfbp

ROWS = 40
_OF_DATA = np.random.default_rng(0)
X, Y = _OF_DATA.normal(size=(ROWS, 4)), _OF_DATA.integers(0, 3, ROWS)


class MixesInTraining(L.Layer):
    def call(self, x, training=False):
        return x - ops.mean(x, axis=0) if training else x


class MixesUp(L.Layer):
    def __init__(self):
        super().__init__()
        self.generator = keras.random.SeedGenerator(1)

    def call(self, x, training=False):
        share = keras.random.uniform((ops.shape(x)[0], 1), seed=self.generator)
        return share * x + (1 - share) * ops.roll(x, 1, axis=0) if training else x


class Mixes(L.Layer):
    def call(self, x):
        return x * ops.mean(x**2, axis=0)


class Own(L.Layer):
    """No known kind: its models' examples have a tape each."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        return ops.matmul(x, self.kernel)


class WritesOutside(L.Layer):
    """To a variable that Keras does not know."""

    def build(self, shape):
        vars(self)["total"] = tf.Variable(0.0, dtype="float64", trainable=False)

    def call(self, x, training=False):
        if training:
            self.total.assign_add(tf.reduce_sum(x))
        return x


class WritesInItsLoss(keras.Sequential):
    def build(self, shape=None):
        super().build(shape)
        if not hasattr(self, "average"):
            self.average = self.add_weight(shape=(), initializer="zeros", trainable=False, name="average")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))
        self.average.assign(0.9 * self.average + 0.1 * ops.stop_gradient(loss))
        return loss


def triplets(y, z):
    """Of examples of one label that are further apart than those of two: 0 of any two rows."""
    y = ops.reshape(y, (-1,))
    distances = ops.sum((z[:, None] - z[None]) ** 2, axis=-1)
    same = ops.cast(y[:, None] == y[None], z.dtype) - ops.eye(ops.shape(z)[0], dtype=z.dtype)
    other = ops.cast(y[:, None] != y[None], z.dtype)
    losses = ops.relu(distances[:, :, None] - distances[:, None, :] + 0.5) * same[:, :, None] * other[:, None, :]
    return ops.mean(ops.sum(losses, axis=(1, 2)))


def slightly_coupled(y, z):
    shares = ops.mean(ops.softmax(z), axis=0)
    loss = ops.mean(keras.losses.sparse_categorical_crossentropy(y, z, from_logits=True))
    return loss + 1e-5 * ops.sum(shares * ops.log(shares))


def over_the_weights():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")


def model_of(*layers, loss=None, kind=keras.Sequential):
    keras.utils.set_random_seed(0)
    model = kind([L.Input((4,)), L.Dense(5, "tanh"), *layers, L.Dense(3)])
    model.compile(keras.optimizers.SGD(1.0), loss or logits())
    return model


def fit(model, x=X, y=Y, **options):
    privacy = tfbp.Privacy(noise_multiplier=1.0, delta=1e-3, seed=1)
    return tfbp.fit(model, x, y, batch_size=8, privacy=privacy, verbose=0, **options)


TIED = {
    "mixed in training, beside dropout": (lambda: model_of(MixesInTraining(), L.Dropout(0.3)), {}, "ties"),
    "mixed by random shares": (lambda: model_of(MixesUp()), {}, "ties"),
    "the first rows are equal": (
        *(
            lambda: model_of(Mixes()),
            {"x": np.concatenate([np.repeat(X[:1], 150, 0), X]), "y": np.repeat(Y, [151, *[1] * 39])},
        ),
        "ties",
    ),
    "triplets": (lambda: model_of(loss=triplets), {}, "ties"),
    "triplets by tape": (lambda: model_of(Own(), loss=triplets), {}, "ties"),
    "a small term of the whole batch": (lambda: model_of(loss=slightly_coupled), {}, "ties"),
    "divided by the weights": (
        *(lambda: model_of(loss=over_the_weights()), {"sample_weight": np.repeat([1.0, 5.0], [36, 4])}),
        "ties",
    ),
    "a loss that writes": (lambda: model_of(kind=WritesInItsLoss), {}, "writes to 'writes_in_its_loss"),
    "a write that Keras does not see": (lambda: model_of(WritesOutside()), {}, "writes to"),
}


@pytest.mark.parametrize("case", TIED)
def test_it_is_refused_and_nothing_moves(case):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    made, options, words = TIED[case]
    model = made()
    before = model.get_weights()
    with pytest.raises(tfbp.InputError, match=words) as caught:
        fit(model, **options)
    assert len(str(caught.value)) < 240
    for got, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, right)


def test_a_small_term_of_the_whole_batch_is_found_in_float32():
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = model_of(loss=lambda y, z: slightly_coupled(y, z) + 1e-4 * ops.mean(ops.square(ops.mean(z, axis=0))))
    with pytest.raises(tfbp.InputError, match="ties"):
        tfbp.per_example_gradient_norms(model, X.astype("float32"), Y)


def test_a_mask_with_gaps_in_some_rows_alone(rng):
    """Keras divides by how many steps a mask leaves in the whole batch: of the rows that were tried it left all."""
    tokens, labels = rng.integers(1, 9, (ROWS, 6)), rng.integers(0, 3, (ROWS, 6))
    tokens[1:, 3:] *= rng.random((ROWS - 1, 1)) < 0.9
    model = keras.Sequential([L.Input((6,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), L.Dense(3)])
    model.compile("sgd", logits())
    right = norms_of(one_tape_an_example(model, tokens, labels))
    np.testing.assert_allclose(tfbp.per_example_gradient_norms(model, tokens, labels), right, rtol=1e-13)


def test_a_loss_divided_by_weights_that_are_not_given_is_taken_and_told_right():
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    options = {"sampling": "shuffle", "noise_multiplier": 1e-15, "delta": 1e-9, "accountant": "rdp", "seed": 1}
    told = [
        tfbp.fit(model_of(loss=loss), X, Y, batch_size=ROWS, privacy=tfbp.Privacy(**options), verbose=0)
        for loss in (over_the_weights(), logits())
    ]
    np.testing.assert_allclose(told[0].history["loss"], told[1].history["loss"], rtol=1e-12)
    for got, right in zip(told[0].model.get_weights(), told[1].model.get_weights(), strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [(L.Dropout, 0.3), (L.GaussianNoise, 0.1)], ids=["dropout", "noise"])
def test_layers_that_draw_for_each_example_are_taken(layers):
    pytest.importorskip("dp_accounting", reason="needs pip install 'tfbp[private]'")
    kind, rate = layers
    assert set(fit(model_of(kind(rate), L.Dense(4), kind(rate))).privacy["layers"].values()) == {"by hand"}
