"""Opacus, in a process of its own: the models of benchmark_private.py. Run by that script."""

import json
import resource
import sys
import time
import warnings

import numpy as np
import torch
from opacus import PrivacyEngine
from opacus.layers import DPLSTM, DPMultiheadAttention
from torch import nn

BATCH, STEPS, GATE = 256, 40, 12
# seconds of a step of a mode that cannot be the fastest
SLOW = 0.5


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = DPLSTM(16, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = DPMultiheadAttention(64, 4, batch_first=True)
        self.first, self.second = nn.LayerNorm(64), nn.LayerNorm(64)
        self.inner = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = self.first(x + self.attention(x, x, x)[0])
        return self.head(self.second(x + self.inner(x)).mean(1))


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.hidden, self.head = nn.Embedding(65536, 16), nn.Linear(16, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(self.table(x).mean(1))))


def made(name):
    name = name.removesuffix("-adam")
    rows, rng = STEPS * BATCH, np.random.default_rng(0)
    shapes = {"mlp": (784,), "cnn": (1, 28, 28), "lstm": (32, 16), "encoder": (32, 64)}
    x = rng.integers(0, 65536, (rows, 32)) if name == "embedding" else rng.normal(size=(rows, *shapes[name]))
    x = torch.tensor(x) if name == "embedding" else torch.tensor(x, dtype=torch.float32)
    models = {
        "mlp": lambda: nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
        ),
        "cnn": lambda: nn.Sequential(
            *(nn.Conv2d(1, 16, 8, 2, padding=3), nn.Tanh(), nn.MaxPool2d(2, 1)),
            *(nn.Conv2d(16, 32, 4, 2), nn.Tanh(), nn.MaxPool2d(2, 1)),
            *(nn.Flatten(), nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10)),
        ),
        "lstm": Last,
        "encoder": Encoder,
        "embedding": Embedded,
    }
    return models[name](), x, torch.tensor(rng.integers(0, 10, rows))


def private(mode, model, optimizer, noise, clip, rows, batch):
    """Returns the model, the optimizer and the loss of a mode, as `PrivacyEngine` makes them for such data."""
    criterion = nn.CrossEntropyLoss()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(rows, 1)), batch_size=batch)
    options = {"noise_multiplier": noise, "max_grad_norm": clip, "grad_sample_mode": mode}
    given = {"module": model, "optimizer": optimizer, "data_loader": data, "poisson_sampling": noise > 0}
    if mode == "ghost":
        model, optimizer, criterion, _ = PrivacyEngine().make_private(**given, criterion=criterion, **options)
    else:
        model, optimizer, _ = PrivacyEngine().make_private(**given, **options)
    return model, optimizer, criterion


def wrong_by(mode, name):
    """Returns how far one step without noise over GATE examples is from one backward pass an example."""
    torch.manual_seed(0)
    model, x, y = made(name)
    x, y, criterion = x[:GATE], y[:GATE], nn.CrossEntropyLoss()
    gradients = []
    for row in range(GATE):
        model.zero_grad()
        criterion(model(x[row : row + 1]), y[row : row + 1]).backward()
        gradients.append([parameter.grad.clone().double() for parameter in model.parameters()])
    norms = torch.stack([torch.sqrt(sum((gradient**2).sum() for gradient in of_one)) for of_one in gradients])
    clip = float(norms.median())
    factors = torch.clamp(clip / (norms + 1e-6), max=1)
    before = [parameter.detach().clone().double() for parameter in model.parameters()]
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model, optimizer, criterion = private(mode, model, optimizer, 0.0, clip, GATE, GATE)
    optimizer.zero_grad()
    criterion(model(x), y).backward()
    optimizer.step()
    moved = [a - b.detach().double() for a, b in zip(before, model.parameters(), strict=True)]
    right = [
        sum(f * g for f, g in zip(factors, of_variable, strict=True)) / GATE
        for of_variable in zip(*gradients, strict=True)
    ]
    off = sum(((a - b) ** 2).sum() for a, b in zip(moved, right, strict=True))
    return float(torch.sqrt(off / sum((gradient**2).sum() for gradient in right)))


def main(mode, name):
    warnings.simplefilter("ignore")
    before = _peak()
    try:
        error = wrong_by(mode, name)
        if not error < 1e-4:
            raise ValueError(f"the clipped sum is wrong by {error:.2g} of its size")
        model, x, y = made(name)
        rule = torch.optim.Adam if name.endswith("-adam") else torch.optim.SGD
        optimizer = rule(model.parameters(), lr=1e-3 if name.endswith("-adam") else 0.1)
        model, optimizer, criterion = private(mode, model, optimizer, 1.0, 1.0, len(x), BATCH)
        least = min(epoch(model, optimizer, criterion, x, y, steps=1) for _ in range(3))
        if least > SLOW:
            raise ValueError(f"a step takes {least:.1f} s")
        epoch(model, optimizer, criterion, x, y)
    except Exception as wrong:
        print(json.dumps({"wrong": f"{type(wrong).__name__}: {wrong}"}), flush=True)
        return
    print(json.dumps({"wrong_by": error}), flush=True)
    while sys.stdin.readline():
        print(epoch(model, optimizer, criterion, x, y), flush=True)
    print(_peak() - before, flush=True)


def epoch(model, optimizer, criterion, x, y, steps=STEPS):
    """Trains, and returns the seconds."""
    begun = time.perf_counter()
    for _ in range(steps):
        rows = torch.nonzero(torch.rand(len(x)) < BATCH / len(x)).flatten()
        optimizer.zero_grad()
        criterion(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return time.perf_counter() - begun


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
