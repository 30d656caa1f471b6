"""The layers with a backward written by hand. `tfbp.layers` has all of them, and `swap` puts them in for Keras's."""

from tfbp.layers.activations import ELU, Activation, LeakyReLU, ReLU
from tfbp.layers.attention import GroupedQueryAttention, MultiHeadAttention
from tfbp.layers.convolution import Conv2D, Conv3D, DepthwiseConv2D
from tfbp.layers.dense import Dense
from tfbp.layers.dropout import Dropout
from tfbp.layers.embedding import Embedding
from tfbp.layers.linear_cross_entropy import LinearCrossEntropy
from tfbp.layers.normalization import BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization
from tfbp.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from tfbp.layers.position import PositionEmbedding, RotaryEmbedding
from tfbp.layers.prelu import PReLU
from tfbp.layers.recurrent import GRU, LSTM, SimpleRNN
from tfbp.layers.reversible_embedding import ReversibleEmbedding
from tfbp.layers.scaling import LayerScale
from tfbp.layers.softmax import Softmax

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Conv3D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "LayerNormalization",
    "LayerScale",
    "LeakyReLU",
    "LinearCrossEntropy",
    "MaxPooling2D",
    "MultiHeadAttention",
    "PReLU",
    "PositionEmbedding",
    "RMSNormalization",
    "ReLU",
    "ReversibleEmbedding",
    "RotaryEmbedding",
    "SimpleRNN",
    "Softmax",
]
