"""In which order rows are taken, as a train_step sees them: in fits one after another, in batches that keep rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbp

ROWS, BATCH = 22, 4
X = np.arange(ROWS, dtype="float32")[:, None]


class Watching(keras.Model):
    """Writes down the rows that it is trained on."""

    def __init__(self):
        super().__init__()
        self.rows = self.add_weight(shape=(20 * ROWS,), initializer="zeros", trainable=False)
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return x * self.scale

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        rows = x[:, 0]
        places = self.count + tf.range(tf.size(rows))
        self.rows.assign(tf.tensor_scatter_nd_update(self.rows, places[:, None], rows))
        self.count.assign_add(tf.size(rows))
        return {"loss": tf.reduce_mean(rows)}


def epochs_of(*fits, seed=3, **options):
    """The rows of each epoch of some fits of one model, (E, ROWS)."""
    keras.utils.set_random_seed(seed)
    model = Watching()
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    for epochs in fits:
        tfbp.fit(model, X, epochs=epochs, batch_size=BATCH, verbose=0, **options)
    rows = model.rows.numpy()[: int(model.count)]
    return rows.reshape(sum(fits), ROWS).astype(int)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_no_epoch_of_three_fits_repeats_another_s_order(shuffle):
    epochs = epochs_of(3, 2, 3, shuffle=shuffle)
    assert len({tuple(epoch) for epoch in epochs}) == 8
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(ROWS), (8, 1)))


def test_the_order_follows_from_the_seed():
    first = epochs_of(2, 1, shuffle=True)
    np.testing.assert_array_equal(epochs_of(2, 1, shuffle=True), first)
    assert (epochs_of(2, 1, shuffle=True, seed=4) != first).any()


def test_batches_keep_their_rows_and_their_places():
    """shuffle="batch", as Keras has it: the rows of a batch change places, and no other."""
    for epoch in epochs_of(2, shuffle="batch"):
        np.testing.assert_array_equal(epoch // BATCH, np.arange(ROWS) // BATCH)
        assert any((batch != np.sort(batch)).any() for batch in np.split(epoch, range(BATCH, ROWS, BATCH)))


def test_without_shuffling_rows_come_as_they_are():
    np.testing.assert_array_equal(epochs_of(1, 1, shuffle=False), np.tile(np.arange(ROWS), (2, 1)))
