"""Writes the text that a network of characters generates after each epoch to TensorBoard."""

from __future__ import annotations

import numpy as np

from tfbp import reference
from tfbp.commands.trajectory import Epoch
from tfbp.console.run_directory import RunDirectory
from tfbp.datasets import Dataset
from tfbp.network import Network, Parameters
from tfbp.reference.softmax import softmax_forward

LENGTH = 100


class TextSamples:
    """Generates, after every epoch of every writing, a text that continues the first validation window.

    Characters are drawn by equal random numbers: parameters that agree to rounding write the same text.
    """

    def __init__(self, directory: RunDirectory, network: Network, dataset: Dataset, seed: int) -> None:
        self._directory, self._network, self._dataset, self._seed = directory, network, dataset, seed
        self.last: dict[str, str] = {}

    def add(self, epoch: Epoch, parameters: Parameters) -> None:
        import tensorflow as tf

        start, generator = self._dataset.x_validation[0], np.random.default_rng(self._seed)
        tokens = continued(self._network, parameters, start, LENGTH, generator)
        text = "".join(self._dataset.characters[token] for token in tokens)
        self.last[epoch.writing] = text
        # a separate run: another writer has the curves' run open
        writer = self._directory.writer(epoch.writing, "text")
        with writer.as_default(step=epoch.number):
            # TensorBoard reads Markdown, and four spaces before a line keep it as it is
            tf.summary.text("sample", "\n".join(f"    {line}" for line in text.split("\n")))
        writer.flush()


def continued(
    network: Network, parameters: Parameters, start: np.ndarray, count: int, generator: np.random.Generator
) -> list[int]:
    """Returns `count` tokens, each drawn from the network's output after the T tokens before it.

    Args:
        start: (T,), the tokens before the first.
    """
    tokens = list(start)
    links = network.layers[-1].applied_activation.name == "softmax"
    for _ in range(count):
        outputs = reference.forward(network, parameters, np.array([tokens[-len(start) :]]))[0, -1]
        probabilities = outputs if links else softmax_forward(outputs)
        # the first cumulative sum above the draw
        sums = probabilities.cumsum()
        tokens.append(int(np.searchsorted(sums, generator.random() * sums[-1], side="right")))
    return tokens[len(start) :]
