"""What Keras's layers and optimizers really do, where good guesses miss: each line of the guide, held against them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers

TOKENS = np.full((1, 16), 3)
ROWS_ONE_BY_ONE = ("Adam", "AdamW", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Ftrl", "Adafactor")
ROWS_ADDED_UP = ("SGD", "Adamax", "Lion", "Lamb", "Muon")


def moved(layer, optimizer, dense=False):
    """The table after a step on a token that stands 16 times, less the table before it."""
    layer.build((1, 16))
    layer.set_weights([np.linspace(-1, 1, 20).reshape(5, 4)])
    before = layer.get_weights()[0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(TOKENS) * tf.constant([1.0, -2.0, 0.5, 3.0]))
    gradient = tape.gradient(loss, layer.embeddings.value)
    optimizer.build([layer.embeddings])
    optimizer.apply([tf.convert_to_tensor(gradient) if dense else gradient])
    return layer.get_weights()[0] - before


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in (*ROWS_ONE_BY_ONE, *ROWS_ADDED_UP)),
        ("SGD", {"momentum": 0.9}),
        *(("SGD", {clip: 0.1}) for clip in ("clipnorm", "global_clipnorm", "clipvalue")),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_which_optimizers_take_a_token_s_rows_one_by_one(name, options):
    def optimizer():
        return getattr(keras.optimizers, name)(learning_rate=0.1, **options)

    one_by_one = name in ROWS_ONE_BY_ONE or any("clip" in option for option in options)
    theirs, right = (moved(keras.layers.Embedding(5, 4), optimizer(), dense) for dense in (False, True))
    assert (np.abs(theirs - right).max() > 1e-3 * np.abs(right).max()) == one_by_one
    # ours hands over a token's sum, and zeros for its other places
    ours = moved(layers.Embedding(5, 4), optimizer())
    np.testing.assert_allclose(ours[3], right[3], rtol=1e-5, atol=1e-7)


def test_muon_takes_attention_s_biases_and_leaves_its_kernels():
    layer = keras.layers.MultiHeadAttention(2, 4)
    layer.build((None, 3, 8), (None, 3, 8))
    optimizer = keras.optimizers.Muon()
    optimizer.build(layer.trainable_variables)
    by_muon = {v.path.partition("/")[2] for v in layer.trainable_variables if not optimizer._should_use_adamw(v)}
    assert by_muon == {"query/bias", "key/bias", "value/bias"}


@pytest.mark.parametrize("room", [keras.layers, layers], ids=["keras", "tfbp"])
@pytest.mark.parametrize("how", ["plain", "dropout", "scores"])
def test_a_query_with_nothing_to_attend_to(how, room):
    """The mean of all values; 0 where scores are asked for or the layer was made with dropout."""
    layer = room.MultiHeadAttention(1, 4, dropout=0.5 if how == "dropout" else 0.0)
    x = np.random.default_rng(0).normal(size=(1, 3, 4)).astype("float32")
    nothing = np.zeros((1, 3, 3), bool)
    y = layer(x, x, attention_mask=nothing, return_attention_scores=how == "scores")
    y = y[0] if how == "scores" else y
    values = layer._value_dense(x)
    mean = tf.broadcast_to(tf.reduce_mean(values, axis=1, keepdims=True), values.shape)
    expected = layer._output_dense(mean if how == "plain" else tf.zeros_like(values))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("steps", "times"), [(4, 4), (None, 1)], ids=["known", "unknown"])
def test_statistics_of_a_time_distributed_normalization_move_once_a_step_or_once_a_call(steps, times):
    layer = keras.layers.TimeDistributed(keras.layers.BatchNormalization(momentum=0.5))
    layer.build((2, 4, 3))
    x = tf.ones([2, 4, 3])
    tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec([2, steps, 3])])(x)
    # the mean of ones is 1: each time half of the way to it
    np.testing.assert_allclose(layer.layer.moving_mean, 1 - 0.5**times, rtol=1e-6)


@pytest.mark.parametrize(("kind", "masks"), [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_dropout_draws_a_mask_for_each_gate(kind, masks):
    cell = getattr(keras.layers, f"{kind}Cell")(5, recurrent_dropout=0.5)
    drawn = cell.get_recurrent_dropout_mask(tf.ones([2, 5]))
    drawn = drawn if isinstance(drawn, list) else [drawn]
    assert len(drawn) == masks
    assert len({tuple(np.ravel(mask)) for mask in drawn}) == masks


def test_unequal_strides_of_a_depthwise_convolution_work_here_where_keras_s_raise():
    """oneDNN takes them; without it (TF_ENABLE_ONEDNN_OPTS=0), and in float64, TensorFlow does not."""
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    options = {"kernel_size": 2, "strides": (1, 2), "dtype": "float64"}
    ours, theirs = layers.DepthwiseConv2D(**options), keras.layers.DepthwiseConv2D(**options)
    with pytest.raises(tf.errors.InvalidArgumentError, match="only supports equal length strides"):
        theirs(x)
    y = ours(x)
    # every second column of the convolution by strides of 1
    every = keras.layers.DepthwiseConv2D(2, dtype="float64")
    every.build(x.shape)
    every.set_weights(ours.get_weights())
    np.testing.assert_allclose(y, every(x)[:, :, ::2], rtol=0, atol=1e-12)
