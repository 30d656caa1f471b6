"""Draws how a network of two inputs learns, epoch by epoch: decision regions, and sizes of deltas and gradients.

B batch, G grid points along an axis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfbp import manual
from tfbp.datasets import Dataset
from tfbp.network import Network, Parameters

GRID = 81
# the largest number of frames of a GIF beside the first and the last; milliseconds of a frame
FRAMES, FRAME_TIME, LAST_FRAME_TIME = 30, 150, 3000


class Pictures:
    """Collects a frame each epoch, writes it to TensorBoard, and at the end saves a GIF for each writing.

    Args:
        log_dir: the run's directory; images go to <log_dir>/<writing>/train, the GIF to <log_dir>/<writing>.gif.
        network: of two inputs.
        dataset, y: one of the plane's sets, and its training targets for the network's loss.
    """

    def __init__(self, log_dir: str, network: Network, dataset: Dataset, y: np.ndarray) -> None:
        self._log_dir, self._network, self._dataset, self._y = Path(log_dir), network, dataset, y
        self._histories: dict[str, list[Frame]] = {}
        self._writers: dict[str, Any] = {}

    def add(self, writing: str, epoch: int, parameters: Parameters) -> None:
        """Adds the state after an epoch, with an image for TensorBoard."""
        history = self._histories.setdefault(writing, [])
        history.append(Frame(self._network, self._dataset.x_train, self._y, parameters, epoch + 1))
        if writing not in self._writers:
            self._writers[writing] = tf.summary.create_file_writer(str(self._log_dir / writing / "train"))
        with self._writers[writing].as_default(step=epoch):
            tf.summary.image("decision", draw(history, self._dataset)[None])
        self._writers[writing].flush()

    def save(self) -> list[Path]:
        """The GIFs' paths."""
        paths = []
        for writing, history in self._histories.items():
            path = self._log_dir / f"{writing}.gif"
            save_gif(path, history, self._dataset)
            paths.append(path)
        return paths


class Frame:
    """The contents of one frame.

    Attributes:
        epoch: the number of trained epochs.
        share: the network's output at every grid point, (G, G): the share of class 1, from 0 to 1.
        deltas, gradients: ‖dz‖ and ‖dkernel‖ of each layer, on all of x.
    """

    def __init__(self, network: Network, x: np.ndarray, y: np.ndarray, parameters: Parameters, epoch: int) -> None:
        self.epoch = epoch
        axis = np.linspace(-1.2, 1.2, GRID)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype(x.dtype)
        outputs = tf.cast(manual.forward(network, parameters, grid), tf.float64)
        self.share = tf.nn.softmax(outputs).numpy()[:, 1].reshape(GRID, GRID)
        _, gradients, tensors = manual.loss_gradients_and_tensors(network, parameters, tf.constant(x), y)
        self.deltas = [float(tf.norm(tensor["dz"])) for tensor in tensors[:-1]]
        self.gradients = [float(tf.norm(gradient["kernel"])) for gradient in gradients]


def save_gif(path: Path, history: list[Frame], dataset: Dataset) -> None:
    """Saves an animation of about thirty frames; the last one stays longer."""
    from PIL import Image

    shown = sorted({round(each) for each in np.linspace(0, len(history) - 1, min(len(history), FRAMES))})
    images = [
        Image.fromarray(draw(history[: index + 1], dataset, len(history))).quantize(48, dither=Image.Dither.NONE)
        for index in shown
    ]
    times = [FRAME_TIME] * (len(images) - 1) + [LAST_FRAME_TIME]
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(path, save_all=True, append_images=images[1:], duration=times, loop=0, optimize=False)


def draw(history: list[Frame], dataset: Dataset, epochs: int | None = None) -> np.ndarray:
    """Returns the last frame of a history as an RGB image: regions and samples, and the curves up to it."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    figure = Figure(figsize=(6.4, 2.7), dpi=100, layout="constrained")
    plane, curves = figure.subplots(1, 2, width_ratios=(1, 1.35))
    last = history[-1]
    levels = np.linspace(0, 1, 7)
    plane.contourf(*[np.linspace(-1.2, 1.2, GRID)] * 2, last.share, levels=levels, cmap="RdBu_r", alpha=0.5)
    for label, color in enumerate(("#1b4f9c", "#a01c2e")):
        own = dataset.x_train[dataset.labels_train == label]
        plane.scatter(*own.T, s=5, color=color, linewidths=0.3, edgecolors="white")
    plane.set_title(f"after epoch {last.epoch}", fontsize=9)
    plane.set(aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    numbers = [frame.epoch for frame in history]
    for index in range(len(last.deltas)):
        color = colors[index % len(colors)]
        curves.semilogy(numbers, [f.deltas[index] for f in history], color=color, label=f"layer {index} ‖dz‖")
        gradients = [f.gradients[index] for f in history]
        curves.semilogy(numbers, gradients, color=color, linestyle=":", label=f"layer {index} ‖dkernel‖")
    curves.set(xlabel="epoch", xlim=(1, max(2, epochs or last.epoch)))
    curves.set_title("deltas and gradients by layer", fontsize=9)
    curves.legend(fontsize=6, ncols=2, frameon=False, loc="lower left")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
