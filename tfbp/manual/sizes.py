"""Returns sizes of axes, where a trace does not know them and where they may be 0."""

import tensorflow as tf


def size_of(a, axis):
    """Returns the size of an axis: a number, or a scalar tensor where only the run knows it."""
    return tf.shape(a)[axis] if a.shape[axis] is None else a.shape[axis]


def with_batch_of(a, *sizes):
    """Returns the shape (B, *sizes) to reshape to, with B the size of a's first axis.

    Example:
        >>> with_batch_of(tf.zeros([0, 4, 2]), 8)
        [0, 8]
    """
    batch = a.shape[0]
    if batch is None:
        # -1 is ambiguous if another size may be 0
        is_clear = all(isinstance(size, int) and size > 0 for size in sizes)
        batch = -1 if is_clear else tf.shape(a)[0]
    return [batch, *sizes]
