"""Large arrays become tensors without a copy where their address allows it, and with one that is kept where not."""

import gc

import numpy as np
import pytest
import tensorflow as tf

from tfbp.fitting import sharing


def array_at(offset, dtype=np.float32, rows=1000):
    """Random numbers, `offset` bytes past an address that TensorFlow takes over."""
    size = rows * 300 * np.dtype(dtype).itemsize
    room = np.empty(size + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    array = room[start : start + size].view(dtype).reshape(rows, 300)
    array[:] = np.random.default_rng(0).integers(0, 2 if dtype is bool else 100, array.shape)
    return array


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int64, bool])
@pytest.mark.parametrize("offset", [0, 16], ids=["aligned", "unaligned"])
def test_the_numbers_are_the_array_s(offset, dtype):
    array = array_at(offset, dtype, 8000)
    tensor = sharing.tensor_of(array)
    assert tensor.dtype.name == np.dtype(dtype).name
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_an_aligned_array_is_shared():
    array = array_at(0)
    tensor = sharing.tensor_of(array)
    array[3, 4] = -7
    assert tensor.numpy()[3, 4] == -7
    assert id(array) not in sharing._copies


def test_of_another_a_copy_is_kept_while_it_lives_and_made_anew_where_it_changed():
    array = array_at(16)
    first = sharing.tensor_of(array)
    assert sharing.tensor_of(array) is first
    array[3, 4] = -7
    assert first.numpy()[3, 4] != -7
    second = sharing.tensor_of(array)
    assert second is not first
    np.testing.assert_array_equal(second.numpy(), array)
    key = id(array)
    del array
    gc.collect()
    assert key not in sharing._copies


@pytest.mark.parametrize(
    "change",
    [lambda a: a.T, lambda a: a[::2], lambda a: a.astype(">f4"), lambda a: np.asfortranarray(a)],
    ids=["transposed", "every-second", "big-endian", "fortran"],
)
def test_arrays_in_another_order_are_copied(change):
    array = change(array_at(0, rows=4000))
    np.testing.assert_array_equal(sharing.tensor_of(array).numpy(), array)


def test_read_only_arrays_are_not_shared():
    array = array_at(0)
    array.flags.writeable = False
    np.testing.assert_array_equal(sharing.tensor_of(array).numpy(), array)


def test_narrowed_on_the_way():
    array = array_at(0, np.float64)
    tensor = sharing.tensor_of(array, np.float32)
    np.testing.assert_array_equal(tensor.numpy(), array.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "uint8", "int64", "bool"])
@pytest.mark.parametrize("columns", [3, 300_000], ids=["small", "large"])
def test_more_rows_are_zeros(dtype, columns):
    given = tf.cast(tf.random.stateless_uniform([2, columns], [0, 1], 0, 100, tf.int32), dtype)
    got = sharing.with_room(given, 5)
    assert got.dtype == given.dtype
    np.testing.assert_array_equal(
        got.numpy(), np.concatenate([given.numpy(), np.zeros([3, columns], given.numpy().dtype)])
    )
