"""What an example's own gradient of a weight is a sum of, and what follows without holding that gradient.

A part of a weight's gradient, g_b for example b, is one of

    Product    g_b = Σ_t left[b, t] ⊗ right[b, t]            a kernel's, of rows of x and of dz
    Rows       g_b[v] = Σ_t right[b, t] where token[b, t] = v    a table's of embeddings
    Windows    g_b[m, n] = Σ_p pixels[m, n][b, p] ⊗ dz[b, p]     a convolution's kernel's
    Each       g_b itself, of a weight that is small beside x     a bias's, a gain's

Of each there are ‖g_b‖² (`squares`) and Σ_b f_b g_b (`weighted`) for a factor f_b of each example.

B batch, T rows of an example, I and O a kernel's sizes, V rows of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

# from this many tokens on an example's equal ones are found by sorting: the others' matrix is T · T
MANY_TOKENS = 64


@dataclass(frozen=True)
class Product:
    """g_b = Σ_t left[b, t] ⊗ right[b, t]; left (B, T, I) and right (B, T, O), or (B, G, T, …) for a kernel of G groups.

    Attributes:
        restore: makes the kernel's shape of (I, O), or of (G, I, O).
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
        return tf.reduce_sum(tf.square(tf.matmul(left, right, transpose_a=True)), axis=over)

    def weighted(self, factors: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
        left, right = _of_good(self.left, good, factors.dtype), _scaled(self.right, factors, good)
        if left.shape.rank == 3:
            return self.restore(tf.matmul(_flat(left), _flat(right), transpose_a=True))
        return self.restore(tf.einsum("bgti,bgto->gio", left, right))

    def joined(self, other: Product) -> Product:
        """Of one weight that is used twice: the rows of both."""
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

    def weighted(self, factors: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
        right = _flat(_scaled(self.right, factors, good))
        return tf.math.unsorted_segment_sum(right, tf.reshape(self.tokens, [-1]), self.rows)

    def joined(self, other: Rows) -> Rows:
        right = tf.concat([self.right, tf.cast(other.right, self.right.dtype)], axis=1)
        return replace(self, tokens=tf.concat([self.tokens, other.tokens], axis=1), right=right)

    def crossed(self, product: Product, dtype: tf.DType) -> tf.Tensor:
        """Σ over the table of this part times the product's, whose left is of all V rows: a table that is tied."""
        left, right = tf.cast(product.left, dtype), tf.cast(product.right, dtype)
        # the product's rows of the example's own tokens alone   (B, T, O) <- (B, S, T) (B, S, O)
        of_tokens = tf.matmul(tf.gather(left, self.tokens, axis=2, batch_dims=1), right, transpose_a=True)
        return tf.reduce_sum(tf.cast(self.right, dtype) * of_tokens, axis=[1, 2])


@dataclass(frozen=True)
class Windows:
    """g_b[k] = Σ_p pixels[k][b, p] ⊗ dz[b, p]; K pixels (B, G, P, I) under a window's positions, dz (B, G, P, O).

    The positions are taken one after the other: what lies under all of them is K times x.
    """

    pixels: Sequence[tf.Tensor]
    dz: tf.Tensor
    restore: Callable[[tf.Tensor], tf.Tensor]

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        dz, total = tf.cast(self.dz, dtype), tf.zeros(tf.shape(self.dz)[:1], dtype)
        for each in self.pixels:
            found = tf.matmul(tf.cast(each, dtype), dz, transpose_a=True)
            total += tf.reduce_sum(found * found, axis=[1, 2, 3])
        return total

    def weighted(self, factors: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
        dz = _scaled(self.dz, factors, good)
        # G products, each of all examples' places: (G, B P, …)
        dz = _by_group(dz)
        found = [
            tf.matmul(_by_group(_of_good(each, good, factors.dtype)), dz, transpose_a=True) for each in self.pixels
        ]
        return self.restore(found)


@dataclass(frozen=True)
class Each:
    """g_b itself, (B, …)."""

    gradient: tf.Tensor

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        gradient = tf.cast(self.gradient, dtype)
        return tf.reduce_sum(tf.reshape(gradient * gradient, [tf.shape(gradient)[0], -1]), axis=1)

    def weighted(self, factors: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(_scaled(self.gradient, factors, good), axis=0)

    def joined(self, other: Each) -> Each:
        return Each(self.gradient + tf.cast(other.gradient, self.gradient.dtype))


Part = Product | Rows | Windows | Each


class Unknown(Exception):
    """Parts of one weight for which there is no formula together."""


def joined(parts: Sequence[Any]) -> list[Any]:
    """The parts of one weight, those of a kind as one.

    Raises:
        Unknown: kinds that are known each by itself alone.
    """
    kinds: dict[type, Any] = {}
    for part in parts:
        known = kinds.get(type(part))
        if known is not None and not _fit(known, part):
            raise Unknown
        kinds[type(part)] = part if known is None else known.joined(part)
    if len(kinds) > 1 and set(kinds) != {Rows, Product}:
        raise Unknown
    return list(kinds.values())


def squares(parts: Sequence[Any], dtype: tf.DType) -> tf.Tensor:
    """‖g_b‖² of one weight, (B,), from its joined parts."""
    total = sum(part.squares(dtype) for part in parts)
    if len(parts) == 2:
        rows, product = sorted(parts, key=lambda part: isinstance(part, Product))
        # ‖a + c‖² = ‖a‖² + ‖c‖² + 2 Σ a c
        total += 2 * rows.crossed(product, dtype)
    return total


def _fit(part: Any, other: Any) -> bool:
    """Whether two parts of a kind are one: windows of other images are not."""
    return not isinstance(part, Windows) and (
        not isinstance(part, Product) or part.left.shape.rank == other.left.shape.rank
    )


def _scaled(tensor: tf.Tensor, factors: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
    return _of_good(tensor, good, factors.dtype, _per_row(factors, tensor))


def _of_good(tensor: tf.Tensor, good: tf.Tensor, dtype: tf.DType, times: Any = None) -> tf.Tensor:
    """The tensor, times a factor, with 0 for examples that are not finite: 0 · NaN would be NaN."""
    tensor = tf.cast(tensor, dtype)
    return tf.where(_per_row(good, tensor), tensor if times is None else times * tensor, 0)


def _per_row(factors: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(factors, [-1] + [1] * (tensor.shape.rank - 1))


def _flat(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1, tensor.shape[-1]])


def _by_group(tensor: tf.Tensor) -> tf.Tensor:
    groups, width = tensor.shape[1], tensor.shape[3]
    return tf.reshape(tf.transpose(tensor, [1, 0, 2, 3]), [groups, -1, width])
