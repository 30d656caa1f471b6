"""Runs PyTorch's gradcheck and JAX's check_grads on the same functions: a bridge copies arrays to TensorFlow and back.

Both have the call and the tolerances of their own documentation. Forward and backward are those of the custom gradient.
A wrong shape, dtype or number of gradients is for the framework to refuse or to accept. `make benchmark` installs both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import tensorflow as tf

Forward = Callable[..., tf.Tensor]  # of the float inputs
Backward = Callable[[list[tf.Tensor], tf.Tensor], tuple[Any, ...]]


def installed() -> dict[str, Callable[[Forward, Backward, list[tf.Tensor]], bool]]:
    """By name, the function that judges a backward at a point."""
    checkers: dict[str, Callable[..., bool]] = {}
    if find_spec("torch"):
        checkers["gradcheck"] = lambda *function: refused_by_torch(*function, fast_mode=False)
        checkers["gradcheck, fast"] = lambda *function: refused_by_torch(*function, fast_mode=True)
    if find_spec("jax"):
        checkers["check_grads"] = refused_by_jax
    return checkers


def refused_by_torch(forward: Forward, backward: Backward, floats: list[tf.Tensor], fast_mode: bool) -> bool:
    import torch

    # through float32, which holds 16 bits: torch reads no bfloat16 of NumPy's
    def to_torch(tensor: tf.Tensor) -> torch.Tensor:
        wide = tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)
        return torch.tensor(wide.numpy()).to(getattr(torch, tensor.dtype.name))

    def to_tensorflow(tensor: torch.Tensor) -> tf.Tensor:
        wide = tensor if tensor.dtype == torch.float64 else tensor.float()
        # a copy: gradcheck moves its inputs in place, and TensorFlow may share an array's memory
        return tf.cast(wide.detach().numpy().copy(), str(tensor.dtype).removeprefix("torch."))

    class Bridge(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, *tensors: torch.Tensor) -> torch.Tensor:
            context.floats = [to_tensorflow(tensor) for tensor in tensors]
            return to_torch(forward(*context.floats))

        @staticmethod
        def backward(context: Any, dy: torch.Tensor) -> Any:
            found = backward(context.floats, to_tensorflow(dy))
            return tuple(None if each is None else to_torch(tf.convert_to_tensor(each)) for each in found)

    inputs = [to_torch(tensor).requires_grad_() for tensor in floats]
    return not torch.autograd.gradcheck(Bridge.apply, inputs, fast_mode=fast_mode, raise_exception=False)


def refused_by_jax(forward: Forward, backward: Backward, floats: list[tf.Tensor]) -> bool:
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)

    def tensors(arrays: Any) -> list[tf.Tensor]:
        return [tf.constant(np.asarray(array)) for array in arrays]

    def shaped(tensor: Any) -> Any:
        array = tf.convert_to_tensor(tensor).numpy()
        return jax.ShapeDtypeStruct(array.shape, array.dtype)

    y = forward(*floats)
    found = backward(floats, tf.ones_like(y))  # for shapes and dtypes, for JAX to refuse

    def called(*arrays: Any) -> Any:
        return jax.pure_callback(lambda *a: forward(*tensors(a)).numpy(), shaped(y), *arrays)

    def gradients(arrays: Any, dy: Any) -> Any:
        def gradient(index: int, dy: Any, *arrays: Any) -> np.ndarray:
            return tf.convert_to_tensor(backward(tensors(arrays), tensors([dy])[0])[index]).numpy()

        return tuple(
            None if each is None else jax.pure_callback(partial(gradient, index), shaped(each), dy, *arrays)
            for index, each in enumerate(found)
        )

    bridge = jax.custom_vjp(called)
    bridge.defvjp(lambda *arrays: (called(*arrays), arrays), gradients)
    try:
        check_grads(bridge, tuple(tensor.numpy() for tensor in floats), order=1, modes=("rev",))
    except AssertionError:
        return True
    return False
