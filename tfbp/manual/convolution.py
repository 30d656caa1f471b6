"""The convolution and the depthwise convolution as products over patches, each backward under its forward.

B batch, H and W the height and width of x, P and Q those of z, M and N those of the kernel, I inputs, O outputs,
G groups, D depth multiplier; x (B, H, W, I), bias (O,) or None, z (B, P, Q, O); kernel (M, N, I/G, O), and (M, N, I, D)
of the depthwise convolution, where O = I · D. A patch is what lies under the kernel at one place, M N pixels.
"""

from itertools import product

import tensorflow as tf


def conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1), groups=1):
    """z = patches(x) · kernel + bias, and the residuals (x, kernel, …).

    Example:
        >>> x, kernel = tf.ones([1, 3, 3, 1]), tf.ones([2, 2, 1, 1])
        >>> conv2d_forward(x, kernel, padding="same")[0][0, :, :, 0].numpy()
        array([[4., 4., 2.],
               [4., 4., 2.],
               [2., 2., 1.]], dtype=float32)
    """
    window = Window(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    patches = _in_groups(window.patches(x), groups)
    z = _from_groups(_product(patches, _kernel_in_groups(kernel, groups)), window.outputs)
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel, window, groups)


def conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """dx (B, H, W, I), dkernel (M, N, I/G, O) and dbias (O,), given dz; None for a gradient that is not asked for."""
    x, kernel, window, groups = residuals
    dx = dkernel = dbias = None
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    if bias_gradient:
        dbias = _sum_over_places(dz)
    # z = patches · kernel                                  (G, B P Q, O/G) <- (G, B P Q, M N I/G) (G, M N I/G, O/G)
    if kernel_gradient:
        patches, rows = _in_groups(window.patches(x), groups), _in_groups([dz], groups)
        dkernel = _kernel_from_groups(_product(patches, rows, transpose_a=True), kernel.shape)
    if input_gradient:
        # all patches in one product, and no patches of dz: XLA's loop of copies takes longer than the product
        rows = _product(_in_groups([wide(dz)], groups), _kernel_in_groups(wide(kernel), groups), transpose_b=True)
        dpatches = tf.reshape(rows, [groups, -1, len(window.positions), kernel.shape[2]])
        # patches = patches(x), each pixel in many of them      (B, P, Q, M N I) <- (B, H, W, I)
        dats = [_from_groups(dpatches[:, :, k], window.outputs) for k in range(len(window.positions))]
        dx = window.from_patches(dats, lambda _, dats: sum_of(dats, x.dtype))
    return dx, dkernel, dbias


def depthwise_conv2d_forward(x, kernel, bias=None, *, strides=(1, 1), padding="valid", dilation_rate=(1, 1)):
    """z[…, i, d] = Σ_mn patches(x)[…, m, n, i] · kernel[m, n, i, d] + bias, and the residuals (x, kernel, …)."""
    window = Window(x.shape[1:3], kernel.shape[:2], strides, padding, dilation_rate)
    terms = [wide(at)[..., None] * wide(kernel[m, n]) for (m, n), at in window.pixels(x)]
    z = tf.reshape(sum_of(terms, x.dtype), [-1, *window.outputs, kernel.shape[2] * kernel.shape[3]])
    if bias is not None:
        z = tf.nn.bias_add(z, bias)
    return z, (x, kernel, window)


def depthwise_conv2d_backward(dz, residuals, *, input_gradient=True, kernel_gradient=True, bias_gradient=True):
    """dx (B, H, W, I), dkernel (M, N, I, D) and dbias (I D,), given dz; None for one that is not asked for."""
    x, kernel, window = residuals
    dx = dkernel = dbias = None
    # z = bias_add(z, bias)                                 (B, P, Q, O) <- (O,)
    if bias_gradient:
        dbias = _sum_over_places(dz)
    # z = reshape(Σ_mn …)                                   (B, P, Q, O) <- (B, P, Q, I, D)
    dz = tf.reshape(dz, [-1, *window.outputs, *kernel.shape[2:]])
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


class Window:
    """A window of a kernel's size that is moved over x (B, H, W, …) in strides, its positions `dilation_rate` apart.

    With padding "same" it is moved to ceil(size / stride) places, and what it lacks there is added around x, the odd
    row below and the odd column on the right.
    """

    def __init__(self, sizes, kernel_sizes, strides, padding, dilation_rate=(1, 1)):
        self.sizes, self.strides, self.padding = tuple(sizes), tuple(strides), padding
        self.offsets = [[m * rate for m in range(n)] for n, rate in zip(kernel_sizes, dilation_rate, strict=True)]
        self.positions = list(product(*map(range, kernel_sizes)))
        spans = [offsets[-1] + 1 for offsets in self.offsets]
        axes = list(zip(self.sizes, spans, self.strides, strict=True))
        if padding == "same":
            self.outputs = tuple(-(-size // stride) for size, _, stride in axes)
            lacking = [(-(-size // stride) - 1) * stride + span - size for size, span, stride in axes]
            self.added = [(max(each, 0) // 2, max(each, 0) - max(each, 0) // 2) for each in lacking]
        else:
            self.outputs = tuple((size - span) // stride + 1 for size, span, stride in axes)
            self.added = [(0, 0), (0, 0)]
        # the rows of x with the same remainder by the stride, a phase, lie under the same rows of the kernel
        self.phase_sizes = tuple(-(-size // stride) for size, _, stride in axes)

    def pixels(self, x, value=0):
        """Each position (m, n) of the kernel, and what lies under it at all places, (B, P, Q, …)."""
        if self.added != [(0, 0), (0, 0)]:
            x = tf.pad(x, _paddings(self.added, x), constant_values=value)
        for m, n in self.positions:
            rows, columns = (
                slice(offsets[k], offsets[k] + (outputs - 1) * stride + 1, stride)
                for offsets, k, outputs, stride in zip(self.offsets, (m, n), self.outputs, self.strides, strict=True)
            )
            yield (m, n), x[:, rows, columns]

    def patches(self, x):
        return [at for _, at in self.pixels(x)]

    def from_patches(self, dz, dpixels):
        """dx (B, H, W, …): for each phase dpixels(positions, dzs), from the positions (m, n) under which its pixels lie
        and, for each of these, dz (B, H/stride, W/stride, …) of the place where a pixel lies under it.

        Args:
            dz: (B, P, Q, …), or a list of them, one for each position.
        """
        phases = [list(self._phases(axis)) for axis in (0, 1)]
        added = []
        for of_axis, size, outputs in zip(phases, self.phase_sizes, self.outputs, strict=True):
            shifts = [shift for phase in of_axis for _, shift in phase]
            added.append((max(-min(shifts), 0), max(max(shifts) + size - outputs, 0)))
        dz = dz if isinstance(dz, list) else [dz]
        padded = dz if added == [(0, 0), (0, 0)] else [tf.pad(each, _paddings(added, each)) for each in dz]
        padded = dict(zip(self.positions, padded * (len(self.positions) // len(dz)), strict=True))

        def of_phase(rows, columns):
            positions = [(m, n) for m, _ in rows for n, _ in columns]
            shifts = product((shift for _, shift in rows), (shift for _, shift in columns))
            dzs = [self._shifted(padded[at], added, by) for at, by in zip(positions, shifts, strict=True)]
            # none lies between the places of a window that is smaller than its stride
            return dpixels(positions, dzs) if dzs else None

        found = [[of_phase(rows, columns) for columns in phases[1]] for rows in phases[0]]
        some = next(each for row in found for each in row if each is not None)
        if self.strides == (1, 1):
            return some
        found = [[tf.zeros_like(some) if each is None else each for each in row] for row in found]
        # pixel stride · k + phase is pixel k of its phase      (B, H/s, s, W/s, s, …) -> (B, H, W, …)
        dx = tf.stack([tf.stack(row, axis=3) for row in found], axis=2)
        whole = [size * stride for size, stride in zip(self.phase_sizes, self.strides, strict=True)]
        dx = tf.reshape(dx, [-1, *whole, *some.shape[3:]])
        return dx if tuple(whole) == self.sizes else dx[:, : self.sizes[0], : self.sizes[1]]

    def _phases(self, axis):
        """For each remainder by the stride: the positions that its pixels lie under, and how many places away."""
        before, stride = self.added[axis][0], self.strides[axis]
        for phase in range(stride):
            distances = [(k, phase + before - offset) for k, offset in enumerate(self.offsets[axis])]
            yield [(k, distance // stride) for k, distance in distances if distance % stride == 0]

    def _shifted(self, padded, added, shifts):
        rows, columns = (
            slice(before + shift, before + shift + size)
            for (before, _), shift, size in zip(added, shifts, self.phase_sizes, strict=True)
        )
        return padded[:, rows, columns]


def _paddings(added, x):
    return [[0, 0], *map(list, added), *([0, 0] for _ in range(x.shape.rank - 3))]


def _split(a, groups):
    """(…, C) -> (…, G, C/G)."""
    return tf.reshape(a, [*a.shape[:-1], groups, a.shape[-1] // groups])


def _in_groups(pixels, groups):
    """K of (B, P, Q, C) -> (G, B P Q, K C/G): the rows of a product, for each group."""
    channels = pixels[0].shape[-1]
    if groups == 1:
        joined = pixels[0] if len(pixels) == 1 else tf.concat(pixels, axis=-1)
        return tf.reshape(joined, [1, -1, len(pixels) * channels])
    parts = [tf.reshape(each, [-1, groups, channels // groups]) for each in pixels]
    return tf.transpose(tf.concat(parts, axis=-1), [1, 0, 2])


def _from_groups(rows, sizes):
    """(G, B P Q, C/G) -> (B, P, Q, C)."""
    groups, _, channels = rows.shape
    flat = rows[0] if groups == 1 else tf.transpose(rows, [1, 0, 2])
    return tf.reshape(flat, [-1, *sizes, groups * channels])


def _kernel_in_groups(kernel, groups):
    """(M, N, I/G, O) -> (G, M N I/G, O/G)."""
    return tf.transpose(tf.reshape(kernel, [-1, groups, kernel.shape[-1] // groups]), [1, 0, 2])


def _kernel_from_groups(parts, shape):
    """(G, M N I/G, O/G) -> (M, N, I/G, O)."""
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), shape)


def _product(a, b, **transposed):
    """a · b of each group; of one group without a batch, for which TensorFlow has the faster kernel."""
    if a.shape[0] > 1:
        return tf.matmul(a, b, **transposed)
    return tf.matmul(tf.squeeze(a, [0]), tf.squeeze(b, [0]), **transposed)[None]


def wide(a):
    """16-bit numbers are added up in float32: in their own type a long sum loses most of its digits."""
    return tf.cast(a, tf.float32) if a.dtype.size == 2 else a


def sum_of(terms, dtype, divided_by=None):
    """Σ terms (/ divided_by), rounded to dtype once."""
    total = wide(terms[0])
    for term in terms[1:]:
        total = total + wide(term)
    if divided_by is not None:
        total = total / tf.constant(divided_by, total.dtype)
    return tf.cast(total, dtype)


def _sum_over_places(dz):
    return tf.cast(tf.reduce_sum(wide(dz), axis=[0, 1, 2]), dz.dtype)


def forward(layer, weights, x, *, training, seed):
    options = dict(strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)
    if layer.keras_name == "DepthwiseConv2D":
        z, residuals = depthwise_conv2d_forward(x, **weights, **options)
    else:
        z, residuals = conv2d_forward(x, **weights, **options, groups=layer.groups)
    return z, residuals, {}


def backward(layer, dz, residuals, *, input_gradient=True, weight_gradients=True):
    through = depthwise_conv2d_backward if layer.keras_name == "DepthwiseConv2D" else conv2d_backward
    dx, dkernel, dbias = through(
        dz,
        residuals,
        input_gradient=input_gradient,
        kernel_gradient=weight_gradients,
        bias_gradient=weight_gradients and layer.use_bias,
    )
    found = {"kernel": dkernel, "bias": dbias} if layer.use_bias else {"kernel": dkernel}
    return dx, found if weight_gradients else {}
