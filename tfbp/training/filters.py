"""The filters of a network's first convolution as one image: what they look for.

M and N height and width of the kernel, I inputs, O outputs (filters).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.network import Conv2D, Network, at

# pixels of the image to a weight
PIXELS = 8
# filters and inputs that are shown, where each input of a filter is an image of its own
MOST = 64


def write(network: Network, parameters: Sequence[Mapping[str, Any]], step: int) -> None:
    """The image, to the default writer; nothing of a network without a convolution."""
    node = next((node for node in network.nodes if isinstance(node.layer, Conv2D)), None)
    if node is not None:
        kernel = keras.ops.convert_to_numpy(at(parameters, node.place)["kernel"])
        tf.summary.image(f"filters/layer_{node.name}", image(kernel)[None], step=step)


def image(kernel: np.ndarray) -> np.ndarray:
    """Every filter of a kernel (M, N, I, O) on one RGB or grey image of bytes, with white lines between them.

    The middle of the range is 0, its ends are ± the largest weight: one scale for all filters. Those on images of one
    or three channels are grey or colored, row by row; of others each row is a filter, and each column an input.

    Example:
        >>> image(np.array([[[[-1.0, 0.5]]]]))[0, ::9, 0].tolist()
        [0, 191]
        >>> image(np.array([[[[-1.0, 0.5]]]])).shape, image(np.ones((3, 3, 3, 5))).shape
        ((9, 18, 1), (50, 75, 3))
    """
    largest = np.abs(kernel, where=np.isfinite(kernel), out=np.zeros(kernel.shape)).max() or 1.0
    shares = np.clip(np.nan_to_num(0.5 + kernel / (2 * largest), nan=0.5), 0, 1)
    if kernel.shape[2] in (1, 3):
        tiles = np.moveaxis(shares, 3, 0)
        columns = math.ceil(math.sqrt(len(tiles)))
    else:
        shown = shares[:, :, :MOST, :MOST]
        columns = shown.shape[2]
        tiles = shown.transpose(3, 2, 0, 1).reshape(-1, *kernel.shape[:2], 1)
    rows = math.ceil(len(tiles) / columns)
    large = tiles.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)
    framed = np.pad(large, [(0, rows * columns - len(tiles)), (0, 1), (0, 1), (0, 0)], constant_values=1)
    _, height, width, channels = framed.shape
    grid = framed.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return np.round(255 * grid).astype(np.uint8).reshape(rows * height, columns * width, channels)
