"""Keras's recurrent layers with a backward written by hand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfbp.bridge.activations import activation_of
from tfbp.layers import hand_written, hand_written_sequences
from tfbp.layers.keras_internals import cudnn_ok
from tfbp.manual.compiled import is_compiled
from tfbp.manual.sizes import size_of


@keras.saving.register_keras_serializable(package="tfbp")
class SimpleRNN(keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` with its gradient written by hand.

    The loop back through time makes each step's gradient alone; the weights' are one product over all steps. Keras
    computes, with the gradient: dropout in training, `unroll`, a cell of another kind, an activation that
    `tfbp.Activation` does not name, an empty batch, a mask not of (B, T) or (B, T, 1), one sequence for several
    initial states. One initial state, (1, units), is every sequence's.

    Args:
        units, …: as in `keras.layers.SimpleRNN`.

    Example:
        >>> import numpy as np
        >>> layer = SimpleRNN(1, None, kernel_initializer="ones", recurrent_initializer="ones")
        >>> layer(np.array([[[1.0], [2.0], [3.0]]], "float32")).numpy()
        array([[6.]], dtype=float32)

    Reference: https://keras.io/api/layers/recurrent_layers/simple_rnn/
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any = False) -> Any:
        found = _by_hand(self, "simple_rnn", keras.layers.SimpleRNNCell, sequences, initial_state, mask, training)
        return super().inner_loop(sequences, initial_state, mask, training) if found is None else found


@keras.saving.register_keras_serializable(package="tfbp")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with its gradient written by hand, as `SimpleRNN`.

    On a GPU, where Keras calls cuDNN, it does here too, but under XLA, which cannot: there Keras's raises.

    Args:
        units, …: as in `keras.layers.LSTM`.

    Example:
        >>> import numpy as np
        >>> LSTM(4, return_sequences=True)(np.ones((2, 5, 3), "float32")).shape
        TensorShape([2, 5, 4])

    Reference: https://keras.io/api/layers/recurrent_layers/lstm/
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any = False) -> Any:
        found = _by_hand(self, "lstm", keras.layers.LSTMCell, sequences, initial_state, mask, training)
        return super().inner_loop(sequences, initial_state, mask, training) if found is None else found


@keras.saving.register_keras_serializable(package="tfbp")
class GRU(keras.layers.GRU):
    """`keras.layers.GRU` with its gradient written by hand, as `LSTM`.

    Args:
        units, …: as in `keras.layers.GRU`.

    Example:
        >>> import numpy as np
        >>> GRU(4)(np.ones((2, 5, 3), "float32")).shape
        TensorShape([2, 4])

    Reference: https://keras.io/api/layers/recurrent_layers/gru/
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: Any = False) -> Any:
        found = _by_hand(self, "gru", keras.layers.GRUCell, sequences, initial_state, mask, training)
        return super().inner_loop(sequences, initial_state, mask, training) if found is None else found


def _by_hand(layer: Any, kind: str, cell_type: Any, x: Any, states: Any, mask: Any, training: Any) -> Any:
    """The last output, the outputs and the last states, or None where it is left to Keras."""
    cell, states = layer.cell, [tf.convert_to_tensor(tensor) for tensor in keras.tree.flatten(states)]
    mask = mask[0] if keras.tree.is_nested(mask) else mask
    if type(cell) is not cell_type or not _is_plain(layer, x, training) or not _is_mask_of(mask, x):
        return None
    if any(state.shape.rank != 2 or (x.shape[0] in (1, None) and state.shape[0] not in (1, None)) for state in states):
        return None
    options: dict[str, Any] = {"activation": _function(cell.activation)}
    if kind != "simple_rnn":
        options["recurrent_activation"] = _function(cell.recurrent_activation)
        if _is_cudnn_s(layer, cell, kind):
            return None
    if None in options.values():
        return None
    if kind == "gru":
        options["reset_after"] = cell.reset_after
    # each variable is read here, once
    weights = [tf.convert_to_tensor(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias) if w is not None]
    x, *weights = (tf.cast(tensor, cell.compute_dtype) for tensor in (x, *weights))
    states = [_of_each(x, tf.cast(tensor, x.dtype)) for tensor in states]
    options |= {"return_sequences": layer.return_sequences, "go_backwards": layer.go_backwards}
    if mask is not None:
        mask = tf.cast(mask if mask.shape.rank == 2 else mask[..., 0], tf.bool)
        options["zero_output_for_mask"] = bool(layer.zero_output_for_mask)
    y, *last = hand_written_sequences.recur(kind, x, weights, states, mask, **options)
    if x.shape[1] is None and not layer.return_sequences:
        # without a step the output is 0, as in Keras
        y = tf.where(tf.shape(x)[1] > 0, y, tf.zeros([], y.dtype))
    return (y[:, -1], y, last) if layer.return_sequences else (y, y[:, None], last)


def _of_each(x: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """A state for each sequence, (B, H), also from one of shape (1, H) for all."""
    if x.shape[0] is not None and x.shape[0] == state.shape[0]:
        return state
    return tf.broadcast_to(state, [size_of(x, 0), state.shape[1]])


def _is_plain(layer: Any, x: Any, training: Any) -> bool:
    """Whether it is sequences, in a loop, that dropout leaves nothing out of."""
    if training is not False and training is not None and (layer.cell.dropout or layer.cell.recurrent_dropout):
        return False
    if layer.unroll:
        return False
    return hand_written.is_handled(x) and x.shape.rank == 3 and x.shape[-1] is not None and 0 not in x.shape


def _is_mask_of(mask: Any, x: tf.Tensor) -> bool:
    """Whether the mask is None, or has a number, or a row of one, for each step of each sequence."""
    if mask is None:
        return True
    if not isinstance(mask, tf.Tensor) or mask.shape.rank not in (2, 3) or mask.shape[2:] not in ([], [1]):
        return False
    return x.shape[:2].is_compatible_with(mask.shape[:2]) and (mask.shape[0] != 1 or x.shape[0] == 1)


def _is_cudnn_s(layer: Any, cell: Any, kind: str) -> bool:
    """Whether Keras calls cuDNN, or says that it cannot; XLA cannot."""
    reset = {"reset_after": cell.reset_after} if kind == "gru" else {}
    if layer.use_cudnn is True:
        return True
    return (
        layer.use_cudnn is not False
        and not is_compiled()
        and cudnn_ok(cell.activation, cell.recurrent_activation, layer.unroll, cell.use_bias, **reset)
    )


def _function(activation: Any) -> Any:
    """The `tfbp.Activation` of a Keras function, or None; an instance of a Keras layer may have a dtype of its own."""
    return None if isinstance(activation, keras.layers.Layer) else activation_of(activation)
