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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import tensorflow as tf

from tfbp.manual.dense import rounding_of
from tfbp.privacy.convolved import Convolved
from tfbp.privacy.scaling import (
    flat,
    in_one_row,
    of_finite,
    scaled,
    squares_of_product,
    squares_of_rows,
    weighted_sum,
)

# the number of tokens from which equal ones are found by sorting: else by a matrix of T · T
MANY_TOKENS = 64


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
        return squares_of_product(tf.cast(self.left, dtype), tf.cast(self.right, dtype))

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        left, right = of_finite(self.left, finite, factors.dtype), scaled(self.right, factors, finite)
        if left.shape.rank == 3:
            return self.restore(tf.matmul(flat(left), flat(right), transpose_a=True))
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
            grams = tf.matmul(right, right, transpose_b=True)
            return tf.reduce_sum(same * grams, axis=[1, 2]) + rounding_of(tf.sqrt(tf.linalg.diag_part(grams)))
        order = tf.argsort(self.tokens, axis=1)
        tokens, right = (tf.gather(tensor, order, batch_dims=1) for tensor in (self.tokens, right))
        begins = tf.concat([tf.ones_like(tokens[:, :1]), tf.cast(tokens[:, 1:] != tokens[:, :-1], tokens.dtype)], 1)
        batch, count = tf.shape(tokens)[0], tf.shape(tokens)[1]
        place = tf.cast(tf.cumsum(begins, axis=1) - 1, tf.int32) + tf.range(batch)[:, None] * count
        sums = tf.math.unsorted_segment_sum(flat(right), tf.reshape(place, [-1]), batch * count)
        return tf.reduce_sum(tf.reshape(sums * sums, [batch, -1]), axis=1)

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        right = flat(scaled(self.right, factors, finite))
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
class Each:
    """g_b itself, (B, …)."""

    gradient: tf.Tensor

    def squares(self, dtype: tf.DType) -> tf.Tensor:
        return squares_of_rows(tf.cast(in_one_row(self.gradient), dtype))

    def weighted(self, factors: tf.Tensor, finite: tf.Tensor) -> tf.Tensor:
        return weighted_sum(self.gradient, factors, finite)

    def joined(self, other: Each) -> Each:
        return Each(self.gradient + tf.cast(other.gradient, self.gradient.dtype))


Part = Product | Rows | Convolved | Each


class Unknown(Exception):
    """Raised for parts of one weight without a common formula."""


def of_example(part: Any, row: tf.Tensor) -> Any:
    """Returns a part of one example alone, a batch of one."""
    tensors = {field.name: getattr(part, field.name) for field in fields(part)}
    return replace(part, **{name: tf.gather(each, [row]) for name, each in tensors.items() if tf.is_tensor(each)})


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
        total += 2 * rows.crossed(product, dtype) + 2 * rounding_of(tf.sqrt(tf.maximum(total, 0))[:, None])
    return total


def _can_be_joined(part: Any, other: Any) -> bool:
    """Whether two parts of a kind can be joined: convolutions of different images cannot."""
    return not isinstance(part, Convolved) and (
        not isinstance(part, Product) or part.left.shape.rank == other.left.shape.rank
    )
