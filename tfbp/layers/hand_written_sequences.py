"""The hand-written backwards of layers of sequences, as `hand_written` has that of Dense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from tfbp.custom_gradient import custom_gradient
from tfbp.layers.keras_internals import control_flow_util, save_context
from tfbp.manual import embedding, halves, position, recurrent, smooth_activations

_RECURRENCES = {
    "simple_rnn": (recurrent.simple_rnn_forward, recurrent.simple_rnn_backward),
    "lstm": (recurrent.lstm_forward, recurrent.lstm_backward),
    "gru": (recurrent.gru_forward, recurrent.gru_backward),
}


def recur(
    kind: str,
    x: tf.Tensor,
    weights: Sequence[tf.Tensor],
    states: Sequence[tf.Tensor],
    mask: tf.Tensor | None = None,
    **options: Any,
) -> tuple[tf.Tensor, ...]:
    """y and the last states of simple_rnn, lstm or gru; weights: kernel, recurrent_kernel, bias where it has one."""
    masks = () if mask is None else (mask,)
    return _recurrence(kind, len(weights), len(masks), tuple(options.items()))(x, *masks, *weights, *states)


@cache
def _recurrence(kind: str, weights: int, masks: int, options: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    forward, backward = _RECURRENCES[kind]

    @custom_gradient
    def run(x: tf.Tensor, *given: tf.Tensor) -> Any:
        mask, given = given[:masks], given[masks:]
        arguments = (x, *[*given[:weights], None][:3], given[weights:], *mask)
        y, last, residuals = halves.forward(forward, *arguments, **dict(options))
        made_in = _here()

        def gradients(dy: tf.Tensor, *dlast: tf.Tensor) -> list[tf.Tensor | None]:
            kept = residuals if _are_read_here(made_in) else halves.forward(forward, *arguments, **dict(options))[2]
            dx, *dweights, dfirst = halves.backward(backward, dy, kept, dlast, bias_gradient=weights == 3)
            return [dx, *[None] * masks, *dweights[:weights], *dfirst]

        return (y, *last), gradients

    return run


def look_up(x: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
    """embeddings[x], as Keras takes rows: a number below 0 counts from the table's end."""

    @custom_gradient
    def run(embeddings: tf.Tensor) -> Any:
        rows = embeddings.shape[0]
        tokens = tf.where(x < 0, x + rows, x)

        def backward(dy: tf.Tensor) -> tf.Tensor | tf.IndexedSlices:
            if rows <= (tokens.shape.num_elements() or 0):  # then the table is the shorter list
                return embedding.embedding_backward(dy, (tokens, rows))
            sums, places = embedding.embedding_rows_backward(dy, (tokens, *embeddings.shape))
            return tf.IndexedSlices(sums, places, tf.constant(embeddings.shape.as_list(), tokens.dtype))

        return keras.ops.take(embeddings, x, axis=0), backward

    return run(embeddings)


@custom_gradient
def transposed(embeddings: tf.Tensor) -> Any:
    """The kernel of the way back, of rows (V, O) as (O, V)."""
    # kernel = transpose(embeddings)                    (O, V) <- (V, O)
    return tf.transpose(embeddings), tf.transpose


@cache
def capped(soft_cap: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """logits = soft_cap · tanh(z / soft_cap), as a function of z."""

    @custom_gradient
    def run(z: tf.Tensor) -> Any:
        y, residuals = smooth_activations.tanh_forward(z / soft_cap)
        # the cap before tanh and the one behind it cancel
        return soft_cap * y, lambda dlogits: smooth_activations.tanh_backward(dlogits, residuals)

    return run


def add_positions(x: tf.Tensor, embeddings: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """x + embeddings[start : start + T]."""

    @custom_gradient
    def run(x: tf.Tensor, embeddings: tf.Tensor) -> Any:
        y, residuals = position.position_forward(x, embeddings, start)
        return y, lambda dy: position.position_backward(dy, residuals)

    return run(x, embeddings)


def rotate(x: tf.Tensor, start: tf.Tensor, max_wavelength: float, scaling_factor: float) -> tf.Tensor:
    """x with the pairs of features of each step turned."""
    options = {"max_wavelength": max_wavelength, "scaling_factor": scaling_factor, "start": start}

    @custom_gradient
    def run(x: tf.Tensor) -> Any:
        y, residuals = position.rotary_forward(x, **options)
        return y, lambda dy: position.rotary_backward(dy, residuals)

    return run(x)


def _here() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def _are_read_here(made_in: Any) -> bool:
    """Whether lists made in a graph, or outside of any, can be read where this is called.

    No graph takes those of eager execution (as tf.GradientTape.batch_jacobian would have it), no saved model's gradient
    any, and XLA none over the border of what it compiles.
    """
    here = _here()
    if here is made_in:
        return not save_context.in_save_context()
    if made_in is None or save_context.in_save_context():
        return False
    return not control_flow_util.GraphOrParentsInXlaContext(made_in)
