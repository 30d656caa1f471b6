"""short_fits: seconds of whole fits by tfbp.fit as a share of Keras's, of the table in docs/measured.md."""

import re
from pathlib import Path

import style
from matplotlib import pyplot as plt

MEASURED = Path(__file__).parents[1] / "measured.md"
EPOCHS = (5, 100)


def shares():
    """Returns tfbp.fit's share of the time of Keras as it is compiled by default, by model, for each length."""
    section = MEASURED.read_text().partition("### From the call to the end")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) / ([\d.]+) / .*\| ([\d.]+) / ([\d.]+) / .*\|$", section, re.MULTILINE)
    return {name: (float(a) / float(b), float(c) / float(d)) for name, a, b, c, d in rows}


def figure(found):
    figure, axis = plt.subplots(figsize=(7.5, 0.9 + 0.24 * len(found)))
    axis.axvline(1, color="C1", label="Keras, by default")
    for index, (epochs, color) in enumerate(zip(EPOCHS, ("C0", "C2"), strict=True)):
        at = [row[index] for row in found.values()]
        axis.plot(at, range(len(found)), "o", color=color, label=f"{epochs} epochs")
    axis.set(yticks=range(len(found)), yticklabels=found, ylim=(len(found) - 0.4, -0.6), xlim=(0, None))
    axis.set_xlabel("seconds of tfbp.fit, from the call to its end / those of Keras")
    axis.legend(fontsize=8, loc="upper right", bbox_to_anchor=(0.97, 0.99))
    return figure


if __name__ == "__main__":
    style.draw("short_fits", lambda: figure(shares()))
