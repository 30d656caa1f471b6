"""Records calls of the recurrent layers: see `kinds`.

The loop back through time computes da, the gradient of each step's pre-activation. From da and the state before each
step, every weight's gradient follows as one product over all steps, so that the loop runs once.

B batch, T steps, I inputs, H units, G gates; da (B, T, G H).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfbp.custom_gradient import custom_gradient
from tfbp.layers import recurrent as by_hand
from tfbp.manual import halves, recurrent
from tfbp.manual.activations import activation_forward
from tfbp.privacy.parts import Each, Product
from tfbp.privacy.recording import NotRecorded, Recorder, constant


def recurrence(
    kind: str, recorder: Recorder, layer: Any, sequences: Any, initial_state: Any, mask: Any, training: Any = False
) -> Any:
    """Returns the results of Keras's inner_loop: the last output, the outputs and the last states."""
    cell = layer.cell
    mask = mask[0] if keras.tree.is_nested(mask) else mask
    options = {"activation": by_hand._function(cell.activation)}
    if kind != "simple_rnn":
        options["recurrent_activation"] = by_hand._function(cell.recurrent_activation)
    is_known = by_hand._is_plain(layer, sequences, training) and by_hand._is_mask_of(mask, sequences)
    if not is_known or None in options.values():
        raise NotRecorded(f"{layer.path} as it is called here")
    if kind == "gru":
        options["reset_after"] = cell.reset_after
    dtype = cell.compute_dtype
    x = tf.cast(sequences, dtype)
    kernel, recurrent_kernel = (tf.cast(constant(w), dtype) for w in (cell.kernel, cell.recurrent_kernel))
    bias = None if cell.bias is None else tf.cast(constant(cell.bias), dtype)
    states = [tf.cast(tf.convert_to_tensor(state), dtype) for state in keras.tree.flatten(initial_state)]
    states = [tf.broadcast_to(state, [tf.shape(x)[0], state.shape[-1]]) for state in states]
    options["go_backwards"] = layer.go_backwards
    if mask is not None:
        mask = tf.cast(mask if mask.shape.rank == 2 else mask[..., 0], tf.bool)
    before: list[tf.Tensor] = []

    def find(da: tf.Tensor) -> Any:
        (h,) = before
        return _parts(kind, cell, x, h, da, lambda: _reset(kernel, recurrent_kernel, bias, x, h, options))

    a = recorder.kept(layer, ops.matmul(x, kernel), find)
    # all states, also those of skipped steps
    hs, *last = _run(kind, a, recurrent_kernel, bias, states, mask, {**options, "return_sequences": True})
    before.append(_before(hs, states[0], mask, layer.go_backwards))
    y = hs
    if mask is not None and layer.zero_output_for_mask:
        shown = tf.reverse(mask, [1]) if layer.go_backwards else mask
        y = tf.where(shown[..., None], hs, 0)
    return y[:, -1], y if layer.return_sequences else y[:, -1:], last


def _run(kind: str, a: Any, recurrent_kernel: Any, bias: Any, states: Any, mask: Any, options: Any) -> Any:
    """Returns all states (B, T, H) and the last ones, from the products with x."""
    forward, backward = getattr(recurrent, f"{kind}_forward"), getattr(recurrent, f"{kind}_backward")

    @custom_gradient
    def run(a: tf.Tensor, *states: tf.Tensor) -> Any:
        y, last, residuals = halves.forward(forward, a, None, recurrent_kernel, bias, states, mask, **options)

        def gradients(dy: tf.Tensor, *dlast: tf.Tensor) -> list[tf.Tensor]:
            # a graph omits the weights' gradients, because nothing reads them
            da, *_, dfirst = halves.backward(backward, dy, residuals, dlast, bias_gradient=False)
            return [da, *dfirst]

        return (y, *last), gradients

    return run(a, *states)


def _before(hs: tf.Tensor, first: tf.Tensor, mask: tf.Tensor | None, go_backwards: bool) -> tf.Tensor:
    """Returns the state before each step, (B, T, H), in the order of x."""
    h = tf.concat([first[:, None], hs[:, :-1]], axis=1)
    if mask is not None:
        # before the first step that counts the outputs are 0, and the state is still the first one
        shown = tf.cast(tf.reverse(mask, [1]) if go_backwards else mask, tf.int32)
        begun = tf.cumsum(shown, axis=1, exclusive=True) > 0
        h = tf.where(begun[..., None], h, first[:, None])
    return tf.reverse(h, [1]) if go_backwards else h


def _parts(kind: str, cell: Any, x: Any, h: Any, da: Any, reset: Callable[[], tf.Tensor]) -> Any:
    """Returns the parts of kernel, recurrent kernel and bias from da of every step."""
    parts: list[Any] = [(cell.kernel, Product(x, da, lambda matrix: matrix))]
    if kind != "gru":
        parts.append((cell.recurrent_kernel, Product(h, da, lambda matrix: matrix)))
        bias = [da]
    else:
        units = h.shape[-1]
        da_zr, da_n = da[..., : 2 * units], da[..., 2 * units :]
        r = reset()
        if cell.reset_after:
            # h_n = r * (matmul(h, recurrent_n) + bias_h_n)
            dh_n = tf.concat([da_zr, da_n * r], axis=-1)
            parts.append((cell.recurrent_kernel, Product(h, dh_n, lambda matrix: matrix)))
            bias = [da, dh_n]
        else:
            # h_n = matmul(r * h, recurrent_n): z and r depend on h, n on r * h
            of_zr, of_n = tf.pad(da_zr, [[0, 0], [0, 0], [0, units]]), tf.pad(da_n, [[0, 0], [0, 0], [2 * units, 0]])
            rows = tf.concat([h, r * h], axis=1), tf.concat([of_zr, of_n], axis=1)
            parts.append((cell.recurrent_kernel, Product(*rows, lambda matrix: matrix)))
            bias = [da]
    if cell.bias is not None:
        sums = [tf.reduce_sum(part, axis=1) for part in bias]
        parts.append((cell.bias, Each(tf.reshape(tf.concat(sums, axis=1), [-1, *cell.bias.shape]))))
    return parts


def _reset(kernel: Any, recurrent_kernel: Any, bias: Any, x: Any, h: Any, options: Any) -> tf.Tensor:
    """Returns r of every step, (B, T, H): one product of all steps, because the loop does not keep r."""
    units = h.shape[-1]
    columns = slice(units, 2 * units)
    a_r = tf.matmul(x, kernel[:, columns]) + tf.matmul(h, recurrent_kernel[:, columns])
    if bias is not None:
        of_r = bias[..., columns]
        a_r += tf.reduce_sum(of_r, axis=0) if options["reset_after"] else of_r
    return activation_forward(options["recurrent_activation"], a_r)[0]


def _is_known(cell_type: Any) -> Callable[[Any], bool]:
    return lambda layer: type(layer.cell) is cell_type and not layer.stateful


KINDS: dict[str, tuple[str, Callable[[Any], bool], Callable[..., Any]]] = {
    name: ("inner_loop", _is_known(cell), functools.partial(recurrence, kind))
    for name, kind, cell in (
        ("SimpleRNN", "simple_rnn", keras.layers.SimpleRNNCell),
        ("LSTM", "lstm", keras.layers.LSTMCell),
        ("GRU", "gru", keras.layers.GRUCell),
    )
}
