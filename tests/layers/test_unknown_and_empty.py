"""Every layer on shapes that a trace does not know and axes of 0 and 1: what Keras's own computes, these do.

Where there is no number to compute from, Keras's gradients are what was in memory, or NaN, and these are 0. In float64:
in float32, outside XLA, TensorFlow ends the process in the gradient of MaxPooling2D, so there is no such case.
"""

import functools
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbp import layers
from tfbp.bridge.layers import offered_as

SEQUENCE, IMAGE, ROW, TOKENS = (3, 4, 6), (3, 5, 4, 2), (3, 6), (3, 4)


class Positions(keras.layers.Layer):
    """`PositionEmbedding` in plain operations."""

    def __init__(self, sequence_length, **options):
        super().__init__(**options)

    def build(self, shape):
        self.table = self.add_weight(shape=(9, shape[-1]))

    def call(self, x):
        return x + tf.gather(tf.convert_to_tensor(self.table), tf.range(tf.shape(x)[-2]))


class Rotary(keras.layers.Layer):
    """`RotaryEmbedding` in plain operations."""

    def call(self, x):
        half = x.shape[-1] // 2
        rates = 10000.0 ** (-np.arange(half) / half)
        angles = tf.cast(tf.range(tf.shape(x)[1]), x.dtype)[:, None] * rates
        first, second = x[..., :half], x[..., half:]
        cos, sin = tf.cos(angles), tf.sin(angles)
        return tf.concat([first * cos - second * sin, second * cos + first * sin], axis=-1)


@dataclass(frozen=True)
class Case:
    kind: str
    arguments: dict = field(default_factory=dict)
    shapes: tuple = (SEQUENCE,)
    call: dict = field(default_factory=dict)
    # what else it is called with: "mask" of each number, "steps" of each step, "pairs" of queries and keys
    mask: str = ""
    # how many initial states, and their number of rows: None for one for each example
    states: int = 0
    rows: int | None = None
    twin: type | None = None

    def layer(self, room):
        kind = getattr(room, self.kind if room is layers else offered_as(self.kind), None)
        return (self.twin if room is not layers and self.twin else kind)(**self.arguments, dtype="float64")


RECURRENT = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1}
HEADS = {"num_heads": 2, "key_dim": 4}
GROUPS = {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}
TRAINING = {"training": True}
SAME = {"kernel_size": 3, "strides": 2, "padding": "same"}
CASES = {
    "Dense": Case("Dense", {"units": 3}, (ROW,)),
    "Dense-rank3": Case("Dense", {"units": 3, "activation": "relu"}),
    "Activation": Case("Activation", {"activation": "sigmoid"}),
    "ReLU": Case("ReLU", {"max_value": 1.0}),
    "LeakyReLU": Case("LeakyReLU", {"negative_slope": 0.25}),
    "ELU": Case("ELU"),
    "PReLU": Case("PReLU", {"alpha_initializer": "random_normal", "shared_axes": [1]}),
    "Softmax": Case("Softmax"),
    "Softmax-axes": Case("Softmax", {"axis": [1, 2]}),
    "Softmax-mask": Case("Softmax", mask="mask"),
    "Dropout": Case("Dropout", {"rate": 0.4, "seed": 3, "noise_shape": (None, 1, 6)}, call=TRAINING),
    "Embedding": Case("Embedding", {"input_dim": 9, "output_dim": 4}, (TOKENS,)),
    "ReversibleEmbedding": Case("ReversibleEmbedding", {"input_dim": 9, "output_dim": 6}, call={"reverse": True}),
    "Conv1D": Case("Conv1D", {"filters": 3, "kernel_size": 2}),
    "Conv1D-causal": Case("Conv1D", {"filters": 3, "kernel_size": 2, "dilation_rate": 2, "padding": "causal"}),
    "DepthwiseConv1D-same": Case("DepthwiseConv1D", SAME),
    "MaxPooling1D": Case("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    "AveragePooling1D": Case("AveragePooling1D", {"pool_size": 2}),
    "GlobalAveragePooling1D": Case("GlobalAveragePooling1D"),
    "GlobalAveragePooling1D-mask": Case("GlobalAveragePooling1D", mask="steps"),
    "GlobalMaxPooling1D": Case("GlobalMaxPooling1D", {"keepdims": True}),
    "Conv2D": Case("Conv2D", {"filters": 3, "kernel_size": 2}, (IMAGE,)),
    "Conv2D-same": Case("Conv2D", {"filters": 3, **SAME, "activation": "relu"}, (IMAGE,)),
    "Conv2D-groups": Case("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2}, (IMAGE,)),
    "Conv2D-dilated": Case("Conv2D", {"filters": 2, "kernel_size": 2, "dilation_rate": 2}, (IMAGE,)),
    "Conv3D": Case("Conv3D", {"filters": 2, "kernel_size": 2, "padding": "same"}, ((3, 2, 4, 3, 2),)),
    "DepthwiseConv2D": Case("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 2}, (IMAGE,)),
    "DepthwiseConv2D-same": Case("DepthwiseConv2D", SAME, (IMAGE,)),
    "DepthwiseConv2D-dilated": Case("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2}, (IMAGE,)),
    "MaxPooling2D": Case("MaxPooling2D", {}, (IMAGE,)),
    "MaxPooling2D-same": Case("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (IMAGE,)),
    "AveragePooling2D": Case("AveragePooling2D", {"pool_size": 2}, (IMAGE,)),
    "GlobalAveragePooling2D": Case("GlobalAveragePooling2D", {}, (IMAGE,)),
    "GlobalMaxPooling2D": Case("GlobalMaxPooling2D", {"keepdims": True}, (IMAGE,)),
    "BatchNormalization": Case("BatchNormalization", {}, (IMAGE,), TRAINING),
    "BatchNormalization-mask": Case("BatchNormalization", {}, (SEQUENCE,), TRAINING, "steps"),
    "BatchNormalization-inference": Case("BatchNormalization", {}, (ROW,), {"training": False}),
    "LayerNormalization": Case("LayerNormalization"),
    "LayerNormalization-axes": Case("LayerNormalization", {"axis": [1, 2]}),
    "RMSNormalization": Case("RMSNormalization"),
    "GroupNormalization": Case("GroupNormalization", {"groups": 2}, (IMAGE,)),
    "MultiHeadAttention": Case("MultiHeadAttention", HEADS, (SEQUENCE, (3, 5, 4))),
    "MultiHeadAttention-causal": Case("MultiHeadAttention", HEADS, (SEQUENCE,) * 2, {"use_causal_mask": True}),
    "MultiHeadAttention-mask": Case("MultiHeadAttention", HEADS, (SEQUENCE,) * 2, mask="pairs"),
    "MultiHeadAttention-dropout": Case(
        "MultiHeadAttention", {**HEADS, "dropout": 0.3, "seed": 2}, (SEQUENCE,) * 2, TRAINING, "pairs"
    ),
    "GroupedQueryAttention": Case("GroupedQueryAttention", GROUPS, (SEQUENCE,) * 2, {"use_causal_mask": True}),
    **{f"{kind}-state": Case(kind, {"units": 3, "return_state": True}, states=n) for kind, n in RECURRENT.items()},
    **{f"{kind}-one-state": Case(kind, {"units": 3}, states=n, rows=1) for kind, n in RECURRENT.items()},
    **{
        kind: Case(kind, {"units": 3, "return_sequences": True, "go_backwards": True}, mask="steps")
        for kind in RECURRENT
    },
    "PositionEmbedding": Case("PositionEmbedding", {"sequence_length": 9}, twin=Positions),
    "RotaryEmbedding": Case("RotaryEmbedding", twin=Rotary),
    "LinearCrossEntropy": Case("LinearCrossEntropy", {"units": 3}, twin=keras.layers.Dense),
}
# batch and the next axis; None for as it is
SIZES = [(0, None), (1, None), (None, 0), (None, 1), (0, 0), (1, 1), (3, None)]
UNKNOWN = {
    "known": lambda shape: shape,
    "batch": lambda shape: [None, *shape[1:]],
    "length": lambda shape: [shape[0], None, *shape[2:]],
    "channels": lambda shape: [*shape[:-1], None],
    "all": lambda shape: [None] * len(shape),
    "rank": lambda _: None,
}
WAYS = ["eager", *(f"graph-{axes}" for axes in UNKNOWN), "xla-batch", "xla-all"]


def fed(case, batch=None, length=None):
    rng = np.random.default_rng([batch or 7, length or 7])
    shapes = [
        [shape[0] if batch is None else batch, *shape[1:]]
        if len(shape) == 2 and shape != TOKENS
        else [size if given is None else given for size, given in zip(shape, (batch, length), strict=False)]
        + list(shape[2:])
        for shape in case.shapes
    ]
    inputs = [
        rng.integers(0, 9, s) if shape == TOKENS else rng.normal(size=s)
        for s, shape in zip(shapes, case.shapes, strict=True)
    ]
    (rows, steps, *_), keys = shapes[0], shapes[-1][1]
    masks = {"mask": shapes[0], "steps": (rows, steps), "pairs": (rows, steps, keys)}
    others = (
        {"attention_mask" if case.mask == "pairs" else "mask": rng.random(masks[case.mask]) > 0.4} if case.mask else {}
    )
    states = [rng.normal(size=(case.rows or rows, 3)) for _ in range(case.states)]
    return tf.nest.map_structure(tf.constant, [inputs, others, states])


def outputs_and_gradients(case, layer, inputs, others, states):
    given = {**case.call, **others, **({"initial_state": states} if states else {})}
    watched = [x for x in (*inputs, *states) if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        ys = tf.nest.flatten(layer(*inputs, **given))
        loss = tf.add_n([tf.reduce_sum(tf.sin(y)) for y in ys])
    sources = [*watched, *(w.value for w in layer.trainable_variables)]
    gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
    return ys, [tf.convert_to_tensor(each) for each in gradients]


@functools.cache
def pair_of(name):
    case, rng = CASES[name], np.random.default_rng(5)
    pair = [case.layer(room) for room in (layers, keras.layers)]
    for layer in pair:
        outputs_and_gradients(case, layer, *fed(case))
    # a seed stays as it is
    weights = [w if w.dtype == np.uint32 else 0.3 + rng.random(w.shape) for w in pair[0].get_weights()]
    return pair, weights


def runner(case, layer, way):
    def run(inputs, others, states):
        return outputs_and_gradients(case, layer, inputs, others, states)

    if way == "eager":
        return run
    how, _, axes = way.partition("-")
    kept = {}

    def compiled(*given):
        # the first axis alone may be unknown of what is no input
        spec = UNKNOWN[axes]
        of = [
            [tf.TensorSpec(spec(x.shape), x.dtype) for x in given[0]],
            {
                n: tf.TensorSpec([None, *m.shape[1:]] if axes in ("batch", "all") else m.shape, m.dtype)
                for n, m in given[1].items()
            },
            [tf.TensorSpec([None, 3] if axes != "known" else s.shape, s.dtype) for s in given[2]],
        ]
        if repr(of) not in kept:
            kept[repr(of)] = tf.function(run, input_signature=of, jit_compile=how == "xla", autograph=False)
        return kept[repr(of)](*given)

    return compiled


@pytest.mark.sampled(61)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_sizes_of_0_and_1_on_shapes_unknown_to_the_trace(name, way):
    case, (pair, weights) = CASES[name], pair_of(name)
    ours, theirs = (runner(case, layer, way) for layer in pair)
    tried = 0
    for sizes in SIZES:
        given = fed(case, *sizes)
        for layer in pair:
            layer.set_weights(weights)
        try:
            ys, expected = theirs(*given)
        except Exception:
            continue  # what Keras's own cannot, these need not
        tried += 1
        got_ys, gradients = ours(*given)
        of_nothing = all(tf.size(y) == 0 for y in ys)
        for got, wanted in zip((*got_ys, *gradients), (*ys, *expected), strict=True):
            assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), sizes
            right = np.zeros(wanted.shape) if of_nothing else wanted
            np.testing.assert_allclose(
                got, right, rtol=0, atol=1e-11 * (1 + np.abs(right).max(initial=0)), err_msg=sizes
            )
    if not tried:
        pytest.skip("Keras's own runs nowhere")


@pytest.mark.parametrize("name", ["Conv2D", "Conv2D-dilated", "DepthwiseConv2D", "DepthwiseConv2D-same"])
def test_a_batch_without_an_example_in_float32_whose_kernels_make_another_shape(name):
    """oneDNN's convolutions give no example the input's sizes: the gradients are those of the sizes that are right."""
    case = CASES[name]
    layer = getattr(layers, case.kind)(**case.arguments, use_bias=False)
    layer.build(IMAGE)

    @tf.function(input_signature=[tf.TensorSpec([None, *IMAGE[1:]])], autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.sin(layer(x)))
        return tape.gradient(loss, [x, layer.kernel.value])

    dx, dkernel = gradients(tf.zeros([0, *IMAGE[1:]]))
    assert (dx.shape, dkernel.shape) == ((0, *IMAGE[1:]), layer.kernel.shape)
    assert not np.any(dkernel)
    assert np.any(gradients(tf.ones(IMAGE))[1])


@pytest.mark.parametrize("size", [(0, 5, 4), (2, 2, 4), (2, 5, 0), (2, 5, 4)], ids=str)
def test_a_kernel_s_gradient_without_a_position_is_0_whatever_tensorflow_s_memory_holds(size, monkeypatch):
    """Images of unknown size and a dilation are left to Keras's operation; this one's gradient is 7 everywhere."""

    @tf.custom_gradient
    def convolve(x, kernel):
        return tf.zeros([size[0], 1, 1, 4], x.dtype), lambda dz: (tf.zeros_like(x), tf.fill(tf.shape(kernel), 7.0))

    monkeypatch.setattr(keras.ops, "depthwise_conv", lambda x, kernel, *_: convolve(x, kernel))
    layer = layers.DepthwiseConv2D(2, dilation_rate=2, depth_multiplier=2)
    layer.build([None, None, 4, 2])
    of = tf.function(lambda x: gradient_of(layer, x), input_signature=[tf.TensorSpec([None, None, None, 2])])
    np.testing.assert_array_equal(of(tf.zeros([*size, 2])), np.full((2, 2, 2, 2), 7.0 if size == (2, 5, 4) else 0.0))


def gradient_of(layer, x):
    with tf.GradientTape() as tape:
        z = layer(x)
    return tape.gradient(z, layer.kernel)
