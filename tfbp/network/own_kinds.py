"""tfbp's own kinds of layers. `tfbp` and `tfbp.network` have all of them, and `from_json` finds them by their names."""

from tfbp.network.attention import GroupedQueryAttention, MultiHeadAttention
from tfbp.network.bidirectional import Bidirectional
from tfbp.network.convolution import Conv2D, DepthwiseConv2D
from tfbp.network.dense import Dense
from tfbp.network.dropout import Dropout
from tfbp.network.einsum import EinsumDense
from tfbp.network.embedding import Embedding
from tfbp.network.kinds import known
from tfbp.network.linear_cross_entropy import LinearCrossEntropy
from tfbp.network.masks import AnyOf, LogicalOr, NotEqual
from tfbp.network.merge import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from tfbp.network.noise import GaussianNoise
from tfbp.network.normalization import BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization
from tfbp.network.padding import Cropping1D, Cropping2D, Cropping3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D
from tfbp.network.pooling import (
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from tfbp.network.position import PositionEmbedding, RotaryEmbedding
from tfbp.network.rearranging import GetItem, Permute, RepeatVector, Stack
from tfbp.network.recurrent import GRU, LSTM, SimpleRNN
from tfbp.network.residual import Residual
from tfbp.network.scaling import LayerScale, Normalization, Rescaling
from tfbp.network.sequences import AveragePooling1D, Conv1D, DepthwiseConv1D, GlobalMaxPooling1D, MaxPooling1D
from tfbp.network.shapes import Flatten, Reshape
from tfbp.network.transposed import Conv1DTranspose, Conv2DTranspose
from tfbp.network.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
from tfbp.network.volumes import AveragePooling3D, Conv3D, GlobalAveragePooling3D, GlobalMaxPooling3D, MaxPooling3D

__all__ = [
    "GRU",
    "LSTM",
    "Add",
    "AnyOf",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "LayerNormalization",
    "LayerScale",
    "LinearCrossEntropy",
    "LogicalOr",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "NotEqual",
    "Permute",
    "PositionEmbedding",
    "RMSNormalization",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Residual",
    "RotaryEmbedding",
    "SimpleRNN",
    "Stack",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]

for _name in __all__:
    known(globals()[_name])
