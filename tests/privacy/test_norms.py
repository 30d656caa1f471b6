"""per_example_gradient_norms and clipped sums against one tape an example, for every kind of layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from private_models import CASES, L, logits, model_of, norms_of, one_tape_an_example

import tfbp
from tfbp.fitting import arrays
from tfbp.privacy import choosing, convolved, examples, refusals
from tfbp.privacy.clipping import clipped_sums


@pytest.mark.parametrize("case", CASES)
def test_norms_and_clipped_sums_are_those_of_one_tape_an_example(case):
    model, x, y = model_of(CASES[case])
    data = arrays.packed(x, y)
    refusals.build(model, data)
    way = choosing.way_of(model, data)
    assert not way.reason
    assert set(way.layers.values()) == {"by hand"}
    gradients = one_tape_an_example(model, x, y)
    norms = norms_of(gradients)
    clip = float(np.median(norms))

    @tf.function(autograph=False)
    def run():
        found = examples.find(model, way, data)
        return tf.sqrt(found.squares), clipped_sums(found, clip, tf.float64, tf.ones([len(y)], tf.bool))[0]

    got, sums = run()
    np.testing.assert_allclose(got, norms, rtol=1e-13, atol=1e-13)
    factors = np.minimum(1, clip / norms)
    for number, total in enumerate(sums):
        right = sum(factor * each[number] for factor, each in zip(factors, gradients, strict=True))
        np.testing.assert_allclose(total, right, rtol=1e-12, atol=1e-13 * clip)


def test_a_batch_without_a_static_size_in_pieces_gives_the_same(monkeypatch):
    """Private steps cut a chunk to the examples that were drawn, and convolutions compute a few at a time."""
    model, x, y = model_of(CASES["conv2d-groups-depthwise"])
    data = arrays.packed(x, y)
    refusals.build(model, data)
    way = choosing.way_of(model, data)
    leaves, factors = keras.tree.flatten(data)[:2], tf.random.stateless_uniform([len(y)], [1, 2], dtype=tf.float64)

    def results(x, y):
        found = examples.find(model, way, (x, y, None))
        return found.squares, found.weighted(factors, tf.ones_like(factors, tf.bool))

    right = tf.function(results, autograph=False)(*leaves)
    monkeypatch.setattr(convolved, "PATCH_BYTES", 1)
    way.most = len(y)
    specs = [tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype) for leaf in leaves]
    got = tf.function(results, autograph=False, input_signature=specs)(*leaves)
    for each, expected in zip(tf.nest.flatten(got), tf.nest.flatten(right), strict=True):
        np.testing.assert_allclose(each, expected, rtol=1e-12, atol=1e-13)


def mlp(dtype="float64"):
    model = keras.Sequential([L.Input((4,), dtype=dtype), L.Dense(5, "tanh", dtype=dtype), L.Dense(3, dtype=dtype)])
    model.compile("sgd", logits())
    return model


def data(rows=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)


def test_the_answer_says_by_which_way_each_layer_went_and_why():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.hidden = L.Dense(5, "tanh", dtype="float64")
            self.kernel = self.add_weight(shape=(5, 3), initializer="glorot_uniform", name="kernel")

        def call(self, x):
            return keras.ops.matmul(self.hidden(x), self.kernel)

    model, (x, y) = Own(), data()
    model.compile("sgd", logits())
    norms = tfbp.per_example_gradient_norms(model, x, y)
    assert set(norms.ways.values()) == {"by tape"}
    assert "kernel" in norms.reason
    np.testing.assert_allclose(norms, norms_of(one_tape_an_example(model, x, y)), rtol=1e-13)
    by_hand = tfbp.per_example_gradient_norms(mlp(), x, y)
    assert set(by_hand.ways.values()) == {"by hand"}
    assert by_hand.dtype == np.float64
    assert by_hand.shape == (5,)


def test_frozen_weights_do_not_count():
    model, (x, y) = mlp(), data()
    model.layers[0].trainable = False
    model.compile("sgd", logits())
    norms = tfbp.per_example_gradient_norms(model, x, y)
    np.testing.assert_allclose(norms, norms_of(one_tape_an_example(model, x, y)), rtol=1e-13)
    assert list(norms.ways) == [model.layers[1].path]


def test_an_own_compute_loss_counts():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 3 * keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))

    model, (x, y) = Own(mlp().layers), data()
    model.compile("sgd")
    np.testing.assert_allclose(
        tfbp.per_example_gradient_norms(model, x, y), norms_of(one_tape_an_example(model, x, y)), rtol=1e-13
    )


def test_large_numbers_do_not_overflow():
    x, y = data()
    x[2] *= 1e20
    wide, narrow = mlp(), mlp("float32")
    narrow.set_weights(wide.get_weights())
    norms = tfbp.per_example_gradient_norms(narrow, x.astype(np.float32), y)
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, tfbp.per_example_gradient_norms(wide, x, y), rtol=1e-5)


def test_penalties_on_weights_belong_to_no_example_and_sample_weights_count():
    x, y = data()
    plain = mlp()
    penalized = keras.Sequential(
        [L.Input((4,)), L.Dense(5, "tanh", kernel_regularizer="l2", dtype="float64"), L.Dense(3, dtype="float64")]
    )
    penalized.compile("sgd", logits())
    penalized.set_weights(plain.get_weights())
    weights = np.array([0.0, 1.0, 2.0, 0.5, 3.0])
    norms = tfbp.per_example_gradient_norms(penalized, x, y, weights)
    np.testing.assert_allclose(norms, weights * tfbp.per_example_gradient_norms(plain, x, y), rtol=1e-13)


def test_a_loss_over_the_whole_batch_is_found_by_trying():
    def spread(y, y_pred):
        return keras.ops.mean(keras.ops.square(y_pred - keras.ops.mean(y_pred, axis=0)))

    model, (x, y) = mlp(), data()
    model.compile("sgd", spread)
    with pytest.raises(tfbp.InputError, match="ties a batch's examples together") as caught:
        tfbp.per_example_gradient_norms(model, x, y)
    assert len(str(caught.value)) < 240


def test_a_sum_over_examples_is_taken():
    x, y = data()
    model = mlp()
    right = tfbp.per_example_gradient_norms(model, x, y)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"))
    np.testing.assert_allclose(tfbp.per_example_gradient_norms(model, x, y), right, rtol=1e-13)


def test_a_mask_that_counts_over_the_whole_batch_counts_for_an_example_alone():
    model = keras.Sequential([L.Input((6,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), L.Dense(9)])
    model.compile("sgd", logits())
    tokens = np.random.default_rng(0).integers(1, 9, (5, 6))
    tokens[0, 1:], tokens[1, 3:] = 0, 0
    right = norms_of(one_tape_an_example(model, tokens, tokens))
    np.testing.assert_allclose(tfbp.per_example_gradient_norms(model, tokens, tokens), right, rtol=1e-13)


def test_batch_size_changes_nothing():
    model, (x, y) = mlp(), data(rows=11)
    at_once = tfbp.per_example_gradient_norms(model, x, y)
    np.testing.assert_allclose(tfbp.per_example_gradient_norms(model, x, y, batch_size=4), at_once, rtol=1e-14)


def test_norms_of_layers_are_of_a_network_alone():
    model, (x, y) = mlp(), data()
    with pytest.raises(tfbp.InputError, match="per_layer: got True for a Sequential"):
        tfbp.per_example_gradient_norms(model, x, y, per_layer=True)


def test_data_that_are_no_arrays_of_numbers_are_refused_by_name_and_one_in_a_file_is_read(tmp_path):
    model, x, y = model_of(CASES["dense-shared"])
    words = np.array(["a"] * len(y))
    rows = tf.data.Dataset.from_tensor_slices((x, y))
    for given, told in (
        ((x, words), "y: got a ndarray of dtype <U1"),
        ((x, y, words), "sample_weight: got a ndarray of dtype <U1"),
        ((tf.sparse.from_dense(x), y), "x: got a SparseTensor"),
        ((rows, None), "x: got a _TensorSliceDataset"),
        ((None, y), "x: got nothing"),
    ):
        with pytest.raises(tfbp.InputError, match=f"^{told}; accepted: arrays of numbers in memory.$"):
            tfbp.per_example_gradient_norms(model, *given)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    right = tfbp.per_example_gradient_norms(model, x, y)
    np.testing.assert_array_equal(tfbp.per_example_gradient_norms(model, mapped, y), right)


def test_a_method_that_somebody_put_in_the_place_of_a_layer_s_counts_and_stays():
    model, (x, y) = mlp(), data()
    layer = model.layers[0]
    whole = layer.call
    vars(layer)["call"] = lambda inputs, training=None: 2 * whole(inputs)
    found = tfbp.per_example_gradient_norms(model, x, y)
    np.testing.assert_allclose(found, norms_of(one_tape_an_example(model, x, y)), rtol=1e-13)
    assert "call" in vars(layer)
