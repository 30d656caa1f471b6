"""The cell with TF32, which a GPU adds: it is run, reported, and put back; on a CPU the setting changes no number."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import check_gradients
from tfbp.checking import api

X, KERNEL = (np.random.default_rng(0).normal(size=size) for size in ((5, 4), (4, 3)))


def enabled():
    return tf.config.experimental.tensor_float_32_execution_enabled()


@tf.custom_gradient
def wrong_with_tf32(x, kernel):
    return x @ kernel, lambda dy: (dy @ tf.transpose(kernel), tf.transpose(x) @ dy * (0.5 if enabled() else 1.0))


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(api, "has_gpu", lambda: True)


def test_float32_is_also_run_with_it():
    before = enabled()
    report = check_gradients(lambda x, kernel: x @ kernel, [X, KERNEL], modes=["eager"])
    assert report.agrees, report
    assert list(report.worst) == ["float64 eager", "float32 eager", "float32 eager, TF32"]
    assert enabled() == before


def test_a_mistake_that_it_alone_has_is_told():
    report = check_gradients(lambda x, kernel: wrong_with_tf32(x, kernel), [X, KERNEL], modes=["eager"])
    (found,) = report.findings
    assert (found.argument, found.dtype, found.mode) == ("kernel", "float32", "eager, TF32")


def test_on_the_cpu_there_is_none():
    report = check_gradients(lambda x, kernel: x @ kernel, [X, KERNEL], modes=["eager"], device="cpu")
    assert list(report.worst) == ["float64 eager", "float32 eager"]
