"""The style of every figure: drawn twice, for light paper and for dark, and to the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tfbp.console import quiet_tensorflow  # noqa: F401

matplotlib.use("agg")

PICTURES = Path(__file__).parents[1] / "pictures"

# Okabe and Ito's colors, which the color-blind can tell apart; on dark paper the lighter ones
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#777777")
DARK = ("#56b4e9", "#ff8c4a", "#2fd0a0", "#e79cc6", "#f0d860", "#aaaaaa")
STYLES = {"": ("#222222", LIGHT, "white"), ".dark": ("#dddddd", DARK, "#1e2129")}

COMMON = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
    "svg.hashsalt": "tfbp",
    "svg.fonttype": "path",
    "path.simplify_threshold": 0.3,
}


def draw(name: str, figure: Callable[[], Figure], folder: Path = PICTURES) -> None:
    """Save what `figure` draws as name.svg and name.dark.svg."""
    for suffix, rc in rcs().items():
        with plt.rc_context(rc):
            drawn = figure()
            drawn.savefig(folder / f"{name}{suffix}.svg", metadata={"Date": None})
            plt.close(drawn)


def rcs() -> dict[str, dict[str, Any]]:
    """Returns matplotlib's settings for both styles, by the ending of the file's name."""
    return {
        suffix: {
            **COMMON,
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink),
            "axes.prop_cycle": plt.cycler(color=colors),
            # markers and lines that need the page's own color behind them
            "patch.edgecolor": paper,
            "axes.facecolor": "none",
        }
        for suffix, (ink, colors, paper) in STYLES.items()
    }


def ink() -> str:
    """Returns the color of text in the style that is being drawn."""
    return plt.rcParams["text.color"]
