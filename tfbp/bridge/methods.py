"""Adds `Network.from_keras` and `Network.to_keras` to the class; a call imports Keras, not the definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfbp.network.network import Network, Parameters
from tfbp.vocabulary import Loss

if TYPE_CHECKING:
    import keras


def _from_keras(cls: type[Network], model: keras.Model, loss: str | Loss | None = None) -> tuple[Network, Parameters]:
    """Returns the network and parameters of a built Keras model; see `tfbp.bridge.models`."""
    from tfbp.bridge.models import from_keras

    return from_keras(model, loss)


def _to_keras(
    self: Network, parameters: Sequence[Mapping[str, Any]], dtype: str = "float32", layers: Any = None
) -> keras.Model:
    """Returns a Keras model with these parameters, of Keras's layers or `tfbp.layers`; see `tfbp.bridge.to_keras`."""
    from tfbp.bridge.to_keras import to_keras

    return to_keras(self, parameters, dtype, **({} if layers is None else {"layers": layers}))


def attach() -> None:
    """Adds the two methods to `Network`, which must not import the bridge itself."""
    Network.from_keras = classmethod(_from_keras)  # type: ignore[assignment]
    Network.to_keras = _to_keras
