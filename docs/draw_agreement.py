#!/usr/bin/env python3
"""Draw docs/agreement.svg: three writings trained on digits in float64, and how far they drift apart.

Needs matplotlib, which the project itself does not.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from tfbp import Dense, Network, datasets
from tfbp.agreement import trajectory

EPOCHS = 20


def main() -> None:
    digits = datasets.load("digits", "float64")
    network = Network(64, [Dense(64, "relu"), Dense(32, "relu"), Dense(10)], "sparse_categorical_crossentropy")
    trainers = trajectory.trainers(
        ["reference", "manual", "tape"], network, network.init(0), "adam", None, digits.x_train, digits.labels_train
    )
    validation = (digits.x_validation, digits.labels_validation)
    epochs = list(
        trajectory.train_in_lockstep(trainers, validation, len(digits.x_train), EPOCHS, batch_size=32, seed=0)
    )

    plt.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "tfbp",
        }
    )
    figure, (loss, drift) = plt.subplots(1, 2, figsize=(7.5, 2.6), layout="constrained")
    styles = {"reference": ("#bbbbbb", 5, "-"), "manual": ("#0072b2", 2, "-"), "tape": ("#d55e00", 1.5, (0, (2, 3)))}
    for writing, (color, width, dashes) in styles.items():
        own = [epoch for epoch in epochs if epoch.writing == writing]
        numbers = [epoch.number + 1 for epoch in own]
        losses = [epoch.validation[0] for epoch in own]
        loss.plot(numbers, losses, color=color, linewidth=width, linestyle=dashes, label=writing)
        if writing != "reference":
            apart = [epoch.disagreement for epoch in own]
            drift.semilogy(numbers, apart, color=color, linewidth=width, linestyle=dashes, label=writing)
    loss.set(title="Validation loss on digits", xlabel="epoch")
    drift.set(title="Relative difference from the reference", xlabel="epoch", ylim=(1e-17, 1e-12))
    drift.axhline(2**-53, color="black", linewidth=0.7)
    drift.annotate("unit roundoff of float64", (EPOCHS, 2**-53), ha="right", va="bottom", fontsize=8)
    loss.legend(frameon=False)
    figure.savefig(Path(__file__).parent / "agreement.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
