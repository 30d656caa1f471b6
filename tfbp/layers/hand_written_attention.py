"""The hand-written backwards of attention and its projections, as `hand_written` has that of Dense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import tensorflow as tf

from tfbp.custom_gradient import custom_gradient
from tfbp.manual.attention import attention_backward, attention_forward, projection_backward, projection_forward


@custom_gradient
def project(x: tf.Tensor, kernel: tf.Tensor, *bias: tf.Tensor) -> Any:
    """z (B, T, N, H) of x (B, T, D), or (B, T, …) of x (B, T, N, V)."""
    z, residuals = projection_forward(x, kernel, *bias)

    def backward(dz: tf.Tensor) -> list[tf.Tensor]:
        return list(projection_backward(dz, residuals, bias_gradient=bool(bias)))[: 2 + len(bias)]

    return z, backward


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    masks: Sequence[tf.Tensor] = (),
    *,
    causal: bool = False,
    dropout_mask: tf.Tensor | None = None,
    rate: float = 0.0,
) -> tf.Tensor:
    """y (B, T, N, V); masks, the dropout mask and the rate of the others as in `attention_forward`."""
    booleans = [*masks, *([] if dropout_mask is None else [dropout_mask])]
    return _attention(causal, dropout_mask is not None, rate)(query, key, value, *booleans)


@cache
def _attention(causal: bool, drops: bool, rate: float) -> Callable[..., Any]:
    @custom_gradient
    def attend(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, *booleans: tf.Tensor) -> Any:
        masks, dropout_mask = (booleans[:-1], booleans[-1]) if drops else (booleans, None)
        dropped = None if dropout_mask is None else (dropout_mask, rate)
        y, residuals = attention_forward(query, key, value, masks, causal=causal, dropped=dropped)
        return y, lambda dy: [*attention_backward(dy, residuals), *(None for _ in booleans)]

    return attend
