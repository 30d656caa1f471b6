"""More operations with a registered gradient, and every tf.custom_gradient inside TensorFlow and Keras.

keras-hub 0.32 has none. Operations that gather numbers of other machines, read or write resources, or exist only in a
loop or in another gradient are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SPECIAL = "bessel_j0 bessel_j1 bessel_y0 bessel_y1 bessel_k0e bessel_k1e expint fresnel_cos fresnel_sin"
OPERATIONS = (
    "betainc igammac banded_triangular_solve tridiagonal_matmul diag set_diags matrix_solve_ls eigvals space_to_batch "
    "batch_to_space broadcast_to reverse split unstack linspace tile repeat slice strided_slice slice_update "
    "dynamic_partition dynamic_stitch extract_patches extract_volume_patches fractional_avg_pool fractional_max_pool "
    "fused_batch_norm max_pool_with_argmax max_pool_dilated nth_element isotonic_regression scale_and_translate "
    "resize_nearest projective_transform rgb_to_hsv scatter_update scatter_sub scatter_min sparse_segment_sum "
    "sparse_segment_mean sparse_segment_sqrt_n unsorted_segment_min_of_rows sparse_matmul sparse_softmax sparse_sum "
    "sparse_add sparse_to_dense embedding_lookup_sparse ragged_to_tensor pad_symmetric accumulate_n check_numerics "
    "leaky_relu reduce_l2_of_nothing map scan"
)
CUSTOM = (
    "recompute_grad grad_pass_through stop_gradient fake_quant_args fake_quant_vars fake_quant_per_channel "
    "quantize_and_dequantize keras_fake_quant quantized_dense quantized_einsum_dense keras_custom_gradient"
)


def subjects(rng: np.random.Generator) -> dict[str, tuple[Any, list[np.ndarray]]]:
    import tensorflow as tf

    positive = rng.uniform(0.2, 2, (6, 4))
    special = {f"tf.math.special.{name}": (getattr(tf.math.special, name), [positive]) for name in SPECIAL.split()}
    return special | _operations(rng) | _of_sparse_tensors(rng) | _custom(rng)


def _operations(rng: np.random.Generator) -> dict[str, tuple[Any, list[np.ndarray]]]:
    import tensorflow as tf

    x, images, square = rng.normal(size=(6, 4)), rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(3, 4, 4))
    positive, volumes, right = rng.uniform(0.2, 2, (6, 4)), rng.normal(size=(1, 4, 4, 4, 2)), rng.normal(size=(3, 4, 2))
    inside, rows = rng.uniform(0.1, 0.9, (6, 4)), np.array([[0], [4], [1]])
    banded = np.triu(np.tril(square), -1) + 3 * np.eye(4)
    fused = lambda a, g, b: tf.compat.v1.nn.fused_batch_norm(a, g, b)[0]  # noqa: E731
    warp = [1.0, 0.1, 0.2, -0.1, 0.9, 0.3, 0.0, 0.0]
    return {
        "betainc": (lambda a: tf.math.betainc(tf.constant(2.5, a.dtype), tf.constant(1.5, a.dtype), a), [inside]),
        "igammac": (lambda a: tf.math.igammac(tf.constant(2.5, a.dtype), a), [positive]),
        "banded_triangular_solve": (
            lambda a, b: tf.raw_ops.BandedTriangularSolve(matrix=a, rhs=b),
            [np.stack([np.full((3, 4), 3.0) + rng.random((3, 4)), rng.normal(size=(3, 4))], 1), right],
        ),
        "tridiagonal_matmul": (lambda a, b: tf.linalg.tridiagonal_matmul(a, b, "matrix"), [banded, right]),
        "diag": (lambda a: tf.linalg.diag(a, k=1), [x]),
        "set_diags": (lambda a, d: tf.linalg.set_diag(a, d, k=(-1, 0)), [square, rng.normal(size=(3, 2, 4))]),
        "matrix_solve_ls": (lambda a, b: tf.linalg.lstsq(a, b, 0.3), [x[:, :3], x[:, 3:]]),
        "eigvals": (lambda a: tf.sort(tf.math.real(tf.linalg.eigvals(a))), [square + 9 * np.diag([1.0, 2, 3, 4])]),
        "space_to_batch": (lambda a: tf.space_to_batch(a, [2, 3], [[0, 0], [1, 2]]), [images]),
        "batch_to_space": (lambda a: tf.batch_to_space(a, [2], [[0, 1]]), [x]),
        "broadcast_to": (lambda a: tf.broadcast_to(a, [3, 6, 4]), [x]),
        "reverse": (lambda a: tf.reverse(a, [1]), [x]),
        "split": (lambda a: tf.split(a, [1, 3], 1)[1], [x]),
        "unstack": (lambda a: tf.unstack(a, axis=1)[2], [x]),
        "linspace": (lambda a, b: tf.linspace(a, b, 5), [x[0], positive[1]]),
        "tile": (lambda a: tf.tile(a, [2, 3]), [x]),
        "repeat": (lambda a: tf.repeat(a, [1, 0, 2, 3], axis=1), [x]),
        "slice": (lambda a: tf.slice(a, [1, 2], [3, -1]), [x]),
        "strided_slice": (lambda a: a[4:0:-2, ::3, None], [x]),
        "slice_update": (
            lambda a, b: tf.raw_ops.TensorStridedSliceUpdate(
                input=a, begin=[1], end=[4], strides=[1], value=b, begin_mask=0, end_mask=0
            ),
            [x, positive[:3]],
        ),
        "dynamic_partition": (lambda a: tf.dynamic_partition(a, [0, 1, 1, 0, 1, 0], 2)[1], [x]),
        "dynamic_stitch": (lambda a, b: tf.dynamic_stitch([[0, 2], [1, 2]], [a, b]), [x[:2], positive[:2]]),
        "extract_patches": (
            lambda a: tf.image.extract_patches(a, [1, 3, 2, 1], [1, 2, 2, 1], [1] * 4, "SAME"),
            [images],
        ),
        "extract_volume_patches": (
            lambda a: tf.extract_volume_patches(a, [1, 2, 2, 2, 1], [1, 2, 1, 2, 1], "VALID"),
            [volumes],
        ),
        "fractional_avg_pool": (lambda a: tf.nn.fractional_avg_pool(a, [1, 1.4, 1.5, 1], seed=7)[0], [images]),
        "fractional_max_pool": (lambda a: tf.nn.fractional_max_pool(a, [1, 1.4, 1.5, 1], seed=7)[0], [images]),
        "fused_batch_norm": (fused, [images, rng.normal(size=3), rng.normal(size=3)]),
        "max_pool_with_argmax": (lambda a: tf.nn.max_pool_with_argmax(a, 2, 2, "VALID")[0], [images]),
        "max_pool_dilated": (lambda a: tf.nn.pool(a, [2, 2], "MAX", dilations=[2, 1]), [images]),
        "nth_element": (lambda a: tf.raw_ops.NthElement(input=a, n=1), [x]),
        "isotonic_regression": (lambda a: tf.nn.isotonic_regression(a)[0], [x]),
        "scale_and_translate": (
            lambda a: tf.raw_ops.ScaleAndTranslate(
                images=tf.cast(a, tf.float32), size=[5, 7], scale=[0.8, 1.3], translation=[0.2, 0.1]
            ),
            [images],
        ),
        "resize_nearest": (lambda a: tf.image.resize(a, [9, 4], "nearest"), [images]),
        "projective_transform": (
            lambda a: tf.raw_ops.ImageProjectiveTransformV3(
                images=a, transforms=[warp], output_shape=[5, 5], fill_value=0.0, interpolation="BILINEAR"
            ),
            [images],
        ),
        "rgb_to_hsv": (tf.image.rgb_to_hsv, [rng.uniform(0.1, 0.9, (5, 3))]),
        "scatter_update": (lambda a, b: tf.tensor_scatter_nd_update(a, rows, b), [x, positive[:3]]),
        "scatter_sub": (lambda a, b: tf.tensor_scatter_nd_sub(a, rows, b), [x, positive[:3]]),
        "scatter_min": (lambda a, b: tf.tensor_scatter_nd_min(a, rows, b), [x, positive[:3] - 1]),
        "unsorted_segment_min_of_rows": (lambda a: tf.math.unsorted_segment_min(a, [2, 0, 2, 2, 0, 2], 3)[::2], [x]),
        "pad_symmetric": (lambda a: tf.pad(a, [[1, 2], [0, 1]], "SYMMETRIC"), [x]),
        "accumulate_n": (lambda a, b: tf.math.accumulate_n([a, b, a]), [x, positive]),
        "check_numerics": (lambda a: tf.debugging.check_numerics(a, "") * a, [x]),
        "leaky_relu": (lambda a: tf.nn.leaky_relu(a, 0.25), [x]),
        "reduce_l2_of_nothing": (lambda a: a + tf.norm(a[:, :0], axis=1, keepdims=True), [x]),
        "map": (lambda a: tf.map_fn(lambda row: tf.cumsum(row) * row, a), [x]),
        "scan": (lambda a: tf.scan(lambda h, row: tf.tanh(h) * row + h, a), [x]),
    }


def _of_sparse_tensors(rng: np.random.Generator) -> dict[str, tuple[Any, list[np.ndarray]]]:
    """Returns sparse tensors' values: their places have no derivative."""
    import tensorflow as tf

    x, values, dense = rng.normal(size=(6, 4)), rng.normal(size=5), rng.normal(size=(4, 3))
    places = [[0, 1], [1, 0], [1, 3], [2, 2], [5, 3]]
    sparse = lambda v: tf.SparseTensor(places, v, [6, 4])  # noqa: E731
    taken, segments = [0, 4, 1, 1, 5], [0, 0, 1, 2, 2]
    ids = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 3, 3], [2, 2])
    return {
        "sparse_segment_sum": (lambda a: tf.sparse.segment_sum(a, taken, segments), [x]),
        "sparse_segment_mean": (lambda a: tf.sparse.segment_mean(a, taken, segments), [x]),
        "sparse_segment_sqrt_n": (lambda a: tf.sparse.segment_sqrt_n(a, taken, segments), [x]),
        "sparse_matmul": (lambda v, b: tf.sparse.sparse_dense_matmul(sparse(v), b), [values, dense]),
        "sparse_softmax": (lambda v: tf.sparse.softmax(sparse(v)).values, [values]),
        "sparse_sum": (lambda v: tf.sparse.reduce_sum(sparse(v), 1), [values]),
        "sparse_add": (lambda v, a: tf.sparse.add(sparse(v), a), [values, x]),
        "sparse_to_dense": (lambda v: tf.sparse.to_dense(sparse(v)), [values]),
        "embedding_lookup_sparse": (
            lambda a: tf.nn.embedding_lookup_sparse(a, ids, None, combiner="sqrtn"),
            [x],
        ),
        "ragged_to_tensor": (lambda v: tf.RaggedTensor.from_row_lengths(v, [2, 0, 3]).to_tensor(), [values]),
    }


def _custom(rng: np.random.Generator) -> dict[str, tuple[Any, list[np.ndarray]]]:
    import keras
    import tensorflow as tf

    x, steps = rng.normal(size=(6, 4)), rng.normal(size=(2, 5, 4))
    dense = keras.layers.Dense(3)
    dense.build(x.shape)
    dense.quantize("int8")
    einsum_dense = keras.layers.EinsumDense("abc,cd->abd", (None, 3))
    einsum_dense.build(steps.shape)
    einsum_dense.quantize("int8")

    @keras.ops.custom_gradient
    def log1p_exp(a):
        e = keras.ops.exp(a)

        def gradient(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            return keras.ops.multiply(upstream, 1.0 - 1.0 / keras.ops.add(1, e))

        return keras.ops.log(1 + e), gradient

    return {
        "recompute_grad": (tf.recompute_grad(lambda a: tf.tanh(a) * tf.exp(a)), [x]),
        "grad_pass_through": (lambda a: tf.grad_pass_through(tf.round)(a), [x]),
        "stop_gradient": (lambda a: a * tf.stop_gradient(a), [x]),
        "fake_quant_args": (lambda a: tf.quantization.fake_quant_with_min_max_args(a, -2, 2), [x]),
        "fake_quant_vars": (lambda a: tf.quantization.fake_quant_with_min_max_vars(a, -2.0, 2.0), [x]),
        "fake_quant_per_channel": (
            lambda a: tf.quantization.fake_quant_with_min_max_vars_per_channel(a, [-2.0] * 4, [2.0] * 4),
            [x],
        ),
        "quantize_and_dequantize": (lambda a: tf.quantization.quantize_and_dequantize_v2(a, -2.0, 2.0), [x]),
        "keras_fake_quant": (lambda a: keras.quantizers.fake_quant_with_min_max_vars(a, -2.0, 2.0), [x]),
        "quantized_dense": (lambda a: dense(a), [x]),
        "quantized_einsum_dense": (lambda a: einsum_dense(a), [steps]),
        "keras_custom_gradient": (log1p_exp, [x]),
    }
