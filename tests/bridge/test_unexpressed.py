"""Every argument of every kind of Keras layer is expressed by the network or refused by name."""

import keras
import numpy as np
import pytest

from tfbp import InputError, Model, Network
from tfbp.bridge.layers import KINDS, offered_as

INITIALIZERS = dict.fromkeys(("kernel_initializer", "bias_initializer"), keras.initializers.Constant(0.25))
REGULARIZERS = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
CONSTRAINTS = dict.fromkeys(("kernel_constraint", "bias_constraint"), "non_neg")
KERNEL_AND_BIAS = {**INITIALIZERS, **REGULARIZERS, **CONSTRAINTS}
GAMMA_AND_BETA = {
    **dict.fromkeys(("beta_initializer", "gamma_initializer"), keras.initializers.Constant(0.25)),
    **dict.fromkeys(("beta_regularizer", "gamma_regularizer"), "l2"),
    **dict.fromkeys(("beta_constraint", "gamma_constraint"), "non_neg"),
    **{"epsilon": 0.25, "center": False, "scale": False},
}
RECURRENT = {
    **{"activation": "relu", "use_bias": False, "dropout": 0.25, "recurrent_dropout": 0.25, "units": 4},
    **KERNEL_AND_BIAS,
    **{"recurrent_initializer": "zeros", "recurrent_regularizer": "l2", "recurrent_constraint": "non_neg"},
    **{"return_sequences": True, "return_state": True, "go_backwards": True, "stateful": True, "unroll": True},
    "zero_output_for_mask": True,
}
ATTENTION = {**KERNEL_AND_BIAS, "use_bias": False, "dropout": 0.25, "use_gate": True, "sliding_window": (1, 1)}
POOLING = {"pool_size": 3, "strides": 1, "padding": "same", "data_format": "channels_first"}
CONVOLUTION = {"kernel_size": 3, "strides": 2, "padding": "same", "data_format": "channels_first", "dilation_rate": 2}
TABLE = dict.fromkeys(("embeddings_initializer",), "zeros") | {
    **{"input_dim": 10, "output_dim": 6, "embeddings_regularizer": "l2", "embeddings_constraint": "non_neg"},
    **{"mask_zero": True, "activity_regularizer": "l2"},
}
TRANSPOSED = {
    **{**KERNEL_AND_BIAS, **CONVOLUTION, "filters": 2, "activation": "tanh", "use_bias": False},
    "output_padding": 0,
}
IMAGE, SEQUENCE, ROW, TOKENS, VOLUME = (6, 6, 4), (4, 6), (6,), (4,), (2, 3, 2, 4)
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")
# class: (arguments, the input's shape, another value for each of its other arguments)
LAYERS = {
    "Dense": ({"units": 4}, ROW, {**KERNEL_AND_BIAS, "units": 5, "activation": "tanh", "use_bias": False}),
    "Conv2D": (
        {"filters": 4, "kernel_size": 2},
        IMAGE,
        {**KERNEL_AND_BIAS, **CONVOLUTION, "filters": 2, "groups": 2, "activation": "tanh", "use_bias": False},
    ),
    "DepthwiseConv2D": (
        {"kernel_size": 2},
        IMAGE,
        {
            **{name.replace("kernel_", "depthwise_"): value for name, value in KERNEL_AND_BIAS.items()},
            **CONVOLUTION,
            **{"depth_multiplier": 2, "activation": "tanh", "use_bias": False},
        },
    ),
    "MaxPooling2D": ({}, IMAGE, POOLING),
    "AveragePooling2D": ({"pool_size": 2}, IMAGE, POOLING),
    "GlobalMaxPooling2D": ({}, IMAGE, {"data_format": "channels_first", "keepdims": True}),
    "GlobalAveragePooling2D": ({}, IMAGE, {"data_format": "channels_first", "keepdims": True}),
    "GlobalAveragePooling1D": ({}, SEQUENCE, {"data_format": "channels_first", "keepdims": True}),
    "Flatten": ({}, IMAGE, {"data_format": "channels_first"}),
    "Reshape": ({"target_shape": (3, 2)}, ROW, {"target_shape": (2, 3)}),
    "Dropout": ({"rate": 0.5}, ROW, {"rate": 0.25, "noise_shape": (None, 1), "seed": 3}),
    "GaussianNoise": ({"stddev": 0.5}, ROW, {"stddev": 0.25, "seed": 3}),
    "BatchNormalization": (
        {},
        IMAGE,
        {
            **GAMMA_AND_BETA,
            **{"axis": 1, "momentum": 0.5, "moving_mean_initializer": "ones", "moving_variance_initializer": "zeros"},
            **{"synchronized": True, "renorm": True, "renorm_clipping": {"rmax": 2.0}, "renorm_momentum": 0.5},
        },
    ),
    "LayerNormalization": ({}, SEQUENCE, {**GAMMA_AND_BETA, "axis": (1, 2), "rms_scaling": True}),
    "RMSNormalization": ({}, SEQUENCE, {"axis": 1, "epsilon": 0.25}),
    "GroupNormalization": ({"groups": 2}, IMAGE, {**GAMMA_AND_BETA, "groups": 4, "axis": 1}),
    "SimpleRNN": ({"units": 3}, SEQUENCE, RECURRENT),
    "LSTM": ({"units": 3}, SEQUENCE, {**RECURRENT, "recurrent_activation": "tanh", "unit_forget_bias": False}),
    "GRU": ({"units": 3}, SEQUENCE, {**RECURRENT, "recurrent_activation": "tanh", "reset_after": False}),
    "Bidirectional": ({"layer": keras.layers.LSTM(3)}, SEQUENCE, {"merge_mode": "sum"}),
    "MultiHeadAttention": (
        {"num_heads": 2, "key_dim": 4},
        SEQUENCE,
        {**ATTENTION, "num_heads": 3, "key_dim": 2, "value_dim": 2, "output_shape": 5, "attention_axes": (1, 2)},
    ),
    "GroupedQueryAttention": (
        {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2},
        SEQUENCE,
        {**ATTENTION, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1},
    ),
    "Embedding": ({"input_dim": 9, "output_dim": 5}, TOKENS, TABLE),
    "ReversibleEmbedding": (
        {"input_dim": 9, "output_dim": 5},
        TOKENS,
        {**TABLE, "tie_weights": False, "reverse_dtype": "float64", "logit_soft_cap": 2.0},
    ),
    "Activation": ({"activation": "relu"}, ROW, {"activation": "tanh"}),
    "ReLU": ({}, ROW, {"max_value": 2.0, "negative_slope": 0.25, "threshold": 0.5}),
    "LeakyReLU": ({}, ROW, {"negative_slope": 0.5}),
    "ELU": ({}, ROW, {"alpha": 0.5}),
    "Softmax": ({}, SEQUENCE, {"axis": 1}),
    "ZeroPadding1D": ({}, SEQUENCE, {"padding": (0, 2), "data_format": "channels_first"}),
    "ZeroPadding2D": ({}, IMAGE, {"padding": 2, "data_format": "channels_first"}),
    "ZeroPadding3D": ({}, VOLUME, {"padding": 2, "data_format": "channels_first"}),
    "Cropping1D": ({}, SEQUENCE, {"cropping": (0, 1)}),
    "Cropping2D": ({}, IMAGE, {"cropping": ((1, 0), (0, 2)), "data_format": "channels_first"}),
    "Cropping3D": ({"cropping": 0}, VOLUME, {"cropping": ((0, 1), (1, 0), (0, 0)), "data_format": "channels_first"}),
    "UpSampling1D": ({}, SEQUENCE, {"size": 3}),
    "UpSampling2D": ({}, IMAGE, {"size": (1, 2), "interpolation": "bilinear", "data_format": "channels_first"}),
    "UpSampling3D": ({}, VOLUME, {"size": (1, 2, 3), "data_format": "channels_first"}),
    "Conv1D": (
        {"filters": 4, "kernel_size": 2},
        SEQUENCE,
        {**KERNEL_AND_BIAS, **CONVOLUTION, "filters": 2, "groups": 2, "activation": "tanh", "use_bias": False},
    ),
    "DepthwiseConv1D": (
        {"kernel_size": 2},
        SEQUENCE,
        {
            **{name.replace("kernel_", "depthwise_"): value for name, value in KERNEL_AND_BIAS.items()},
            **CONVOLUTION,
            **{"depth_multiplier": 2, "activation": "tanh", "use_bias": False},
        },
    ),
    "Conv1DTranspose": ({"filters": 4, "kernel_size": 2}, SEQUENCE, TRANSPOSED),
    "Conv2DTranspose": ({"filters": 4, "kernel_size": 2}, IMAGE, TRANSPOSED),
    "MaxPooling1D": ({}, SEQUENCE, POOLING),
    "AveragePooling1D": ({"pool_size": 2}, SEQUENCE, POOLING),
    "GlobalMaxPooling1D": ({}, SEQUENCE, {"data_format": "channels_first", "keepdims": True}),
    "Conv3D": (
        {"filters": 4, "kernel_size": 2},
        VOLUME,
        {**KERNEL_AND_BIAS, **CONVOLUTION, "filters": 2, "groups": 2, "activation": "tanh", "use_bias": False},
    ),
    "MaxPooling3D": ({}, VOLUME, POOLING),
    "AveragePooling3D": ({"pool_size": 2}, VOLUME, POOLING),
    "GlobalMaxPooling3D": ({}, VOLUME, {"data_format": "channels_first", "keepdims": True}),
    "GlobalAveragePooling3D": ({}, VOLUME, {"data_format": "channels_first", "keepdims": True}),
    "EinsumDense": (
        {"equation": "abc,cd->abd", "output_shape": (None, 5)},
        SEQUENCE,
        {
            **KERNEL_AND_BIAS,
            **{"equation": "abc,bd->adc", "output_shape": (3, None), "bias_axes": "d", "activation": "tanh"},
            **{"lora_alpha": 2, "gptq_unpacked_column_size": 2},
        },
    ),
    "Permute": ({"dims": (2, 1)}, SEQUENCE, {"dims": (1, 2)}),
    "RepeatVector": ({"n": 2}, ROW, {"n": 3}),
    "SpatialDropout1D": ({"rate": 0.5}, SEQUENCE, {"rate": 0.25, "seed": 3}),
    "SpatialDropout2D": ({"rate": 0.5}, IMAGE, {"rate": 0.25, "seed": 3, "data_format": "channels_first"}),
    "Rescaling": ({"scale": 0.5}, ROW, {"scale": 0.25, "offset": 2.0}),
    "Normalization": (
        {"mean": 0.5, "variance": 2.0},
        ROW,
        {"axis": None, "mean": 0.25, "variance": 4.0, "invert": True},
    ),
    **{name: ({}, ROW, {}) for name in MERGES if name not in ("Concatenate", "Dot")},
    "Concatenate": ({}, SEQUENCE, {"axis": 1}),
    "Dot": ({"axes": 1}, SEQUENCE, {"axes": 2, "normalize": True}),
}
CASES = [(name, argument) for name, (_, _, others) in LAYERS.items() for argument in (*others, "trainable")]


def layer_of(name, **arguments):
    given, _, _ = LAYERS[name]
    return getattr(keras.layers, offered_as(name))(**{**given, **arguments}, name="layer")


def model_of(name, **arguments):
    shape = LAYERS[name][1]
    layer = layer_of(name, **arguments)
    x = keras.Input(shape, dtype="int32" if shape == TOKENS else None)
    if name in ("MultiHeadAttention", "GroupedQueryAttention"):
        return keras.Model(x, layer(x, x))
    if name == "Reshape":
        return keras.Sequential([x, layer])
    y = layer([x, x]) if name in MERGES else layer(x)
    return keras.Model(x, y[0] if isinstance(y, list | tuple) else y)


def config_of(model):
    return next(layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)).get_config()


def test_every_kind_is_here():
    assert set(LAYERS) >= {kind for kind in KINDS if hasattr(keras.layers, kind)}
    assert len(LAYERS) > 50


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_of_keras_s_is_here(name):
    given, _, others = LAYERS[name]
    known = {*given, *others, "name", "dtype", "trainable", "seed", "backward_layer", "quantization_config"}
    # Keras sets lora_alpha, too, where it has a rank
    known |= {"lora_rank"}
    assert set(layer_of(name).get_config()) <= known


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@pytest.mark.parametrize(("name", "argument"), CASES, ids=lambda value: value)
def test_an_argument_is_expressed_or_refused_by_name(name, argument):
    try:
        model = model_of(name, **{argument: {**LAYERS[name][2], "trainable": False}[argument]})
    except (ValueError, TypeError) as error:
        pytest.skip(f"Keras's own: {error}"[:80])
    refusal = refusal_of(model)
    if refusal:
        assert argument in refusal
        assert len(refusal) < 240
        return
    # the one thing that a network has no word for, and nothing that it computes
    assert argument != "trainable" or not model.weights
    network, parameters = Network.from_keras(model, "mean_squared_error")
    again = network.to_keras(parameters)
    x = np.random.default_rng(0).integers(0, 9, (3, *LAYERS[name][1]))
    x = x if LAYERS[name][1] == TOKENS else (x / 4).astype("float32")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-6)
    assert (
        not argument.endswith(("initializer", "constraint")) or config_of(again)[argument] == config_of(model)[argument]
    )


def refusal_of(model):
    try:
        Network.from_keras(model, "mean_squared_error")
    except InputError as error:
        return str(error)
    return ""


class Add(keras.layers.Add):
    def _merge_function(self, inputs):
        return 2 * super()._merge_function(inputs)


class Masking(keras.layers.Masking):
    def call(self, inputs):
        return 2 * super().call(inputs)


class SeparableConv1D(keras.layers.SeparableConv1D):
    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    "called",
    [lambda x: Add()([x, keras.layers.Dense(6)(x)]), lambda x: Masking()(x), lambda x: SeparableConv1D(6, 2)(x)],
    ids=["Add", "Masking", "SeparableConv1D"],
)
def test_a_user_s_layer_of_keras_s_name_is_not_taken_for_keras_s(called):
    x = keras.Input((4, 6))
    with pytest.raises(InputError, match=r"model: got '.*', a .*test_unexpressed\..*; accepted: layers of Keras"):
        Network.from_keras(keras.Model(x, keras.layers.LSTM(2)(called(x))), "mean_squared_error")


def frozen(layer):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, name="first"), layer, keras.layers.Dense(2)])
    layer.trainable = False
    return model


def test_a_frozen_layer_stays_frozen_in_a_model_and_is_none_of_a_network_s():
    model = frozen(keras.layers.Dense(3, name="frozen"))
    with pytest.raises(InputError, match="model: got 'frozen' with trainable=False; accepted: layers that train"):
        Network.from_keras(model, "huber")
    ours = Model.from_keras(model, "huber")
    assert [w.trainable for w in ours.weights if w.shape.rank] == [True, True, False, False, True, True]


@pytest.mark.parametrize("how", ["constructor", "attribute"])
def test_what_is_frozen_around_layers_is_frozen_as_in_keras(how):
    """Keras's constructor freezes no layer inside: these train, as tfbp.Model's do."""
    both = keras.layers.Bidirectional(keras.layers.LSTM(3), trainable=how == "attribute", name="both")
    model = keras.Sequential([keras.Input((4, 6)), both, keras.layers.Dense(2)])
    both.trainable = False if how == "attribute" else both.trainable
    with pytest.raises(InputError, match="model: got 'both' with trainable=False; accepted: layers that train"):
        Network.from_keras(model, "huber")
    trained = [w.shape for w in Model.from_keras(model, "huber").trainable_weights]
    assert trained == [w.shape for w in model.trainable_weights]
    assert len(trained) == (8 if how == "constructor" else 2)


def test_a_frozen_normalization_which_computes_another_thing_in_training_is_refused():
    model = frozen(keras.layers.BatchNormalization(name="frozen", scale=False, center=False))
    for convert in (Network.from_keras, Model.from_keras):
        with pytest.raises(InputError, match="got 'frozen' with trainable=False; accepted: BatchNormalization with"):
            convert(model, "huber")


def test_a_layer_whose_class_has_the_name_alone_is_refused():
    class Dense(keras.layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    with pytest.raises(InputError, match=r"got 'd', a .*\.Dense; accepted: layers of Keras or tfbp.layers"):
        Network.from_keras(keras.Sequential([keras.Input((6,)), Dense(3, name="d")]), "huber")


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_a_quantized_layer_is_refused(mode):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, name="d")])
    model.layers[0].quantize(mode)
    with pytest.raises(InputError, match="got 'd' with quantization_config; accepted: Dense without it"):
        Network.from_keras(model, "huber")


def sequential(*layers, shape=(6,)):
    return keras.Sequential([keras.Input(shape), *layers])


def patched():
    layer = keras.layers.Dense(3)
    layer.call = lambda x: 2 * x
    return sequential(layer)


class Doubled(keras.Model):
    def call(self, x, training=None, mask=None):
        return 2 * super().call(x)


def doubled():
    x = keras.Input((6,))
    return Doubled(x, keras.layers.Dense(3)(x))


def nested():
    x = keras.Input((6,))
    return keras.Model(x, doubled()(x))


class Threefold(keras.regularizers.L2):
    def __call__(self, x):
        return 3 * super().__call__(x)


class Shifted(keras.layers.ReLU):
    def call(self, x):
        return super().call(x) + 1


class Around(keras.layers.Layer):
    """A layer that calls another in a way of its own."""

    def __init__(self, inner, **options):
        super().__init__()
        self.inner, self.options = inner, options

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x, **self.options)


class Penalized(Around):
    def call(self, x):
        y = self.inner(x)
        self.add_loss(keras.ops.sum(y * y))
        return y


OWN = {
    "call-of-an-object": patched,
    "call-of-a-model": doubled,
    "call-of-a-nested-model": nested,
    "call-of-an-activation": lambda: sequential(keras.layers.Dense(3, activation=Shifted())),
    "penalty": lambda: sequential(keras.layers.Dense(3, kernel_regularizer=Threefold(0.1))),
    "penalty-of-outputs-of-each-step": lambda: sequential(
        keras.layers.TimeDistributed(keras.layers.Dense(3), activity_regularizer="l2"), shape=(4, 6)
    ),
    "statistics-in-training": lambda: sequential(Around(keras.layers.BatchNormalization(), training=False)),
    "dropout-always": lambda: sequential(keras.layers.Dense(3), Around(keras.layers.Dropout(0.5), training=True)),
    "loss-in-a-call": lambda: sequential(Penalized(keras.layers.Dense(3))),
}


@pytest.mark.parametrize("name", OWN)
def test_what_only_a_user_s_code_says_is_refused(name):
    refusal = refusal_of(OWN[name]())
    assert refusal.startswith("model: got ")
    assert len(refusal) < 240


def test_a_layer_that_calls_others_as_keras_does_is_opened():
    model = sequential(
        keras.layers.Dense(3), Around(keras.layers.BatchNormalization()), Around(keras.layers.Dropout(0.5))
    )
    network, _ = Network.from_keras(model, "huber")
    assert [layer.keras_name for layer in network.layers] == ["Dense", "BatchNormalization", "Dropout"]


def called(*layers, shape=(4, 6), **options):
    """A functional model whose middle layers are called with options."""
    x = y = keras.Input(shape)
    for layer in layers:
        y = layer(y, **options)
    return keras.Model(x, keras.layers.Dense(2)(y))


def in_two_models(layer):
    """A layer in a model in a model, which is called with training=True."""
    x = keras.Input((4, 6))
    return called(keras.Model(x, sequential(keras.layers.Dense(6), layer, shape=(4, 6))(x)), training=True)


SAID = {
    "dropout": lambda: called(keras.layers.Dropout(0.5, name="drawn"), training=True),
    "noise": lambda: called(keras.layers.GaussianNoise(0.5, name="drawn"), training=True),
    "statistics": lambda: called(keras.layers.BatchNormalization(name="drawn"), training=False),
    "statistics-in-training": lambda: called(keras.layers.BatchNormalization(name="drawn"), training=True),
    "recurrence": lambda: called(keras.layers.LSTM(3, dropout=0.5, name="drawn"), training=True),
    "both-ways": lambda: called(keras.layers.Bidirectional(keras.layers.GRU(3, dropout=0.5), name="drawn"), training=1),
    "nested": lambda: called(sequential(keras.layers.BatchNormalization(name="drawn")), shape=(6,), training=False),
    "nested-twice": lambda: in_two_models(keras.layers.Dropout(0.5, name="drawn")),
}


@pytest.mark.parametrize("name", SAID)
def test_training_in_a_call_of_a_model_is_refused_where_it_counts(name):
    """Keras's fit, evaluate and predict override the word, which `model(x)` follows."""
    refusal = refusal_of(SAID[name]())
    assert refusal.startswith("model: got 'drawn' with training=")
    assert "in its call, which Keras's fit and predict override; accepted: " in refusal
    assert len(refusal) < 240


def test_training_in_a_call_where_nothing_depends_on_it_is_taken():
    plain = [keras.layers.LSTM(3, return_sequences=True), sequential(keras.layers.Dense(5), shape=(4, 3))]
    model = called(*plain, keras.layers.Dense(4), training=True)
    network, parameters = Network.from_keras(model, "huber")
    x = np.random.default_rng(0).normal(size=(3, 4, 6)).astype("float32")
    np.testing.assert_allclose(network.to_keras(parameters)(x), model(x), rtol=1e-5, atol=1e-6)
    # a Dropout's own default
    Network.from_keras(called(keras.layers.Dropout(0.5), training=False), "huber")


@pytest.mark.parametrize("training", [True, False])
def test_keras_overrides_the_word_of_a_call_by_the_model_s(training):
    """What the refusal says."""
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.BatchNormalization(name="b")(x, training=not training))
    before = np.asarray(model.get_layer("b").moving_mean)
    model(np.ones((3, 4)), training=training)
    assert bool((np.asarray(model.get_layer("b").moving_mean) != before).any()) == training
