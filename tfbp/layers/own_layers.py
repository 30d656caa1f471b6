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
from tfbp.layers.sequences import (
    AveragePooling1D,
    Conv1D,
    DepthwiseConv1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from tfbp.layers.softmax import Softmax

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "LayerNormalization",
    "LayerScale",
    "LeakyReLU",
    "LinearCrossEntropy",
    "MaxPooling1D",
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
