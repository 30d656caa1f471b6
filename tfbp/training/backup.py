"""A backup after every epoch of a `tfbp.Model`, which knows its network, and of several workers lets one write."""

from __future__ import annotations

import keras

from tfbp import fitting
from tfbp.network import Network
from tfbp.training.workers import is_chief


class BackupAndRestore(fitting.BackupAndRestore):
    """`tfbp.fitting.BackupAndRestore` of a `tfbp.Model`, or any Keras model: refuses the backup of another network.

    The order of an epoch's batches follows from the model's seed and the epoch's number. Of several workers the first
    writes, and all read: give them one directory on a file system that they share.

    Args:
        backup_dir, delete_checkpoint: as `tfbp.fitting.BackupAndRestore`.

    Raises:
        InputError, OSError: as `tfbp.fitting.BackupAndRestore`.

    Example:
        >>> import tempfile, numpy as np
        >>> from tfbp import Dense, Model, Network
        >>> def fit(epochs, directory):
        ...     model = Model(Network(1, [Dense(1)], "mean_squared_error"))
        ...     model.compile("sgd")
        ...     backup = BackupAndRestore(directory, delete_checkpoint=False)
        ...     return model.fit(np.ones((4, 1)), np.ones(4), epochs=epochs, verbose=0, callbacks=[backup]).epoch
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     fit(2, directory), fit(5, directory)
        ([0, 1], [2, 3, 4])
    """

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        # any other Keras model is known by the shapes of its weights
        network = getattr(model, "network", None)
        self._network = network if isinstance(network, Network) else None
        self.kind = "model" if self._network is None else "network"

    def _identity(self) -> str:
        return super()._identity() if self._network is None else self._network.to_json()

    def _writes(self) -> bool:
        return is_chief(self.model.distribute_strategy)
