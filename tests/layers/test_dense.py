"""Uses of Dense by a Keras user, with this one and with Keras's own: the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import Activation, InputError, Network, layers
from tfbp import Dense as Description

RNG = np.random.default_rng(5)
X = RNG.normal(size=(48, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 48)


def sequential(room, **options):
    return keras.Sequential(
        [keras.Input((6,)), room.Dense(8, "relu", **options), room.ReLU(negative_slope=0.1), room.Dense(3, "softmax")]
    )


def functional(room, **options):
    x = keras.Input((6,))
    hidden = room.Activation("tanh")(room.Dense(8, **options)(x))
    return keras.Model(x, room.Softmax()(room.Dense(3)(hidden)))


def subclassed(room, **options):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.prelu, self.out = room.Dense(8, **options), room.PReLU(), room.Dense(3, "softmax")

        def call(self, x):
            return self.out(self.prelu(self.hidden(x)))

    model = Subclassed()
    model(X[:1])
    return model


def twins(build, **options):
    ours, theirs = build(layers, **options), build(keras.layers, **options)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def assert_same_weights(ours, theirs, rtol=2e-5):
    assert len(ours.get_weights()) == len(theirs.get_weights())
    for got, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=rtol * (np.abs(expected).max() + 1))


def fit(model, jit_compile=False, run_eagerly=False, optimizer="sgd", epochs=2, **options):
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit_compile, run_eagerly=run_eagerly)
    return model.fit(X, LABELS, batch_size=16, epochs=epochs, shuffle=False, verbose=0, **options).history["loss"]


@pytest.mark.parametrize("how", ["graph", "xla", "eager"])
@pytest.mark.parametrize("build", [sequential, functional, subclassed])
@pytest.mark.sampled(3)
def test_fit_ends_in_keras_s_weights(build, how):
    ours, theirs = twins(build)
    start = ours.get_weights()[0]
    losses = [fit(model, jit_compile=how == "xla", run_eagerly=how == "eager") for model in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert_same_weights(ours, theirs)
    assert np.abs(ours.get_weights()[0] - start).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"},
        {"kernel_constraint": keras.constraints.MaxNorm(0.5), "bias_constraint": "non_neg"},
        {"kernel_initializer": "orthogonal", "bias_initializer": "ones"},
        {"lora_rank": 2},
        {"use_bias": False},
        {"trainable": False},
    ],
    ids=["regularizers", "constraints", "initializers", "lora", "no-bias", "frozen"],
)
@pytest.mark.sampled(4)
def test_fit_with_an_option_ends_in_keras_s_weights(options):
    ours, theirs = twins(sequential, **options)
    if "lora_rank" in options:
        for model in (ours, theirs):
            model.layers[0].lora_kernel_b.assign(np.ones((2, 8)) / 4)
    losses = [fit(model) for model in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [("mixed_bfloat16", 2**-6), ("mixed_float16", 2**-9), ("float64", 1e-12), ("bfloat16", 2**-5)],
)
@pytest.mark.sampled(3)
def test_fit_in_another_dtype_ends_in_keras_s_weights(policy, tolerance):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        ours, theirs = twins(sequential)
        fit(ours), fit(theirs)
    finally:
        keras.config.set_dtype_policy(before)
    assert ours.layers[0].compute_dtype == keras.DTypePolicy(policy).compute_dtype
    assert_same_weights(ours, theirs, tolerance)


def test_a_step_without_xla_gives_the_same_weights_every_time():
    """A backward that read its variables again would race with the optimizer's update, and differ from run to run."""
    rng = np.random.default_rng(3)
    x, y = (rng.normal(size=(160, 32)).astype("float32") for _ in range(2))
    model = keras.Sequential([keras.Input((32,)), *(layers.Dense(32, "relu") for _ in range(8)), layers.Dense(32)])
    model.compile("adam", "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    state = [*model.variables, *model.optimizer.variables]
    start = [variable.numpy() for variable in state]

    def weights_after_fit():
        for variable, value in zip(state, start, strict=True):
            variable.assign(value)
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        return np.concatenate([w.ravel() for w in model.get_weights()])

    first = weights_after_fit()
    for _ in range(30):
        np.testing.assert_array_equal(weights_after_fit(), first)


def test_a_confident_softmax_has_keras_s_finite_loss():
    """Keras takes the loss from the logits, which it finds on the output of its softmax."""
    ours, theirs = twins(sequential)
    for model in (ours, theirs):
        model.layers[-1].kernel.assign(1e3 * np.ones((8, 3)) * [1, -1, 0])
    losses = [fit(model, epochs=1, optimizer=keras.optimizers.SGD(0.0)) for model in (ours, theirs)]
    assert losses[0][0] > 100
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_mask_goes_through():
    masking, layer = keras.layers.Masking(), layers.Dense(4, "tanh")
    y = layer(masking(np.array([[[0.0, 0], [1, 2]]], "float32")))
    np.testing.assert_array_equal(y._keras_mask, [[False, True]])


def test_sparse_and_integer_input_are_keras_s():
    ours, theirs = layers.Dense(3, "relu"), keras.layers.Dense(3, "relu")
    counts = np.array([[0, 2, 0], [1, 0, 0]])
    sparse = tf.sparse.from_dense(counts.astype("float32"))
    ours.build((2, 3)), theirs.build((2, 3))
    theirs.set_weights(ours.get_weights())
    for x in (sparse, counts):
        with tf.GradientTape(persistent=True) as tape:
            got, expected = ours(x), theirs(x)
        np.testing.assert_array_equal(got, expected)
        dkernel = tf.convert_to_tensor(tape.gradient(got, ours.kernel.value))
        expected_dkernel = tf.convert_to_tensor(tape.gradient(expected, theirs.kernel.value))
        np.testing.assert_allclose(dkernel, expected_dkernel, rtol=1e-6)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.sampled(2)
def test_a_quantized_layer_computes_what_keras_s_does(mode):
    ours, theirs = layers.Dense(8, "tanh"), keras.layers.Dense(8, "tanh")
    ours.build((None, 6)), theirs.build((None, 6))
    theirs.set_weights(ours.get_weights())
    exact = theirs(X)
    ours.quantize(mode), theirs.quantize(mode)
    assert ours.quantization_mode == mode
    np.testing.assert_array_equal(ours(X), theirs(X))
    assert 0 < np.abs(ours(X) - exact).max() < 0.5


def test_a_subclass_is_not_quantized():
    class Other(layers.Dense):
        pass

    layer = Other(3)
    layer.build((None, 2))
    with pytest.raises(NotImplementedError):
        layer.quantize("int8")


def test_saved_loaded_cloned_and_by_config(tmp_path):
    model = sequential(layers, kernel_regularizer="l2")
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [layers.Dense, layers.ReLU, layers.Dense]
    np.testing.assert_array_equal(loaded(X), model(X))
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    model.save_weights(tmp_path / "model.weights.h5")
    plain = sequential(keras.layers)
    plain.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(plain(X), model(X), rtol=1e-6)
    assert isinstance(keras.models.clone_model(model).layers[0], layers.Dense)
    fit(loaded)


def test_an_exported_model_runs_and_can_be_differentiated(tmp_path):
    model = sequential(layers)
    model.export(tmp_path / "exported", verbose=False)
    tf.saved_model.save(model, tmp_path / "saved")
    x = tf.constant(X)
    exported, saved = (tf.saved_model.load(tmp_path / name) for name in ("exported", "saved"))
    found = []
    for call in (model, exported.serve, lambda x: next(iter(saved.signatures["serving_default"](x).values()))):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x)
            first = y[:, 0]
        found.append((y, tape.gradient(first, x)))
    for y, dx in found[1:]:
        np.testing.assert_allclose(y, found[0][0], rtol=1e-6)
        np.testing.assert_allclose(dx, found[0][1], rtol=0, atol=1e-7)


@pytest.mark.parametrize("room", [layers, keras.layers], ids=["tfbp", "keras"])
def test_rematerialization_fails_in_fit_as_keras_s_own_does(room):
    """Keras 3.15 hands a keyword argument to a function that takes none."""
    with keras.RematScope(mode="full"):
        model = sequential(room)
    with pytest.raises(ValueError, match="custom_gradient decorator currently supports keywords arguments only when"):
        fit(model)


def test_a_network_is_made_of_these_layers_and_read_back():
    network = Network(6, [Description(8, "relu", kernel_regularizer="l2"), Description(3, "softmax")], "huber")
    parameters = network.init(seed=0)
    model = network.to_keras(parameters, layers=layers)
    assert all(type(layer) is layers.Dense for layer in model.layers)
    np.testing.assert_array_equal(model(X), network.to_keras(parameters)(X))
    again, parameters_again = Network.from_keras(model, "huber")
    assert again.layers[0].activation == network.layers[0].activation
    np.testing.assert_array_equal(parameters_again[1]["kernel"], parameters[1]["kernel"].astype("float32"))
    with pytest.raises(InputError, match="layers: got 'tfbp'; accepted: keras"):
        network.to_keras(parameters, layers="tfbp")


def test_activation_layers_after_a_dense_are_read_back():
    relu = layers.ReLU(max_value=1.0, threshold=0.5)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8), relu, layers.Dense(3), layers.Softmax()])
    network, _ = Network.from_keras(model, "sparse_categorical_crossentropy")
    arguments = {"negative_slope": 0.0, "max_value": 1.0, "threshold": 0.5}
    assert network.layers[0].activation == Activation("relu", arguments)
    assert network.fuses_output_activation


KERAS_LAYERS = {
    "Activation": lambda: keras.layers.Activation("tanh"),
    "Activation-layer": lambda: keras.layers.Activation(keras.layers.ReLU(1.0)),
    "ELU": lambda: keras.layers.ELU(0.5),
    "LeakyReLU": lambda: keras.layers.LeakyReLU(0.25),
    "PReLU": lambda: keras.layers.PReLU("ones"),
    "ReLU": lambda: keras.layers.ReLU(max_value=1.0, negative_slope=0.25, threshold=0.5),
    "Softmax": lambda: keras.layers.Softmax(),
    "Softmax-axis-0": lambda: keras.layers.Softmax(0),
}


class Doubled(keras.layers.ReLU):
    def call(self, inputs):
        return 2 * super().call(inputs)


def operations_of_gradient(layer):
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x)

    graph = tf.function(run).get_concrete_function(tf.TensorSpec((4, 6))).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("room", ["Dense", "Activation"])
@pytest.mark.parametrize("name", KERAS_LAYERS)
@pytest.mark.sampled(3)
def test_a_keras_layer_as_activation_is_by_hand_and_ends_in_keras_s_weights(name, room):
    def build(rooms):
        first = [rooms.Dense(8, KERAS_LAYERS[name]())]
        if room == "Activation":
            first = [rooms.Dense(8), rooms.Activation(KERAS_LAYERS[name]())]
        model = keras.Sequential([keras.Input((6,)), *first, rooms.Dense(3, "softmax")])
        model(X[:2])
        return model

    ours, theirs = twins(build)
    losses = [fit(model) for model in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert_same_weights(ours, theirs)
    layer = layers.Dense(6, KERAS_LAYERS[name]()) if room == "Dense" else layers.Activation(KERAS_LAYERS[name]())
    assert not {o for o in operations_of_gradient(layer) if o.endswith("Grad")}


@pytest.mark.parametrize(
    "make",
    [
        Doubled,
        lambda: keras.layers.ReLU(activity_regularizer="l2"),
        lambda: keras.layers.ReLU(dtype="float16"),
        lambda: keras.layers.Activation("glu"),
    ],
    ids=["subclass", "activity-regularizer", "another-dtype", "glu"],
)
def test_what_a_keras_layer_does_beside_stays_its_own(make):
    ours, theirs = (room.Dense(4, make(), kernel_initializer="ones") for room in (layers, keras.layers))
    y, expected = ours(X), theirs(X)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)
    assert len(ours.losses) == len(theirs.losses)
    np.testing.assert_array_equal(ours.losses, theirs.losses)
