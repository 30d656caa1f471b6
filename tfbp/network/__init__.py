"""Describes networks in Keras's words: `Network`, and one module for each kind of layer. No arithmetic."""

from tfbp.network.activation import ActivationLayer as ActivationLayer
from tfbp.network.attention import GroupedQueryAttention as GroupedQueryAttention
from tfbp.network.attention import MultiHeadAttention as MultiHeadAttention
from tfbp.network.bidirectional import Bidirectional as Bidirectional
from tfbp.network.chain import Node as Node
from tfbp.network.chain import Place as Place
from tfbp.network.chain import at as at
from tfbp.network.chain import is_part as is_part
from tfbp.network.chain import map_weights as map_weights
from tfbp.network.chain import named_weights as named_weights
from tfbp.network.chain import placed as placed
from tfbp.network.convolution import Conv2D as Conv2D
from tfbp.network.convolution import DepthwiseConv2D as DepthwiseConv2D
from tfbp.network.dense import Dense as Dense
from tfbp.network.dropout import Dropout as Dropout
from tfbp.network.einsum import EinsumDense as EinsumDense
from tfbp.network.embedding import Embedding as Embedding
from tfbp.network.graph import Call as Call
from tfbp.network.graph import Graph as Graph
from tfbp.network.graph import Symbol as Symbol
from tfbp.network.initializers import Initializer as Initializer
from tfbp.network.input import Input as Input
from tfbp.network.kinds import is_known as is_known
from tfbp.network.kinds import kinds as kinds
from tfbp.network.kinds import known as known
from tfbp.network.kinds import register as register
from tfbp.network.kinds import registered as registered
from tfbp.network.kinds import writings_of as writings_of
from tfbp.network.layer import Layer as Layer
from tfbp.network.linear_cross_entropy import LinearCrossEntropy as LinearCrossEntropy
from tfbp.network.masks import AnyOf as AnyOf
from tfbp.network.masks import LogicalOr as LogicalOr
from tfbp.network.masks import NotEqual as NotEqual
from tfbp.network.merge import Add as Add
from tfbp.network.merge import Average as Average
from tfbp.network.merge import Concatenate as Concatenate
from tfbp.network.merge import Dot as Dot
from tfbp.network.merge import Maximum as Maximum
from tfbp.network.merge import Minimum as Minimum
from tfbp.network.merge import Multiply as Multiply
from tfbp.network.merge import Subtract as Subtract
from tfbp.network.network import Network as Network
from tfbp.network.network import Parameters as Parameters
from tfbp.network.noise import GaussianNoise as GaussianNoise
from tfbp.network.normalization import BatchNormalization as BatchNormalization
from tfbp.network.normalization import GroupNormalization as GroupNormalization
from tfbp.network.normalization import LayerNormalization as LayerNormalization
from tfbp.network.normalization import RMSNormalization as RMSNormalization
from tfbp.network.padding import Cropping1D as Cropping1D
from tfbp.network.padding import Cropping2D as Cropping2D
from tfbp.network.padding import Cropping3D as Cropping3D
from tfbp.network.padding import ZeroPadding1D as ZeroPadding1D
from tfbp.network.padding import ZeroPadding2D as ZeroPadding2D
from tfbp.network.padding import ZeroPadding3D as ZeroPadding3D
from tfbp.network.pooling import AveragePooling2D as AveragePooling2D
from tfbp.network.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from tfbp.network.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from tfbp.network.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from tfbp.network.pooling import MaxPooling2D as MaxPooling2D
from tfbp.network.position import PositionEmbedding as PositionEmbedding
from tfbp.network.position import RotaryEmbedding as RotaryEmbedding
from tfbp.network.rearranging import GetItem as GetItem
from tfbp.network.rearranging import Permute as Permute
from tfbp.network.rearranging import RepeatVector as RepeatVector
from tfbp.network.rearranging import Stack as Stack
from tfbp.network.recurrent import GRU as GRU
from tfbp.network.recurrent import LSTM as LSTM
from tfbp.network.recurrent import SimpleRNN as SimpleRNN
from tfbp.network.residual import Residual as Residual
from tfbp.network.scaling import LayerScale as LayerScale
from tfbp.network.scaling import Normalization as Normalization
from tfbp.network.scaling import Rescaling as Rescaling
from tfbp.network.sequences import AveragePooling1D as AveragePooling1D
from tfbp.network.sequences import Conv1D as Conv1D
from tfbp.network.sequences import DepthwiseConv1D as DepthwiseConv1D
from tfbp.network.sequences import GlobalMaxPooling1D as GlobalMaxPooling1D
from tfbp.network.sequences import MaxPooling1D as MaxPooling1D
from tfbp.network.setting import Setting as Setting
from tfbp.network.shapes import Flatten as Flatten
from tfbp.network.shapes import Reshape as Reshape
from tfbp.network.tokens import Tokens as Tokens
from tfbp.network.transposed import Conv1DTranspose as Conv1DTranspose
from tfbp.network.transposed import Conv2DTranspose as Conv2DTranspose
from tfbp.network.upsampling import UpSampling1D as UpSampling1D
from tfbp.network.upsampling import UpSampling2D as UpSampling2D
from tfbp.network.upsampling import UpSampling3D as UpSampling3D
from tfbp.network.volumes import AveragePooling3D as AveragePooling3D
from tfbp.network.volumes import Conv3D as Conv3D
from tfbp.network.volumes import GlobalAveragePooling3D as GlobalAveragePooling3D
from tfbp.network.volumes import GlobalMaxPooling3D as GlobalMaxPooling3D
from tfbp.network.volumes import MaxPooling3D as MaxPooling3D

# tfbp's own kinds: `from_json` finds them by their names
for _kind in (
    ActivationLayer,
    Add,
    AnyOf,
    Average,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    BatchNormalization,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Dense,
    DepthwiseConv1D,
    DepthwiseConv2D,
    Dot,
    Dropout,
    EinsumDense,
    Embedding,
    Flatten,
    GRU,
    GaussianNoise,
    GetItem,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    GroupNormalization,
    GroupedQueryAttention,
    LSTM,
    LayerNormalization,
    LayerScale,
    LinearCrossEntropy,
    LogicalOr,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
    Maximum,
    Minimum,
    MultiHeadAttention,
    Multiply,
    Normalization,
    NotEqual,
    Permute,
    PositionEmbedding,
    RMSNormalization,
    RepeatVector,
    Rescaling,
    Reshape,
    Residual,
    RotaryEmbedding,
    SimpleRNN,
    Stack,
    Subtract,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
):
    known(_kind)
