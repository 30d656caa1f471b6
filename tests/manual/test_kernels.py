"""Kernels of images in a pass that XLA does not compile: the same numbers, and only where a caller asks for them."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import AveragePooling2D, Conv2D, Dense, DepthwiseConv2D, Flatten, MaxPooling2D, Model, Network, manual
from tfbp.manual import convolution, kinds
from tfbp.manual.kernels import by_kernels
from tfbp.network import named_weights

LAYERS = [
    Conv2D(4, 3, padding="same", activation="relu"),
    MaxPooling2D(3, 2, "same"),
    DepthwiseConv2D(3, padding="same", depth_multiplier=2),
    AveragePooling2D(),
    Conv2D(4, 2, groups=2),
    Flatten(),
    Dense(3),
]
NETWORK = Network((8, 9, 2), LAYERS, "sparse_categorical_crossentropy")


def kernels_in(graph):
    return {op.type for op in graph.get_operations() if "Backprop" in op.type or "PoolGrad" in op.type}


def test_gradients_are_those_that_are_spelled_out(rng):
    given = NETWORK.init(0), tf.constant(rng.normal(size=(5, 8, 9, 2))), rng.integers(0, 3, 5)
    loss, gradients = manual.loss_and_gradients(NETWORK, *given)
    with by_kernels():
        by_kernel, found = manual.loss_and_gradients(NETWORK, *given)
    np.testing.assert_allclose(by_kernel, loss, rtol=1e-13)
    for (_, name, dw), (_, _, right) in zip(named_weights(found), named_weights(gradients), strict=True):
        np.testing.assert_allclose(dw, right, rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_takes_them_where_xla_does_not_compile(jit_compile):
    model = Model(NETWORK)
    model.compile("sgd", jit_compile=jit_compile)
    x, y = tf.TensorSpec([4, 8, 9, 2]), tf.TensorSpec([4], tf.int32)
    step = tf.function(lambda x, y: model.train_step((x, y)), jit_compile=jit_compile, autograph=False)
    found = kernels_in(step.get_concrete_function(x, y).graph)
    expected = {"Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter", "MaxPoolGrad", "AvgPoolGrad"}
    assert (not found) if jit_compile else expected <= found


def test_without_a_caller_and_for_groups_there_are_none():
    assert kinds.kind_of(LAYERS[0]) is convolution.KINDS["Conv2D"]
    with by_kernels():
        assert kinds.kind_of(LAYERS[0]) is not convolution.KINDS["Conv2D"]
        assert kinds.kind_of(LAYERS[4]) is convolution.KINDS["Conv2D"]
    assert kinds.kind_of(LAYERS[0]) is convolution.KINDS["Conv2D"]
