"""tfbp.Model of several inputs and outputs: Keras's training, names, forms of data, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import InputError, Model, gradient_statistics
from tfbp.training import TensorBoard
from tfbp.training.structures import unflattened

RNG = np.random.default_rng(0)
WORDS, SIZES = RNG.integers(0, 7, (24, 5)), RNG.normal(size=(24, 4))
KINDS, PRICES = RNG.integers(0, 3, 24), RNG.normal(size=(24, 2))
# in float32, too
L2 = keras.regularizers.L2(2**-6)
WEIGHT = RNG.uniform(0.5, 2.0, 24)
LOSS = {"price": "mean_squared_error", "kind": "sparse_categorical_crossentropy"}
METRICS = {"kind": ["accuracy"], "price": [keras.losses.mean_absolute_error]}
COMPILED = {"metrics": METRICS, "weighted_metrics": {"price": ["mae"]}, "loss_weights": {"kind": 0.5, "price": 2.0}}


@pytest.fixture(autouse=True, scope="module")
def float64():
    """Also of Keras's losses and metrics."""
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(policy)


def keras_model():
    keras.utils.set_random_seed(1)
    words, sizes = keras.Input((5,), dtype="int32", name="words"), keras.Input((4,), name="sizes")
    h = layers.Dense(4, "tanh")(sizes)
    read = layers.GlobalAveragePooling1D()(layers.Embedding(7, 4)(words))
    h = layers.BatchNormalization()(layers.Add()([h, read, layers.Dense(4)(h)]))
    kind = layers.Dense(3, "softmax", name="kind")(h)
    price = layers.Dense(2, name="price", kernel_regularizer=L2)(layers.Concatenate()([h, kind]))
    return keras.Model([words, sizes], [kind, price])


def ours_of(theirs, gradients="manual", **options):
    model = Model.from_keras(theirs, LOSS, gradients=gradients)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False, **{**COMPILED, **options})
    return model


def theirs_compiled():
    model = keras_model()
    # Keras weighs nothing by rows in a graph; eagerly it does, to the same means of equal batches
    model.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True, **COMPILED)
    return model


FORMS = {
    "tuples": ((WORDS, SIZES), (KINDS, PRICES), None),
    "lists": ([WORDS, SIZES], [KINDS, PRICES], [WEIGHT, WEIGHT[::-1]]),
    "dicts": ({"sizes": SIZES, "words": WORDS}, {"price": PRICES, "kind": KINDS}, {"price": WEIGHT, "kind": None}),
}


@pytest.mark.parametrize(("form", "gradients"), [("tuples", "manual"), ("dicts", "manual"), ("lists", "tape")])
def test_training_is_keras_s(form, gradients):
    x, y, weight = FORMS[form]
    theirs = theirs_compiled()
    ours = ours_of(theirs, gradients)
    # of what Keras takes, the same in other forms
    in_keras = [WORDS, SIZES], [KINDS, PRICES], weight and [np.ones(24), WEIGHT] if form == "dicts" else weight
    options = {"batch_size": 8, "verbose": 0, "shuffle": False}
    expected = theirs.fit(in_keras[0], in_keras[1], sample_weight=in_keras[2], epochs=2, **options).history
    got = ours.fit(x, y, sample_weight=weight, epochs=2, **options).history
    assert got.keys() == expected.keys() >= {"loss", "kind_loss", "price_loss", "kind_accuracy", "price_mae"}
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-12, err_msg=name)
    for w, w_of_keras in zip(*(sorted(m.get_weights(), key=_key) for m in (ours, theirs)), strict=True):
        np.testing.assert_allclose(w, w_of_keras, rtol=0, atol=1e-13)


def _key(weight):
    """The layers' order is that of their first calls, in Keras that of their depth."""
    return weight.shape, weight.round(9).ravel().tolist()


def test_evaluate_and_predict_are_keras_s():
    theirs = theirs_compiled()
    ours = ours_of(theirs)
    data = {"x": [WORDS, SIZES], "y": [KINDS, PRICES], "batch_size": 12, "verbose": 0}
    expected = theirs.evaluate(**data, sample_weight=[WEIGHT, WEIGHT], return_dict=True)
    got = ours.evaluate(**data, sample_weight=WEIGHT, return_dict=True)
    assert got == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(ours.evaluate(**data), theirs.evaluate(**data), rtol=1e-12)
    for made, made_by_keras in zip(ours.predict([WORDS, SIZES], verbose=0), theirs([WORDS, SIZES]), strict=True):
        np.testing.assert_allclose(made, made_by_keras, rtol=1e-12)
    np.testing.assert_allclose(ours({"words": WORDS, "sizes": SIZES})[0], theirs([WORDS, SIZES])[0], rtol=0, atol=1e-14)


def test_a_dataset_trains_as_arrays_do():
    arrays, data = (ours_of(keras_model()) for _ in range(2))
    arrays.fit([WORDS, SIZES], [KINDS, PRICES], batch_size=8, epochs=1, verbose=0, shuffle=False)
    named = {"words": WORDS, "sizes": SIZES}, {"kind": KINDS, "price": PRICES}
    data.fit(tf.data.Dataset.from_tensor_slices(named).batch(8), epochs=1, verbose=0, shuffle=False)
    for w, other in zip(arrays.get_weights(), data.get_weights(), strict=True):
        np.testing.assert_allclose(w, other, rtol=0, atol=1e-13)


def test_it_is_saved_with_its_names_and_exported(tmp_path):
    model = ours_of(keras_model())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (list(loaded.input_names), list(loaded.output_names)) == (["words", "sizes"], ["kind", "price"])
    expected = model([WORDS, SIZES])
    for made, saved in zip(expected, loaded([WORDS, SIZES]), strict=True):
        np.testing.assert_array_equal(made, saved)
    assert loaded.evaluate([WORDS, SIZES], [KINDS, PRICES], verbose=0, return_dict=True).keys() >= {"price_mae"}
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    served = exported.serve([tf.constant(WORDS, tf.int32), tf.constant(SIZES)])
    for made, each in zip(expected, served, strict=True):
        np.testing.assert_allclose(made, each, rtol=0, atol=1e-14)


def test_compiled_losses_and_their_weights_are_the_network_s():
    theirs = theirs_compiled()
    network = Model.from_keras(theirs).network
    assert [loss.name for loss in network.losses] == ["sparse_categorical_crossentropy", "mean_squared_error"]
    assert network.loss_weights == (0.5, 2.0)
    with pytest.raises(
        InputError, match=r"^loss: got none, and a model that is not compiled; accepted: a loss for each"
    ):
        Model.from_keras(keras_model())


def test_tensorboard_has_the_graph_and_the_curves_of_each_output(tmp_path):
    model = ours_of(keras_model())
    callback = TensorBoard(tmp_path, every=None)
    model.fit([WORDS, SIZES], [KINDS, PRICES], batch_size=24, verbose=0, callbacks=[callback])
    events = EventAccumulator(str(tmp_path / "train")).Reload()
    assert {"epoch_kind_loss", "epoch_price_loss"} <= {*events.Tags()["scalars"], *events.Tags()["tensors"]}
    assert {"x_0", "x_1", "y_0", "y_1"} <= {node.name for node in events.Graph().node}


def test_statistics_take_their_tensors_in_a_row():
    model = ours_of(keras_model())
    assert unflattened(model, [1, 2, 3, 4]) == ((1, 2), (3, 4), None)
    assert unflattened(model, [1, 2, 3, 4, 5, 6]) == ((1, 2), (3, 4), (5, 6))


def tagger():
    """Tokens of which a mask leaves some out, in the recurrence and in the loss."""
    keras.utils.set_random_seed(2)
    tokens = keras.Input((5,), dtype="int32")
    h = layers.Embedding(7, 4, mask_zero=True)(tokens)
    h = layers.SimpleRNN(4, return_sequences=True)(h)
    return keras.Model(tokens, layers.Dense(3, "softmax")(h))


def test_a_masked_loss_and_its_weighted_metrics_are_keras_s(rng):
    theirs, labels, weight = tagger(), rng.integers(0, 3, (24, 5)), rng.uniform(0.5, 2.0, (24, 5))
    options = {"metrics": ["accuracy"], "weighted_metrics": [keras.metrics.SparseCategoricalAccuracy(name="shown")]}
    theirs.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True, **options)
    ours = Model.from_keras(theirs)
    assert ours.network.masks_losses
    ours.compile(keras.optimizers.SGD(0.1), jit_compile=False, **options)
    given = {"batch_size": 8, "epochs": 2, "verbose": 0, "shuffle": False, "sample_weight": weight}
    expected, got = (each.fit(WORDS, labels, **given).history for each in (theirs, ours))
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-12, err_msg=name)
    for w, w_of_keras in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(w, w_of_keras, rtol=0, atol=1e-13)


BAD = {
    "names": (lambda m, d: Model(m.network, output_names=["a", "a"]), "output_names: got ['a', 'a']; accepted: 2"),
    "weights": (lambda m, d: m.compile("sgd", loss_weights=[1.0]), "loss_weights: got [1.0]; accepted: a number"),
    "a loss": (lambda m, d: m.compile("sgd", "mse"), "loss: got 'mse'; accepted: none, the network's is 'sparse_cate"),
    "one x": (lambda m, d: m.fit(WORDS, d[1]), "x: got ndarray; accepted: a tuple of 2, as the network has them."),
    "names of x": (lambda m, d: m.fit({"a": WORDS, "b": SIZES}, d[1]), "x: got ['a', 'b']; accepted: ['sizes'"),
    "y by name": (lambda m, d: m.fit(d[0], {"kind": KINDS}), "y: got ['kind']; accepted: ['kind', 'price']."),
    "shape": (lambda m, d: m.fit([WORDS, SIZES[:, :3]], d[1]), "x[1]: got shape (24, 3); accepted: (B, 4) with a"),
    "class weights": (lambda m, d: m.fit(*d, class_weight={0: 2.0}), "class_weight: got one for several outputs; "),
    "clipping": (lambda m, d: m.fit(*d, clip_per_example=1.0), "clip_per_example: got it for a network of 2 inputs"),
    "norms": (lambda m, d: gradient_statistics(m, *d), "network: got one of 2 inputs and 2 outputs; accepted"),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return ours_of(keras_model())


@pytest.mark.parametrize("given", BAD)
def test_bad_input_is_one_sentence(model, given):
    act, sentence = BAD[given]
    with pytest.raises(InputError) as caught:
        act(model, ([WORDS, SIZES], [KINDS, PRICES]))
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 240
