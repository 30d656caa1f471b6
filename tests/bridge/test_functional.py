"""Functional Keras models as networks: several inputs and outputs, shared layers, merges, nested models, operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.losses.losses import LossFunctionWrapper as WithMasks

from tfbp import InputError, Network, manual, reference, tape

# nested models drop the masks of their outputs, and Keras says so
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
WRITINGS = {"reference": reference, "manual": manual, "tape": tape}


def _two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    shared = layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(2**-6))
    joined = layers.Concatenate()([shared(a), shared(layers.Dense(4)(b)), b])
    kept = layers.Multiply()([layers.Dense(6, "sigmoid")(joined), layers.Dense(6)(joined)])
    return keras.Model([a, b], [layers.Dense(2, name="far")(kept), layers.Dense(3, "softmax", name="near")(kept)])


def _operations():
    x = keras.Input((4,))
    y = layers.Dense(4, "tanh")(x)
    return keras.Model(x, layers.Dense(2)((2.0 * y - x * 0.5) + 1.0 - (3.0 - y) * x / 4.0))


def _nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(4)])
    x = keras.Input((4,))
    around = keras.Model(x, layers.Add()([x, inner(x), inner(layers.Dense(4)(x))]))
    z = keras.Input((4,))
    return keras.Model(z, layers.Dense(2)(around(z)))


def _images():
    x = keras.Input((6, 5, 2))
    h = layers.Rescaling(0.5, 0.125)(x)
    h = layers.Activation("tanh")(layers.Conv2D(4, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (1, 1)))(h)))
    seen = layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(h))
    h = layers.BatchNormalization()(layers.Multiply()([h, seen]))
    h = layers.Maximum()([h, layers.Minimum()([seen, h])])
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Average()([h, h, seen]))))


def _normalized():
    rng = np.random.default_rng(3)
    normalize = layers.Normalization()
    normalize.adapt(rng.normal(2, 3, (50, 4)))
    x, y = keras.Input((4,)), keras.Input((5, 4))
    h = layers.Dense(4, "tanh")(normalize(x))
    seen = layers.Dot((1, 2))([h, layers.Dense(4)(y)])
    return keras.Model([x, y], layers.Subtract()([layers.Dense(5)(h), seen]))


class _Scaled(layers.Layer):
    """A weight for each channel, and a layer inside: `call` is made of what a network has."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(4, "tanh")

    def build(self, shape):
        self.gamma = self.add_weight(shape=shape[-1:], initializer="ones", regularizer=keras.regularizers.L2(2**-6))

    def call(self, x, training=None):
        return x * self.gamma + 0.5 * self.inner(x)


def _composites():
    x = keras.Input((9, 4))
    scaled = _Scaled()
    h = layers.SeparableConv1D(4, 3, padding="same", depth_multiplier=2, activation="tanh")(scaled(x))
    y = layers.SeparableConv2D(2, 2, strides=2)(layers.Reshape((9, 4, 1))(scaled(h)))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


class _Patched(layers.Layer):
    """The patches of an image side by side, and to each a row of a table for its place."""

    def __init__(self):
        super().__init__()
        self.projection, self.position = layers.Dense(4), layers.Embedding(4, 4)

    def call(self, images):
        patches = keras.ops.reshape(keras.ops.image.extract_patches(images, 2), (-1, 4, 8))
        return self.projection(patches) + self.position(keras.ops.expand_dims(keras.ops.arange(4), 0))


def _patched():
    x = keras.Input((4, 4, 2))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.LayerNormalization()(_Patched()(x)))))


def _rearranged():
    x = keras.Input((5, 4))
    y = keras.ops.transpose(layers.Dense(6, "tanh")(x), (0, 2, 1))
    parts = [y[:, 1::2, -3:], keras.ops.relu(y[..., :3])[:, :3], keras.ops.expand_dims(y[:, 0, :3], 1)]
    joined = keras.ops.concatenate([keras.ops.stack(parts[:2], axis=1)[:, 1], parts[2]], axis=1)
    pairs = keras.ops.matmul(joined, keras.ops.transpose(joined, (0, 2, 1)))
    some = keras.ops.take(keras.ops.reshape(pairs, (-1, 16)), [1, 2, 7, -1], axis=-1)
    return keras.Model(x, layers.Dense(3)(keras.ops.concatenate([keras.ops.reshape(joined, (-1, 12)), some], -1)))


def _over_all_axes():
    x = keras.Input((3, 2, 4))
    # the root of key_dim has all its digits in float32, which Keras's is rounded to
    y = layers.MultiHeadAttention(2, 4)(x, x) + x
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def _translator():
    """An encoder's states start a decoder; both are masked by tokens, and the decoder attends to the encoder."""
    source, target = keras.Input((5,), dtype="int32"), keras.Input((4,), dtype="int32")
    x = layers.Embedding(5, 4, mask_zero=True)(source)
    sequence, *states = layers.LSTM(4, return_sequences=True, return_state=True)(layers.Dense(4, "tanh")(x))
    y = layers.Embedding(5, 4, mask_zero=True)(target)
    y, _, last = layers.LSTM(4, return_sequences=True, return_state=True)(y, initial_state=states)
    seen = layers.MultiHeadAttention(1, 4)(
        value=sequence, query=y, attention_mask=keras.ops.expand_dims(source != 2, 1)
    )
    return keras.Model([source, target], layers.Dense(3)(layers.Concatenate()([seen[:, -1], last, y[:, 0]])))


def _masked():
    """Rows of zeros are left out, through layers that hand the mask on, both ways and by an average."""
    x = keras.Input((5, 3))
    shown = layers.Activation("tanh")(layers.Masking(0.0)(layers.ReLU()(x)))
    h = layers.Add()([layers.Dense(3, "tanh")(shown), shown])
    both = layers.Bidirectional(layers.GRU(2, return_sequences=True), "sum")(h)
    last = layers.SimpleRNN(3)(both)
    return keras.Model(x, layers.Dense(3)(layers.Concatenate()([last, layers.GlobalAveragePooling1D()(both)])))


def _joined():
    """Masked sequences side by side and after each other, also with one that has no mask."""
    x, other = keras.Input((4, 3)), keras.Input((4, 3))
    shown = layers.Masking(0.0)(layers.ReLU()(x))
    beside = layers.Concatenate()([shown, layers.Masking(0.0)(layers.ReLU()(other))])
    after = layers.Concatenate(axis=1)([layers.Dense(3, "tanh")(shown), layers.Conv1D(3, 2)(other)])
    seen = layers.Attention()([layers.Dense(2)(other), layers.Identity()(layers.Dense(2)(other))])
    ends = [layers.GRU(2)(beside), layers.LSTM(3)(after), layers.Flatten()(seen)]
    return keras.Model([x, other], layers.Dense(3)(layers.Concatenate()(ends)))


def _masks_through_models():
    """Masks reach layers in nested models, of which one takes two tensors by name and returns two."""
    i, j = keras.Input((5, 3), name="i"), keras.Input((3,), name="j")
    several = keras.Model([i, j], [layers.GRU(3, return_sequences=True)(i), layers.Dense(2)(j)])
    k = keras.Input((5, 3))
    single = keras.Model(k, layers.LSTM(3, return_sequences=True)(layers.Dense(3, "tanh")(k)))
    x = keras.Input((5, 3))
    shown = layers.Masking(0.0)(layers.ReLU()(x))
    sequence, one = several({"j": x[:, 0], "i": single(shown)})
    y = layers.Concatenate()([layers.SimpleRNN(2)(single(sequence)), one])
    return keras.Model(x, layers.Dense(3)(y))


# in float32, too
L2 = keras.regularizers.L2(2**-6)


def _tagger():
    """Tokens of which some are left out of the loss, too."""
    tokens = keras.Input((5,), dtype="int32")
    h = layers.LSTM(4, return_sequences=True)(layers.Embedding(5, 4, mask_zero=True)(tokens))
    return keras.Model(tokens, layers.Dense(3, "softmax", kernel_regularizer=L2)(layers.BatchNormalization()(h)))


def _tagger_of_two():
    """The same of rows, with a second output that sees the first, and has no mask."""
    x = keras.Input((5, 3))
    y = layers.Dense(3, "softmax", name="near")(layers.Masking(0.0)(layers.ReLU()(x)))
    return keras.Model(x, [layers.GlobalAveragePooling1D(name="far")(y), y])


class EmbedReduce(layers.Embedding):
    """The mean of the rows of an example's tokens, as keras-rs has it."""

    combiner = "mean"

    def call(self, tokens):
        return keras.ops.mean(super().call(tokens), axis=-2)

    def compute_output_shape(self, shape):
        return (shape[0], self.output_dim)


def _reduced():
    tokens = keras.Input((4,), dtype="int32")
    return keras.Model(
        tokens, layers.Dense(3)(EmbedReduce(5, 3, embeddings_regularizer=keras.regularizers.L2(2**-6))(tokens))
    )


def _summed():
    tokens = keras.Input((4,), dtype="int32")
    table = EmbedReduce(5, 3, name="sums")
    table.combiner = "sum"
    return keras.Model(tokens, table(tokens))


MODELS = {
    "tagger": (_tagger, "categorical_crossentropy"),
    "tagger of two": (_tagger_of_two, {"far": "mean_squared_error", "near": "categorical_crossentropy"}),
    "translator": (_translator, "mean_squared_error"),
    "masked": (_masked, "mean_squared_error"),
    "joined masks": (_joined, "mean_squared_error"),
    "masks through models": (_masks_through_models, "mean_squared_error"),
    "attention over all axes": (_over_all_axes, "mean_squared_error"),
    "composites": (_composites, "mean_squared_error"),
    "patched": (_patched, "mean_squared_error"),
    "mean of rows": (_reduced, "mean_squared_error"),
    "rearranged": (_rearranged, "mean_squared_error"),
    "two inputs, two outputs": (_two_inputs, {"far": "mean_squared_error", "near": "categorical_crossentropy"}),
    "operations": (_operations, "mean_squared_error"),
    "nested": (_nested, "mean_squared_error"),
    "images": (_images, "mean_squared_error"),
    "normalized": (_normalized, "mean_squared_error"),
}


@pytest.fixture(params=MODELS)
def trial(request):
    """A Keras model in float64 with weights off their first values, its losses, x and y."""
    make, loss = MODELS[request.param]
    rng = np.random.default_rng([*request.param.encode()])
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        model = make()
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)
    for weight in model.trainable_weights:
        weight.assign(weight.numpy() + 0.3 * rng.normal(size=weight.shape))
    x = [
        rng.integers(0, 5, (6, *tensor.shape[1:])) if "int" in tensor.dtype else rng.normal(size=(6, *tensor.shape[1:]))
        for tensor in model.inputs
    ]
    y = [rng.random((6, *tensor.shape[1:])) for tensor in model.outputs]
    y = [targets / targets.sum(axis=-1, keepdims=True) for targets in y]
    return model, loss, x, y


def _by_keras(model, loss, x, y, training):
    names = model.output_names
    losses = [loss[name] for name in names] if isinstance(loss, dict) else [loss]
    with tf.GradientTape() as record:
        made = model(x if len(x) > 1 else x[0], training=training)
        outputs = made if isinstance(made, list | tuple) else [made]
        each = zip(losses, y, outputs, strict=True)
        # the class's call uses the outputs' masks
        total = sum(WithMasks(keras.losses.get(name), dtype="float64")(targets, out) for name, targets, out in each)
        total += sum(model.losses)
    return outputs, total, record.gradient(total, [w.value for w in model.trainable_weights])


def _one(found):
    return found[0] if len(found) == 1 else tuple(found)


@pytest.mark.parametrize("writing", WRITINGS)
def test_outputs_loss_and_gradients_are_keras_s(trial, writing):
    model, loss, x, y = trial
    network, parameters = Network.from_keras(model, loss)
    assert Network.from_json(network.to_json()) == network
    # at inference first: the call in training moves the statistics of BatchNormalization
    calm, _, _ = _by_keras(model, loss, x, y, training=False)
    expected, total, dweights = _by_keras(model, loss, x, y, training=True)
    got, gradients = WRITINGS[writing].loss_and_gradients(network, parameters, _one(x), _one(y))
    np.testing.assert_allclose(got, total, rtol=1e-12)
    # by value: the layers' order is that of their first calls, Keras's that of the models
    ours = sorted(map(np.asarray, tf.nest.flatten(gradients)), key=_key)
    # an embedding's gradient has the rows of its tokens
    theirs = sorted((np.asarray(tf.convert_to_tensor(dw)) for dw in dweights), key=_key)
    assert [dw.shape for dw in ours] == [dw.shape for dw in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    outputs = WRITINGS[writing].forward(network, parameters, _one(x))
    for one, other in zip(outputs if isinstance(outputs, tuple) else [outputs], calm, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    assert len(expected) == len(calm)


def _key(dw):
    return (dw.shape, np.round(np.sort(dw, axis=None), 9).tolist())


def test_it_goes_back_to_keras(trial):
    model, loss, x, _ = trial
    network, parameters = Network.from_keras(model, loss)
    again = network.to_keras(parameters, dtype="float64")
    expected, got = (each(x if len(x) > 1 else x[0], training=False) for each in (model, again))
    for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    if network.masks_losses:
        assert Network.from_keras(again, list(network.losses))[0].masks_losses


@pytest.mark.parametrize(
    ("make", "loss", "sentence"),
    [
        (
            _two_inputs,
            {"far": "huber"},
            r"^loss: got losses of \['far'\]; accepted: one for each of",
        ),
        (_two_inputs, "huber", r"^loss: got 'huber' for 2 outputs; accepted: a loss for each, in a list\."),
        (_summed, "huber", r"^model: got the layer 'sums', a EmbedReduce; accepted: layers that tfbp.Network has\."),
        (
            lambda: keras.Model(x := keras.Input((4,)), keras.ops.take(x, [0], axis=0)),
            "huber",
            r"^model: got the operation Take; accepted: constant indices, in a list, of the last axis\.",
        ),
        (
            lambda: keras.Model(x := keras.Input((4,)), keras.ops.sin(x)),
            "huber",
            r"^model: got the operation Sin \('sin.*'\); accepted: Add, Subtract",
        ),
        (
            lambda: keras.Model([x := keras.Input((4,)), keras.Input((2,), name="left")], layers.Dense(2)(x)),
            "huber",
            r"^model: got the input 'left', which no output depends on; accepted: inputs that are used\.",
        ),
        (
            lambda: keras.Model(x := keras.Input((2, 3, 3, 3)), layers.BatchNormalization(axis=3, name="b")(x)),
            "huber",
            r"^model: 'b': axis: got 3; accepted: -1, the last axis\.",
        ),
        (
            lambda: keras.Model(x := keras.Input((3, 3)), layers.Normalization(1, [1, 2, 3], [1, 1, 1], name="n")(x)),
            "huber",
            r"^model: 'n': axis: got 1; accepted: -1, the last axis\.",
        ),
        (
            lambda: keras.Model(x := keras.Input((3, 4)), layers.GRU(2)(layers.Softmax(name="s")(layers.Masking()(x)))),
            "huber",
            r"^model: got 's', a Softmax, with a mask; accepted: masks of recurrences, attention",
        ),
    ],
    ids=[
        "a loss of no output",
        "one loss for two",
        "a sum of rows",
        "rows of a batch",
        "an operation",
        "an input that is left out",
        "columns of voxels",
        "rows of steps",
        "a masked softmax",
    ],
)
def test_what_a_network_cannot_express_is_one_sentence(make, loss, sentence):
    with pytest.raises(InputError, match=sentence):
        Network.from_keras(make(), loss)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_last_axis_may_have_its_number(rank):
    x = keras.Input((4,) * rank)
    kinds = [layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization, layers.Normalization]
    y = x
    for kind in kinds:
        y = kind(axis=rank)(y)
    network, _ = Network.from_keras(keras.Model(x, y), "mean_squared_error")
    assert [type(layer).__name__ for layer in network.layers] == [kind.__name__ for kind in kinds]


class _Counting(layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, x):
        self.count.assign_add(1.0)
        return 2.0 * x


class _OtherInTraining(layers.Layer):
    def call(self, x, training=None):
        return 2.0 * x if training else x + 1.0


class _BySine(layers.Layer):
    def call(self, x):
        return keras.ops.sin(x)


@pytest.mark.parametrize("kind", [_Counting, _OtherInTraining, _BySine])
def test_a_composite_that_a_network_cannot_express_is_named_and_left_as_it_was(kind):
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2)(kind(name="mine")(x)))
    before = [w.numpy() for w in model.weights]
    with pytest.raises(InputError, match=rf"^model: got the layer 'mine', a {kind.__name__}; accepted: layers that tf"):
        Network.from_keras(model, "huber")
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_calls_of_layers_that_are_opened_are_as_they_were():
    model = _composites()
    each = [*model._flatten_layers()]
    before = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in each]
    network, _ = Network.from_keras(model, "huber")
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in each] == before
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("LayerScale") == kinds.count("DepthwiseConv1D") == kinds.count("DepthwiseConv2D") == 1
