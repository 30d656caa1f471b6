"""The checker's subjects: operations of TensorFlow, and Keras's activations, losses and layers."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from known_operations import keras_layers, more_operations

ACTIVATIONS = (
    "relu elu selu gelu silu softplus sigmoid tanh softsign mish hard_sigmoid hard_tanh celu glu log_softmax "
    "sparse_plus squareplus tanh_shrink soft_shrink relu6 exponential"
)
EVERYWHERE = (
    "sin cos tan sinh cosh asinh erf erfc exp expm1 square abs negative sigmoid log_sigmoid bessel_i0 bessel_i0e "
    "bessel_i1 bessel_i1e special.dawsn"
)
POSITIVE = "log log1p sqrt rsqrt lgamma digamma reciprocal special.spence special.bessel_k0 special.bessel_k1"
INSIDE = "asin acos atan atanh erfinv"
PAIRS = (
    "maximum minimum squared_difference subtract multiply xlogy xdivy xlog1py divide_no_nan multiply_no_nan floormod"
)
REDUCTIONS = "reduce_sum reduce_mean reduce_min reduce_variance reduce_std reduce_euclidean_norm cumulative_logsumexp"
SEGMENTS = (
    "segment_sum segment_mean segment_max segment_min segment_prod unsorted_segment_sum unsorted_segment_mean "
    "unsorted_segment_max unsorted_segment_prod unsorted_segment_sqrt_n"
)
OPERATIONS = (
    "cumsum cumprod logsumexp reduce_prod reduce_max pow atan2 l2_normalize max_pool avg_pool conv2d depthwise_conv2d "
    "softmax_cross_entropy gather inv det slogdet cholesky solve svd rfft acosh ndtri igamma zeta polygamma lbeta "
    "add_n top_k bias_add conv1d conv3d conv2d_transpose separable_conv2d dilation2d lrn max_pool3d avg_pool1d "
    "tf.nn.log_softmax crelu batch_normalization moments l2_loss sigmoid_cross_entropy weighted_cross_entropy "
    "sparse_cross_entropy ctc_loss embedding_lookup space_to_depth depth_to_space matvec band_part diag_part set_diag "
    "trace cross einsum expm logdet lstsq qr eigh norm pinv triangular_solve tridiagonal_solve cholesky_solve sqrtm "
    "global_norm irfft dct idct frame overlap_and_add stft rfft2d fft resize_bilinear resize_bicubic crop_and_resize "
    "gather_nd scatter_nd tensor_scatter_add tensor_scatter_max clip_by_value clip_by_norm roll reverse_sequence "
    "pad_reflect where sort"
)
# a test holds them against `subjects`
NAMES = (
    *ACTIVATIONS.split(),
    *(f"tf.math.{name}" for name in f"{EVERYWHERE} {POSITIVE} {INSIDE} {PAIRS} {REDUCTIONS} {SEGMENTS}".split()),
    *(f"tf.math.special.{name}" for name in more_operations.SPECIAL.split()),
    *f"{OPERATIONS} {more_operations.OPERATIONS} {more_operations.CUSTOM}".split(),
    *f"{keras_layers.LOSSES} {keras_layers.LAYERS}".split(),
)


def subjects() -> dict[str, tuple[Any, list[np.ndarray]]]:
    """Returns the subjects by name, each with its inputs."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, images, square = rng.normal(size=(6, 4)), rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(3, 4, 4))
    positive, inside = rng.uniform(0.2, 2, (6, 4)), rng.uniform(-0.9, 0.9, (6, 4))
    definite = 3 * np.eye(4) + 0.3 * (square + np.swapaxes(square, 1, 2))
    shares = rng.dirichlet(np.ones(4), 6)
    operations: dict[str, tuple[Any, list[np.ndarray]]] = {}
    operations |= {name: (getattr(keras.activations, name), [x]) for name in ACTIVATIONS.split()}
    for names, at in ((EVERYWHERE, x), (POSITIVE, positive), (INSIDE, inside)):
        operations |= {f"tf.math.{name}": (attrgetter(name)(tf.math), [at]) for name in names.split()}
    operations |= {f"tf.math.{name}": (getattr(tf.math, name), [x, positive]) for name in PAIRS.split()}
    for name in REDUCTIONS.split():
        operations[f"tf.math.{name}"] = (partial(lambda reduce, a: reduce(a, 1), getattr(tf.math, name)), [x])
    for name in SEGMENTS.split():
        segments = [3] if name.startswith("unsorted") else []
        called = partial(lambda op, segments, a: op(a, [0, 0, 1, 1, 2, 2], *segments), getattr(tf.math, name), segments)
        operations[f"tf.math.{name}"] = (called, [x])
    operations |= others(rng)
    operations |= {
        "cumsum": (lambda a: tf.cumsum(a, 1), [x]),
        "cumprod": (lambda a: tf.math.cumprod(a, 1), [x]),
        "logsumexp": (lambda a: tf.reduce_logsumexp(a, 1), [x]),
        "reduce_prod": (lambda a: tf.reduce_prod(a, 1), [x]),
        "reduce_max": (lambda a: tf.reduce_max(a, 1), [x]),
        "pow": (lambda a, b: tf.pow(a, b), [positive, x]),
        "atan2": (tf.math.atan2, [x, x[::-1] + 0.1]),
        "l2_normalize": (lambda a: tf.nn.l2_normalize(a, 1), [x]),
        "max_pool": (lambda a: tf.nn.max_pool2d(a, 2, 2, "VALID"), [images]),
        "avg_pool": (lambda a: tf.nn.avg_pool2d(a, 3, 2, "SAME"), [images]),
        "conv2d": (lambda a, k: tf.nn.conv2d(a, k, 1, "SAME"), [images, rng.normal(size=(3, 2, 3, 4))]),
        "depthwise_conv2d": (
            lambda a, k: tf.nn.depthwise_conv2d(a, k, [1, 1, 1, 1], "SAME"),
            [images, rng.normal(size=(3, 3, 3, 2))],
        ),
        "softmax_cross_entropy": (lambda z, t: tf.nn.softmax_cross_entropy_with_logits(t, z), [x, shares]),
        "gather": (tf.gather, [x, np.array([0, 1, 1, 5])]),
        "inv": (tf.linalg.inv, [definite]),
        "det": (tf.linalg.det, [definite]),
        "slogdet": (lambda a: tf.linalg.slogdet(a)[1], [definite]),
        "cholesky": (lambda a: tf.linalg.cholesky(a + tf.linalg.matrix_transpose(a)), [definite]),
        "solve": (tf.linalg.solve, [definite, rng.normal(size=(3, 4, 2))]),
        "svd": (lambda a: tf.linalg.svd(a, compute_uv=False), [square]),
        "rfft": (lambda a: tf.abs(tf.signal.rfft(a)), [x]),
    }
    return operations | keras_layers.losses(rng) | keras_layers.layers(rng) | more_operations.subjects(rng)


def others(rng: np.random.Generator) -> dict[str, tuple[Any, list[np.ndarray]]]:
    """Returns operations of tf.math, tf.nn, tf.linalg, tf.signal, tf.image, and of arrays."""
    import tensorflow as tf

    x, images, square = rng.normal(size=(6, 4)), rng.normal(size=(2, 6, 6, 4)), rng.normal(size=(3, 4, 4))
    positive, volumes = rng.uniform(0.2, 2, (6, 4)), rng.normal(size=(1, 4, 4, 4, 2))
    definite = square @ np.swapaxes(square, 1, 2) + np.eye(4)
    series, right = rng.normal(size=(2, 16)), rng.normal(size=(3, 4, 2))
    labels, rows = np.array([0, 3, 1, 2, 2, 1]), np.array([[0], [4], [1]])
    symmetric = lambda a: a + tf.linalg.matrix_transpose(a)  # noqa: E731
    return {
        "acosh": (tf.math.acosh, [positive + 1.1]),
        "ndtri": (tf.math.ndtri, [rng.uniform(0.1, 0.9, (6, 4))]),
        "igamma": (lambda a: tf.math.igamma(tf.constant(2.5, a.dtype), a), [positive]),
        "zeta": (lambda q: tf.math.zeta(tf.constant(2.5, q.dtype), q), [positive]),
        "polygamma": (lambda a: tf.math.polygamma(tf.constant(1.0, a.dtype), a), [positive]),
        "lbeta": (tf.math.lbeta, [positive]),
        "add_n": (lambda a, b: tf.add_n([a, b, a]), [x, positive]),
        "top_k": (lambda a: tf.math.top_k(a, 2)[0], [x]),
        "sort": (lambda a: tf.sort(a, axis=1), [x]),
        "bias_add": (tf.nn.bias_add, [x, rng.normal(size=4)]),
        "conv1d": (lambda a, k: tf.nn.conv1d(a, k, 2, "SAME"), [series[..., None], rng.normal(size=(3, 1, 2))]),
        "conv3d": (lambda a, k: tf.nn.conv3d(a, k, [1] * 5, "VALID"), [volumes, rng.normal(size=(2, 3, 2, 2, 3))]),
        "conv2d_transpose": (
            lambda a, k: tf.nn.conv2d_transpose(a, k, [2, 12, 12, 3], 2),
            [images, rng.normal(size=(3, 3, 3, 4))],
        ),
        "separable_conv2d": (
            lambda a, d, p: tf.nn.separable_conv2d(a, d, p, [1] * 4, "VALID"),
            [images, rng.normal(size=(3, 3, 4, 2)), rng.normal(size=(1, 1, 8, 3))],
        ),
        "dilation2d": (
            lambda a, k: tf.nn.dilation2d(a, k, [1] * 4, "VALID", "NHWC", [1] * 4),
            [images, rng.normal(size=(3, 3, 4))],
        ),
        "lrn": (lambda a: tf.nn.local_response_normalization(a, 1), [images]),
        "max_pool3d": (lambda a: tf.nn.max_pool3d(a, 2, 2, "VALID"), [volumes]),
        "avg_pool1d": (lambda a: tf.nn.avg_pool1d(a, 3, 2, "SAME"), [series[..., None]]),
        "tf.nn.log_softmax": (lambda a: tf.nn.log_softmax(a, 0), [x]),
        "crelu": (tf.nn.crelu, [x]),
        "batch_normalization": (
            lambda a, m, v, b, g: tf.nn.batch_normalization(a, m, v, b, g, 1e-3),
            [x, rng.normal(size=4), positive[0], rng.normal(size=4), rng.normal(size=4)],
        ),
        "moments": (lambda a: tf.nn.moments(a, [0]), [x]),
        "l2_loss": (tf.nn.l2_loss, [x]),
        "sigmoid_cross_entropy": (
            lambda z, t: tf.nn.sigmoid_cross_entropy_with_logits(t, z),
            [x, rng.uniform(size=(6, 4))],
        ),
        "weighted_cross_entropy": (
            lambda z, t: tf.nn.weighted_cross_entropy_with_logits(t, z, 2.5),
            [x, rng.uniform(size=(6, 4))],
        ),
        "sparse_cross_entropy": (lambda z: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z), [x]),
        "ctc_loss": (
            lambda z: tf.nn.ctc_loss([[1, 2], [3, 1]], z, [2, 2], [5, 5], logits_time_major=False, blank_index=0),
            [rng.normal(size=(2, 5, 4))],
        ),
        "embedding_lookup": (lambda a: tf.nn.embedding_lookup(a, labels), [x]),
        "space_to_depth": (lambda a: tf.nn.space_to_depth(a, 2), [images]),
        "depth_to_space": (lambda a: tf.nn.depth_to_space(a, 2), [images]),
        "matvec": (tf.linalg.matvec, [square, rng.normal(size=(3, 4))]),
        "band_part": (lambda a: tf.linalg.band_part(a, 1, 0), [square]),
        "diag_part": (lambda a: tf.linalg.diag_part(a, k=(-1, 1)), [square]),
        "set_diag": (tf.linalg.set_diag, [square, rng.normal(size=(3, 4))]),
        "trace": (tf.linalg.trace, [square]),
        "cross": (tf.linalg.cross, [rng.normal(size=(5, 3)), rng.normal(size=(5, 3))]),
        "einsum": (lambda a, b: tf.einsum("bij,bjk->ik", a, b), [square, right]),
        "expm": (tf.linalg.expm, [0.3 * square]),
        "logdet": (lambda a: tf.linalg.logdet(symmetric(a)), [definite]),
        "lstsq": (lambda a, b: tf.linalg.lstsq(a, b), [x[:, :3], x[:, 3:]]),
        "qr": (lambda a: tf.linalg.qr(a)[1], [square]),
        "eigh": (lambda a: tf.linalg.eigh(symmetric(a))[0], [square]),
        "norm": (lambda a: tf.norm(a, axis=1), [x]),
        "pinv": (tf.linalg.pinv, [x]),
        "triangular_solve": (tf.linalg.triangular_solve, [definite, right]),
        "tridiagonal_solve": (
            lambda a, b: tf.linalg.tridiagonal_solve(a, b, "matrix"),
            [np.triu(np.tril(definite, 1), -1), right],
        ),
        "cholesky_solve": (
            lambda a, b: tf.linalg.cholesky_solve(tf.linalg.cholesky(symmetric(a)), b),
            [definite, right],
        ),
        "sqrtm": (lambda a: tf.linalg.sqrtm(a), [definite]),
        "global_norm": (lambda a, b: tf.linalg.global_norm([a, b]), [x, positive]),
        "fft": (lambda a: tf.abs(tf.signal.fft(tf.complex(a, 0.5 * a))), [x]),
        "irfft": (lambda a, b: tf.signal.irfft(tf.complex(a, b)), [x, positive]),
        "rfft2d": (lambda a: tf.math.real(tf.signal.rfft2d(a)), [square]),
        "dct": (tf.signal.dct, [x]),
        "idct": (tf.signal.idct, [x]),
        "frame": (lambda a: tf.signal.frame(a, 4, 2), [series]),
        "overlap_and_add": (lambda a: tf.signal.overlap_and_add(a, 2), [square]),
        "stft": (lambda a: tf.abs(tf.signal.stft(a, 8, 4)), [series]),
        "resize_bilinear": (lambda a: tf.image.resize(a, [9, 4]), [images]),
        "resize_bicubic": (lambda a: tf.image.resize(a, [9, 4], "bicubic"), [images]),
        "crop_and_resize": (
            lambda a: tf.image.crop_and_resize(a, [[0.1, 0.2, 0.8, 0.9]], [1], [3, 4]),
            [images],
        ),
        "gather_nd": (lambda a: tf.gather_nd(a, [[0, 1], [5, 3], [0, 1]]), [x]),
        "scatter_nd": (lambda a: tf.scatter_nd(rows, a, [6, 4]), [x[:3]]),
        "tensor_scatter_add": (lambda a, b: tf.tensor_scatter_nd_add(a, rows, b), [x, positive[:3]]),
        "tensor_scatter_max": (lambda a, b: tf.tensor_scatter_nd_max(a, rows, b), [x, positive[:3] - 1]),
        "clip_by_value": (lambda a: tf.clip_by_value(a, -0.5, 0.8), [x]),
        "clip_by_norm": (lambda a: tf.clip_by_norm(a, 1.0, axes=1), [x]),
        "roll": (lambda a: tf.roll(a, 2, 1), [x]),
        "reverse_sequence": (lambda a: tf.reverse_sequence(a, [1, 2, 3, 4, 2, 3], 1), [x]),
        "pad_reflect": (lambda a: tf.pad(a, [[1, 1], [2, 0]], "REFLECT"), [x]),
        "where": (lambda a, b: tf.where(a > 0.3, a, b), [x, positive]),
    }
