"""Backpropagation in TensorFlow, written by hand, proven right, and fast enough to use.

The same network is written three times: `tfbp.reference` (NumPy float64), `tfbp.manual` (TensorFlow, every gradient
coded by hand) and `tfbp.tape` (TensorFlow under GradientTape). `tfbp.agreement` shows that they agree; `tfbp.Model`
trains with them.
"""

from importlib import import_module
from typing import Any

from tfbp.checks import InputError as InputError
from tfbp.network import Dense as Dense
from tfbp.network import Network as Network
from tfbp.vocabulary import L1L2 as L1L2
from tfbp.vocabulary import Activation as Activation
from tfbp.vocabulary import Loss as Loss

__version__ = "0.1.0"


# these need TensorFlow, whose import takes seconds that the rest of the package does not
_LAZY = {
    "Model": "tfbp.training.model",
    "evaluate": "tfbp.fitting",
    "fit": "tfbp.fitting",
    "predict": "tfbp.fitting",
    "GradientStatistics": "tfbp.training.gradient_statistics",
    "gradient_statistics": "tfbp.training.gradient_statistics",
    "per_example_gradient_norms": "tfbp.training.gradient_statistics",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in ("fitting", "layers", "losses", "training"):
        return import_module(f"tfbp.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
