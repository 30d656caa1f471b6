"""The last dense layer and the softmax cross-entropy in one, in chunks of tokens: the full logits are never held.

The mean loss and its gradients are made in the same pass: a chunk's logits are turned into its share of every gradient
and let go. Loss and gradients are numbers that add up over tokens, so nothing is computed twice.

N tokens, C tokens of a chunk, I inputs, O outputs (classes); x (N, I), kernel (I, O), bias (O,) or None, labels (N,)
within 0 … O-1, dlosses (N,) what a token's loss counts in the mean; z, logits (C, O); losses (C,). One float dtype.
"""

import math

import tensorflow as tf

from tfbp.manual.compiled import has_gpu

# by itself, as any layer of a chain, it is a dense one
from tfbp.manual.dense import backward as backward
from tfbp.manual.dense import example_moments as example_moments
from tfbp.manual.dense import example_norms as example_norms
from tfbp.manual.dense import forward as forward

BLOCK_BYTES = 2**26  # of a chunk's logits: 512 tokens of 32,768 classes in float32
FEWEST_TOKENS = 256  # in a chunk by default: the kernel's gradient is read and written once for each
ON_GPU = 4  # times as many on a GPU, which is idle with fewer


def chunk_forward(x, kernel, bias, labels, *, label_smoothing, z_loss, soft_cap):
    """The losses of a chunk, (C,), and the residuals:

    losses = log Σ exp(logits) - Σ target · logits + z_loss · (log Σ exp(logits))²
    target = (1 - label_smoothing) · one_hot(labels) + label_smoothing / O
    """
    z = tf.matmul(x, kernel)
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    logits = z if soft_cap is None else soft_cap * tf.tanh(z / soft_cap)
    softmax = tf.nn.softmax(logits)
    # Σ exp(logits - largest), for at the largest logit softmax is 1 / total
    largest, total = tf.reduce_max(logits, axis=-1), 1 / tf.reduce_max(softmax, axis=-1)
    label_logit = tf.gather(logits, labels, batch_dims=1)
    log_sum_exp = largest + tf.math.log(total)
    # not log_sum_exp - label_logit, which cancels where both are large
    losses = tf.math.log(total) + (largest - label_logit)
    if label_smoothing:
        losses += label_smoothing * (label_logit - tf.reduce_mean(logits, axis=-1))
    if z_loss:
        losses += z_loss * tf.square(log_sum_exp)
    return losses, (x, kernel, labels, logits, softmax, log_sum_exp)


def chunk_backward(dlosses, residuals, *, bias_gradient, label_smoothing, z_loss, soft_cap):
    """dx (C, I), dkernel (I, O) and dbias (O,) or None, given dlosses (C,).

    dlosses scales rows of x and dx, which are short, instead of rows of dz; so dz is here that of Σ losses."""
    x, kernel, labels, logits, softmax, log_sum_exp = residuals
    # losses = log_sum_exp + z_loss · log_sum_exp² - …        d log_sum_exp = softmax
    dlogits = softmax * (1 + 2 * z_loss * log_sum_exp)[:, None] if z_loss else softmax
    # losses = … - (label_smoothing / O) · Σ logits - (1 - label_smoothing) · logits[label]
    if label_smoothing:
        dlogits -= label_smoothing / kernel.shape[1]
    at_labels = tf.stack([tf.range(tf.size(labels, labels.dtype)), labels], axis=1)
    # after all that reads softmax: TensorFlow then adds in its place
    with tf.control_dependencies([log_sum_exp]):
        dlogits = tf.tensor_scatter_nd_add(dlogits, at_labels, (label_smoothing - 1) * tf.ones_like(dlosses))
    # logits = soft_cap · tanh(z / soft_cap)         (C, O) <- (C, O)
    dz = dlogits if soft_cap is None else dlogits * (1 - tf.square(logits / soft_cap))
    # z = bias_add(z, bias)                          (C, O) <- (O,)
    dbias = tf.linalg.matvec(dz, dlosses, transpose_a=True) if bias_gradient else None
    # z = matmul(x, kernel)                          (C, O) <- (C, I) (I, O)
    dx = dlosses[:, None] * tf.matmul(dz, kernel, transpose_b=True)
    dkernel = tf.matmul(dlosses[:, None] * x, dz, transpose_a=True)
    return dx, dkernel, dbias


def loss_and_gradients(x, kernel, bias, labels, dlosses, *, chunk_size, **options):
    """loss = Σ dlosses · losses, a scalar, and dx (N, I), dkernel (I, O) and dbias (O,) or None.

    What is not used of them is not computed: in a tf.function, TensorFlow and XLA both cut it out of the loop.
    """
    inputs = kernel.shape[0]
    tokens = tf.shape(x)[0]
    # the remainder first, often no token at all: the loop, which does not wait for it, then starts beside a small block
    first, later = tokens % chunk_size, tokens // chunk_size
    # XLA compiles the loop also for no token at all, and takes a wrong shape from there: one to look at, not in any sum
    spare = tf.cast(tokens == 0, tf.int32)
    label = tf.range(tf.cast(spare, labels.dtype))  # the GPU has no kernel that pads integers
    padded = tf.pad(x, [[0, spare], [0, 0]]), tf.concat([labels, label], axis=0), tf.pad(dlosses, [[0, spare]])

    def chunk(x, labels, dlosses):
        # TensorFlow refuses a label that is no class where it can look at it; where not, loss and gradients are NaN
        dlosses = tf.where((labels >= 0) & (labels < kernel.shape[1]), dlosses, math.nan)
        losses, residuals = chunk_forward(x, kernel, bias, labels, **options)
        dx, dkernel, dbias = chunk_backward(dlosses, residuals, bias_gradient=bias is not None, **options)
        return tf.reduce_sum(dlosses * losses), dx, [dkernel] if bias is None else [dkernel, dbias]

    def add_chunk(index, loss, sums, later_dx):
        # not a slice: XLA refuses one that is longer than x, even in a loop of no turns
        rows = first + index * chunk_size + tf.range(chunk_size)
        of_chunk, dx, gradients = chunk(*(tf.gather(tensor, rows) for tensor in padded))
        sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
        return index + 1, loss + of_chunk, sums, later_dx.write(index, dx)

    loss, first_dx, sums = chunk(x[:first], labels[:first], dlosses[:first])
    later_dx = tf.TensorArray(x.dtype, size=later, element_shape=(chunk_size, inputs))
    # one chunk at a time: chunks at once would hold as many blocks of logits
    _, loss, sums, later_dx = tf.while_loop(
        lambda *_: True, add_chunk, (0, loss, sums, later_dx), parallel_iterations=1, maximum_iterations=later
    )
    dx = tf.concat([first_dx, tf.reshape(later_dx.stack(), [-1, inputs])], axis=0)
    return loss, dx, sums[0], None if bias is None else sums[1]


def chunk_size_for(outputs, dtype):
    """How many tokens a chunk has by default."""
    return max(FEWEST_TOKENS, BLOCK_BYTES // (outputs * dtype.size)) * (ON_GPU if has_gpu() else 1)


def mean_loss_and_gradients(layer, weights, x, y, sample_weight, dtype):
    """The mean loss of a network that ends in the layer, and dx (B, …, I) and the layer's gradients by name, in dtype.

    x (B, …, I); labels y and sample_weight, or None, (B, …). A label that is no class makes the loss NaN, and raises
    nowhere, as `manual.losses` has it."""
    labels = tf.cast(tf.reshape(y, [-1]), tf.int64)
    is_class = (labels >= 0) & (labels < layer.units)
    weight = tf.ones_like(labels, dtype) if sample_weight is None else tf.reshape(sample_weight, [-1])
    # loss = Σ weight · losses / N: the 1/N that seeds the backward pass
    dlosses = tf.where(is_class, weight, math.nan) / tf.cast(tf.size(labels), dtype)
    bias = tf.cast(weights["bias"], dtype) if layer.use_bias else None
    loss, dx, dkernel, dbias = loss_and_gradients(
        tf.reshape(tf.cast(x, dtype), [-1, x.shape[-1]]),
        tf.cast(weights["kernel"], dtype),
        bias,
        tf.where(is_class, labels, 0),
        dlosses,
        chunk_size=chunk_size_for(layer.units, dtype),
        label_smoothing=0.0,
        z_loss=0.0,
        soft_cap=None,
    )
    found = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    return loss, tf.reshape(dx, [-1, *x.shape[1:]]), found
