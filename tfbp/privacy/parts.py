"""Computes squared norms and weighted sums of examples' gradients from their parts, without the gradients.

A part of a weight's gradient, g_b for example b, is one of

    Product    g_b = Σ_t left[b, t] ⊗ right[b, t]            of a kernel, from rows of x and of dz
    Rows       g_b[v] = Σ_t right[b, t] where token[b, t] = v    of a table of embeddings
    Convolved  g_b = Σ_p patches[b, p] ⊗ dz[b, p]            of a convolution's kernel, from the pixels under its window
    Each       g_b itself, of a weight that is small beside x     of a bias or a gain

Each part has ‖g_b‖² (`squares`) and Σ_b f_b g_b (`weighted`) for a factor f_b of each example.

B batch, T rows of an example, I and O a kernel's sizes, V rows of a table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from tfbp.manual.compiled import is_compiled

# the number of tokens from which equal ones are found by sorting: else by a matrix of T · T
MANY_TOKENS = 64
# bytes of patches in memory, and the number of pieces of a batch for that
PATCH_BYTES, MOST_PIECES = 16 * 2**20, 16


@dataclass(frozen=True)
class Product:
    """g_b = Σ_t left[b, t] ⊗ right[b, t]; left (B, T, I) and right (B, T, O), or (B, G, T, …) for a kernel of G groups.

    Attributes:
        restore: converts (I, O), or (G, I, O), to the kernel's shape.
    """

    left: tf.Tensor
    right: tf.Tensor
    restore: Callable[[tf.Tensor], tf.Tensor]

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        left, right = tf.cast(self.left, dtype), tf.cast(self.right, dtype)
        rows, inputs, outputs = left.shape[-2], left.shape[-1], right.shape[-1]
        over = list(range(1, left.shape.rank))
        if rows == 1:
            # ‖x ⊗ dz‖² = ‖x‖² ‖dz‖²
            of_left, of_right = (tf.reduce_sum(each * each, axis=-1) for each in (left, right))
            return tf.reduce_sum(of_left * of_right, axis=over[:-1])
        if rows is not None and rows * rows < inputs * outputs:
            # ‖leftᵀ right‖² = Σ (left leftᵀ) (right rightᵀ), elementwise
            grams = (tf.matmul(each, each, transpose_b=True) for each in (left, right))
            return tf.reduce_sum(tf.multiply(*grams), axis=over)
        # a product with fewer rows than columns is the faster one
        pair = (left, right) if inputs <= outputs else (right, left)
        return tf.reduce_sum(tf.square(tf.matmul(*pair, transpose_a=True)), axis=over)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        left, right = _of_finite(self.left, finite, factors.dtype), _scaled(self.right, factors, finite)
        if left.shape.rank == 3:
            return self.restore(tf.matmul(_flat(left), _flat(right), transpose_a=True))
        return self.restore(tf.einsum("bgti,bgto->gio", left, right))

    def joined(self, other: Product) -> Product:
        """Joins the rows of two parts of one weight with two uses."""
        left, right = (
            tf.concat([a, tf.cast(b, a.dtype)], axis=-2)
            for a, b in ((self.left, other.left), (self.right, other.right))
        )
        return replace(self, left=left, right=right)


@dataclass(frozen=True)
class Rows:
    """g_b[v] = Σ_t right[b, t] where tokens[b, t] = v; tokens (B, T), right (B, T, O), V rows of the table."""

    tokens: tf.Tensor
    right: tf.Tensor
    rows: int

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        right, count = tf.cast(self.right, dtype), self.tokens.shape[1]
        if count is not None and count <= MANY_TOKENS:
            same = tf.cast(self.tokens[:, :, None] == self.tokens[:, None, :], dtype)
            return tf.reduce_sum(same * tf.matmul(right, right, transpose_b=True), axis=[1, 2])
        order = tf.argsort(self.tokens, axis=1)
        tokens, right = (tf.gather(each, order, batch_dims=1) for each in (self.tokens, right))
        begins = tf.concat([tf.ones_like(tokens[:, :1]), tf.cast(tokens[:, 1:] != tokens[:, :-1], tokens.dtype)], 1)
        batch, count = tf.shape(tokens)[0], tf.shape(tokens)[1]
        place = tf.cast(tf.cumsum(begins, axis=1) - 1, tf.int32) + tf.range(batch)[:, None] * count
        sums = tf.math.unsorted_segment_sum(_flat(right), tf.reshape(place, [-1]), batch * count)
        return tf.reduce_sum(tf.reshape(sums * sums, [batch, -1]), axis=1)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        right = _flat(_scaled(self.right, factors, finite))
        return tf.math.unsorted_segment_sum(right, tf.reshape(self.tokens, [-1]), self.rows)

    def joined(self, other: Rows) -> Rows:
        right = tf.concat([self.right, tf.cast(other.right, self.right.dtype)], axis=1)
        return replace(self, tokens=tf.concat([self.tokens, other.tokens], axis=1), right=right)

    def crossed(self, product: Product, dtype: tf.DType) -> tf.Tensor:
        """Returns Σ over the table of this part times the product's, with a left of all V rows: a tied table."""
        left, right = tf.cast(product.left, dtype), tf.cast(product.right, dtype)
        # the product's rows of the example's own tokens alone   (B, T, O) <- (B, S, T) (B, S, O)
        of_tokens = tf.matmul(tf.gather(left, self.tokens, axis=2, batch_dims=1), right, transpose_a=True)
        return tf.reduce_sum(tf.cast(self.right, dtype) * of_tokens, axis=[1, 2])


@dataclass(frozen=True)
class Convolved:
    """g_b = Σ_p patches(x)[b, p] ⊗ dz[b, p]; dz (B, G, P, O) of G groups and P positions.

    The patches are K times as large as x, so they are computed for a few examples at a time.

    Attributes:
        x: the layer's images, (B, H, W, C).
        patches: (b, G, P, K I) of images (b, H, W, C), with 0 where the kernel has no weight.
        width: K C, of all groups.
        restore: converts (G, K I, O) to the kernel's shape.
        backward: Σ_b of the kernel's gradient of x and dz, by TensorFlow's kernel; None where products are faster.
    """

    x: tf.Tensor
    dz: tf.Tensor
    patches: Callable[[tf.Tensor], tf.Tensor]
    width: int
    restore: Callable[[tf.Tensor], tf.Tensor]
    backward: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        def of_some(x: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
            return Product(self.patches(x), dz, self.restore).squares(dtype)

        return tf.concat(self._in_turn(of_some, tf.cast(self.x, dtype), tf.cast(self.dz, dtype)), axis=0)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        x, dz = _of_finite(self.x, finite, factors.dtype), _scaled(self.dz, factors, finite)
        if self.backward is not None:
            return self.backward(x, dz)

        def of_some(x: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
            return tf.matmul(_by_group(self.patches(x)), _by_group(dz), transpose_a=True)

        return self.restore(tf.add_n(self._in_turn(of_some, x, dz)))

    def _in_turn(self, function: Callable[..., tf.Tensor], x: tf.Tensor, dz: tf.Tensor) -> list[tf.Tensor]:
        """Applies function to groups of examples in sequence, as many as fit in PATCH_BYTES."""
        batch, places = x.shape[0], dz.shape[2]
        if batch is None:
            return [function(x, dz)]
        some = max(1, PATCH_BYTES // (x.dtype.size * places * self.width), -(-batch // MOST_PIECES))
        pieces: list[tf.Tensor] = []
        for first in range(0, batch, some):
            with tf.control_dependencies(pieces[-1:]):
                pieces.append(function(tf.identity(x[first : first + some]), dz[first : first + some]))
        return pieces


@dataclass(frozen=True)
class Each:
    """g_b itself, (B, …)."""

    gradient: tf.Tensor

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        gradient = tf.cast(self.gradient, dtype)
        return tf.reduce_sum(tf.reshape(gradient * gradient, [tf.shape(gradient)[0], -1]), axis=1)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(_scaled(self.gradient, factors, finite), axis=0)

    def joined(self, other: Each) -> Each:
        return Each(self.gradient + tf.cast(other.gradient, self.gradient.dtype))


Part = Product | Rows | Convolved | Each


class Unknown(Exception):
    """Raised for parts of one weight without a common formula."""


def joined(parts: Sequence[Any]) -> list[Any]:
    """Joins the parts of one weight, those of a kind to one.

    Raises:
        Unknown: kinds without a common formula.
    """
    kinds: dict[type, Any] = {}
    for part in parts:
        known = kinds.get(type(part))
        if known is not None and not _can_be_joined(known, part):
            raise Unknown
        kinds[type(part)] = part if known is None else known.joined(part)
    if len(kinds) > 1 and set(kinds) != {Rows, Product}:
        raise Unknown
    return list(kinds.values())


def squares(parts: Sequence[Any], dtype: tf.DType) -> tf.Tensor:
    """Returns ‖g_b‖² of one weight, (B,), from its joined parts."""
    total = sum(part.squares(dtype) for part in parts)
    if len(parts) == 2:
        rows, product = sorted(parts, key=lambda part: isinstance(part, Product))
        # ‖a + c‖² = ‖a‖² + ‖c‖² + 2 Σ a c
        total += 2 * rows.crossed(product, dtype)
    return total


def _can_be_joined(part: Any, other: Any) -> bool:
    """Whether two parts of a kind can be joined: convolutions of different images cannot."""
    return not isinstance(part, Convolved) and (
        not isinstance(part, Product) or part.left.shape.rank == other.left.shape.rank
    )


def _scaled(tensor: tf.Tensor, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
    return _of_finite(tensor, finite, factors.dtype, _per_row(factors, tensor))


def _of_finite(tensor: tf.Tensor, finite: tf.Tensor, dtype: tf.DType, times: Any = None) -> tf.Tensor:
    """Multiplies the tensor by a factor, with 0 for examples that are not finite: 0 · NaN would be NaN."""
    tensor = tf.cast(tensor, dtype)
    product = tensor if times is None else times * tensor
    cleaned = functools.partial(tf.where, _per_row(finite, tensor), product, 0)
    if is_compiled():
        return cleaned()
    # nearly always all examples are finite: then there is no copy
    clean = tf.function(cleaned, autograph=False, experimental_attributes={"_noinline": True})
    return tf.cond(tf.reduce_all(finite), lambda: product, clean)


def _per_row(factors: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(factors, [-1] + [1] * (tensor.shape.rank - 1))


def _flat(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1, tensor.shape[-1]])


def _by_group(tensor: tf.Tensor) -> tf.Tensor:
    groups, width = tensor.shape[1], tensor.shape[3]
    return tf.reshape(tf.transpose(tensor, [1, 0, 2, 3]), [groups, -1, width])
