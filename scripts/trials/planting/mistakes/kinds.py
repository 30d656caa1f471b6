"""Kinds that move, scale and spread numbers: edges, upsampling, transposed convolutions, sequences, equations."""

from planting.mistake import of

MISTAKES = [
    *of(
        "manual",
        "padding",
        {
            "padding-dx-from-the-other-side": ("zero_padding_backward", "_without(dy, padding)", "_without(dy, [pair[::-1] for pair in padding])", "dx of manual", "the two ends of padding are exchanged"),
            "cropping-at-the-other-side": ("cropping_forward", "_without(x, cropping)", "_without(x, [pair[::-1] for pair in cropping])", "z of manual", "the two ends of cropping are exchanged"),
            "cropping-dx-at-the-other-side": ("cropping_backward", "[(0, 0), *cropping, (0, 0)]", "[(0, 0), *(pair[::-1] for pair in cropping), (0, 0)]", "dx of manual", "an edge at the wrong side"),
        },
    ),
    *of(
        "manual",
        "scaling",
        {
            "layer-scale-dx-unscaled": ("layer_scale_backward", "dy * gamma", "dy", "dx of manual", "gamma is left out"),
            "layer-scale-dgamma-of-dy-alone": ("layer_scale_backward", "wide(dy) * wide(x)", "wide(dy)", "dgamma of manual", "x is left out, as if it were 1"),
        },
    ),
    *of(
        "manual",
        "sequences",
        {
            "causal-dx-of-the-padding": ("conv1d_backward", "dpadded[:, before:, 0]", "dpadded[:, :dpadded.shape[1] - before, 0]", "dx of manual", "padding is taken for 'same'"),
            "causal-after-the-last-step": ("conv1d_forward", "[before, 0]", "[0, before]", "z of manual", ""),
            "steps-dilation-lost": ("conv1d_forward", "(*dilation_rate, 1)", "(1, 1)", "of manual", ""),
            "steps-depthwise-strides-lost": ("depthwise_conv1d_forward", "(*strides, 1)", "(1, 1)", "of manual", "strides is left out, as if it were 1"),
            "steps-pooling-strides-of-the-pool": ("_pooled", "(*layer.strides, 1)", "(*layer.pool_size, 1)", "of manual", "strides is taken for pool_size"),
        },
    ),
    *of(
        "manual",
        "volumes",
        {
            "volumes-dilation-of-the-last-axis": ("conv3d_forward", "(dilation_rate[0], 1)", "(dilation_rate[2], 1)", "z of manual", "dilation_rate of axis 0 is left out"),
            "volumes-strides-of-the-depth-for-the-width": ("conv3d_forward", "strides[1:]", "strides[:2]", "of manual", r"the numbers of strides come as \(2, 2, 1\)"),
            "volumes-dilation-of-the-depth-lost": ("conv3d_forward", "(dilation_rate[0], 1)", "(1, 1)", "of manual", "dilation_rate of axis 0 is left out"),
            "volumes-dkernel-in-the-reverse-order": ("conv3d_backward", "tf.stack(dkernel)", "tf.stack(dkernel[::-1])", "dkernel of manual", "in the reverse order along 0"),
            "volumes-dx-of-one-level": ("conv3d_backward", "sum_of(dats, dz.dtype)", "sum_of(dats[:1], dz.dtype)", "dx of manual", "the last of kernel along its axis 0 is left out"),
            "volumes-pooling-of-the-slices-alone": ("pool3d_forward", "(strides[0], 1)", "(pool_size[0], 1)", "of manual", ""),
        },
    ),
    *of(
        "manual",
        "upsampling",
        {
            "nearest-dx-of-the-first": ("nearest_backward", "tf.reduce_sum(split, axis=[*range(2, 2 * len(size) + 1, 2)])", "tf.reduce_mean(split, axis=[*range(2, 2 * len(size) + 1, 2)])", "dx of manual", "a factor 1/size too many"),
            "nearest-axes-exchanged": ("nearest_forward", "enumerate(size, 1)", "enumerate(size[::-1], 1)", "z of manual", "the two numbers of size are exchanged"),
            "bilinear-corners-aligned": ("_shares", "(np.arange(count * times) + 0.5) / times - 0.5", "np.arange(count * times) * (count - 1) / (count * times - 1)", "of manual", ""),
            "bilinear-dx-by-rows-alone": ("bilinear_backward", "_shares(n, times, wide(dy).dtype)", "_shares(n, times, wide(dy).dtype)[::-1]", "dx of manual", "the right numbers in another order: a permutation is wrong,"),
        },
    ),
    *of(
        "manual",
        "transposed",
        {
            "transposed-kernel-turned-in-the-backward": ("conv2d_transpose_backward", "tf.concat(window.patches(wide(dz)), axis=-1)", "tf.concat(window.patches(wide(dz))[::-1], axis=-1)", "dkernel of manual", "in another order"),
            "transposed-kernel-turned": ("conv2d_transpose_forward", "window.positions.index(position)", "-1 - window.positions.index(position)", "z of manual", "kernel is turned by half a turn"),
            "transposed-dbias-of-the-first-row": ("conv2d_transpose_backward", "tf.reduce_sum(wide(dz), axis=[0, 1, 2])", "tf.reduce_sum(wide(dz)[:, :1], axis=[0, 1, 2])", "dbias of manual", "the first of dz along H counts alone"),
            "transposed-dkernel-of-other-examples": ("conv2d_transpose_backward", "tf.reshape(wide(x), [-1, inputs])", "tf.reshape(wide(x)[::-1], [-1, inputs])", "dkernel of manual", "dz in the reverse order along B"),
        },
    ),
    *of(
        "manual",
        "rearranging",
        {
            "slice-not-turned-back": ("_spread", "dy, taken = tf.reverse(dy, [axis]), taken[::-1]", "taken = taken[::-1]", "dx of manual", "in the reverse order"),
            "permuted-back-by-the-same-order": ("permute_backward", "(dims.index(axis) + 1 for axis in range(1, dy.shape.rank))", "dims", "dx of manual", ""),
            "repeated-dx-of-the-first-step": ("repeat_vector_backward", "tf.reduce_sum(wide(dy), axis=1)", "dy[:, 0]", "dx of manual", "the first of dz along T counts alone"),
            "a-part-s-dx-at-the-start": ("_spread", "_paddings(dy, axis, taken[0], size - 1 - taken[-1])", "_paddings(dy, axis, 0, size - 1 - taken[-1] + taken[0])", "dx of manual", "in the reverse order along C"),
            "a-part-s-step-lost-in-dx": ("_spread", "tf.pad(apart, _paddings(apart, axis + 1, 0, taken.step - 1))", "tf.pad(apart, _paddings(apart, axis + 1, taken.step - 1, 0))", "dx of manual", ""),
            "unstacked-in-reverse": ("stack_backward", "tuple(tf.unstack(dy, axis=axis))", "tuple(tf.unstack(dy, axis=axis)[::-1])", "of manual", "dz in the reverse order along W"),
        },
    ),
    *of(
        "manual",
        "einsum",
        {
            "equation-s-dbias-a-mean": ("einsum_dense_backward", "tf.reduce_sum(wide(dz), axis=axes)", "tf.reduce_mean(wide(dz), axis=axes)", "dbias of manual", "a constant factor is wrong"),
            "equation-s-dkernel-of-other-examples": ("einsum_dense_backward", "_product(f'{letters.x},{letters.z}->{letters.kernel}', x, dz)", "_product(f'{letters.x},{letters.z}->{letters.kernel}', x[::-1], dz)", "dkernel of manual", ""),
        },
    ),
    *of(
        "manual",
        "merge",
        {
            "product-of-a-repeated-factor-summed-too-early": ("multiply_backward", "_sum_to(last.shape, dy * product)", "_sum_to(last.shape, dy) * _sum_to(last.shape, product)", "dx1 of manual", ""),
            "maximum-of-equal-ones-to-the-last": ("_extreme_backward", "dfirst, dlast = tf.where(first == y, dy, zero), tf.where(first == y, zero, dy)", "dfirst, dlast = tf.where(last == y, zero, dy), tf.where(last == y, dy, zero)", "dx0 of manual", ""),
            "dot-axes-never-turned-back": ("_back", "tf.transpose(d, [0, 2, 1]) if axis == 0 else d", "tf.reshape(d, tf.shape(x))", "dx0 of manual", "in another order"),
        },
    ),
]  # fmt: skip
