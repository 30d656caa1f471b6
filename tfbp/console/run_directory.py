"""Writes a run's curves and parameters to a directory that TensorBoard reads and that survives a kill.

<directory>/run.json                              the settings; at the end of the run, the results too
<directory>/<writing>/train, …/validation         curves; equal tags share a chart
<directory>/<writing>/parameters.npz              after the last whole epoch
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from tfbp.errors import InputError
from tfbp.network import Network, Parameters, named_weights

ACCEPTED = "accepted: a new or empty directory that can be written"


class RunDirectory:
    """The directory of a new run. Everything written stays readable when the process is killed.

    Args:
        path: a directory that does not exist, or is empty.
        description: the run's settings, saved in run.json.

    Raises:
        InputError: a path that is a file, cannot be written, or contains a run, complete or not.
    """

    def __init__(self, path: str | Path, description: dict[str, Any]) -> None:
        self.path = Path(path)
        self._description = description
        self._writers: dict[Path, Any] = {}
        check_free(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_description({"finished": False})
        except OSError as error:
            raise InputError(f"log-dir: got {str(path)!r} ({error.strerror}); {ACCEPTED}.") from error

    def log(self, writing: str, split: str, epoch: int, loss: float, accuracy: float) -> None:
        """Writes one point of the curves epoch_loss and epoch_accuracy of `<writing>/<split>` to disk."""
        import tensorflow as tf

        writer = self.writer(writing, split)
        with writer.as_default(step=epoch):
            # curves are float32: a loss above its range is infinite there, which is not an error
            for name, value in (("epoch_loss", loss), ("epoch_accuracy", accuracy)):
                tf.summary.scalar(name, tf.cast(tf.constant(value, tf.float64), tf.float32))
        writer.flush()

    def writer(self, writing: str, split: str) -> Any:
        """Returns the `tf.summary` writer of `<writing>/<split>`."""
        import tensorflow as tf

        place = self.path / writing / split
        if place not in self._writers:
            self._writers[place] = tf.summary.create_file_writer(str(place))
        return self._writers[place]

    def save(self, writing: str, network: Network, parameters: Parameters) -> None:
        """Replaces the parameters and the network of the epoch before; a kill leaves the old or the new ones."""
        place = self.path / writing
        place.mkdir(exist_ok=True)
        arrays: dict[str, Any] = {"/".join(map(str, (*at, name))): w for at, name, w in named_weights(parameters)}
        partial = place / "parameters.partial.npz"
        np.savez(partial, network=np.array(network.to_json()), **arrays)
        os.replace(partial, place / "parameters.npz")

    def finish(self, results: dict[str, Any]) -> None:
        """Closes the curves, and writes the results to run.json."""
        for writer in self._writers.values():
            writer.close()
        self._write_description({"finished": True, "results": results})

    def _write_description(self, state: dict[str, Any]) -> None:
        partial = self.path / "run.json.partial"
        partial.write_text(json.dumps({**self._description, **state}, indent=1) + "\n")
        os.replace(partial, self.path / "run.json")


def check_free(path: str | Path) -> None:
    """Raises `InputError` where a new run would overwrite something."""
    if found := _what_is_in(Path(path)):
        raise InputError(f"log-dir: got {str(path)!r}, which {found}; {ACCEPTED}.")


def _what_is_in(path: Path) -> str:
    """Returns the cause why the directory cannot take a new run; empty where it can."""
    if path.exists() and not path.is_dir():
        return "is a file"
    try:
        if not path.exists() or not any(path.iterdir()):
            return ""
        finished = json.loads((path / "run.json").read_text())["finished"]
    except FileNotFoundError:
        return "is not empty and holds no run"
    except OSError as error:
        return f"holds no run that can be read ({error.strerror})"
    except (ValueError, KeyError, TypeError):
        return "holds a run with a damaged run.json"
    return "holds a finished run" if finished else "holds a run that was stopped or still goes on"
