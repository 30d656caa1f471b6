"""The last dense layer and the softmax cross-entropy together, in chunks of tokens, without the full logits in memory.

One pass computes the mean loss and its gradients. A chunk's logits become its share of every gradient, and are freed.
Loss and gradients are sums over tokens, so nothing is computed twice.

N tokens, C tokens of a chunk, I inputs, O outputs (classes), K classes of a block; x (N, I), kernel (I, O), bias (O,)
or None, labels (N,) within 0 … O-1, dlosses (N,) a token's factor in the mean; z, logits, exponentials (C, K) of a
block; losses (C,). All floats have one dtype.
"""

import math

import tensorflow as tf

from tfbp.manual.compiled import has_gpu

# as an ordinary layer of a chain it computes as a dense layer
from tfbp.manual.dense import backward, example_moments, example_squares, forward

CHUNK_BYTES = 2**25  # bytes of a chunk's logits: 256 tokens of 32,768 classes in float32
FEWEST_TOKENS = 128  # tokens of a chunk, at least: the kernel's gradient is read and written once for each chunk
# the largest number of blocks of classes in a chunk: a block's logits stay in the cache for most of the work
BLOCKS, FEWEST_CLASSES = 8, 4096
ON_GPU = 8  # factor for a chunk's tokens on a GPU, with all classes at once: it is idle with fewer


def chunk_forward(x, blocks, labels, *, label_smoothing, z_loss, soft_cap):
    """Returns the losses of a chunk, (C,), and the residuals, with blocks (first, kernel (K, I), bias (K,) or None).

    losses = log Σ exp(logits) - Σ target · logits + z_loss · (log Σ exp(logits))²
    target = (1 - label_smoothing) · one_hot(labels) + label_smoothing / O
    """
    by_block, label_logits, sums, maxima, totals = [], [], [], [], []
    for first, kernel, bias in blocks:
        z = tf.matmul(x, kernel, transpose_b=True)
        if bias is not None:
            z = tf.nn.bias_add(z, bias)
        logits = z if soft_cap is None else soft_cap * tf.tanh(z / soft_cap)
        place, is_here = _place_of(labels, first, kernel)
        label_logits.append(tf.where(is_here, tf.gather(logits, place, batch_dims=1), 0))
        sums.append(tf.reduce_sum(logits, axis=-1) if label_smoothing else 0)
        maxima.append(tf.reduce_max(logits, axis=-1))
        # after all other readers of the logits: TensorFlow then overwrites them in place
        with tf.control_dependencies([label_logits[-1], maxima[-1]]):
            exponentials = tf.exp(logits - maxima[-1][:, None])
        totals.append(tf.reduce_sum(exponentials, axis=-1))
        by_block.append((exponentials, logits))
    largest = tf.reduce_max(tf.stack(maxima), axis=0)
    # Σ exp(logits - largest), of each block's Σ exp(logits - its own largest)
    factors = [tf.exp(maximum - largest) for maximum in maxima]
    total = tf.add_n([factor * each for factor, each in zip(factors, totals, strict=True)])
    label_logit = tf.add_n(label_logits)
    log_sum_exp = largest + tf.math.log(total)
    # not log_sum_exp - label_logit: the difference of two large numbers cancels
    losses = tf.math.log(total) + (largest - label_logit)
    if label_smoothing:
        losses += label_smoothing * (label_logit - tf.add_n(sums) / _classes(blocks))
    if z_loss:
        losses += z_loss * tf.square(log_sum_exp)
    return losses, (x, blocks, labels, by_block, [factor / total for factor in factors], log_sum_exp)


def chunk_backward(dlosses, residuals, *, label_smoothing, z_loss, soft_cap):
    """Returns dx (C, I), and dkernel (I, K) and dbias (K,) (with a bias) of each block, from dlosses (C,).

    dlosses scales rows of x and dx, which are shorter than rows of dz. So dz is here the gradient of Σ losses."""
    x, blocks, labels, by_block, scales, log_sum_exp = residuals
    dxs, gradients = [], []
    for (first, kernel, bias), (exponentials, logits), scale in zip(blocks, by_block, scales, strict=True):
        # losses = log_sum_exp + z_loss · log_sum_exp² - …        d log_sum_exp = softmax = scale · exponentials
        dlogits = exponentials * (scale * (1 + 2 * z_loss * log_sum_exp) if z_loss else scale)[:, None]
        # losses = … - (label_smoothing / O) · Σ logits - (1 - label_smoothing) · logits[label]
        if label_smoothing:
            dlogits -= label_smoothing / _classes(blocks)
        place, is_here = _place_of(labels, first, kernel)
        at_labels = tf.stack([tf.range(tf.size(labels, labels.dtype)), place], axis=1)
        dlogits = tf.tensor_scatter_nd_add(dlogits, at_labels, (label_smoothing - 1) * tf.cast(is_here, dlogits.dtype))
        # logits = soft_cap · tanh(z / soft_cap)         (C, K) <- (C, K)
        dz = dlogits if soft_cap is None else dlogits * (1 - tf.square(logits / soft_cap))
        # z = bias_add(z, bias)                          (C, K) <- (K,)
        dbias = [] if bias is None else [tf.linalg.matvec(dz, dlosses, transpose_a=True)]
        # z = matmul(x, transpose(kernel))               (C, K) <- (C, I) (K, I)
        dxs.append(tf.matmul(dz, kernel))
        gradients.append([tf.matmul(dlosses[:, None] * x, dz, transpose_a=True), *dbias])
    return dlosses[:, None] * tf.add_n(dxs), gradients


def loss_and_gradients(x, kernel, bias, labels, dlosses, *, chunk_size, **options):
    """Returns loss = Σ dlosses · losses, a scalar, and dx (N, I), dkernel (I, O) and dbias (O,) or None.

    Unused results cost nothing: in a tf.function, TensorFlow and XLA both remove them from the loop.
    """
    inputs, outputs = kernel.shape
    tokens = tf.shape(x)[0]
    # the remainder first, often no token: the loop does not wait for it, and starts next to a small block
    first, later = tokens % chunk_size, tokens // chunk_size
    # XLA compiles the loop also for no tokens, with a wrong shape: one padded token, which no sum contains
    spare = tf.cast(tokens == 0, tf.int32)
    label = tf.range(tf.cast(spare, labels.dtype))  # the GPU has no kernel that pads integers
    padded = tf.pad(x, [[0, spare], [0, 0]]), tf.concat([labels, label], axis=0), tf.pad(dlosses, [[0, spare]])
    blocks = _blocks(kernel, bias)

    def chunk(x, labels, dlosses):
        # for a label that is not a class, loss and gradients are NaN
        dlosses = tf.where((labels >= 0) & (labels < outputs), dlosses, math.nan)
        losses, residuals = chunk_forward(x, blocks, labels, **options)
        dx, gradients = chunk_backward(dlosses, residuals, **options)
        return tf.reduce_sum(dlosses * losses), dx, gradients

    def add_chunk(index, loss, sums, later_dx):
        # not a slice: XLA rejects one that is longer than x, even in a loop of no steps
        rows = first + index * chunk_size + tf.range(chunk_size)
        of_chunk, dx, gradients = chunk(*(tf.gather(tensor, rows) for tensor in padded))
        return index + 1, loss + of_chunk, tf.nest.map_structure(tf.add, sums, gradients), later_dx.write(index, dx)

    loss, first_dx, sums = chunk(x[:first], labels[:first], dlosses[:first])
    later_dx = tf.TensorArray(x.dtype, size=later, element_shape=(chunk_size, inputs))
    # one chunk at a time: several at once would need as many blocks of logits
    _, loss, sums, later_dx = tf.while_loop(
        lambda *_: True, add_chunk, (0, loss, sums, later_dx), parallel_iterations=1, maximum_iterations=later
    )
    dx = tf.concat([first_dx, tf.reshape(later_dx.stack(), [-1, inputs])], axis=0)
    dkernel, *dbias = (tf.concat(parts, axis=-1) for parts in zip(*sums, strict=True))
    return loss, dx, dkernel, *(dbias or [None])


def _blocks(kernel, bias):
    """Returns (first class, kernel (K, I), bias (K,) or None) of each block of classes.

    The kernel is transposed, because the product for dx then takes half the time."""
    classes = kernel.shape[1]
    size = classes if has_gpu() else max(FEWEST_CLASSES, -(-classes // BLOCKS))
    firsts = range(0, classes, size)
    sizes = [min(size, classes - first) for first in firsts]
    kernels = tf.split(tf.transpose(kernel), sizes)
    biases = [None] * len(sizes) if bias is None else tf.split(bias, sizes)
    return [*zip(firsts, kernels, biases, strict=True)]


def _place_of(labels, first, kernel):
    """Returns the labels' positions in a block, and which labels are in it."""
    place = labels - first
    is_here = (place >= 0) & (place < kernel.shape[0])
    return tf.where(is_here, place, 0), is_here


def _classes(blocks):
    return sum(kernel.shape[0] for _, kernel, _ in blocks)


def chunk_size_for(outputs, dtype):
    """Returns the default number of tokens of a chunk."""
    return max(FEWEST_TOKENS, CHUNK_BYTES // (outputs * dtype.size)) * (ON_GPU if has_gpu() else 1)


def mean_loss_and_gradients(layer, weights, x, y, sample_weight, dtype):
    """Returns the mean loss of a network that ends in the layer, dx (B, …, I), and the layer's gradients by name.

    x (B, …, I); labels y and sample_weight, or None, (B, …). A label that is not a class makes the loss NaN, and raises
    nothing, as in `manual.losses`."""
    labels = tf.cast(tf.reshape(y, [-1]), tf.int64)
    weight = tf.ones_like(labels, dtype) if sample_weight is None else tf.reshape(sample_weight, [-1])
    # loss = Σ weight · losses / N: the 1/N that seeds the backward pass
    dlosses = weight / tf.cast(tf.size(labels), dtype)
    bias = tf.cast(weights["bias"], dtype) if layer.use_bias else None
    loss, dx, dkernel, dbias = loss_and_gradients(
        tf.reshape(tf.cast(x, dtype), [-1, x.shape[-1]]),
        tf.cast(weights["kernel"], dtype),
        bias,
        labels,
        dlosses,
        chunk_size=chunk_size_for(layer.units, dtype),
        label_smoothing=0.0,
        z_loss=0.0,
        soft_cap=None,
    )
    found = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    return loss, tf.reshape(dx, [-1, *x.shape[1:]]), found


KINDS = {"LinearCrossEntropy": (forward, backward)}
PER_EXAMPLE = {"LinearCrossEntropy": {"squares": example_squares, "moments": example_moments}}
# for a last layer: the mean loss, dx and the layer's gradients together
WITH_LOSS = {"LinearCrossEntropy": mean_loss_and_gradients}
