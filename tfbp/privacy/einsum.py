"""Writes the examples' gradients of an einsum's kernel as a product of rows.

Each axis of x, of the kernel and of z is one of: b, the batch; T, in x and z; I, in x and the kernel; O, in the
kernel and z; G, in all three. Then z = Σ_I x · kernel is, for each b and G, a dense layer on T rows.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfbp.privacy.parts import Product
from tfbp.privacy.recording import NotRecorded


def einsum_parts(equation: str, x: tf.Tensor, dz: tf.Tensor, kernel_shape: tuple[int, ...]) -> Product:
    """Returns the part of the kernel's gradient, for z = einsum(equation, x, kernel).

    Raises:
        NotRecorded: an equation that repeats an axis or sums one of the kernel alone.
    """
    of_x, of_kernel, of_z = _axes(equation, x.shape.rank)
    alone = [axis for axis in of_x if axis not in of_kernel + of_z]
    if alone:
        x = tf.reduce_sum(x, axis=[of_x.index(axis) for axis in alone])
        of_x = "".join(axis for axis in of_x if axis not in alone)
    batch = of_x[0]
    known = batch == of_z[0] and batch not in of_kernel and set(of_kernel) <= set(of_x + of_z)
    if not known or any(len(set(axes)) < len(axes) for axes in (of_x, of_kernel, of_z)):
        raise NotRecorded(f"the equation {equation!r}")
    groups = [axis for axis in of_kernel if axis in of_x and axis in of_z]
    inputs = [axis for axis in of_kernel if axis in of_x and axis not in of_z]
    outputs = [axis for axis in of_kernel if axis in of_z and axis not in of_x]
    rows = [axis for axis in of_x[1:] if axis in of_z and axis not in of_kernel]
    sizes = dict(zip(of_kernel, kernel_shape, strict=True)) | dict(zip(of_x, x.shape, strict=True))

    def sorted_by(tensor: tf.Tensor, axes: str, last: list[str]) -> tf.Tensor:
        order = [batch, *groups, *rows, *last]
        tensor = tf.transpose(tensor, [axes.index(axis) for axis in order])
        middle = [math.prod(sizes[axis] for axis in part) for part in (groups, rows, last)]
        return tf.reshape(tensor, [-1, *(middle if groups else middle[1:])])

    def restore(matrix: tf.Tensor) -> tf.Tensor:
        in_order = [*groups, *inputs, *outputs]
        matrix = tf.reshape(matrix, [sizes[axis] for axis in in_order])
        return tf.transpose(matrix, [in_order.index(axis) for axis in of_kernel])

    return Product(sorted_by(x, of_x, inputs), sorted_by(dz, of_z, outputs), restore)


def _axes(equation: str, rank: int) -> tuple[str, str, str]:
    """Returns the letters of x, the kernel and z, with letters for an ellipsis."""
    given, of_z = equation.replace(" ", "").split("->")
    of_x, of_kernel = given.split(",")
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    hidden = "".join(free[: max(rank - len(of_x.replace("...", "")), 0)])
    if "..." in of_kernel:
        raise NotRecorded(f"the equation {equation!r}")
    return of_x.replace("...", hidden), of_kernel, of_z.replace("...", hidden)
