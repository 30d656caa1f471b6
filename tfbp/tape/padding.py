"""Zero padding and cropping of sequences, images and volumes, forward only: tf.GradientTape differentiates.

B batch; x and y (B, …, C).
"""

import tensorflow as tf


def _padding(layer, weights, x, *, training, seed):
    return tf.pad(x, [(0, 0), *layer.ends, (0, 0)]), {}


def _cropping(layer, weights, x, *, training, seed):
    begin = [0, *(before for before, _ in layer.ends), 0]
    return tf.slice(x, begin, [-1, *layer.output_shape(tuple(x.shape[1:]))]), {}


KINDS = {
    **{f"ZeroPadding{axes}D": _padding for axes in (1, 2, 3)},
    **{f"Cropping{axes}D": _cropping for axes in (1, 2, 3)},
}
