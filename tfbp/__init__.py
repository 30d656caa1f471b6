"""Backpropagation in TensorFlow, written by hand, proven right, and fast enough to use.

The same network is written three times: `tfbp.reference` (NumPy float64), `tfbp.manual` (TensorFlow, every gradient
coded by hand) and `tfbp.tape` (TensorFlow under GradientTape). `tfbp.agreement` shows that they agree; `tfbp.Model`
trains with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfbp.bridge.methods import attach
from tfbp.errors import InputError as InputError
from tfbp.network import own_kinds
from tfbp.network.input import Input as Input
from tfbp.network.kinds import register as register
from tfbp.network.layer import Layer as Layer
from tfbp.network.network import Network as Network
from tfbp.network.own_kinds import *  # noqa: F403  its __all__ has the kinds alone
from tfbp.network.tokens import Tokens as Tokens
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
    *own_kinds.__all__,
    "L1L2",
    "Activation",
    "GradientStatistics",
    "Input",
    "InputError",
    "Layer",
    "Loss",
    "Model",
    "Network",
    "Privacy",
    "Report",
    "Tokens",
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
