"""The data: digits always, Fashion-MNIST from Debian's package or a download, a clear word where there is neither."""

import os
from pathlib import Path

import numpy as np
import pytest

from tfbp import Dense, InputError, Network, datasets
from tfbp.commands import trajectory


def test_digits():
    digits = datasets.load("digits", "float64")
    assert digits.x_train.shape == (1438, 64)
    assert digits.x_validation.shape == (359, 64)
    assert digits.x_train.dtype == np.float64
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 1)
    assert digits.shape == (8, 8, 1)
    for labels in (digits.labels_train, digits.labels_validation):
        assert sorted(set(labels.tolist())) == list(range(10))


def test_examples_in_their_own_shape():
    digits = datasets.load("digits")
    images = digits.shaped(digits.shape)
    assert (images.x_train.shape, images.x_validation.shape) == ((1438, 8, 8, 1), (359, 8, 8, 1))
    assert (images.inputs, images.classes, images.shape) == (64, 10, (8, 8, 1))
    np.testing.assert_array_equal(images.x_train[5, 2, 3, 0], digits.x_train[5, 2 * 8 + 3])
    with pytest.raises(InputError, match=r"^shape: got \(8, 8, 3\); accepted: one of 64 numbers, as \(8, 8, 1\)\.$"):
        digits.shaped((8, 8, 3))


def test_images_of_several_channels_keep_them(monkeypatch):
    import keras

    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    made = (images, np.array([[1], [0]])), (images[:1], np.array([[1]]))
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: made)
    data = datasets.load("cifar10")
    assert (data.x_train.shape, data.shape, data.labels_train.tolist()) == ((2, 60), (4, 5, 3), [1, 0])
    np.testing.assert_allclose(data.shaped(data.shape).x_train * 255, images, rtol=1e-6)


@pytest.mark.parametrize("name", datasets.PLANE)
def test_sets_in_the_plane(name):
    data, again = datasets.load(name, "float64"), datasets.load(name, "float64")
    assert (data.inputs, data.classes, data.shape) == (2, 2, (2,))
    assert (data.x_train.shape, data.x_validation.shape) == ((400, 2), (200, 2))
    np.testing.assert_array_equal(data.x_train, again.x_train)
    for x, labels in ((data.x_train, data.labels_train), (data.x_validation, data.labels_validation)):
        assert np.isfinite(x).all()
        assert np.abs(x).max() < 1.3
        assert 0.4 < labels.mean() < 0.6
    # the best straight line, by least squares, is wrong about a third of them at least
    design = np.concatenate([data.x_train, np.ones((400, 1))], axis=1)
    line, *_ = np.linalg.lstsq(design, 2.0 * data.labels_train - 1, rcond=None)
    assert ((design @ line > 0) != data.labels_train).mean() > 0.25
    # and yet the classes lie apart: a point's nearest neighbour is almost always of its own
    nearest = np.linalg.norm(data.x_validation[:, None] - data.x_train, axis=-1).argmin(axis=1)
    assert (data.labels_train[nearest] == data.labels_validation).mean() > 0.96


def test_a_missing_download_is_named(tmp_path, monkeypatch):
    import keras

    def no_network(*args, **kwargs):
        raise Exception("URL fetch failure on https://example.org: no network")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    with pytest.raises(InputError, match=r"^dataset: got 'mnist', which is not available .URL fetch failure"):
        datasets.load("mnist")


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"^dataset: got 'digit' \(did you mean 'digits'\?\)"):
        datasets.load("digit")


@pytest.fixture
def fashion_mnist(monkeypatch):
    """The set as Keras's own loader reads it: the files of Debian's dataset-fashion-mnist where that is installed."""
    package = Path("/usr/share/datasets/fashion-mnist")
    if package.is_dir():
        from keras.src.datasets import fashion_mnist

        monkeypatch.setattr(fashion_mnist, "get_file", lambda name, **options: package / name)
    try:
        return datasets.load("fashion_mnist")
    except InputError as error:
        if "TFBP_COMPLETE" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.mark.rare("trains for half a minute; the tests of train compare manual and tape on digits")
def test_fashion_mnist_reaches_the_published_accuracy_by_manual_and_tape_alike(fashion_mnist):
    data = fashion_mnist
    assert (data.x_train.shape, data.shape) == ((60000, 784), (28, 28, 1))
    network = Network(784, [Dense(100, "relu"), Dense(10)], "sparse_categorical_crossentropy")
    samples, validation = (data.x_train, data.labels_train), (data.x_validation, data.labels_validation)
    epochs = []
    trajectories = trajectory.Trajectories(network, validation, lambda epoch, parameters: epochs.append(epoch))
    for writing in ("manual", "tape"):
        trajectory.train(trajectories, writing, samples, trajectory.Plan("momentum", 20, 128))
    assert len(epochs) == 40
    for epoch in (epochs[19], epochs[39]):
        # what a NumPy MLP of this size publishes
        assert epoch.validation[1] >= 0.877, epoch
    # one float32 rounding, amplified by 9,380 steps: without it the curves are the same
    assert max(epoch.disagreement for epoch in epochs) < 1e-3
