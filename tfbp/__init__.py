"""Backpropagation in TensorFlow, written by hand, proven right, and fast enough to use.

The same network is written three times: `tfbp.reference` (NumPy float64), `tfbp.manual` (TensorFlow, every gradient
coded by hand) and `tfbp.tape` (TensorFlow under GradientTape). `tfbp.agreement` shows that they agree; `tfbp.Model`
trains with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfbp.bridge.methods import attach
from tfbp.errors import InputError as InputError
from tfbp.network.attention import GroupedQueryAttention as GroupedQueryAttention
from tfbp.network.attention import MultiHeadAttention as MultiHeadAttention
from tfbp.network.bidirectional import Bidirectional as Bidirectional
from tfbp.network.convolution import Conv2D as Conv2D
from tfbp.network.convolution import DepthwiseConv2D as DepthwiseConv2D
from tfbp.network.dense import Dense as Dense
from tfbp.network.dropout import Dropout as Dropout
from tfbp.network.einsum import EinsumDense as EinsumDense
from tfbp.network.embedding import Embedding as Embedding
from tfbp.network.input import Input as Input
from tfbp.network.kinds import register as register
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
from tfbp.remembered_compile import remember
from tfbp.versions import warn_of_untested
from tfbp.vocabulary import L1L2 as L1L2
from tfbp.vocabulary import Activation as Activation
from tfbp.vocabulary import Loss as Loss

__version__ = "0.3.0.dev0"

# a type checker reads these imports; at run time `__getattr__` delays them
if TYPE_CHECKING:
    from tfbp import agreement as agreement
    from tfbp import checking as checking
    from tfbp import datasets as datasets
    from tfbp import expressive as expressive
    from tfbp import fitting as fitting
    from tfbp import layers as layers
    from tfbp import losses as losses
    from tfbp import manual as manual
    from tfbp import privacy as privacy
    from tfbp import reference as reference
    from tfbp import tape as tape
    from tfbp import training as training
    from tfbp.agreement.of_models.api import agree as agree
    from tfbp.checking.api import assert_gradients_agree as assert_gradients_agree
    from tfbp.checking.api import check_gradients as check_gradients
    from tfbp.checking.report import Report as Report
    from tfbp.fitting.api import evaluate as evaluate
    from tfbp.fitting.api import fit as fit
    from tfbp.fitting.api import predict as predict
    from tfbp.privacy.norms import per_example_gradient_norms as per_example_gradient_norms
    from tfbp.privacy.privacy import Privacy as Privacy
    from tfbp.training.gradient_statistics import GradientStatistics as GradientStatistics
    from tfbp.training.gradient_statistics import gradient_statistics as gradient_statistics
    from tfbp.training.model import Model as Model

# these import TensorFlow, which takes seconds
_LAZY = {
    "Model": "tfbp.training.model",
    "Report": "tfbp.checking.report",
    "agree": "tfbp.agreement.of_models.api",
    "assert_gradients_agree": "tfbp.checking.api",
    "check_gradients": "tfbp.checking.api",
    "evaluate": "tfbp.fitting.api",
    "fit": "tfbp.fitting.api",
    "predict": "tfbp.fitting.api",
    "GradientStatistics": "tfbp.training.gradient_statistics",
    "gradient_statistics": "tfbp.training.gradient_statistics",
    "Privacy": "tfbp.privacy.privacy",
    "per_example_gradient_norms": "tfbp.privacy.norms",
}
_MODULES = (
    "agreement",
    "checking",
    "datasets",
    "expressive",
    "fitting",
    "layers",
    "losses",
    "manual",
    "privacy",
    "reference",
    "tape",
    "training",
)

__all__ = [
    "GRU",
    "L1L2",
    "LSTM",
    "Activation",
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
    "GradientStatistics",
    "GroupNormalization",
    "GroupedQueryAttention",
    "Input",
    "InputError",
    "Layer",
    "LayerNormalization",
    "LayerScale",
    "LinearCrossEntropy",
    "LogicalOr",
    "Loss",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Model",
    "MultiHeadAttention",
    "Multiply",
    "Network",
    "Normalization",
    "NotEqual",
    "Permute",
    "PositionEmbedding",
    "Privacy",
    "RMSNormalization",
    "RepeatVector",
    "Report",
    "Rescaling",
    "Reshape",
    "Residual",
    "RotaryEmbedding",
    "SimpleRNN",
    "Stack",
    "Subtract",
    "Tokens",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "__version__",
    "agree",
    "agreement",
    "assert_gradients_agree",
    "check_gradients",
    "checking",
    "datasets",
    "evaluate",
    "expressive",
    "fit",
    "fitting",
    "gradient_statistics",
    "layers",
    "losses",
    "manual",
    "per_example_gradient_norms",
    "predict",
    "privacy",
    "reference",
    "register",
    "tape",
    "training",
]


if not TYPE_CHECKING:  # with it, a type checker would accept every unknown name as Any

    def __getattr__(name: str) -> Any:
        if name in _LAZY:
            return getattr(import_module(_LAZY[name]), name)
        if name in _MODULES:
            return import_module(f"tfbp.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


attach()
remember()
warn_of_untested()
