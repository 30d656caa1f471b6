"""The layers of networks of images: shapes, weights, JSON, Keras both ways, bad input, and steps of whole networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp
from tfbp import InputError, Network, manual, reference, tape
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import problem
from tfbp.bridge.layers import layer_to_keras
from tfbp.network import convolution, dropout, kinds, normalization, pooling, residual

WRITINGS = {"manual": manual, "tape": tape}
CASES = {case.name: case for case in cases_of(convolution, pooling, normalization, dropout, residual)}
# name: (kind, arguments, shape of an example)
LAYERS = {
    "conv": ("Conv2D", {"filters": 4, "kernel_size": 3}, (7, 6, 2)),
    "conv-same-stride": ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same"}, (7, 6, 2)),
    "conv-dilated": ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": (2, 1), "use_bias": False}, (7, 6, 2)),
    "conv-groups": ("Conv2D", {"filters": 6, "kernel_size": 2, "groups": 2, "activation": "relu"}, (7, 6, 4)),
    "depthwise": ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, (7, 6, 2)),
    "max": ("MaxPooling2D", {}, (7, 6, 2)),
    "max-same": ("MaxPooling2D", {"pool_size": 3, "strides": (2, 1), "padding": "same"}, (7, 6, 2)),
    "average": ("AveragePooling2D", {"pool_size": (3, 2)}, (7, 6, 2)),
    "global-average": ("GlobalAveragePooling2D", {}, (7, 6, 2)),
    "global-max": ("GlobalMaxPooling2D", {"keepdims": True}, (7, 6, 2)),
    "batch": ("BatchNormalization", {"scale": False, "momentum": 0.9}, (7, 6, 2)),
    "batch-rows": ("BatchNormalization", {}, (5,)),
    "layer": ("LayerNormalization", {"epsilon": 0.01}, (7, 5)),
    "rms": ("RMSNormalization", {}, (7, 5)),
    "group": ("GroupNormalization", {"groups": 2, "center": False}, (7, 6, 4)),
    "group-each": ("GroupNormalization", {"groups": -1}, (7, 6, 4)),
    "dropout": ("Dropout", {"rate": 0.3}, (7,)),
}


def layer_of(name):
    kind, arguments, shape = LAYERS[name]
    return kinds()[kind](**arguments), shape


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_and_weights_are_keras_s(name):
    layer, shape = layer_of(name)
    keras_layer = layer_to_keras(layer, "float64")
    keras_layer.build((None, *shape))
    assert keras_layer.compute_output_shape((None, *shape)) == (None, *layer.output_shape(shape))
    assert {w.name: tuple(w.shape) for w in keras_layer.weights if "seed" not in w.name} == layer.weight_shapes(shape)
    trainable = {w.name for w in keras_layer.trainable_weights}
    assert trainable == set(layer.weight_shapes(shape)) - set(layer.without_gradient)


@pytest.mark.parametrize("name", LAYERS)
def test_defaults_are_keras_s(name):
    """Whatever an argument of both is left at."""
    layer, _ = layer_of(name)
    given, expected = LAYERS[name][1], getattr(keras.layers, LAYERS[name][0])(**LAYERS[name][1]).get_config()
    for argument, value in layer.arguments().items():
        if (
            argument not in given
            and not argument.endswith(("_initializer", "_regularizer"))
            and argument not in ("activation", "takes")
        ):
            assert value == expected[argument], argument


@pytest.mark.parametrize("name", CASES)
def test_a_network_goes_through_json(name):
    network = CASES[name].network
    assert Network.from_json(network.to_json()) == network


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_keras_s_and_it_comes_back(name):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    model = network.to_keras(numbers.parameters, dtype="float64")
    expected = reference.forward(network, numbers.parameters, numbers.x)
    np.testing.assert_allclose(model(numbers.x, training=False), expected, rtol=1e-12, atol=1e-12)
    if isinstance(model, keras.Sequential):
        back, parameters = Network.from_keras(model, network.loss)
        np.testing.assert_array_equal(reference.forward(back, parameters, numbers.x), expected)


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.training and not case.network.draws])
def test_a_training_step_s_outputs_and_moving_statistics_are_keras_s(name):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    model = network.to_keras(numbers.parameters, dtype="float64")
    got = reference.forward(network, numbers.parameters, numbers.x, training=True)
    np.testing.assert_allclose(got, model(numbers.x, training=True), rtol=1e-11, atol=1e-12)
    tensors = reference.loss_gradients_and_tensors(network, numbers.parameters, numbers.x, numbers.y)[2]
    news = [list(tensor["new_weights"].values()) for tensor in tensors if "new_weights" in tensor]
    if not any(node.layer.parts for node in network.nodes):
        kept = [w.numpy() for w in model.non_trainable_weights]
        for value, expected in zip([w for new in news for w in new], kept, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("mode", ["graph", "xla"])
@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("name", ["cnn-B4-10x10x1", "resnet-B6-7x7x2"])
@pytest.mark.sampled(5)
def test_float64_end_to_end_is_within_1e_12(name, writing, mode):
    network, numbers = CASES[name].network, problem(CASES[name], "float64")
    arguments = (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)
    loss, gradients = reference.loss_and_gradients(network, *arguments, seed=3)

    def run(parameters, x, y, weight, seed):
        return WRITINGS[writing].loss_and_gradients(network, parameters, x, y, weight, seed=seed)

    signature = tf.nest.map_structure(lambda a: tf.TensorSpec([None, *np.shape(a)[1:]], a.dtype), arguments[1:])
    fixed = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, tf.float64), numbers.parameters)
    function = tf.function(
        run,
        input_signature=[fixed, *signature, tf.TensorSpec([], tf.int64)],
        jit_compile=mode == "xla",
        autograph=False,
    )
    got_loss, got = function(*arguments, tf.constant(3, tf.int64))
    assert abs(float(got_loss) - loss) < 1e-12 * abs(loss)
    for value, expected in zip(tf.nest.flatten(got), tf.nest.flatten(gradients), strict=True):
        assert np.linalg.norm(value - expected) < 1e-12 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: tfbp.Conv2D(0, 3), "filters: got 0; accepted: an integer of at least 1."),
        (lambda: tfbp.Conv2D(4, (3, 3, 3)), "kernel_size: got (3, 3, 3); accepted: an integer of at least 1, or two."),
        (lambda: tfbp.Conv2D(4, 3, groups=3), "groups: got 3; accepted: a divisor of the 4 filters."),
        (lambda: tfbp.Conv2D(4, 3, padding="full"), "padding: got 'full'; accepted: valid, same."),
        (lambda: tfbp.Conv2D(4, 3, 2, dilation_rate=2), "dilation_rate: got 2; accepted: 1 beside strides above 1."),
        (lambda: tfbp.MaxPooling2D(0), "pool_size: got 0; accepted: an integer of at least 1."),
        (lambda: tfbp.Dropout(1.5), "rate: got 1.5; accepted: a number from 0 to 1."),
        (lambda: tfbp.Dropout(True), "rate: got True; accepted: a number from 0 to 1."),
        (lambda: tfbp.BatchNormalization(momentum=2), "momentum: got 2; accepted: a number from 0 to 1."),
        (lambda: tfbp.LayerNormalization(epsilon=-1), "epsilon: got -1; accepted: a number of 0 or more."),
        (lambda: tfbp.GroupNormalization(0), "groups: got 0; accepted: an integer of at least 1, or -1."),
        (lambda: tfbp.GlobalMaxPooling2D(1), "keepdims: got 1; accepted: True or False."),
        (
            lambda: Network((4, 4, 1), [tfbp.Conv2D(2, 3), tfbp.Conv2D(2, 3)], "huber"),
            "layers[1]: Conv2D: got inputs of shape (2, 2, 2); accepted: images that the window of 3 × 3 fits into, or "
            "padding='same'.",
        ),
        (
            lambda: Network((4, 4, 3), [tfbp.Conv2D(2, 3, groups=2)], "huber"),
            "layers[0]: Conv2D: got inputs of shape (4, 4, 3); accepted: a number of channels that groups=2 divides.",
        ),
        (
            lambda: Network(16, [tfbp.Conv2D(2, 3)], "huber"),
            "layers[0]: Conv2D: got inputs of shape (16,); accepted: images, (height, width, channels).",
        ),
        (
            lambda: Network((4, 4, 3), [tfbp.GroupNormalization(2)], "huber"),
            "layers[0]: GroupNormalization: got inputs of shape (4, 4, 3); accepted: a number of channels that "
            "groups=2 divides.",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("writing", [reference, manual, tape], ids=["reference", "manual", "tape"])
def test_dropout_needs_a_seed_in_training(writing):
    network = Network(4, [tfbp.Dropout(0.5), tfbp.Dense(1)], "huber")
    with pytest.raises(
        InputError, match=r"^seed: got None; accepted: an integer, because layers of this network draw in t"
    ):
        writing.loss_and_gradients(network, network.init(0), np.ones((2, 4)), np.ones((2, 1)))


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (keras.layers.Conv2D(2, 3, data_format="channels_first"), "data_format: got 'channels_first'"),
        (keras.layers.LayerNormalization(axis=(1, 2)), "axis: got [1, 2]"),
        (keras.layers.BatchNormalization(renorm=True), "renorm: got True"),
    ],
)
def test_what_a_network_cannot_express_is_refused_from_keras(layer, sentence):
    from tfbp.bridge.layers import layer_from_keras

    with pytest.raises(InputError) as caught:
        layer_from_keras(layer)
    assert sentence in str(caught.value)
