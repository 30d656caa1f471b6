"""Models with tfbp's layers in the place of Keras's: which are replaced, what stays, and that they train alike."""

import warnings

import keras
import numpy as np
import pytest

from tfbp import layers
from tfbp.errors import InputError
from tfbp.layers import own_layers
from tfbp.layers.swapping import OURS


class Doubled(keras.layers.Dense):
    """A subclass: it may do anything, and is left alone."""

    def call(self, inputs):
        return 2 * super().call(inputs)


def image_model():
    x = inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Add()([x, keras.Sequential([keras.layers.DepthwiseConv2D(3, padding="same")])(x)])
    x = keras.layers.Dropout(0.3)(keras.layers.MaxPooling2D()(x))
    x = Doubled(5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.LayerNormalization()(x)))


def sequence_model():
    both_ways = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode="sum")
    each_step = keras.layers.TimeDistributed(keras.layers.Dense(3, "relu"))
    return keras.Sequential([keras.Input((6, 3)), both_ways, each_step, keras.layers.GRU(4), keras.layers.Dense(3)])


def attention_model():
    # a scale that float32 holds: in float64 Keras's is rounded to that
    x = inputs = keras.Input((6, 3))
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)])
    x = keras.layers.GroupQueryAttention(4, 4, 2)(x, x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def names(model):
    """Of a model's layers, and of those of models among them: a layer's own layers are copied as they are."""
    return [n for each in model.layers for n in (names(each) if isinstance(each, keras.Model) else [type(each)])]


def steps(model, count=3):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, *model.input_shape[1:])), rng.integers(0, 3, 6)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return [float(model.train_on_batch(x, y)) for _ in range(count)], [
        keras.ops.convert_to_numpy(v) for v in model.variables
    ]


@pytest.fixture
def float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    # once any policy was set, floatx alone changes no layer
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floatx)


@pytest.mark.parametrize("make", [image_model, sequence_model, attention_model], ids=lambda make: make.__name__)
@pytest.mark.sampled(2)
def test_a_swapped_model_trains_as_the_model_does(make, float64):
    keras.utils.set_random_seed(1)
    model = make()
    swapped = layers.swap(model)
    assert [OURS.get(kind, kind) for kind in names(model)] == names(swapped)
    assert any(kind in OURS.values() for kind in names(swapped))
    (losses, variables), (expected, originals) = steps(swapped), steps(model)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    for got, wanted in zip(variables, originals, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_every_layer_that_keras_has_too_is_swapped():
    ours = [getattr(layers, name) for name in own_layers.__all__]
    of_keras = {layer.__bases__[0]: layer for layer in ours if layer.__bases__[0].__name__ == layer.__name__}
    assert of_keras == OURS
    assert len(of_keras) > 20


def test_a_model_of_another_class_is_refused():
    class Own(keras.Model):
        pass

    with pytest.raises(InputError, match=r"model: got a Own; accepted: a Sequential or Functional keras.Model"):
        layers.swap(Own())


class Stepping(keras.Sequential):
    def train_step(self, data):
        return {"loss": 0.0}


LOST = {
    "a-step": (lambda: Stepping([keras.layers.Dense(2)], name="own"), "got 'own' with a train_step of its own"),
    "no-layer": (lambda: keras.Sequential(name="none"), "got 'none' without a layer; accepted: at least one."),
}


@pytest.mark.parametrize("name", LOST)
def test_a_sequential_whose_copy_would_lose_something_is_refused(name):
    make, sentence = LOST[name]
    with pytest.raises(InputError, match=sentence):
        layers.swap(make())


def token_model(room=keras.layers):
    x = inputs = keras.Input((4,), dtype="int32")
    table = room.ReversibleEmbedding(9, 6)
    x = room.Embedding(9, 6)(inputs) + table(x)
    x = room.MultiHeadAttention(2, 4)(room.Dense(6, "relu")(x), x)
    return keras.Model(inputs, table(x, reverse=True))


def quantized(mode, room=keras.layers):
    keras.utils.set_random_seed(1)
    model = token_model(room)
    with warnings.catch_warnings():
        # Keras says of each layer without weights that it cannot quantize it
        warnings.simplefilter("ignore", UserWarning)
        model.quantize(mode)
    return model


TEXTS = np.random.default_rng(0).integers(0, 9, (3, 4))


@pytest.mark.parametrize("mode", ["int8", "int4"])
@pytest.mark.sampled(3)
def test_a_model_is_quantized_as_with_keras_s_layers(mode):
    ours, theirs = quantized(mode, layers), quantized(mode)
    modes = [[each.quantization_mode for each in m.layers if each.variables] for m in (ours, theirs)]
    # attention holds layers that are quantized, and is none itself
    assert modes[0] == modes[1] == [mode, mode, mode, None]
    np.testing.assert_allclose(ours(TEXTS), theirs(TEXTS), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.sampled(2)
def test_a_quantized_model_is_swapped_with_its_values(mode):
    model = quantized(mode)
    swapped = layers.swap(model)
    assert {type(layer).__module__.partition(".")[0] for layer in swapped.layers if layer.variables} == {"tfbp"}
    for got, expected in zip(swapped._flatten_layers(), model._flatten_layers(), strict=True):
        assert getattr(got, "quantization_mode", None) == getattr(expected, "quantization_mode", None)
        assert sorted(v.name for v in got.variables) == sorted(v.name for v in expected.variables)
    np.testing.assert_allclose(swapped(TEXTS), model(TEXTS), rtol=0, atol=1e-6)


class Squared(keras.regularizers.Regularizer):
    """A user's own, not registered."""

    def __call__(self, x):
        return keras.ops.sum(x * x)

    def get_config(self):
        return {}


def adapted(model):
    query = model.layers[1].query_dense
    query.enable_lora(2)
    query.lora_kernel_b.assign(np.ones(query.lora_kernel_b.shape))
    return model


def frozen(model):
    model.layers[1].query_dense.kernel.trainable = False
    model.layers[1].key_dense.trainable = False
    return model


def sequence(layer):
    return keras.Sequential([keras.Input((4, 6)), layer])


def attended():
    x = keras.Input((4, 6))
    return keras.Model(x, keras.layers.MultiHeadAttention(2, 3)(x, x))


KEPT = {
    "a-user-s-functions": lambda: sequence(keras.layers.Dense(3, lambda x: x * x, bias_regularizer=Squared())),
    "a-lambda": lambda: sequence(keras.layers.Lambda(lambda x: 2 * x)),
    "adapted-inside": lambda: adapted(attended()),
    "frozen-inside": lambda: frozen(attended()),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_config_does_not_tell_is_there_in_the_copy(name):
    model, x = KEPT[name](), np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
    swapped = layers.swap(model)
    np.testing.assert_allclose(swapped(x), model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(swapped.losses), sum(model.losses), rtol=1e-5)
    assert [v.trainable for v in swapped.variables] == [v.trainable for v in model.variables]
    assert len(swapped.trainable_variables) == len(model.trainable_variables)


class Twice(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs)


def patched():
    layer = keras.layers.Dense(3, name="own")
    call = layer.call
    layer.call = lambda x: 2 * call(x)
    return sequence(layer)


@pytest.mark.parametrize(
    "make",
    [patched, lambda: Twice([keras.Input((3,)), keras.layers.Dense(2)], name="own")],
    ids=["of-an-object", "of-a-sequential"],
)
def test_a_call_that_a_copy_would_not_have_is_refused(make):
    with pytest.raises(InputError, match="model: got 'own' with a call of its own; accepted: layers and models"):
        layers.swap(make())
