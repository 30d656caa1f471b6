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

from tfbp.layers.activations import ELU as ELU
from tfbp.layers.activations import Activation as Activation
from tfbp.layers.activations import LeakyReLU as LeakyReLU
from tfbp.layers.activations import ReLU as ReLU
from tfbp.layers.attention import GroupedQueryAttention as GroupedQueryAttention
from tfbp.layers.attention import MultiHeadAttention as MultiHeadAttention
from tfbp.layers.convolution import Conv2D as Conv2D
from tfbp.layers.convolution import Conv3D as Conv3D
from tfbp.layers.convolution import DepthwiseConv2D as DepthwiseConv2D
from tfbp.layers.dense import Dense as Dense
from tfbp.layers.dropout import Dropout as Dropout
from tfbp.layers.embedding import Embedding as Embedding
from tfbp.layers.linear_cross_entropy import LinearCrossEntropy as LinearCrossEntropy
from tfbp.layers.normalization import BatchNormalization as BatchNormalization
from tfbp.layers.normalization import GroupNormalization as GroupNormalization
from tfbp.layers.normalization import LayerNormalization as LayerNormalization
from tfbp.layers.normalization import RMSNormalization as RMSNormalization
from tfbp.layers.pooling import AveragePooling2D as AveragePooling2D
from tfbp.layers.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from tfbp.layers.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from tfbp.layers.pooling import MaxPooling2D as MaxPooling2D
from tfbp.layers.position import PositionEmbedding as PositionEmbedding
from tfbp.layers.position import RotaryEmbedding as RotaryEmbedding
from tfbp.layers.prelu import PReLU as PReLU
from tfbp.layers.recurrent import GRU as GRU
from tfbp.layers.recurrent import LSTM as LSTM
from tfbp.layers.recurrent import SimpleRNN as SimpleRNN
from tfbp.layers.reversible_embedding import ReversibleEmbedding as ReversibleEmbedding
from tfbp.layers.scaling import LayerScale as LayerScale
from tfbp.layers.softmax import Softmax as Softmax
from tfbp.layers.swapping import swap as swap
