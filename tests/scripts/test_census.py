"""The census of other people's models: what converts, with Keras's gradients, and what does not, is told."""

import sys
from argparse import Namespace
from pathlib import Path

import keras
import pytest

from tfbp import manual

SCRIPTS = Path(__file__).parents[2] / "scripts" / "trials"


@pytest.fixture
def census(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import census

    # what it forgets between large models, other tests may need
    monkeypatch.setattr(keras.backend, "clear_session", lambda: None)
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    yield census
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("census", "census_models")]:
        sys.modules.pop(name)


def wrong_dense_backward(dz, residuals, **options):
    dx, dkernel, dbias = RIGHT(dz, residuals, **options)
    return dx, 1.001 * dkernel, dbias


RIGHT = manual.dense.dense_backward


@pytest.mark.parametrize(("backward", "status", "said"), [(RIGHT, 0, "1 with"), (wrong_dense_backward, 1, "OTHER")])
def test_gradients_are_held_against_keras_s(census, monkeypatch, capsys, backward, status, said):
    monkeypatch.setattr(manual.dense, "dense_backward", backward)
    assert census.take(Namespace(models="time_series_by_convolution", gradients=True)) == status
    assert said in capsys.readouterr().out


def test_what_does_not_convert_is_named(census, monkeypatch, capsys):
    x = keras.Input((3,))
    monkeypatch.setitem(census.MODELS, "by_sine", lambda: keras.Model(x, keras.ops.sin(x)))
    assert census.take(Namespace(models="by_sine", gradients=False)) == 1
    out = capsys.readouterr().out
    assert "got the operation Sin" in out
    assert "0 of 1 convert" in out
