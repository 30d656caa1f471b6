"""Kinds of sequences and volumes, upsampling, transposed convolutions, equations: agreement, Keras, bad input."""

import keras
import numpy as np
import pytest

from tfbp import (
    Conv1D,
    Conv2DTranspose,
    Conv3D,
    Cropping1D,
    Cropping2D,
    EinsumDense,
    GetItem,
    InputError,
    Network,
    Permute,
    RepeatVector,
    Stack,
    UpSampling2D,
    ZeroPadding1D,
    manual,
    reference,
    tape,
)
from tfbp.agreement.cases import cases_of
from tfbp.agreement.problems import problem
from tfbp.network import Input, einsum, named_weights, rearranging, sequences, transposed, upsampling, volumes

CASES = {case.name: case for case in cases_of(sequences, volumes, upsampling, transposed, rearranging, einsum)}
# TensorFlow resizes with results in float32, and has no pooling of volumes in float64 on the CPU
IN_FLOAT32 = ("upsampling-B4-4x3x2", "pooling-of-volumes-B4-3x4x3x2")


def numbers_of(name):
    numbers = problem(CASES[name], "float64")
    return CASES[name].network, (numbers.parameters, numbers.x, numbers.y, numbers.sample_weight)


def weights_of(gradients):
    return {f"{place} {name}": np.asarray(dw) for place, name, dw in named_weights(gradients)}


@pytest.mark.parametrize("name", CASES)
def test_the_three_writings_agree_to_1e_12(name):
    network, arguments = numbers_of(name)
    loss, gradients = reference.loss_and_gradients(network, *arguments)
    expected = weights_of(gradients)
    for writing in (manual, tape):
        got, found = writing.loss_and_gradients(network, *arguments)
        assert abs(float(got) - float(loss)) < 1e-12
        found = weights_of(found)
        assert {each: dw.shape for each, dw in found.items()} == {each: dw.shape for each, dw in expected.items()}
        for each, dw in expected.items():
            np.testing.assert_allclose(found[each], dw, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_reference_s_gradients_are_differences(name):
    network, (parameters, *rest) = numbers_of(name)
    _, gradients = reference.loss_and_gradients(network, parameters, *rest)
    rng = np.random.default_rng([*name.encode()])
    # apart from the kinks of penalties, where weights of 0 are
    direction = [{n: (w != 0) * rng.normal(size=w.shape) for n, w in layer.items()} for layer in parameters]

    def at(step):
        pairs = zip(parameters, direction, strict=True)
        moved = [{n: w + step * towards[n] for n, w in layer.items()} for layer, towards in pairs]
        return reference.loss_and_gradients(network, moved, *rest)[0]

    pairs = zip(gradients, direction, strict=True)
    along = sum((dw * towards[n]).sum() for layer, towards in pairs for n, dw in layer.items())
    np.testing.assert_allclose((at(1e-6) - at(-1e-6)) / 2e-6, along, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_it_goes_through_json_and_to_keras_and_back(name):
    network, (parameters, x, _, _) = numbers_of(name)
    assert Network.from_json(network.to_json()) == network
    tolerance, dtype = (1e-5, "float32") if name in IN_FLOAT32 else (1e-12, "float64")
    model = network.to_keras(parameters, dtype=dtype)
    expected = reference.forward(network, parameters, x)
    np.testing.assert_allclose(model(x.astype(dtype), training=False), expected, rtol=tolerance, atol=tolerance)
    back, again = Network.from_keras(model, network.loss)
    np.testing.assert_allclose(reference.forward(back, again, x), expected, rtol=0, atol=tolerance)


def test_a_causal_convolution_does_not_see_later_steps():
    network = Network((6, 2), [Conv1D(3, 3, padding="causal", dilation_rate=2)], "huber")
    parameters, x = network.init(1), np.random.default_rng(0).normal(size=(1, 6, 2))
    later = np.where(np.arange(6)[:, None] > 3, x + 1, x)
    before, after = (reference.forward(network, parameters, each)[0] for each in (x, later))
    np.testing.assert_array_equal(before[:4], after[:4])
    assert (before[4:] != after[4:]).all()


def test_an_equation_s_kernel_starts_as_keras_s_does():
    keras_layer = keras.layers.EinsumDense("abc,cde->abde", (4, 50, 40), kernel_initializer="glorot_uniform")
    keras_layer.build((None, 4, 30))
    ours = Network((4, 30), [EinsumDense("abc,cde->abde", (4, 50, 40))], "huber").init(0)[0]["kernel"]
    limit = (6 / (30 + 50 * 40)) ** 0.5
    for kernel in (ours, keras_layer.kernel.numpy()):
        assert 0.99 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)


BAD = {
    "one end": (lambda: ZeroPadding1D((1, 2, 3)), "padding: got (1, 2, 3); accepted: an integer, or (before, after)."),
    "all cut": (lambda: Network((2, 3), [Cropping1D(1)], "huber"), "layers[0]: Cropping1D: got inputs of shape (2, 3)"),
    "below 0": (lambda: Cropping2D(((0, 1), (-1, 0))), "cropping: got ((0, 1), (-1, 0)); accepted: an integer, (rows"),
    "interpolation": (lambda: UpSampling2D(2, "cubic"), "interpolation: got 'cubic'"),
    "sizes": (lambda: UpSampling2D((2, 2, 2)), "size: got (2, 2, 2); accepted: an integer of at least 1, or two."),
    "images as steps": (lambda: Network((4, 4, 2), [Conv1D(2, 2)], "huber"), "layers[0]: Conv1D: got inputs of shape"),
    "images as volumes": (lambda: Network((4, 4, 2), [Conv3D(2, 2)], "huber"), "layers[0]: Conv3D: got inputs of"),
    "causal images": (lambda: Conv2DTranspose(2, 2, padding="causal"), "padding: got 'causal'; accepted: valid, same."),
    "an order": (lambda: Permute((1, 1)), "dims: got (1, 1); accepted: 1, 2, … in some order, in a tuple."),
    "never": (lambda: RepeatVector(0), "n: got 0; accepted: an integer of at least 1."),
    "a key": (lambda: GetItem(("a",)), "key: got ('a',); accepted: slices and integers."),
    "an index": (lambda: Network((2, 3), [GetItem((5,))], "huber"), "layers[0]: GetItem: got inputs of shape (2, 3)"),
    "the batch": (lambda: Stack(0), "axis: got 0; accepted: an integer other than 0, the batch."),
    "shapes": (lambda: Stack(1)(Input(3), Input(4)), "Stack: got inputs of shape ((3,), (4,)); accepted: tensors of"),
    "an equation": (lambda: EinsumDense("ab->b", 3), "equation: got 'ab->b'; accepted: one as 'abc,cd->abd'"),
    "a letter": (lambda: EinsumDense("abc,bd->ad", 3), "equation: got 'abc,bd->ad'; accepted: one in which"),
    "no size": (
        lambda: Network((4, 6), [EinsumDense("abc,cd->abd", (4, None))], "huber"),
        "layers[0]: EinsumDense: got inputs of shape (4, 6); accepted: sizes that have one for 'd'.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_one_sentence(given):
    make, sentence = BAD[given]
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 240
