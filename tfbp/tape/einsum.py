"""A dense layer along any axes, by the letters of an equation, forward only: tf.GradientTape differentiates."""

import tensorflow as tf


def forward(layer, weights, x, *, training, seed):
    letters = layer.letters(tuple(x.shape[1:]))
    kernel, summed = weights["kernel"], [letter for letter in letters.x if letter not in letters.z]
    # x and kernel with an axis for every letter, their product, and the sum
    every = [*letters.z, *summed]
    z = tf.multiply(_with_axes(_wide(x), letters.x, every), _with_axes(_wide(kernel), letters.kernel, every))
    z = tf.cast(tf.reduce_sum(z, axis=[*range(len(letters.z), len(every))]), x.dtype)
    return z if "bias" not in weights else z + weights["bias"], {}


def _wide(a):
    return tf.cast(a, tf.float32) if a.dtype.size == 2 else a


def _with_axes(a, letters, every):
    """Returns a with its axes in the order of `every`, and size 1 for missing axes."""
    a = tf.transpose(a, [letters.index(letter) for letter in every if letter in letters])
    for axis, letter in enumerate(every):
        a = a if letter in letters else tf.expand_dims(a, axis)
    return a


KINDS = {"EinsumDense": forward}
