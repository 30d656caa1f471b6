"""Fixtures of the tests of layers."""

import gc

import pytest


@pytest.fixture
def only_new_garbage():
    """`gc.collect` does not go through what was there before: all of TensorFlow takes it half a second each time."""
    gc.freeze()
    yield
    gc.unfreeze()
