"""Models of keras.applications with tfbp's layers: alike, and reported when they are not."""

import sys
from argparse import Namespace
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from tfbp import layers
from tfbp.layers import swapping

SCRIPTS = Path(__file__).parents[2] / "scripts" / "trials"


@keras.saving.register_keras_serializable(package="swap_models_test")
class Wrong(layers.Dense):
    """A forward that is Keras's, and half of its gradient."""

    __module__ = layers.Dense.__module__

    def call(self, inputs):
        y = super().call(inputs)
        return 0.5 * y + tf.stop_gradient(0.5 * y)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import swap_models

    def small(name):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((swap_models.SIZE, swap_models.SIZE, 3))
        x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
        return keras.Model(inputs, keras.layers.Dense(swap_models.CLASSES)(x))

    monkeypatch.setattr(swap_models, "build", small)
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    yield swap_models
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    sys.modules.pop("swap_models")


@pytest.mark.parametrize(("dense", "status", "said"), [(layers.Dense, 0, "ok"), (Wrong, 1, "WRONG")])
def test_swapped_models_are_held_against_the_models(script, monkeypatch, capsys, dense, status, said):
    monkeypatch.setitem(swapping.OURS, keras.layers.Dense, dense)
    assert script.compare(Namespace(models="ResNet50", steps=2)) == status
    out = capsys.readouterr().out
    assert said in out
    assert "4 of 5" in out


def test_a_model_that_is_loaded_otherwise_is_told(script, monkeypatch, capsys):
    right = keras.models.load_model

    def otherwise(path):
        model = right(path)
        model.layers[-1].kernel.assign(model.layers[-1].kernel + 1e-9)
        return model

    monkeypatch.setattr(keras.models, "load_model", otherwise)
    assert script.compare(Namespace(models="ResNet50", steps=1)) == 1
    assert "WRONG" in capsys.readouterr().out


def test_a_model_that_builds_its_own_layers_is_built_of_ours(script):
    with script.replaced():
        assert keras.layers.Dense is layers.Dense
        assert keras.layers.GroupQueryAttention is layers.GroupedQueryAttention
        assert type(keras.Sequential([keras.Input((3,)), keras.layers.LayerNormalization()]).layers[0]).__module__ == (
            "tfbp.layers.normalization"
        )
    assert keras.layers.Dense is layers.Dense.__base__
