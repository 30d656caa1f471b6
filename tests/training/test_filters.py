"""The filters of the first convolution, as TensorBoard's page gets them: by manual, tape and reference alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import BatchNormalization, Conv2D, Dense, Flatten, Model, Network, Residual
from tfbp.training import TensorBoard, filters

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(12, 6, 5, 3)).astype(np.float32), RNG.integers(0, 2, 12)
NETWORK = Network((6, 5, 3), [Conv2D(5, (3, 2)), Flatten(), Dense(2)], "sparse_categorical_crossentropy")


def images_of(directory, tag="filters/layer_0"):
    """By epoch, as arrays of bytes."""
    events = EventAccumulator(str(directory / "train"), size_guidance={"tensors": 0})
    events.Reload()
    if tag not in events.Tags()["tensors"]:
        return {}
    points = {point.step: point.tensor_proto.string_val for point in events.Tensors(tag)}
    return {step: tf.io.decode_png(strings[2]).numpy() for step, strings in points.items()}


@pytest.mark.parametrize("gradients", ["manual", "tape"])
def test_an_image_an_epoch_of_the_kernel_after_it(tmp_path, gradients):
    kernels = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kernels.append(self.model.get_parameters()[0]["kernel"])

    model = Model(NETWORK, gradients)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    callbacks = [TensorBoard(tmp_path, every=None), Keep()]
    model.fit(X, LABELS, batch_size=6, epochs=3, verbose=0, callbacks=callbacks)
    found = images_of(tmp_path)
    assert list(found) == [0, 1, 2]
    for kernel, image in zip(kernels, found.values(), strict=True):
        np.testing.assert_array_equal(image, filters.image(kernel))
    assert (found[0] != found[2]).any()


def test_a_convolution_in_a_part_is_found_and_where_there_is_none_nothing_is_written(tmp_path):
    inner = Residual([Conv2D(3, 3, padding="same"), BatchNormalization()])
    deep = Network((6, 5, 3), [inner, Conv2D(2, 3), Flatten(), Dense(2)], "sparse_categorical_crossentropy")
    flat = Network((6, 5, 3), [Flatten(), Dense(2)], "sparse_categorical_crossentropy")
    for name, network in (("deep", deep), ("flat", flat)):
        with tf.summary.create_file_writer(str(tmp_path / name / "train")).as_default():
            filters.write(network, network.init(), step=7)
    assert list(images_of(tmp_path / "deep", "filters/layer_0.layers.0")) == [7]
    assert images_of(tmp_path / "flat") == {}


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 3, 1, 4), (2 * 25, 2 * 25, 1)),
        ((3, 2, 3, 5), (2 * 25, 3 * 17, 3)),
        ((1, 1, 2, 3), (3 * 9, 2 * 9, 1)),
        ((1, 1, 70, 66), (64 * 9, 64 * 9, 1)),
    ],
    ids=str,
)
def test_every_weight_has_its_place(shape, size, rng):
    kernel = rng.normal(size=shape)
    image = filters.image(kernel)
    assert (image.shape, image.dtype) == (size, np.uint8)
    largest = np.abs(kernel).max()
    of_images, columns = shape[2] in (1, 3), int(np.ceil(np.sqrt(shape[3])))
    for m, n, i, o in np.ndindex(*shape[:2], min(shape[2], 64), min(shape[3], 64)):
        row, column = divmod(o, columns) if of_images else (o, i)
        top, left = row * (8 * shape[0] + 1) + 8 * m, column * (8 * shape[1] + 1) + 8 * n
        tile = image[top : top + 8, left : left + 8, i if shape[2] == 3 else 0]
        expected = 255 * (0.5 + kernel[m, n, i, o] / (2 * largest))
        assert (tile == tile[0, 0]).all()
        assert abs(tile[0, 0] - expected) <= 0.5 + 1e-9


def test_zeros_are_grey_and_what_is_no_number_spoils_nothing():
    assert set(np.unique(filters.image(np.zeros((2, 2, 1, 1))))) == {128, 255}
    kernel = np.array([np.nan, np.inf, -np.inf, 2.0]).reshape(2, 2, 1, 1)
    np.testing.assert_array_equal(filters.image(kernel)[::8, ::8, 0][:2, :2], [[128, 255], [0, 255]])
