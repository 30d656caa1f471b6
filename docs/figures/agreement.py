"""agreement: three writings trained on digits in float64, and how far they drift apart."""

from pathlib import Path

import style
from matplotlib import pyplot as plt

from tfbp import Dense, Network, datasets
from tfbp.commands import trajectory

EPOCHS = 20


def main() -> None:
    digits = datasets.load("digits", "float64")
    network = Network(64, [Dense(64, "relu"), Dense(32, "relu"), Dense(10)], "sparse_categorical_crossentropy")
    samples, validation = (digits.x_train, digits.labels_train), (digits.x_validation, digits.labels_validation)
    epochs = []
    trajectories = trajectory.Trajectories(network, validation, lambda epoch, parameters: epochs.append(epoch))
    for writing in ("reference", "manual", "tape"):
        trajectory.train(trajectories, writing, samples, trajectory.Plan("adam", EPOCHS, batch_size=32))

    def figure():
        figure, (loss, drift) = plt.subplots(1, 2, figsize=(7.5, 2.6))
        styles = {"reference": ("C5", 5, "-"), "manual": ("C0", 2, "-"), "tape": ("C1", 1.5, (0, (2, 3)))}
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
        drift.axhline(2**-53, color=style.ink(), linewidth=0.7)
        drift.annotate("unit roundoff of float64", (EPOCHS, 2**-53), ha="right", va="bottom", fontsize=8)
        loss.legend()
        return figure

    # where the README has it
    style.draw("agreement", figure, folder=Path(__file__).parents[1])


if __name__ == "__main__":
    main()
