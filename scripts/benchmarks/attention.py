"""Time causal self-attention, its value and all gradients, by tfbp's layer, Keras's own and PyTorch; and their memory.

Batch 2, width 128, 4 heads of 32, float32. First all must compute the same numbers. Then they take turns in one
process. A second process measures the peak memory of each contestant beyond the memory before its first call.
"""

import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from benchmarks.layer_race import MODES, Call, by_keras, in_turns
from tfbp import layers

UNIT = "Milliseconds of the value and all gradients, and the most MB beside what was held before"
TASK = "causal self-attention, float32"
STEPS, BATCH, WIDTH, HEADS = (128, 512, 1024, 4096), 2, 128, 4
Parameters = list[np.ndarray]


def run(pairs: int, seconds: float, device: str = "cpu") -> tuple[Table, list[dict]]:
    """Returns the table and its numbers; prints a line on stderr for each finished row."""
    names = ["tfbp", "keras", *(["torch"] if importlib.util.find_spec("torch") else [])]
    numbers = (*(f"{name} ms" for name in names), "tfbp / keras", "median", *(f"{name} MB" for name in names[:2]))
    table = Table(box=None, pad_edge=False)
    for heading in ("steps", "mode", *numbers):
        table.add_column(heading, justify="right" if heading in numbers else "left")
    results = []
    for steps in STEPS:
        for mode in MODES:
            times = compare(names, steps, mode, pairs, seconds)
            ratios = [ours / theirs for ours, theirs in zip(times["tfbp"], times["keras"], strict=True)]
            memory = {name: megabytes(name, steps, mode, device) for name in names[:2]}
            cells = [f"{min(times[name]):.2f}" for name in names]
            best = min(times["tfbp"]) / min(times["keras"])
            cells += [f"{best:.2f}", f"{statistics.median(ratios):.2f}", *(f"{found:.0f}" for found in memory.values())]
            table.add_row(str(steps), mode, *cells)
            print(steps, mode, *cells, file=sys.stderr, flush=True)
            results.append({"steps": steps, "mode": mode, "milliseconds": times, "megabytes": memory})
    return table, results


def compare(names: list[str], steps: int, mode: str, pairs: int, seconds: float) -> dict[str, list[float]]:
    """Returns the milliseconds of a call, by contestant and round."""
    parameters, x, dy = problem(steps)
    calls = {name: contestant(name, mode, parameters, x, dy) for name in names}
    expected = calls["keras"]()
    # one of them is 0: a key's bias adds the same to all scores of a query
    largest = max(np.abs(value).max() for value in expected)
    for name, call in calls.items():
        for got, value in zip(call(), expected, strict=True):
            np.testing.assert_allclose(got, value, rtol=0, atol=1e-4 * largest, err_msg=name)
    return in_turns(calls, pairs, seconds)


def problem(steps: int) -> tuple[Parameters, np.ndarray, np.ndarray]:
    """Returns weights in Keras's order, x and dy."""
    rng, size = np.random.default_rng(0), WIDTH // HEADS
    shapes = [(WIDTH, HEADS, size), (HEADS, size)] * 3 + [(HEADS, size, WIDTH), (WIDTH,)]
    parameters = [rng.normal(size=shape, scale=WIDTH**-0.5) for shape in shapes]
    arrays = [a.astype("float32") for a in (*parameters, *rng.normal(size=(2, BATCH, steps, WIDTH)))]
    return arrays[:-2], arrays[-2], arrays[-1]


def contestant(name: str, mode: str, parameters: Parameters, x: Any, dy: Any) -> Call:
    """Returns y, dx and the weights' gradients, in Keras's order."""
    if name == "torch":
        return by_torch(parameters, x, dy)
    layer = {"tfbp": layers, "keras": keras.layers}[name].MultiHeadAttention(HEADS, WIDTH // HEADS)
    x, dy = tf.constant(x), tf.constant(dy)
    layer.build(x.shape, x.shape)
    layer.set_weights(parameters)
    return by_keras(layer, lambda x: layer(x, x, use_causal_mask=True), x, dy, MODES[mode])


def by_torch(parameters: Parameters, x: Any, dy: Any) -> Call:
    import torch

    given = [torch.tensor(a, requires_grad=True) for a in (x, *parameters)]
    dy = torch.tensor(dy)

    def step() -> list[np.ndarray]:
        x, *weights = given
        made = [torch.einsum("btd,dnh->bnth", x, weights[i]) + weights[i + 1][:, None] for i in (0, 2, 4)]
        attended = torch.nn.functional.scaled_dot_product_attention(*made, is_causal=True)
        y = torch.einsum("bnth,nhd->btd", attended, weights[6]) + weights[7]
        return [tensor.detach().numpy() for tensor in (y, *torch.autograd.grad(y, given, dy))]

    return step


def megabytes(name: str, steps: int, mode: str, device: str) -> float:
    """Returns the most memory of a contestant's calls beyond its process's, on data of its own."""
    from tfbp.gpu_report.processes import environment

    command = [sys.executable, "-m", "benchmarks.attention", name, str(steps), mode]
    folder = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=folder, env=environment(device), check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) / 1e6


def peak(name: str, steps: int, mode: str) -> int:
    """Returns bytes of this process beyond those after a call on a few steps, which loads the shared parts."""
    from benchmarks.cross_entropy_worker import reset_peak, status

    contestant(name, mode, *problem(8))()
    call = contestant(name, mode, *problem(steps))
    held = reset_peak()
    for _ in range(2):
        call()
    return status("VmHWM") - held


if __name__ == "__main__":
    print(json.dumps(peak(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
