"""float64 throughout: data, layers, losses and sample weights."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _float64():
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])
