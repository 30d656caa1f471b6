"""float64 throughout: data, layers, losses and sample weights."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _float64():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)
