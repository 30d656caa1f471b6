"""The layers of images: the same numbers as Keras's own layer, in every way to run and differentiate it."""

import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_export import converted, operations_and_outputs
from test_hand_written import MODES
from test_released_graphs import entries

from tfbp import layers
from tfbp.layers import hand_written_images

# layer: (name of the class, arguments, shape of x)
LAYERS = {
    "Conv2D": ("Conv2D", {"filters": 3, "kernel_size": 2}, (3, 4, 5, 2)),
    "Conv2D-same-stride": ("Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (3, 5, 4, 2)),
    "Conv2D-relu": ("Conv2D", {"filters": 3, "kernel_size": 2, "activation": "relu", "use_bias": False}, (3, 4, 5, 2)),
    "Conv2D-groups": ("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2}, (3, 4, 3, 4)),
    "Conv2D-dilated": ("Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": (2, 1)}, (3, 4, 5, 2)),
    "Conv1D": ("Conv1D", {"filters": 3, "kernel_size": 2, "activation": "tanh"}, (3, 5, 2)),
    "Conv1D-causal": ("Conv1D", {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}, (3, 5, 2)),
    "Conv1D-same-stride": ("Conv1D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (3, 6, 2)),
    "Conv1D-groups": ("Conv1D", {"filters": 4, "kernel_size": 2, "groups": 2, "use_bias": False}, (3, 5, 4)),
    "DepthwiseConv1D": ("DepthwiseConv1D", {"kernel_size": 3, "strides": 2, "depth_multiplier": 2}, (3, 7, 2)),
    "MaxPooling1D": ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, (3, 6, 2)),
    "AveragePooling1D": ("AveragePooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, (3, 6, 2)),
    "GlobalAveragePooling1D": ("GlobalAveragePooling1D", {"keepdims": True}, (3, 5, 2)),
    "GlobalMaxPooling1D": ("GlobalMaxPooling1D", {}, (3, 5, 2)),
    "Conv3D": ("Conv3D", {"filters": 3, "kernel_size": 2, "activation": "tanh"}, (2, 3, 4, 3, 2)),
    "Conv3D-same-stride": (
        "Conv3D",
        {"filters": 2, "kernel_size": 2, "strides": 2, "padding": "same"},
        (2, 3, 4, 3, 2),
    ),
    "DepthwiseConv2D": ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}, (3, 4, 5, 2)),
    "DepthwiseConv2D-stride": ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "activation": "silu"}, (3, 5, 7, 2)),
    "MaxPooling2D": ("MaxPooling2D", {}, (3, 4, 5, 2)),
    "MaxPooling2D-overlap": ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (3, 6, 5, 2)),
    "AveragePooling2D": ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (3, 6, 5, 2)),
    "GlobalAveragePooling2D": ("GlobalAveragePooling2D", {}, (3, 4, 5, 2)),
    "GlobalMaxPooling2D": ("GlobalMaxPooling2D", {"keepdims": True}, (3, 4, 5, 2)),
    "BatchNormalization": ("BatchNormalization", {}, (3, 4, 5, 2)),
    "BatchNormalization-rows": ("BatchNormalization", {"scale": False}, (4, 5)),
    "LayerNormalization": ("LayerNormalization", {}, (4, 5)),
    "LayerNormalization-axes": ("LayerNormalization", {"axis": (1, 2), "epsilon": 0.01}, (3, 2, 5)),
    "LayerNormalization-plain": ("LayerNormalization", {"center": False, "scale": False}, (3, 2, 5)),
    "RMSNormalization": ("RMSNormalization", {}, (3, 2, 5)),
    "GroupNormalization": ("GroupNormalization", {"groups": 2}, (3, 4, 5, 4)),
    "Dropout": ("Dropout", {"rate": 0.4, "seed": 3}, (4, 5)),
    "Dropout-shared": ("Dropout", {"rate": 0.4, "seed": 3, "noise_shape": (None, 1, 5)}, (4, 3, 5)),
}
TRAINING = ("BatchNormalization", "Dropout")
# what has a variance
OF_MOMENTS = ("BatchNormalization", "LayerNormalization", "GroupNormalization")
# each draws its own mask, or normalizes a batch of one
ONE_BY_ONE = {"batch_jacobian", "vectorized_map", "gradient_of_vectorized_map", "recompute"}


class InTraining:
    """A layer that is called in training mode."""

    def __init__(self, layer):
        self.layer = layer
        self.trainable_variables = layer.trainable_variables

    def __call__(self, x):
        return self.layer(x, training=True)


def pair_of(name, dtype="float64"):
    kind, arguments, shape = LAYERS[name]
    rng = np.random.default_rng([*name.encode()])
    x = tf.constant(rng.normal(size=shape))
    ours, theirs = (getattr(room, kind)(**arguments, dtype=dtype) for room in (layers, keras.layers))
    dy = tf.constant(rng.normal(size=ours(x).shape))
    theirs(x)
    weights = [0.5 + rng.random(w.shape) for w in ours.get_weights()]
    for layer in (ours, theirs):
        layer.set_weights(weights if not hasattr(layer, "seed_generator") else layer.get_weights())
    return ours, theirs, x, dy


def second(run, *given):
    return tf.function(run, jit_compile=True, autograph=False)(*given)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(5)
def test_the_numbers_are_keras_s(name, mode):
    ours, theirs, x, dy = pair_of(name)
    if mode.__name__ == "forward_over_backward" and LAYERS[name][0] in OF_MOMENTS:
        pytest.skip("Keras's is wrong: see the next test")
    in_training = LAYERS[name][0] in TRAINING
    if in_training and mode.__name__ in ONE_BY_ONE:
        pytest.skip("another batch, or another mask")
    if in_training:
        ours, theirs = InTraining(ours), InTraining(theirs)
    got = outcome(mode, ours, x, dy)
    expected = outcome(mode, theirs, x, dy)
    if isinstance(expected, str):
        return  # what Keras's own cannot, these need not
    assert not isinstance(got, str), got
    assert_equal(got, expected)


@pytest.mark.parametrize("name", [name for name, (kind, *_) in LAYERS.items() if kind in OF_MOMENTS])
@pytest.mark.sampled(5)
def test_a_hessian_vector_product_is_right_where_keras_s_is_not(name):
    """tf.nn.moments takes the mean for a constant in the variance: right once, and wrong forward over backward."""
    ours, theirs, x, dy = pair_of(name)
    if LAYERS[name][0] in TRAINING:
        ours, theirs = InTraining(ours), InTraining(theirs)

    def gradient(layer, x):
        return MODES[0](layer, x, dy)[1]

    def product(layer):
        with tf.autodiff.ForwardAccumulator(x, tf.cos(x)) as accumulator:
            dx = gradient(layer, x)
        return accumulator.jvp(dx)

    step = 1e-5
    expected = (gradient(theirs, x + step * tf.cos(x)) - gradient(theirs, x - step * tf.cos(x))) / (2 * step)
    np.testing.assert_allclose(product(ours), expected, rtol=0, atol=1e-7)
    assert np.abs(product(theirs) - expected).max() > 1e-3


def slope_of_a_penalty(layer, x, weights, dy, way):
    """As in a WGAN-GP: of a squared gradient, the slope along a direction, and that of differences."""

    def penalty(weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(tf.tanh(weights * x)) * dy)
        return tf.reduce_sum(tape.gradient(loss, x) ** 2)

    def gradient(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = penalty(weights)
        return tape.gradient(loss, weights)

    run = gradient if way == "eager" else tf.function(gradient, jit_compile=way == "xla", autograph=False)
    direction, step = tf.sin(3 * x), 1e-5
    differences = penalty(weights + step * direction) - penalty(weights - step * direction)
    return float(tf.reduce_sum(run(weights) * direction)), float(differences) / (2 * step)


WAYS_OF_MOMENTS = [(name, "eager") for name, (kind, *_) in LAYERS.items() if kind in OF_MOMENTS]
WAYS_OF_MOMENTS += [("LayerNormalization", "graph"), ("LayerNormalization", "xla"), ("RMSNormalization", "eager")]


@pytest.mark.parametrize(("name", "way"), WAYS_OF_MOMENTS)
def test_a_gradient_penalty_is_right_where_keras_s_is_not(name, way):
    """tf.nn.moments's error goes to what is the same for all that is normalized, so a layer in front shows it."""
    ours, theirs, x, dy = pair_of(name)
    if LAYERS[name][0] in TRAINING:
        ours, theirs = InTraining(ours), InTraining(theirs)
    given = x, tf.constant(np.random.default_rng(4).uniform(0.5, 2, x.shape)), dy, way
    slope, expected = slope_of_a_penalty(ours, *given)
    # of differences, half the digits of float64
    assert abs(slope - expected) < 1e-6 * (1 + abs(expected))
    slope, expected = slope_of_a_penalty(theirs, *given)
    is_right = abs(slope - expected) < 1e-6 * (1 + abs(expected))
    assert is_right == (name == "RMSNormalization"), (slope, expected)


@pytest.mark.parametrize("name", [name for name, (kind, *_) in LAYERS.items() if kind in OF_MOMENTS])
def test_a_penalty_of_a_normalization_s_own_input_is_right_in_keras_too(name):
    """There the gradients sum to 0 over what is normalized, and tf.nn.moments's error with them."""
    ours, theirs, x, dy = pair_of(name)
    if LAYERS[name][0] in TRAINING:
        ours, theirs = InTraining(ours), InTraining(theirs)
    slopes = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(MODES[0](layer, x, dy)[1] ** 2)
        slopes.append(tape.gradient(loss, x))
    np.testing.assert_allclose(*slopes, rtol=0, atol=1e-11 * (1 + np.abs(slopes[1]).max()))


def outcome(mode, layer, x, dy):
    try:
        return mode(layer, x, dy)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def assert_equal(got, expected, rtol=1e-12):
    assert len(got) == len(expected)
    for a, e in zip(got, expected, strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        np.testing.assert_allclose(a, e, rtol=0, atol=rtol * (1 + np.abs(e).max()))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(4)
def test_under_xla_too(name):
    """Where convolutions and pooling are spelled out."""
    ours, theirs, x, dy = pair_of(name)
    training = {"training": True} if LAYERS[name][0] == "BatchNormalization" else {}

    def run(layer, x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **training)
        return [y, *tape.gradient(y, [x, *(w.value for w in layer.trainable_variables)], output_gradients=dy)]

    got = second(lambda x, dy: run(ours, x, dy), x, dy)
    assert_equal(got, tf.function(lambda x, dy: run(theirs, x, dy))(x, dy))


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D"])
def test_under_xla_no_gradient_kernel_is_left(name):
    ours, _, x, dy = pair_of(name)

    def run(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ours(x)
        return tape.gradient(y, x, output_gradients=dy)

    def types(**options):
        return {op.type for op in tf.function(run, **options).get_concrete_function(x, dy).graph.get_operations()}

    assert not {t for t in types(jit_compile=True) if "Backprop" in t or "Pool" in t}
    assert {t for t in types() if "Backprop" in t or "PoolGrad" in t}


def test_moving_statistics_and_the_mask_are_keras_s():
    ours, theirs, x, _ = pair_of("BatchNormalization")
    for layer in (ours, theirs):
        layer(x, training=True)
        layer(x, training=False)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-14)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-14)
    ours.trainable = False
    before = ours.moving_mean.numpy()
    ours(x, training=True)
    np.testing.assert_array_equal(ours.moving_mean, before)
    for dtype in ("float64", "float32", "bfloat16", "float16"):
        ones = tf.ones((50, 40), dtype)
        got, expected = (room.Dropout(0.3, seed=5, dtype=dtype)(ones, training=True) for room in (layers, keras.layers))
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(5)
def test_dtypes_are_keras_s(name, policy):
    kind, arguments, shape = LAYERS[name]
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    ours, theirs = (getattr(room, kind)(**arguments, dtype=policy) for room in (layers, keras.layers))
    y, expected = ours(x), theirs(x)
    if not hasattr(ours, "seed_generator"):
        ours.set_weights(theirs.get_weights())
        y = ours(x)
    assert y.dtype == expected.dtype
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    unit = {"float32": 2.0**-24, "mixed_float16": 2.0**-11}.get(policy, 2.0**-8)
    y, expected = (np.asarray(tf.cast(a, tf.float64)) for a in (y, expected))
    np.testing.assert_allclose(y, expected, rtol=0, atol=16 * unit * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.sampled(4)
def test_saved_and_loaded_and_frozen(name, tmp_path):
    kind, arguments, shape = LAYERS[name]
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, getattr(layers, kind)(**arguments)(inputs))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is getattr(layers, kind)
    np.testing.assert_array_equal(loaded(x), model(x))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "Conv2D-groups"])
@pytest.mark.sampled(3)
def test_tflite_converts_it_into_no_more_operations_than_keras_s(name):
    kind, arguments, shape = LAYERS[name]
    models = []
    for room in (layers, keras.layers):
        inputs = keras.Input(batch_shape=shape)
        models.append(keras.Model(inputs, getattr(room, kind)(**arguments)(inputs)))
    if not any("seed" in w.name for w in models[0].weights):
        models[1].set_weights(models[0].get_weights())
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    got, y = operations_and_outputs(converted(models[0]), x)
    expected, expected_y = operations_and_outputs(converted(models[1]), x)
    # the mean of a group from those of its channels is two operations more, each on B · C numbers
    assert len(got) <= len(expected) + 2 * (kind == "GroupNormalization"), (got, expected)
    np.testing.assert_allclose(y, expected_y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Conv2D", "MaxPooling2D", "BatchNormalization", "LayerNormalization", "Dropout"])
@pytest.mark.usefixtures("only_new_garbage")
def test_a_graph_goes_with_its_function(name):
    ours, _, x, dy = pair_of(name)
    layer = InTraining(ours) if LAYERS[name][0] in TRAINING else ours
    MODES[0](layer, x, dy)
    before = entries()
    function = tf.function(lambda x, dy: MODES[0](layer, x, dy), autograph=False)
    function(x, dy)
    assert entries() > before
    del function
    gc.collect()
    assert entries() == before


def test_what_is_left_to_keras():
    """Its own answer, or its own error."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, 4)).astype("float32")
    for kind, arguments in (
        ("BatchNormalization", {"axis": 1}),
        ("BatchNormalization", {"renorm": True}),
        ("LayerNormalization", {"axis": (1, 3)}),
        ("GroupNormalization", {"axis": 1, "groups": 5}),
        ("MaxPooling2D", {"data_format": "channels_first"}),
        ("GlobalAveragePooling2D", {"data_format": "channels_first"}),
        ("GlobalMaxPooling2D", {"data_format": "channels_first"}),
    ):
        ours, theirs = (getattr(room, kind)(**arguments)(x, **_training(kind)) for room in (layers, keras.layers))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    mask = rng.random((2, 5, 6)) > 0.5
    ours, theirs = (room.BatchNormalization()(x, training=True, mask=mask) for room in (layers, keras.layers))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def _training(kind):
    return {"training": True} if kind == "BatchNormalization" else {}


def test_a_convolution_of_one_s_own_is_kept():
    class Doubled(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, 2 * kernel)

    x = np.ones((1, 3, 3, 1), "float32")
    layer = Doubled(1, 2, kernel_initializer="ones")
    assert float(layer(x)[0, 0, 0, 0]) == 8


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D-stride", "MaxPooling2D", "AveragePooling2D"])
def test_images_of_unknown_size(name):
    ours, theirs, x, dy = pair_of(name)
    results = []
    for layer in (ours, theirs):

        def run(x, dy, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            return [y, tape.gradient(y, x, output_gradients=dy)]

        signature = [tf.TensorSpec([None, None, None, t.shape[-1]], t.dtype) for t in (x, dy)]
        results.append(tf.function(run, input_signature=signature)(x, dy))
    for a, e in zip(*results, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_empty_batch(dtype):
    """Of Keras's own, oneDNN makes float32 outputs of another shape, and convolutions raise."""
    for name, (kind, arguments, shape) in LAYERS.items():
        layer = getattr(layers, kind)(**arguments, dtype=dtype)
        layer.build(shape)
        x = tf.zeros((0, *shape[1:]), dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.cos(y))
        assert (y.shape, y.dtype) == (layer.compute_output_shape(x.shape), dtype), name
        weights = [w.value for w in layer.trainable_variables]
        for gradient, of in zip(tape.gradient(loss, [x, *weights]), [x, *weights], strict=True):
            assert (gradient.shape, gradient.dtype) == (of.shape, of.dtype), name
            assert not np.any(gradient), name


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "max_pool2d", "average_pool2d"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"strides": (2, 2), "padding": "same"}], ids=["plain", "stride2-same"])
def test_a_kernel_s_numbers_are_its_twin_s(kind, dtype, options):
    """`fused` beside what is spelled out."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, 7, 6, 4)), dtype)
    weights = []
    if "conv" in kind:
        weights = [
            tf.constant(rng.normal(size=size), dtype) for size in ((3, 2, 4, 2), (2,) if kind == "conv2d" else (8,))
        ]
    twins = []
    twin = hand_written_images.convolution if "conv" in kind else hand_written_images.pooling
    for room in (hand_written_images.fused, twin):
        y, residuals = getattr(room, f"{kind}_forward")(x, *weights, **options)
        dy = tf.cos(tf.reshape(tf.range(tf.size(y), dtype=dtype), y.shape))
        back = getattr(room, f"{kind}_backward")(dy, residuals)
        twins.append([y, *(back if isinstance(back, tuple) else (back,))])
    unit = 2.0**-53 if dtype == "float64" else 2.0**-24
    for a, e in zip(*twins, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=64 * unit * (1 + np.abs(e).max()))


def test_the_gradient_of_large_pooling_windows_is_right_in_bfloat16(rng):
    """Keras's, by TensorFlow's kernel in a graph, is wrong for more than 256 positions, and another at every call."""
    x = tf.constant(rng.normal(size=(2, 18, 17, 1)), tf.bfloat16)
    dy = tf.constant(rng.normal(size=(2, 18, 4, 1)), tf.bfloat16)

    def gradient(dtype):
        layer = layers.MaxPooling2D(17, (1, 5), "same", dtype=dtype)

        @tf.function
        def run(x, dy):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            return tape.gradient(y, x, dy)

        return [tf.cast(run(tf.cast(x, dtype), tf.cast(dy, dtype)), tf.float64).numpy() for _ in range(5)]

    (right, *_), found = gradient("float64"), gradient("bfloat16")
    for each in found:
        # added up in float32: one rounding of the result
        np.testing.assert_allclose(each, right, rtol=2**-8, atol=0)
