"""Backpropagation in TensorFlow, written by hand, proven right, and fast enough to use.

The same network is written three times: `tfbp.reference` (NumPy float64), `tfbp.manual` (TensorFlow, every gradient
coded by hand) and `tfbp.tape` (TensorFlow under GradientTape). `tfbp.agreement` shows that they agree; `tfbp.Model`
trains with them.
"""

from importlib import import_module
from typing import Any

from tfbp.checks import InputError as InputError
from tfbp.network.attention import GroupedQueryAttention as GroupedQueryAttention
from tfbp.network.attention import MultiHeadAttention as MultiHeadAttention
from tfbp.network.bidirectional import Bidirectional as Bidirectional
from tfbp.network.convolution import Conv2D as Conv2D
from tfbp.network.convolution import DepthwiseConv2D as DepthwiseConv2D
from tfbp.network.dense import Dense as Dense
from tfbp.network.dropout import Dropout as Dropout
from tfbp.network.embedding import Embedding as Embedding
from tfbp.network.linear_cross_entropy import LinearCrossEntropy as LinearCrossEntropy
from tfbp.network.network import Network as Network
from tfbp.network.normalization import BatchNormalization as BatchNormalization
from tfbp.network.normalization import GroupNormalization as GroupNormalization
from tfbp.network.normalization import LayerNormalization as LayerNormalization
from tfbp.network.normalization import RMSNormalization as RMSNormalization
from tfbp.network.pooling import AveragePooling2D as AveragePooling2D
from tfbp.network.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from tfbp.network.pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from tfbp.network.pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from tfbp.network.pooling import MaxPooling2D as MaxPooling2D
from tfbp.network.position import PositionEmbedding as PositionEmbedding
from tfbp.network.position import RotaryEmbedding as RotaryEmbedding
from tfbp.network.recurrent import GRU as GRU
from tfbp.network.recurrent import LSTM as LSTM
from tfbp.network.recurrent import SimpleRNN as SimpleRNN
from tfbp.network.residual import Residual as Residual
from tfbp.network.shapes import Flatten as Flatten
from tfbp.network.shapes import Reshape as Reshape
from tfbp.network.tokens import Tokens as Tokens
from tfbp.remembered_compile import remember
from tfbp.vocabulary import L1L2 as L1L2
from tfbp.vocabulary import Activation as Activation
from tfbp.vocabulary import Loss as Loss

__version__ = "0.2.0"

# these need TensorFlow, whose import takes seconds that the rest of the package does not
_LAZY = {
    "Model": "tfbp.training.model",
    "Report": "tfbp.checking.report",
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
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "GradientStatistics",
    "GroupNormalization",
    "GroupedQueryAttention",
    "InputError",
    "LayerNormalization",
    "LinearCrossEntropy",
    "Loss",
    "MaxPooling2D",
    "Model",
    "MultiHeadAttention",
    "Network",
    "PositionEmbedding",
    "Privacy",
    "RMSNormalization",
    "Report",
    "Reshape",
    "Residual",
    "RotaryEmbedding",
    "SimpleRNN",
    "Tokens",
    "__version__",
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
    "tape",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(f"tfbp.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


remember()
