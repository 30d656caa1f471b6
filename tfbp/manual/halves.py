"""Runs a recurrence over the two halves of a batch at once: two loops through time side by side.

In a loop, each step waits for the step before, and its operations are too small for more than one core. Without XLA,
TensorFlow runs two independent loops at once.
"""

import tensorflow as tf

from tfbp.manual.compiled import has_gpu, is_compiled

# numbers in a step's product above which two loops are faster; measured on two cores
LEAST = 2**14
# an unknown batch size counts as Keras's default, 32
_BATCH = 32


def forward(function, x, kernel, recurrent_kernel, bias=None, states=None, mask=None, dropped=(None, None), **options):
    """Returns y, the last states, and the residuals of each half; of the whole batch where halves are slower."""
    if not _pay(x, recurrent_kernel):
        y, last, residuals = function(x, kernel, recurrent_kernel, bias, states, mask=mask, dropped=dropped, **options)
        return y, last, (residuals,)
    states_of = zip(*map(split, states), strict=True) if states else (None, None)
    parts = zip(split(x), states_of, split(mask), zip(*map(split, dropped), strict=True), strict=True)
    found = [
        function(half, kernel, recurrent_kernel, bias, states_of_half, mask=of_mask, dropped=of_dropped, **options)
        for half, states_of_half, of_mask, of_dropped in parts
    ]
    ys, lasts, residuals = zip(*found, strict=True)
    return tf.concat(ys, axis=0), _joined(lasts), residuals


def backward(function, dy, residuals, dstates=None, **asked):
    """Returns dx, the weights' gradients, and the first states'; dstates: the last states' gradients, 0 by default."""
    given = {} if dstates is None else {"dstates": dstates}
    if len(residuals) == 1:
        return function(dy, *residuals, **given, **asked)
    dstates_of = [{}, {}] if dstates is None else [{"dstates": half} for half in zip(*map(split, dstates), strict=True)]
    found = [
        function(half, of_half, **dstates_of_half, **asked)
        for half, of_half, dstates_of_half in zip(split(dy), residuals, dstates_of, strict=True)
    ]
    # y = concat(halves of y), each from its half of x and from all weights
    dxs, *dweights, dfirst = zip(*found, strict=True)
    dx = None if dxs[0] is None else tf.concat(dxs, axis=0)
    return dx, *(None if half is None else half + other for half, other in dweights), _joined(dfirst)


def _pay(x, recurrent_kernel):
    if tf.executing_eagerly() or is_compiled() or has_gpu():
        return False
    batch = _BATCH if x.shape[0] is None else x.shape[0]
    return batch > 1 and batch * recurrent_kernel.shape[1] >= LEAST


def split(a):
    if a is None:
        return None, None
    batch = tf.shape(a)[0] if a.shape[0] is None else a.shape[0]
    return tf.split(a, [batch // 2, batch - batch // 2])


def _joined(states_of):
    return tuple(tf.concat(halves, axis=0) for halves in zip(*states_of, strict=True))
