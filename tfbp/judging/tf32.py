"""TF32: a GPU rounds the factors of float32 products to 11 bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def tf32_enabled(enabled: bool) -> Iterator[None]:
    """Turns TF32 on or off, and restores the setting afterwards."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
