"""An exception as one sentence, with the line that raised it."""

import tensorflow as tf

from tfbp.judging.failures import attempt


def wrong_product(x):
    return tf.matmul(x, x)


def test_tensorflow_s_error_names_the_user_s_line():
    found = attempt(wrong_product, tf.ones((2, 3)))
    assert found.sentence.startswith("InvalidArgumentError: Matrix size-incompatible")
    assert found.line == "return tf.matmul(x, x)"


def test_so_it_does_while_a_function_is_traced():
    found = attempt(tf.function(wrong_product, autograph=False), tf.ones((2, 3)))
    assert "Dimensions must be equal" in found.sentence
    assert found.line == "return tf.matmul(x, x)"


def test_an_exception_without_words_is_its_name():
    assert attempt(lambda: (_ for _ in ()).throw(KeyError)).sentence.startswith("KeyError")
