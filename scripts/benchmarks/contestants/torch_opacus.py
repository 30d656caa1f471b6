"""Opacus, in a process of its own: the models of benchmark_private.py. Run by that script."""

import json
import resource
import statistics
import sys
import time
import warnings

import numpy as np
import torch
from opacus import PrivacyEngine
from opacus.layers import DPLSTM, DPMultiheadAttention
from torch import nn

BATCH, STEPS = 256, 40


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


def main(mode, name):
    warnings.simplefilter("ignore")
    model, x, y = made(name)
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=BATCH)
    engine, options = PrivacyEngine(), {"noise_multiplier": 1.0, "max_grad_norm": 1.0}
    if mode == "ghost":
        options |= {"criterion": criterion, "grad_sample_mode": "ghost"}
        model, optimizer, criterion, data = engine.make_private(
            module=model, optimizer=optimizer, data_loader=data, **options
        )
    else:
        model, optimizer, data = engine.make_private(module=model, optimizer=optimizer, data_loader=data, **options)
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        for given, labels in data:
            optimizer.zero_grad()
            criterion(model(given), labels).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ms": 1000 * statistics.median(seconds[1:]) / STEPS, "peak_mb": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
