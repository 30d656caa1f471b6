"""Train a small CNN on Fashion-MNIST at a budget of ε; print the test accuracy, and Opacus's at the same σ.

    python scripts/trials/private_fashion.py [--epochs 15] [--rows 60000] [--data FOLDER] [--opacus-python PYTHON]

Keras downloads the data once, or FOLDER has its four idx files. PYTHON has torch and opacus 1.6.0: it gets the same
arrays, σ, C, expected batch and number of epochs. Its layers begin from torch's own random weights.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tfbp.console.options import Parser

DELTA, CLIP = 1e-5, 1.0
OPACUS = """
import json, sys, warnings
import numpy as np, torch
from opacus import PrivacyEngine
from torch import nn
warnings.simplefilter("ignore")
given = json.loads(sys.argv[1])
data = np.load(given["data"])
torch.manual_seed(given["seed"])
x, test_x = (torch.tensor(data[name]).permute(0, 3, 1, 2) for name in ("x", "test_x"))
y, test_y = (torch.tensor(data[name].astype(np.int64)) for name in ("y", "test_y"))
model = nn.Sequential(
    nn.ZeroPad2d((3, 3, 3, 3)), nn.Conv2d(1, 16, 8, 2), nn.Tanh(), nn.MaxPool2d(2, 1),
    nn.Conv2d(16, 32, 4, 2), nn.Tanh(), nn.MaxPool2d(2, 1), nn.Flatten(),
    nn.Linear(512, 32), nn.Tanh(), nn.Linear(32, 10),
)
optimizer = torch.optim.SGD(model.parameters(), lr=given["rate"])
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=given["batch"])
model, optimizer, loader = PrivacyEngine().make_private(
    module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=given["noise"], max_grad_norm=given["clip"]
)
for _ in range(given["epochs"]):
    for a, b in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(a), b).backward()
        optimizer.step()
with torch.no_grad():
    print(json.dumps(float((model(test_x).argmax(1) == test_y).float().mean())))
"""


FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def idx(path: Path) -> Any:
    """Returns an array of bytes from an idx file: a number of axes, their sizes, and the bytes."""
    import numpy as np

    data = gzip.decompress(path.read_bytes())
    axes = data[3]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(np.frombuffer(data, ">i4", axes, 4))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60000, help="of the training data (default: all 60000)")
    parser.add_argument("--batch-size", type=int, default=512, help="expected (default: 512)")
    parser.add_argument("--rate", type=float, default=1.0, help="SGD's learning rate (default: 1)")
    parser.add_argument("--data", help="a folder with train-images-idx3-ubyte.gz and the other three files")
    parser.add_argument("--opacus-python")
    arguments = parser.parse_args()

    import keras
    import numpy as np

    import tfbp

    if arguments.data:
        x, y, test_x, test_y = (idx(Path(arguments.data) / f"{name}-ubyte.gz") for name in FILES)
    else:
        (x, y), (test_x, test_y) = keras.datasets.fashion_mnist.load_data()
    x, y = x[: arguments.rows], y[: arguments.rows]
    x, test_x = (images[..., None].astype("float32") / 255 for images in (x, test_x))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "data.npz"
        np.savez(path, x=x, y=y, test_x=test_x, test_y=test_y)
        for seed in range(arguments.seeds):
            keras.utils.set_random_seed(seed)
            layers = keras.layers
            model = keras.Sequential(
                [
                    *(keras.Input((28, 28, 1)), layers.ZeroPadding2D(3), layers.Conv2D(16, 8, 2, activation="tanh")),
                    *(layers.MaxPooling2D(2, 1), layers.Conv2D(32, 4, 2, activation="tanh")),
                    *(layers.MaxPooling2D(2, 1), layers.Flatten(), layers.Dense(32, "tanh"), layers.Dense(10)),
                ]
            )
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(arguments.rate), loss, metrics=["accuracy"])
            privacy = tfbp.Privacy(epsilon=arguments.epsilon, delta=DELTA, clip=CLIP)
            given = {"batch_size": arguments.batch_size, "epochs": arguments.epochs, "privacy": privacy, "verbose": 0}
            account = tfbp.fit(model, x, y, **given).privacy
            accuracy = model.evaluate(test_x, test_y, verbose=0)[1]
            noise = account["noise_multiplier"]
            print(f"seed {seed}: tfbp {accuracy:.4f} at ε = {account['epsilon']:.3f}, σ = {noise:.4f}", flush=True)
            if arguments.opacus_python:
                text = json.dumps(
                    {
                        **{"data": str(path), "seed": seed, "noise": noise, "clip": CLIP},
                        **{"batch": arguments.batch_size, "rate": arguments.rate, "epochs": arguments.epochs},
                    }
                )
                run = subprocess.run(
                    [arguments.opacus_python, "-c", OPACUS, text], capture_output=True, text=True, check=False
                )
                print(f"seed {seed}: Opacus {run.stdout.strip() or run.stderr[-300:]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
