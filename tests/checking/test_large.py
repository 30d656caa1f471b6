"""Programs of many numbers, with fewer evaluations: the checker finds in them what it finds in small ones."""

import numpy as np
import pytest
import tensorflow as tf

from tfbp import check_gradients
from tfbp.checking import trial

X, KERNEL = (np.random.default_rng(0).normal(size=size) for size in ((5, 4), (4, 3)))
calls = []


def dense(backward):
    @tf.custom_gradient
    def product(x, kernel):
        return tf.tanh(x @ kernel), lambda dy: backward(x, kernel, dy * (1 - tf.tanh(x @ kernel) ** 2), dy)

    return lambda x, kernel: product(x, kernel)


def right(x, kernel, dz, dy):
    return dz @ tf.transpose(kernel), tf.transpose(x) @ dz


def without_derivative(x, kernel, dz, dy):
    return dz @ tf.transpose(kernel), tf.transpose(x) @ dy


def ignoring(x, kernel, dz, dy):
    return dz @ tf.transpose(kernel), tf.transpose(x) @ (1 - tf.tanh(x @ kernel) ** 2)


def adding(x, kernel, dz, dy):
    return dz @ tf.transpose(kernel), tf.transpose(x) @ dz + 1


def accumulating(x, kernel, dz, dy):
    calls.append(1)
    return dz @ tf.transpose(kernel), tf.transpose(x) @ dz * float(len(calls))


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(trial, "LARGE", 10)


def test_what_is_right_agrees():
    report = check_gradients(dense(right), [X, KERNEL])
    assert report.agrees, report


@pytest.mark.parametrize(
    ("backward", "cause"),
    [
        (without_derivative, ""),
        (ignoring, "the upstream gradient is ignored"),
        (adding, "something is added that is not upstream"),
        (accumulating, "accumulates from call to call"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_is_found_at_its_argument(backward, cause):
    report = check_gradients(dense(backward), [X, KERNEL], modes=["eager"])
    assert report.findings[0].argument == "kernel"
    assert cause in report.findings[0].cause
