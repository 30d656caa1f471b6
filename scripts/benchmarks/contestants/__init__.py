"""The benchmark's contestants. A contestant is a class in a module of its own:

    Class(problem, **options)            builds the network with the problem's weights, and takes its data
    .follow(steps) -> list[float]        trains on the first batches, unshuffled: the loss of each, before its update
    .train(epochs, shuffle) -> seconds   trains, and waits until it is done; None where the call's own time is meant
    .weights() -> list[array]            kernel, bias, kernel, bias, …
    .device                              where it trains, "cpu" or "gpu"; the class's own where it can be nowhere else

It raises `Unavailable` where it cannot take part.
"""

from dataclasses import dataclass, field
from typing import Any


class Unavailable(Exception):
    """A contestant cannot take part; the message has the reason."""


@dataclass(frozen=True)
class Entry:
    """A contestant by its label in tables and charts. The limit computes no gradients, and passes no gate."""

    label: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    gated: bool = True


CONTESTANTS = {
    "manual": Entry("tfbp.Model, manual", "benchmarks.contestants.tfbp_model:TfbpModel", {"gradients": "manual"}),
    "tape": Entry("tfbp.Model, tape", "benchmarks.contestants.tfbp_model:TfbpModel", {"gradients": "tape"}),
    "keras": Entry("Keras fit", "benchmarks.contestants.keras_fit:KerasFit"),
    # "auto" means no XLA on a CPU
    "keras-jit": Entry("Keras fit, XLA", "benchmarks.contestants.keras_fit:KerasFit", {"jit_compile": True}),
    "keras-epoch": Entry("Keras fit, whole epochs", "benchmarks.contestants.keras_fit:KerasFit", {"whole_epoch": True}),
    "jax-step": Entry("JAX, jit step", "benchmarks.contestants.jax_step:JaxStep"),
    "jax-scan": Entry("JAX, scan of an epoch", "benchmarks.contestants.jax_scan:JaxScan"),
    "torch": Entry("PyTorch, eager", "benchmarks.contestants.pytorch:PyTorch"),
    "torch-compile": Entry("PyTorch, torch.compile", "benchmarks.contestants.pytorch:PyTorch", {"compiled": True}),
    "sklearn": Entry("scikit-learn", "benchmarks.contestants.scikit_learn:ScikitLearn"),
    "numpy": Entry("NumPy by hand", "benchmarks.contestants.numpy_by_hand:NumpyByHand"),
    "limit": Entry("limit: matrix products", "benchmarks.contestants.limit:Limit", gated=False),
}
