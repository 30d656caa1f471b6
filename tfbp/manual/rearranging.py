"""Layers that move numbers of an example, each backward under its forward. B batch; x (B, …), y (B, …)."""

import tensorflow as tf

from tfbp.manual.sizes import with_batch_of
from tfbp.manual.window import wide


def permute_forward(x, dims):
    """Returns y: axis k of y is x's axis dims[k]."""
    return tf.transpose(x, [0, *dims])


def permute_backward(dy, dims):
    # y = transpose(x, [0, *dims])
    return tf.transpose(dy, [0, *(dims.index(axis) + 1 for axis in range(1, dy.shape.rank))])


def repeat_vector_forward(x, n):
    """Returns y (B, n, C): x for each step."""
    return tf.repeat(x[:, None], n, axis=1)


def repeat_vector_backward(dy):
    # y = repeat(x)                                    (B, n, C) <- (B, C)
    return tf.cast(tf.reduce_sum(wide(dy), axis=1), dy.dtype)


def get_item_forward(x, key):
    """Returns y = x[key], by slices and indices."""
    return x[key]


def get_item_backward(dy, key, sizes):
    """Returns dx: dy with zeros around it; `sizes` are those of an example of x."""
    for axis, (size, each) in enumerate(zip(sizes, key[1:], strict=False), 1):
        taken = range(size)[each]
        if isinstance(taken, int):
            # y = x[…, index, …]
            dy, taken = tf.expand_dims(dy, axis), range(taken, taken + 1)
        # y = x[…, start:stop:step, …]
        dy = _spread(dy, taken, size, axis)
    return dy


def _spread(dy, taken, size, axis):
    """Returns dy along an axis of this size, at the selected indices, and 0 elsewhere."""
    if taken.step < 0:
        dy, taken = tf.reverse(dy, [axis]), taken[::-1]
    if taken.step > 1 and len(taken) > 1:
        # step - 1 zeros between two of them
        apart = tf.expand_dims(dy, axis + 1)
        apart = tf.pad(apart, _paddings(apart, axis + 1, 0, taken.step - 1))
        joined = [*dy.shape[1:axis], len(taken) * taken.step, *dy.shape[axis + 1 :]]
        dy = tf.reshape(apart, with_batch_of(dy, *joined))
        dy = dy[(slice(None),) * axis + (slice(0, taken[-1] - taken[0] + 1),)]
    return tf.pad(dy, _paddings(dy, axis, taken[0], size - 1 - taken[-1]))


def _paddings(a, axis, before, after):
    return [[before, after] if axis_of_a == axis else [0, 0] for axis_of_a in range(a.shape.rank)]


def stack_forward(xs, axis):
    return tf.stack(xs, axis=axis)


def stack_backward(dy, axis):
    # y = [x, x, …]
    return tuple(tf.unstack(dy, axis=axis))


def _permute(layer, weights, x, *, training, seed):
    return permute_forward(x, layer.dims), None, {}


def _permute_back(layer, dz, residuals):
    return permute_backward(dz, layer.dims), {}


def _repeat(layer, weights, x, *, training, seed):
    return repeat_vector_forward(x, layer.n), None, {}


def _repeat_back(layer, dz, residuals):
    return repeat_vector_backward(dz), {}


def _get_item(layer, weights, x, *, training, seed):
    return get_item_forward(x, layer.taken), tuple(x.shape[1:]), {}


def _get_item_back(layer, dz, residuals):
    return get_item_backward(dz, layer.taken, residuals), {}


def _stack(layer, weights, x, *, training, seed):
    return stack_forward(x, layer.axis), None, {}


def _stack_back(layer, dz, residuals):
    return stack_backward(dz, layer.axis), {}


KINDS = {
    "Permute": (_permute, _permute_back),
    "RepeatVector": (_repeat, _repeat_back),
    "GetItem": (_get_item, _get_item_back),
    "Stack": (_stack, _stack_back),
}
