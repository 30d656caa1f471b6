"""Keras layers whose backward is `tfbp.manual`, and that are Keras's own in every other way.

Example:
    >>> import keras
    >>> from tfbp import layers
    >>> model = keras.Sequential([keras.Input((784,)), layers.Dense(128, "relu"), layers.Dense(10, "softmax")])
    >>> model.output_shape
    (None, 10)

Where their numbers are not Keras's to rounding, they are better: in float64 leaky_relu and gelu keep all digits of
their constants, which Keras's have in float32; celu's derivative at 0 is 1, where Keras's tape adds up both sides to 2;
and the gradient of a bias in float16 is added up in float32 on the CPU. Of Keras's Embedding, many optimizers take the
rows of a token that occurs several times one by one; here its sum is one row (see `Embedding`). DepthwiseConv2D takes
unequal strides also where TensorFlow's kernel does not: in float64, and without oneDNN. Second derivatives through
LayerNormalization, GroupNormalization and BatchNormalization in training are right.

Whatever fails with Keras's layers fails with these, with the same error: a model compiled with jit_compile=True under
MirroredStrategy on CPUs, where XLA has no sum over replicas (compile with jit_compile=False), and keras.RematScope in
fit.
"""

from tfbp.layers.own_layers import *  # noqa: F403  its __all__ has the layers alone
from tfbp.layers.swapping import swap as swap
