"""Computes squared norms and weighted sums of examples' gradients of a convolution's kernel: see `parts`.

B batch, H and W height and width, G groups, P places of a window, K positions of it, C = G I channels, O outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from tfbp.privacy.scaling import by_group, of_finite, scaled, squares_of_product, squares_of_rows, weighted_sum

# bytes of patches in memory, and the number of pieces of a batch for that
PATCH_BYTES, MOST_PIECES = 8 * 2**20, 16


@dataclass(frozen=True)
class Convolved:
    """g_b = Σ_p patches(x)[b, p] ⊗ dz[b, p]; dz (B, G, P, O) of G groups and P places.

    The patches are K times as large as x, so they are computed for a few examples at a time.

    Attributes:
        x: the layer's images, (B, H, W, C).
        patches: (b, G, P, K I) of images (b, H, W, C), with 0 where the kernel has no weight.
        width: K C, of all groups.
        restore: converts (G, K I, O) to the kernel's shape.
        most: the largest B, where it is not static.
        backward: Σ_b of the kernel's gradient of x and dz, by TensorFlow's kernel; None where products are faster.
    """

    x: tf.Tensor
    dz: tf.Tensor
    patches: Callable[[tf.Tensor], tf.Tensor]
    width: int
    restore: Callable[[tf.Tensor], tf.Tensor]
    backward: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None
    most: int | None = None

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        if self._is_held:
            gradients = self._gradients if dtype == self._gradients.dtype else self._of_each(dtype)
            return tf.reduce_sum(squares_of_rows(gradients), axis=[1, 2])

        def of_some(x: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
            return squares_of_product(self.patches(x), dz)

        return tf.concat(self._in_turn(of_some, tf.cast(self.x, dtype), tf.cast(self.dz, dtype)), axis=0)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        if self._is_held:
            return self.restore(tf.transpose(weighted_sum(self._gradients, factors, finite), [0, 2, 1]))
        x, dz = of_finite(self.x, finite, factors.dtype), scaled(self.dz, factors, finite)
        if self.backward is not None:
            return self.backward(x, dz)

        def of_some(x: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
            return tf.matmul(by_group(self.patches(x)), by_group(dz), transpose_a=True)

        return self.restore(tf.add_n(self._in_turn(of_some, x, dz)))

    @property
    def _is_held(self) -> bool:
        """Whether the examples' gradients are computed: they are smaller than the patches, and save a second pass."""
        _, groups, places, outputs = self.dz.shape
        inputs = self.width // groups
        return inputs * outputs <= places * min(places, inputs)

    @functools.cached_property
    def _gradients(self) -> tf.Tensor:
        """(B, G, O, K I), in float32 or wider."""
        return self._of_each(tf.float32 if self.dz.dtype.size == 2 else self.dz.dtype)

    def _of_each(self, dtype: tf.DType) -> tf.Tensor:
        def of_some(x: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
            # a product with fewer rows than columns is the faster one
            return tf.matmul(dz, self.patches(x), transpose_a=True)

        return tf.concat(self._in_turn(of_some, tf.cast(self.x, dtype), tf.cast(self.dz, dtype)), axis=0)

    def _in_turn(self, function: Callable[..., tf.Tensor], x: tf.Tensor, dz: tf.Tensor) -> list[tf.Tensor]:
        """Applies function to groups of examples in sequence, as many as fit in PATCH_BYTES."""
        most, places = x.shape[0] or self.most, dz.shape[2]
        if most is None:
            return [function(x, dz)]
        pieces = min(-(-most * x.dtype.size * places * self.width // PATCH_BYTES), MOST_PIECES, most)
        rows, results = tf.shape(x)[0] if x.shape[0] is None else x.shape[0], list[tf.Tensor]()
        for number in range(pieces):
            first, last = number * rows // pieces, (number + 1) * rows // pieces
            with tf.control_dependencies(results[-1:]):
                results.append(function(tf.identity(x[first:last]), dz[first:last]))
        return results
