"""Train an LSTM at a budget of ε to tell from which of two packages a docstring's sentence is. Nothing is downloaded.

    python scripts/trials/private_text.py [--packages keras,scipy] [--epsilon 3] [--epochs 8] [--seeds 3]

The sentences are from the docstrings of the installed packages. A tenth of them, chosen by hash, is the test set. A
word's number is its hash. The script also trains the same model without privacy.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfbp.console.options import Parser

WORDS, LONGEST, DELTA, CLIP, BATCH = 4096, 32, 1e-5, 1.0, 256


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--packages", default="keras,scipy", help="two that are installed (default: keras,scipy)")
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20000, help="at most so many of either package (default: 20000)")
    arguments = parser.parse_args()

    import keras
    import numpy as np

    import tfbp

    by_package = [sorted(set(sentences(name)))[: arguments.rows] for name in arguments.packages.split(",")]
    count = min(map(len, by_package))
    texts = [(text, label) for label, words in enumerate(by_package) for text in words[:: len(words) // count][:count]]
    x, y = np.array([numbers(text) for text, _ in texts], "int32"), np.array([label for _, label in texts])
    tests = np.array([zlib.crc32(text.encode()) % 10 == 0 for text, _ in texts])
    print(f"{len(y)} sentences, {tests.sum()} of them for the test")
    for seed in range(arguments.seeds):
        for privacy in (None, tfbp.Privacy(epsilon=arguments.epsilon, delta=DELTA, clip=CLIP)):
            keras.utils.set_random_seed(seed)
            layers = keras.layers
            inner = [layers.Embedding(WORDS, 16, mask_zero=True), layers.LSTM(32), layers.Dense(2)]
            model = keras.Sequential([keras.Input((LONGEST,), dtype="int32"), *inner])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
            given: dict[str, Any] = {"batch_size": BATCH, "epochs": arguments.epochs, "verbose": 0}
            history = tfbp.fit(model, x[~tests], y[~tests], privacy=privacy, **given)
            accuracy = model.evaluate(x[tests], y[tests], verbose=0)[1]
            budget = f"ε = {history.privacy['epsilon']:.3f}" if privacy else "without privacy"
            print(f"seed {seed}: {accuracy:.4f}, {budget}", flush=True)


def sentences(package: str) -> Iterator[str]:
    """The sentences of at least six words in a package's docstrings."""
    specification = importlib.util.find_spec(package)
    for place in specification.submodule_search_locations if specification else ():
        for path in sorted(Path(place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="ignore"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    for part in re.split(r"(?<=\.)\s+|\n\s*\n", ast.get_docstring(node) or ""):
                        words = " ".join(part.split())
                        if len(words.split()) >= 6 and ">>>" not in words:
                            yield words


def numbers(text: str) -> list[int]:
    """Returns a sentence's words as numbers of at least 1, padded with 0."""
    words = re.findall(r"[a-z]+", text.lower())[:LONGEST]
    codes = [1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in words]
    return codes + [0] * (LONGEST - len(codes))


if __name__ == "__main__":
    sys.exit(main())
