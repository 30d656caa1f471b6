"""The convolution and the depthwise convolution, each backward under its forward, as convolutions, products and sums.

B batch, H and W the height and width of x, P and Q of z, M and N of the kernel, I inputs, O outputs,
G groups, D depth multiplier; x (B, H, W, I), bias (O,) or None, z (B, P, Q, O); kernel (M, N, I/G, O), and (M, N, I, D)
for the depthwise convolution, where O = I · D. A patch is the M N pixels under the kernel at one position.
"""

from functools import partial

import tensorflow as tf

from tfbp.manual.compiled import is_compiled
from tfbp.manual.sizes import with_batch_of
from tfbp.manual.window import Window, sum_of, wide


def conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1):
    """Returns z = patches(x) · kernel + bias, and the residuals (x, kernel, …).

    TensorFlow's convolution computes this product without a copy of the patches.

    Example:
        >>> x, kernel = tf.ones([1, 3, 3, 1]), tf.ones([2, 2, 1, 1])
        >>> conv2d_forward(x, kernel, padding="same")[0][0, :, :, 0].numpy()
        array([[4., 4., 2.],
               [4., 4., 2.],
               [2., 2., 1.]], dtype=float32)
    """
    options = dict(strides=strides, padding=padding, dilation_rate=dilation_rate)
    window = Window(x.shape[1:3], kernel.shape[:2], **options)
    if groups > 1:
        patches = _in_groups(window.patches(x), groups)
        z = _from_groups(_product(patches, _kernel_in_groups(kernel, groups)), x, window.outputs)
    elif x.shape[-1] == 1 and is_compiled():
        # a few sums, which XLA fuses in one loop with the activation and the pooling after them
        z, _ = depthwise_conv2d_forward(x, kernel, **options)
    else:
        z = tf.nn.conv2d(x, kernel, strides, padding.upper(), dilations=dilation_rate)
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel, window, groups)


def conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """Returns dx (B, H, W, I), dkernel (M, N, I/G, O) and dbias (O,), from dz; None for a gradient that is off."""
    x, kernel, window, groups = residuals
    dx = dkernel = dbias = None
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    if bias_gradient:
        dbias = _sum_over_places(dz)
    # z = patches · kernel                                  (G, B P Q, O/G) <- (G, B P Q, M N I/G) (G, M N I/G, O/G)
    if kernel_gradient and window.is_plain and groups == 1 and is_compiled():
        # for each position of the kernel, a product of x and dz, summed over all positions of z and all examples: a
        # convolution of x by dz in which examples and channels are exchanged
        by_inputs, by_examples = (_with_an_example(wide(a)) for a in (window.pad(x), dz))
        by_inputs, by_examples = tf.transpose(by_inputs, [3, 1, 2, 0]), tf.transpose(by_examples, [1, 2, 0, 3])
        dkernel = tf.transpose(tf.nn.conv2d(by_inputs, by_examples, 1, "VALID"), [1, 2, 0, 3])
        dkernel = tf.cast(dkernel, kernel.dtype)
    elif kernel_gradient:
        patches, rows = _in_groups(window.patches(x), groups), _in_groups([dz], groups)
        dkernel = _kernel_from_groups(_product(patches, rows, transpose_a=True), kernel.shape)
    if input_gradient:
        # all patches in one product, and no patches of dz: XLA's loop of copies is slower than the product
        rows = _product(_in_groups([wide(dz)], groups), _kernel_in_groups(wide(kernel), groups), transpose_b=True)
        rows = rows[0] if groups == 1 else tf.transpose(rows, [1, 0, 2])
        sizes = with_batch_of(x, *window.outputs, groups, len(window.positions), kernel.shape[2])
        dpatches = tf.reshape(rows, sizes)

        def dpixels(positions, dats):
            terms = [at[..., window.positions.index(position), :] for position, at in zip(positions, dats, strict=True)]
            return tf.reshape(sum_of(terms, x.dtype), with_batch_of(x, *terms[0].shape[1:3], x.shape[-1]))

        # patches = patches(x), each pixel in many of them      (B, P, Q, G, M N, I/G) <- (B, H, W, I)
        dx = window.from_patches(dpatches, dpixels)
    return dx, dkernel, dbias


def depthwise_conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    """Returns z[…, i, d] = Σ_mn patches(x)[…, m, n, i] · kernel[m, n, i, d] + bias, and the residuals."""
    window = Window(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    terms = [wide(at)[..., None] * wide(kernel[m, n]) for (m, n), at in window.pixels(x)]
    z = tf.reshape(sum_of(terms, x.dtype), with_batch_of(x, *window.outputs, kernel.shape[2] * kernel.shape[3]))
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel, window)


def depthwise_conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """Returns dx (B, H, W, I), dkernel (M, N, I, D) and dbias (I D,), from dz; None for a gradient that is off."""
    x, kernel, window = residuals
    dx = dkernel = dbias = None
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    if bias_gradient:
        dbias = _sum_over_places(dz)
    # z = reshape(Σ_mn …)                                   (B, P, Q, O) <- (B, P, Q, I, D)
    dz = tf.reshape(dz, with_batch_of(x, *window.outputs, *kernel.shape[2:]))
    # term = pixels[m, n] · kernel[m, n]                    (B, P, Q, I, D) <- (B, P, Q, I, 1) (I, D)
    if kernel_gradient:
        sums = [tf.reduce_sum(wide(at)[..., None] * wide(dz), axis=[0, 1, 2]) for _, at in window.pixels(x)]
        dkernel = tf.cast(tf.reshape(tf.stack(sums), kernel.shape), kernel.dtype)
    if input_gradient:

        def dpixels(positions, dzs):
            terms = [wide(at) * wide(kernel[m, n]) for (m, n), at in zip(positions, dzs, strict=True)]
            return tf.cast(tf.reduce_sum(sum_of(terms, terms[0].dtype), axis=-1), x.dtype)

        dx = window.from_patches(dz, dpixels)
    return dx, dkernel, dbias


def _in_groups(pixels, groups):
    """K tensors (B, P, Q, C) -> (G, B P Q, K C/G): the rows of a product, for each group."""
    channels = pixels[0].shape[-1]
    if groups == 1:
        joined = pixels[0] if len(pixels) == 1 else tf.concat(pixels, axis=-1)
        return tf.reshape(joined, [1, -1, len(pixels) * channels])
    parts = [tf.reshape(pixel, [-1, groups, channels // groups]) for pixel in pixels]
    return tf.transpose(tf.concat(parts, axis=-1), [1, 0, 2])


def _from_groups(rows, x, sizes):
    """(G, B P Q, C/G) -> (B, P, Q, C), B that of x."""
    groups, _, channels = rows.shape
    flat = rows[0] if groups == 1 else tf.transpose(rows, [1, 0, 2])
    return tf.reshape(flat, with_batch_of(x, *sizes, groups * channels))


def _kernel_in_groups(kernel, groups):
    """(M, N, I/G, O) -> (G, M N I/G, O/G)."""
    return tf.transpose(tf.reshape(kernel, [-1, groups, kernel.shape[-1] // groups]), [1, 0, 2])


def _kernel_from_groups(parts, shape):
    """(G, M N I/G, O/G) -> (M, N, I/G, O)."""
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), shape)


def _product(a, b, **transposed):
    """Returns a · b of each group; one group has no batch axis, because TensorFlow has a faster kernel for it."""
    if a.shape[0] > 1:
        return tf.matmul(a, b, **transposed)
    return tf.matmul(tf.squeeze(a, [0]), tf.squeeze(b, [0]), **transposed)[None]


def _with_an_example(a):
    """Returns zeros for a batch of no examples: XLA has no convolution of no channels, and the process would end."""
    if a.shape[0]:
        return a
    spare = tf.cast(tf.shape(a)[0] == 0, tf.int32)
    return tf.pad(a, [[0, spare], [0, 0], [0, 0], [0, 0]])


def _sum_over_places(dz):
    return tf.cast(tf.reduce_sum(wide(dz), axis=[0, 1, 2]), dz.dtype)


def _options(layer):
    return dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)


def _conv2d(layer, weights, x, *, training, seed):
    return *conv2d_forward(x, **weights, **_options(layer), groups=layer.groups), {}


def _depthwise_conv2d(layer, weights, x, *, training, seed):
    return *depthwise_conv2d_forward(x, **weights, **_options(layer)), {}


def _backward(function, layer, dz, residuals):
    dx, dkernel, dbias = function(dz, residuals, bias_gradient=layer.use_bias)
    return dx, {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}


def conv2d_of_examples(x, dz, *, kernel_size, strides, padding, dilation_rate, groups):
    """Returns each example's dkernel, (B, M, N, I/G, O): the products over its own patches."""
    window = Window(x.shape[1:3], kernel_size, strides, padding, dilation_rate)
    places = window.outputs[0] * window.outputs[1]
    patches = _rows_in_groups(window.patches(x), places, groups)
    # dkernel = patchesᵀ · dz                               (B, G, M N I/G, O/G) <- (B, G, P Q, …) (B, G, P Q, O/G)
    dkernel = tf.matmul(patches, _rows_in_groups([dz], places, groups), transpose_a=True)
    return tf.reshape(tf.transpose(dkernel, [0, 2, 1, 3]), [-1, *kernel_size, x.shape[-1] // groups, dz.shape[-1]])


def depthwise_conv2d_of_examples(x, dz, *, kernel_size, strides, padding, dilation_rate):
    """Returns each example's dkernel of a depthwise convolution, (B, M, N, I, D)."""
    window = Window(x.shape[1:3], kernel_size, strides, padding, dilation_rate)
    by_channel = tf.reshape(dz, [-1, *window.outputs, x.shape[-1], dz.shape[-1] // x.shape[-1]])
    # dkernel[m, n, i, d] = Σ pixels[m, n, i] · dz[i, d] over the positions
    each = [tf.reduce_sum(at[..., None] * by_channel, axis=[1, 2]) for at in window.patches(x)]
    return tf.reshape(tf.stack(each, axis=1), [-1, *kernel_size, *by_channel.shape[3:]])


def _conv2d_gradients(layer, x, dz):
    options = dict(kernel_size=layer.kernel_size, groups=layer.groups, **_options(layer))
    return _with_bias(layer, conv2d_of_examples(x, dz, **options), dz)


def _depthwise_conv2d_gradients(layer, x, dz):
    dkernel = depthwise_conv2d_of_examples(x, dz, kernel_size=layer.kernel_size, **_options(layer))
    return _with_bias(layer, dkernel, dz)


def _with_bias(layer, dkernel, dz):
    return {"kernel": dkernel, "bias": tf.reduce_sum(dz, axis=[1, 2])} if layer.use_bias else {"kernel": dkernel}


def _rows_in_groups(pixels, places, groups):
    """K tensors (B, P, Q, C) -> (B, G, P Q, K C/G)."""
    rows = _in_groups(pixels, groups)
    return tf.transpose(tf.reshape(rows, [groups, -1, places, rows.shape[-1]]), [1, 0, 2, 3])


KINDS = {
    "Conv2D": (_conv2d, partial(_backward, conv2d_backward)),
    "DepthwiseConv2D": (_depthwise_conv2d, partial(_backward, depthwise_conv2d_backward)),
}
PER_EXAMPLE = {
    "Conv2D": {"gradients": _conv2d_gradients},
    "DepthwiseConv2D": {"gradients": _depthwise_conv2d_gradients},
}
