"""fashion_mnist: the curves of a convolutional network by manual and by tape, from the logs of a run.

    python scripts/train.py --dataset fashion_mnist --model cnn --gradients manual,tape --epochs 8 --batch-size 64 \\
        --log-dir logs/fashion_mnist-cnn
    python docs/figures/fashion_mnist.py

Without such logs the pictures stay as they are, because the run takes minutes.
"""

import sys
from pathlib import Path

import style
from matplotlib import pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorflow import make_ndarray

LOGS = Path(__file__).parents[2] / "logs" / "fashion_mnist-cnn"
STYLES = {"manual": ("C0", 4, "-"), "tape": ("C1", 1.5, (0, (2, 3)))}


def curves(logs: Path) -> dict[tuple[str, str], dict[str, list[float]]]:
    """By writing and split, epoch_loss and epoch_accuracy of every epoch."""
    found = {}
    for writing in STYLES:
        for split in ("train", "validation"):
            events = EventAccumulator(str(logs / writing / split), size_guidance={"tensors": 0}).Reload()
            found[writing, split] = {
                tag: [float(make_ndarray(point.tensor_proto)) for point in events.Tensors(tag)]
                for tag in ("epoch_loss", "epoch_accuracy")
            }
    return found


def figure(found):
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 2.6))
    titles = {"epoch_loss": "Loss on Fashion-MNIST", "epoch_accuracy": "Accuracy"}
    for panel, (tag, title) in zip(panels, titles.items(), strict=True):
        for (writing, split), values in found.items():
            color, width, dashes = STYLES[writing]
            numbers = range(1, len(values[tag]) + 1)
            label = writing if split == "validation" else None
            panel.plot(numbers, values[tag], color=color, linewidth=width, linestyle=dashes, label=label)
            if writing == "manual":
                where = {"train": "training", "validation": "test"}[split]
                panel.annotate(where, (numbers[-1], values[tag][-1]), xytext=(3, 0), textcoords="offset points")
        panel.set(title=title, xlabel="epoch")
        panel.margins(x=0.12)
    panels[0].legend()
    return figure


if __name__ == "__main__":
    if not LOGS.exists():
        sys.exit(print(f"fashion_mnist: no {LOGS}; the pictures stay as they are."))
    found = curves(LOGS)
    style.draw("fashion_mnist", lambda: figure(found))
