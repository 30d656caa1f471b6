"""Alternatives to Keras on TensorFlow: the same model under Keras on JAX, or a plain PyTorch loop.

Each in a process of its own, as `python -m benchmarks.fit_peers PEER MODEL ROUNDS STEPS`: microseconds a step, one
number a round, after one that is not counted. PyTorch runs eagerly; Adam and accuracy, as with Keras.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.fit_data import BATCH, DATA, data

# a train_step of their own is written in TensorFlow, or the model has no twin here
LACKING = {"keras-jax": ("vae", "gan"), "torch": ("vae", "gan", "mobilenet")}


def is_there(peer: str, name: str) -> bool:
    """Whether a peer is installed and has a model."""
    return find_spec("jax" if peer == "keras-jax" else "torch") is not None and name not in LACKING[peer]


def keras_on_jax(name: str, steps: int) -> Callable[[], Any]:
    """Returns a function that runs an epoch of Keras's fit, many steps in one call; run under KERAS_BACKEND=jax."""
    from benchmarks.fit_race import compiled

    x, y = data(name, steps * BATCH)
    model = compiled(name, steps_per_execution=steps)
    return lambda: model.fit(x, y, batch_size=BATCH, verbose=0)


def torch_loop(name: str, steps: int) -> Callable[[], Any]:
    """An epoch of shuffled batches, taken by index from tensors in memory. TensorFlow beside it ends in a crash."""
    import torch

    from benchmarks.fit_torch import NETWORKS

    x, y = map(torch.as_tensor, data(name, steps * BATCH))
    has_labels = DATA[name][1] == "labels"
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    network = NETWORKS[name]()
    optimizer = torch.optim.Adam(network.parameters())
    loss_of = torch.nn.functional.cross_entropy if has_labels else torch.nn.functional.mse_loss

    def epoch() -> Any:
        right = total = torch.zeros(())
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            outputs, wanted = network(x[rows]), y[rows]
            loss = loss_of(outputs, wanted)
            loss.backward()
            optimizer.step()
            total = total + loss.detach()
            if has_labels:
                right = right + (outputs.argmax(-1) == wanted).sum()
        return float(total), float(right)

    return epoch


def main(peer: str, name: str, rounds: int, steps: int) -> list[float]:
    epoch = (keras_on_jax if peer == "keras-jax" else torch_loop)(name, steps)
    times = []
    for turn in range(rounds + 1):
        started = time.perf_counter()
        epoch()
        if turn:
            times.append((time.perf_counter() - started) / steps * 1e6)
    return times


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
