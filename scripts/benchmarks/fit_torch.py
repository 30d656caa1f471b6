"""The models of `fit_models`, as a PyTorch user would write them; logits instead of probabilities."""

import itertools

import torch
from torch import nn

from benchmarks.fit_data import CLASSES


class Last(nn.Module):
    """A recurrent layer's last output."""

    def __init__(self, layer, units):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(units, CLASSES)

    def forward(self, x):
        outputs = self.layer(x)[0]
        if self.layer.bidirectional:
            half = outputs.shape[-1] // 2
            return self.head(torch.cat([outputs[:, -1, :half], outputs[:, 0, half:]], dim=-1))
        return self.head(outputs[:, -1])


class WideAndDeep(nn.Module):
    def __init__(self):
        super().__init__()
        self.deep = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.head(torch.cat([x, self.deep(x)], dim=-1))


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 16)
        self.head = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, CLASSES))

    def forward(self, x):
        return self.head(self.embedding(x).mean(1))


class Conv1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(8, 16, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 16, 5))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.head(self.body(x.transpose(1, 2)).mean(-1))


class Block(nn.Module):
    """Attention with 4 heads of 16, then two Dense; LayerNormalization after each sum."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(64, 4, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64))
        self.first, self.second = nn.LayerNorm(64), nn.LayerNorm(64)

    def forward(self, x):
        x = self.first(x + self.attention(x, x, x, need_weights=False)[0])
        return self.second(x + self.dense(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.blocks = nn.Embedding(1000, 64), nn.Sequential(Block(), Block())
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(self.blocks(self.embedding(x)).mean(1))


def tabular():
    hidden = [
        layer
        for _ in range(2)
        for layer in (nn.Linear(64, 64), nn.ReLU(), nn.BatchNorm1d(64, momentum=0.01), nn.Dropout(0.3))
    ]
    return nn.Sequential(*hidden, nn.Linear(64, CLASSES))


def cnn(shape, filters, pooling):
    def make():
        size, channels, body = shape[0], shape[-1], []
        for number in filters:
            body += [nn.Conv2d(channels, number, 3), nn.ReLU(), *([nn.MaxPool2d(2)] if pooling else [])]
            size, channels = (size - 2) // (2 if pooling else 1), number
        return nn.Sequential(*body, nn.Flatten(), nn.Linear(size * size * channels, CLASSES))

    return make


def autoencoder():
    sizes = (784, 128, 32, 128)
    pairs = itertools.pairwise(sizes)
    return nn.Sequential(*[layer for n, m in pairs for layer in (nn.Linear(n, m), nn.ReLU())], nn.Linear(128, 784))


NETWORKS = {
    "tabular": tabular,
    "wide-and-deep": WideAndDeep,
    "text": Text,
    "lstm": lambda: Last(nn.LSTM(8, 32, batch_first=True), 32),
    "gru": lambda: Last(nn.GRU(8, 32, batch_first=True), 32),
    "bidirectional": lambda: Last(nn.LSTM(8, 16, batch_first=True, bidirectional=True), 32),
    "conv1d": Conv1d,
    "cnn-8": cnn((8, 8, 1), (16, 16), False),
    "cnn-28": cnn((28, 28, 1), (16, 32), True),
    "cnn-32": cnn((32, 32, 3), (32, 64), True),
    "autoencoder": autoencoder,
    "transformer": Transformer,
}
