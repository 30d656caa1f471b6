"""Keras's attention of several heads with a backward written by hand."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from tfbp.layers import hand_written, hand_written_attention
from tfbp.layers.keras_internals import get_keras_mask, random, set_keras_mask

_OVERRIDDEN = ("_compute_attention", "_compute_attention_mask", "_masked_softmax")


@keras.saving.register_keras_serializable(package="tfbp")
class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with its gradient written by hand: long sequences take linear memory.

    With `use_causal_mask` from 1,024 steps on, without it from 4,096, under XLA from half of that, queries go in
    chunks: the backward computes their probabilities again, and leaves out the keys after a chunk's last query. In
    float64 all of it is float64, where Keras's scale is rounded to float32. Keras computes, with the gradient:
    `return_attention_scores`, a gate, a sliding window, other attention axes, inputs of another rank than 3, masks that
    are neither booleans nor integers, LoRA and quantization. With dropout, in training, the whole matrix is held. On a
    GPU chunks are longer, and begin at eight times these lengths.

    Args:
        num_heads, key_dim, …: as in `keras.layers.MultiHeadAttention`.

    Example:
        >>> import numpy as np
        >>> x = np.ones((2, 5, 8), "float32")
        >>> MultiHeadAttention(2, 4)(x, x, use_causal_mask=True).shape
        TensorShape([2, 5, 8])

    Reference: https://keras.io/api/layers/attention_layers/multi_head_attention/
    """

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        # that of the tensor itself, as in Keras
        mask_of_query = get_keras_mask(query)
        given = mask_of_query, value_mask, key_mask, attention_mask
        options = self._flash_attention, self._attention_axes not in (None, (1,))
        # which Keras 3.13 does not have
        later = (getattr(self, name, None) for name in ("_sliding_window", "_use_gate"))
        left = return_attention_scores or any(options) or any(later)
        y = None if left else _by_hand(self, self._dropout, (query, key, value), given, training, use_causal_mask)
        if y is None:
            return super().call(
                query,
                value,
                key=key,
                query_mask=query_mask,
                value_mask=value_mask,
                key_mask=key_mask,
                attention_mask=attention_mask,
                return_attention_scores=return_attention_scores,
                training=training,
                use_causal_mask=use_causal_mask,
            )
        for tensor in (query, value, value if key is None else key):
            set_keras_mask(tensor, None)
        if mask_of_query is not None:
            set_keras_mask(y, mask_of_query)
        return y


@keras.saving.register_keras_serializable(package="tfbp")
class GroupedQueryAttention(keras.layers.GroupQueryAttention):
    """`keras.layers.GroupQueryAttention` with its gradient written by hand, as `MultiHeadAttention`.

    A key and a value that several query heads share are not repeated for them.

    Args:
        head_dim, num_query_heads, num_key_value_heads, …: as in `keras.layers.GroupQueryAttention`.

    Example:
        >>> import numpy as np
        >>> x = np.ones((2, 5, 8), "float32")
        >>> GroupedQueryAttention(4, num_query_heads=4, num_key_value_heads=2)(x, x).shape
        TensorShape([2, 5, 8])

    Reference: https://keras.io/api/layers/attention_layers/group_query_attention/
    """

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        given = query_mask, value_mask, key_mask, attention_mask
        # which Keras 3.13 does not have
        later = (getattr(self, name, None) for name in ("sliding_window", "use_gate"))
        left = return_attention_scores or self._flash_attention or any(later)
        y = None if left else _by_hand(self, self.dropout, (query, key, value), given, training, use_causal_mask)
        if y is not None:
            return y
        return super().call(
            query,
            value,
            key=key,
            query_mask=query_mask,
            value_mask=value_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            return_attention_scores=return_attention_scores,
            training=training,
            use_causal_mask=use_causal_mask,
        )


def _by_hand(
    layer: Any, rate: float, tensors: tuple[Any, Any, Any], given: Any, training: Any, causal: bool
) -> tf.Tensor | None:
    """The layer's output, or None where it is left to Keras."""
    query, key, value = tensors
    inputs = query, value if key is None else key, value
    drops = rate > 0 and bool(training)
    masks = _masks(*given)
    if masks is None or not _is_plain(layer, inputs) or (drops and rate >= 1) or not _cover(masks, inputs):
        return None
    query, key, value = (
        _projected(tf.cast(x, layer.compute_dtype), dense)
        for x, dense in zip(inputs, (layer._query_dense, layer._key_dense, layer._value_dense), strict=True)
    )
    dropout_mask = _kept(layer, rate, query, key) if drops else None
    y = hand_written_attention.attend(
        query, key, value, masks, causal=causal, dropout_mask=dropout_mask, rate=rate if drops else 0.0
    )
    if rate > 0 and masks:
        # where a query sees no key, Keras's layers with dropout make 0, in inference, too, and the others a mean
        y = tf.where(_sees(masks, y, key, causal), y, 0)
    return _projected(y, layer._output_dense)


def _is_plain(layer: Any, inputs: Any) -> bool:
    """Whether it is Keras's layer on sequences of floats, its projections nothing but products and biases."""
    kind = MultiHeadAttention if isinstance(layer, MultiHeadAttention) else GroupedQueryAttention
    if any(getattr(type(layer), name) is not getattr(kind, name) for name in _OVERRIDDEN):
        return False
    for dense in (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense):
        if type(dense) is not keras.layers.EinsumDense or dense.lora_enabled or dense.quantization_mode is not None:
            return False
        if dense.activity_regularizer is not None or dense.compute_dtype != layer.compute_dtype:
            return False
    return all(
        hand_written.is_handled(x) and x.shape.rank == 3 and x.shape[-1] is not None and 0 not in x.shape
        for x in inputs
    )


def _masks(query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> list[tf.Tensor] | None:
    """Booleans that broadcast to (B, N, T, S), or None for what is left to Keras."""
    masks = [
        tf.cast(mask, tf.bool)[:, None, None, :] if of_keys else tf.cast(mask, tf.bool)[:, None, :, None]
        for mask, of_keys in ((query_mask, False), (value_mask, True), (key_mask, True))
        if mask is not None
    ]
    if attention_mask is None:
        return masks
    attention_mask = tf.convert_to_tensor(attention_mask)
    rank = attention_mask.shape.rank
    # Keras lets one of four axes and another mask broadcast as they are: heads against examples
    if attention_mask.dtype.is_floating or rank not in (2, 3, 4) or (rank == 4 and masks):
        return None
    seen = tf.cast(attention_mask, tf.bool)
    return [*masks, seen if rank == 4 else seen[:, None] if rank == 3 else seen[None, None]]


def _cover(masks: list[tf.Tensor], inputs: Any) -> bool:
    """Whether each mask's queries and keys are those of the inputs, or one for all; Keras says what does not fit."""
    query, key, _ = inputs
    sizes = query.shape[1], key.shape[1]
    return all(
        mask.shape.rank == 4
        and all(m in (1, None, size) or size is None for m, size in zip(mask.shape[2:], sizes, strict=True))
        for mask in masks
    )


def _projected(x: tf.Tensor, dense: Any) -> tf.Tensor:
    if "call" in vars(dense):
        # somebody watches what the projection is called with
        return dense(x)
    # each variable is read here, once
    weights = [tf.convert_to_tensor(w) for w in (dense.kernel, dense.bias) if w is not None]
    return hand_written_attention.project(x, *(tf.cast(w, x.dtype) for w in weights))


def _kept(layer: Any, rate: float, query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """The probabilities that dropout keeps, (B, N, T, S): Keras's own choice for the seed."""
    seed = random._cast_seed(random.draw_seed(layer._dropout_layer.seed_generator))
    shape = [tf.shape(query)[0], tf.shape(query)[2], tf.shape(query)[1], tf.shape(key)[1]]
    return tf.random.stateless_uniform(shape, seed, dtype=query.dtype) >= rate


def _sees(masks: list[tf.Tensor], y: tf.Tensor, key: tf.Tensor, causal: bool) -> tf.Tensor:
    """Whether a query sees any key, (B|1, T, N|1, 1)."""
    edge = [tf.range(tf.shape(y)[1])[:, None] >= tf.range(tf.shape(key)[1])] if causal else []
    seen = functools.reduce(tf.logical_and, [*masks, *edge])
    return tf.transpose(tf.reduce_any(seen, axis=-1, keepdims=True), [0, 2, 1, 3])
