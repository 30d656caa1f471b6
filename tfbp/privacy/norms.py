"""Computes tfbp.per_example_gradient_norms for any compiled keras.Model. N samples."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbp.errors import InputError, check_count
from tfbp.fitting import arrays
from tfbp.fitting.contract import check_compiled, check_data, check_model
from tfbp.fitting.steps import unflattened
from tfbp.privacy import choosing, examples, refusals
from tfbp.privacy.ways import rows_a_chunk


class Norms(np.ndarray):
    """An array of norms, with the way in which they were computed.

    Attributes:
        ways: "by hand" or "by tape" for each layer with trainable weights, by its path.
        reason: the cause why no layer went by hand; empty where they did.
    """

    ways: dict[str, str]
    reason: str

    def __array_finalize__(self, other: Any) -> None:
        self.ways, self.reason = getattr(other, "ways", {}), getattr(other, "reason", "")


def per_example_gradient_norms(
    model: keras.Model, x: Any, y: Any, sample_weight: Any = None, *, per_layer: bool = False, batch_size: int = 256
) -> Norms:
    """Returns the norm of every example's gradient, of the trainable weights alone.

        ‖g_b‖² = Σ_weights ‖∂ℓ_b/∂weight‖²

    ℓ_b is the loss of a batch of example b alone, without penalties on weights. Layers of known kinds go by hand,
    from one backward pass and without any example's gradient in memory: ‖Σ_t x_t ⊗ dz_t‖² from the products of the
    rows of x and of dz, or from xᵀ dz, whichever is smaller. A model with other layers needs one tape for each
    example, in chunks.

    Args:
        model: any compiled keras.Model, or a `tfbp.Model`. Layers that draw work in inference mode.
        x, y, sample_weight: arrays of N samples, as for fit.
        per_layer: of a `tfbp.Model`, each layer's norm, (N, L).
        batch_size: the number of samples of a pass; it changes time and memory alone.

    Returns:
        (N,), whose `ways` say how each layer went; float64 for a float64 model, else float32.

    Raises:
        InputError: a model that is not compiled, arrays that do not fit it, a batch size below 1, a layer or a loss
            that ties examples together.

    Example:
        >>> import keras, numpy as np, tfbp
        >>> layers = [keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", name="mean")]
        >>> model = keras.Sequential(layers, name="model")
        >>> model.compile("sgd", "mse")
        >>> norms = tfbp.per_example_gradient_norms(model, np.array([[2.0, 2.0], [0.0, 1.0]]), np.array([3.0, 1.0]))
        >>> norms.tolist(), norms.ways
        ([6.0, 0.0], {'model/mean': 'by hand'})

    Reference: Goodfellow, Efficient per-example gradient computations (2015), https://arxiv.org/abs/1510.01799
    """
    if hasattr(model, "per_example_gradient_norms"):
        found, ways = model.per_example_gradient_norms(x, y, sample_weight, per_layer=per_layer, batch_size=batch_size)
        return _told(found, ways, "")
    check_model("model", model)
    check_compiled(model)
    check_count("batch_size", batch_size)
    if per_layer:
        raise InputError(
            f"per_layer: got {per_layer!r} for a {type(model).__name__}; accepted: False, or a tfbp.Model."
        )
    check_data(x=x, y=y, sample_weight=sample_weight)
    given = {"x": x, "y": y, "sample_weight": sample_weight}
    # one in a file is read as a whole
    refusals.check_arrays(**{name: value for name, value in given.items() if not isinstance(value, np.memmap)})
    arrays.check_lengths(x=x, y=y, sample_weight=sample_weight)
    data = arrays.packed(x, y, sample_weight)
    refusals.build(model, data)
    refusals.check_layers(model, of_norms=True)
    way = choosing.way_of(model, data, trains=False)
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]

    @functools.cache
    def program(rows: int) -> Any:
        specs = [tf.TensorSpec([rows, *leaf.shape[1:]], leaf.dtype) for leaf in leaves]
        return tf.function(
            lambda *batch: tf.sqrt(examples.find(model, way, unflattened(data, batch), not way.draws).squares),
            autograph=False,
        ).get_concrete_function(*specs)

    rows, size = int(leaves[0].shape[0]), min(batch_size, rows_a_chunk(model, way, batch_size))
    batches = [[leaf[start : start + size] for leaf in leaves] for start in range(0, rows, size)]
    parts = [program(batch[0].shape[0])(*batch).numpy() for batch in batches]
    wide = any(variable.dtype == "float64" for variable in model.trainable_variables)
    return _told(np.concatenate(parts).astype(np.float64 if wide else np.float32), way.layers, way.reason)


def _told(found: np.ndarray, ways: dict[str, str], reason: str) -> Norms:
    norms = found.view(Norms)
    norms.ways, norms.reason = dict(ways), reason
    return norms
