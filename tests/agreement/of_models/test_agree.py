"""`tfbp.agree`: right models have no finding, planted mistakes are named at layer and tensor, nothing is changed."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import gen_math_ops

import tfbp
from tfbp.errors import InputError

L = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUICK = {"dtypes": ["float32"], "modes": ["eager"]}


def mlp(rng, rows=6):
    model = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu", name="first"), L.Dense(3, name="last")])
    return model, rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)


def places(report):
    return [(f.layer, f.tensor, f.part) for f in report.findings]


def changed_gradient(change):
    """An identity whose gradient is changed."""

    @tf.custom_gradient
    def identity(y):
        return tf.identity(y), change

    return identity


def plant(monkeypatch, layer, change, name=None):
    """What comes back through a class of Keras's layers, or one of that name, is changed."""
    call = layer.call

    def wrong(self, inputs, *given, **options):
        y = call(self, inputs, *given, **options)
        return changed_gradient(change)(y) if name in (None, self.name) else y

    monkeypatch.setattr(layer, "call", wrong)


def small_cnn():
    i = keras.Input((6, 6, 2))
    h = L.ReLU()(L.BatchNormalization(name="bn")(L.Conv2D(3, 3, use_bias=False, name="conv")(i)))
    h = L.Add(name="skip")([h, L.Conv2D(3, 3, padding="same", name="again")(h)])
    return keras.Model(i, L.Dense(3)(L.Dropout(0.4)(L.GlobalAveragePooling2D()(L.MaxPooling2D()(h)))))


@pytest.mark.parametrize(
    "mode", ["eager", "graph", pytest.param("xla", marks=pytest.mark.rare("compiles for seconds"))]
)
def test_a_right_network_of_images_has_no_finding(rng, mode):
    report = tfbp.agree(
        small_cnn(),
        rng.normal(size=(5, 6, 6, 2)),
        rng.integers(0, 3, 5),
        loss=LOGITS,
        modes=[mode],
        dtypes=["float64", "float32", "bfloat16"] if mode == "eager" else ["float32"],
    )
    assert report.agrees, str(report)
    assert {line.by for line in report.lines} == {"reference"}
    assert [line.layer for line in report.lines][:2] == ["conv", "bn"]
    assert all(np.isfinite(ratio) and 0 < ratio <= 1 for ratio in report.whole.values())


def test_an_output_whose_loss_takes_its_logits_counts_among_the_uses_of_a_tensor(rng):
    i = keras.Input((4,))
    h = L.Dense(5, "tanh", name="shared")(i)
    ends = [L.Dense(3, "softmax", name="kind")(h), L.Dense(2, name="size")(L.Dropout(0.0)(h))]
    y = [rng.integers(0, 3, 6), rng.normal(size=(6, 2))]
    report = tfbp.agree(
        keras.Model(i, ends), rng.normal(size=(6, 4)), y, loss=["sparse_categorical_crossentropy", "mse"], **QUICK
    )
    assert report.agrees, str(report)
    assert {line.by for line in report.lines} == {"reference"}


def test_a_merge_whose_numbers_depend_on_masks_is_judged_with_them(rng):
    i = keras.Input((4, 3))
    h = L.Masking()(L.ReLU()(i))
    y = L.Maximum(name="largest")([h, L.Dense(3, bias_initializer="ones")(h)])
    report = tfbp.agree(
        keras.Model(i, L.GRU(2)(y)), -np.abs(rng.normal(size=(5, 4, 3))) + [[[0], [0], [2], [2]]], **QUICK
    )
    assert report.agrees, str(report)
    assert {line.layer: line.by for line in report.lines}["largest"] == "differences"


# GroupedQueryAttention projects tensors that still have their masks
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize(
    "attention", [lambda: L.MultiHeadAttention(2, 3), lambda: L.GroupQueryAttention(3, 4, 2)], ids=["heads", "groups"]
)
@pytest.mark.parametrize("causal", [False, True], ids=["use_causal_mask=False", "use_causal_mask=True"])
def test_attention_that_is_told_whether_it_is_causal_has_the_masks_of_its_tensors(rng, causal, attention):
    x = keras.Input((5,), dtype="int32")
    h = L.Embedding(5, 4, mask_zero=True)(x)
    model = keras.Model(x, L.Dense(2)(attention()(h, h, use_causal_mask=causal)))
    tokens = rng.integers(1, 5, (4, 5))
    tokens[1:, 3:] = 0
    report = tfbp.agree(model, tokens, dtypes=["float64"], modes=["eager"])
    assert report.agrees, str(report)
    assert {line.by for line in report.lines} == {"reference"}


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
def test_masks_reach_the_layers_of_nested_models(rng):
    k = keras.Input((4, 3))
    inner = keras.Model(k, L.GRU(2, name="gru")(L.Dense(3, name="dense")(k)))
    i = keras.Input((4, 3))
    model = keras.Model(i, L.Dense(2)(inner(L.Masking(name="masking")(L.ReLU()(i)))))
    report = tfbp.agree(model, rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 2)), loss="mse", **QUICK)
    assert report.agrees, str(report)
    assert {"masking", "dense", "gru"} <= {line.layer for line in report.lines if line.by == "reference"}


def test_a_right_siamese_network_with_operations_has_none(rng):
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    shared = keras.Sequential([keras.Input((5,)), L.Dense(6, "tanh", name="one"), L.Dense(4, name="two")])
    d = L.Subtract()([shared(a), shared(b)])
    model = keras.Model([a, b], L.Dense(1, "sigmoid")(d * d + d))
    x = {"a": rng.normal(size=(6, 5)), "b": rng.normal(size=(6, 5))}
    report = tfbp.agree(model, x, rng.integers(0, 2, (6, 1)), loss="binary_crossentropy", **QUICK)
    assert report.agrees, str(report)
    assert [line.layer for line in report.lines][:4] == ["one", "two", "one again", "two again"]


def _attended():
    """Attention takes the mask off the tensor that it attends to, which another layer takes after it."""
    tokens = keras.Input((4,), dtype="int32")
    table = L.Embedding(5, 3, mask_zero=True, name="table")(tokens)
    seen = L.MultiHeadAttention(1, 2, name="seen")(table, table)
    last = L.SimpleRNN(3, name="steps")(L.Add(name="both")([seen, table]))
    return keras.Model(tokens, L.Dense(3)(last))


def _with_a_constant():
    x = keras.Input((4, 3))
    moved = x + keras.ops.ones((4, 3), "float32")
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(moved + L.Dense(3)(moved))))


def _of_volumes():
    x = keras.Input((4, 4, 4, 1))
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling3D()(L.MaxPooling3D(2)(L.Conv3D(2, 1)(x)))))


@pytest.mark.parametrize("make", [_attended, _with_a_constant, _of_volumes])
def test_a_right_model_of_few_layers_has_none(rng, make):
    model = make()
    shape = (5, *model.inputs[0].shape[1:])
    x = rng.integers(0, 5, shape) if make is _attended else rng.normal(size=shape)
    report = tfbp.agree(
        model, x, rng.integers(0, 3, 5), loss=LOGITS, dtypes=["float64", "float32", "bfloat16"], modes=["eager"]
    )
    assert report.agrees, str(report)
    assert {line.by for line in report.lines if line.kind in ("SimpleRNN", "MultiHeadAttention")} <= {"reference"}


def test_a_state_beside_the_sequence_that_is_made_of_it_in_bfloat16(rng):
    """The gradient of the state is that of its own users; in bfloat16 TensorFlow makes no orthogonal weights."""
    x = keras.Input((4, 2))
    sequence, state = L.GRU(3, return_sequences=True, return_state=True, name="both")(x)
    model = keras.Model(x, L.Concatenate()([L.Dense(2)(state), L.GlobalAveragePooling1D()(sequence)]))
    report = tfbp.agree(model, rng.normal(size=(3, 4, 2)), dtypes=["bfloat16"], modes=["eager"])
    assert report.agrees, str(report)
    assert 0 < report.whole["bfloat16 eager"] <= 1


def test_roundings_that_many_layers_amplify_are_no_finding(rng):
    """Three rows, whose deviations are small in some channels, and a kink after each of eight normalizations."""
    x = y = keras.Input((8,))
    for _ in range(8):
        y = L.ReLU(6.0)(L.BatchNormalization()(L.Dense(128, use_bias=False)(y)))
    model = keras.Model(x, L.Dense(3)(y))
    report = tfbp.agree(model, rng.normal(size=(3, 8)), dtypes=["bfloat16"], modes=["eager"])
    assert report.agrees, str(report)


def test_the_rounding_of_a_sum_of_exact_gradients_is_no_finding(rng):
    x = keras.Input((8,))
    h = L.Dense(64, name="stem")(x)
    model = keras.Model(x, L.Concatenate()([h, L.Reshape((64,))(h)]))
    assert tfbp.agree(model, rng.normal(size=(6, 8)), dtypes=["bfloat16"], modes=["eager"]).agrees


def test_wrong_only_when_compiled(rng, monkeypatch):
    plant(monkeypatch, L.Dense, lambda dy: dy if tf.executing_eagerly() else 2 * dy, "first")
    model, x, y = mlp(rng)
    report = tfbp.agree(model, x, y, loss=LOGITS, dtypes=["float64"], modes=["eager", "graph"])
    assert places(report) == [("first", name, "layer") for name in ("dx", "dkernel", "dbias")]
    assert {f.mode for f in report.findings} == {"graph"}
    assert "a factor 2 too many" in report.findings[1].cause
    assert "the layer is the outlier" in report.findings[1].outlier


def test_wrong_only_in_bfloat16(rng, monkeypatch):
    plant(monkeypatch, L.Dense, lambda dy: 1.25 * dy if dy.dtype == tf.bfloat16 else dy, "last")
    model, x, y = mlp(rng)
    report = tfbp.agree(model, x, y, loss=LOGITS, dtypes=["float32", "bfloat16"], modes=["eager"])
    assert ("last", "dkernel", "layer") in places(report)
    assert {f.dtype for f in report.findings} == {"bfloat16"}
    assert {f.layer for f in report.findings} == {"last"}


def test_wrong_only_past_4096_rows(rng, monkeypatch):
    def few_rows(dy):
        return tf.where(tf.range(tf.shape(dy)[0])[:, None] < 4096, dy, 0 * dy)

    plant(monkeypatch, L.Dense, few_rows, "first")
    assert tfbp.agree(*mlp(rng), loss=LOGITS, **QUICK).agrees
    report = tfbp.agree(*mlp(rng, rows=4099), loss=LOGITS, **QUICK)
    assert ("first", "dx", "layer") in places(report)
    assert {f.layer for f in report.findings} == {"first"}


def test_wrong_only_where_a_tensor_is_used_five_times(rng, monkeypatch):
    add_n = tf.raw_ops.AddN

    def forgets_the_fifth(inputs, name=None):
        return add_n(inputs=inputs[:4] if len(inputs) == 5 else inputs)

    def used(times):
        i = keras.Input((4,))
        h = L.Dense(3, name="stem")(i)
        return keras.Model(i, L.Concatenate()([L.Dense(2)(h) for _ in range(times)]))

    monkeypatch.setattr(gen_math_ops, "add_n", forgets_the_fifth)
    x = rng.normal(size=(6, 4))
    assert tfbp.agree(used(4), x, **QUICK).agrees
    report = tfbp.agree(used(5), x, **QUICK)
    assert places(report) == [("stem", "sum of 5 gradients", "fork")]
    assert "is missing" in report.findings[0].cause


def test_the_gradient_of_a_shared_layer_is_overwritten(rng, monkeypatch):
    add_n = tf.raw_ops.AddN

    def overwrites(inputs, name=None):
        return inputs[-1] if inputs[0].shape == (5, 3) else add_n(inputs=inputs)

    monkeypatch.setattr(gen_math_ops, "add_n", overwrites)
    a, b = keras.Input((5,)), keras.Input((5,))
    shared = L.Dense(3, name="shared")
    model = keras.Model([a, b], L.Add()([shared(a), shared(b)]))
    report = tfbp.agree(model, [rng.normal(size=(4, 5)), rng.normal(size=(4, 5))], **QUICK)
    assert places(report) == [("shared", "dkernel", "shared")]
    assert "only what the call 'shared" in report.findings[0].cause


def test_a_concatenation_that_goes_back_reversed(rng, monkeypatch):
    plant(monkeypatch, L.Concatenate, lambda dy: tf.concat(tf.split(dy, 2, -1)[::-1], -1))
    i = keras.Input((4,))
    model = keras.Model(i, L.Concatenate(name="both")([L.Dense(3)(i), L.Dense(3, "tanh")(i)]))
    report = tfbp.agree(model, rng.normal(size=(5, 4)), **QUICK)
    assert places(report) == [("both", "dx0", "layer"), ("both", "dx1", "layer")]


@pytest.mark.filterwarnings("ignore:.*destroy the mask information")
def test_a_mask_that_ends_before_a_layer_that_would_use_it(rng):
    def model(between):
        i = keras.Input((3,), dtype="int32")
        h = between(L.Embedding(7, 2, mask_zero=True, name="table")(i))
        return keras.Model(i, L.GlobalAveragePooling1D(name="mean")(h))

    tokens = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    report = tfbp.agree(model(L.Reshape((3, 2), name="reshaped")), tokens, **QUICK)
    assert places(report) == [("reshaped", "mask", "mask")]
    assert "'mean' computes without it" in report.findings[0].cause
    assert tfbp.agree(model(L.Dense(2)), tokens, **QUICK).agrees


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
def test_a_mask_that_ends_before_attention_unless_it_is_given_one(rng):
    i = keras.Input((3,), dtype="int32")
    table, reshaped = L.Embedding(7, 2, mask_zero=True), L.Reshape((3, 2), name="reshaped")
    h = reshaped(table(i))
    tokens = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    heads = L.MultiHeadAttention(2, 3, name="heads")
    report = tfbp.agree(keras.Model(i, heads(h, h)), tokens, **QUICK)
    assert places(report) == [("reshaped", "mask", "mask")]
    assert "'heads' computes without it" in report.findings[0].cause
    given = heads(h, h, value_mask=keras.ops.not_equal(i, 0))
    assert tfbp.agree(keras.Model(i, given), tokens, **QUICK).agrees
    again = L.LSTM(2)(h, mask=keras.ops.not_equal(i, 0))
    assert tfbp.agree(keras.Model(i, again), tokens, **QUICK).agrees


class HandsOn(keras.layers.Layer):
    """Hands a mask on, and in graphs, where it is told to, none."""

    def __init__(self, drops=False, **options):
        super().__init__(**options)
        self.supports_masking, self.drops = True, drops

    def call(self, x):
        return 1.0 * x

    def compute_mask(self, x, mask=None):
        return None if self.drops and not tf.executing_eagerly() else mask

    def get_config(self):
        return {**super().get_config(), "drops": self.drops}


@pytest.mark.parametrize("drops", [False, True])
def test_a_masked_loss_is_judged_with_its_mask(rng, drops):
    i = keras.Input((4,), dtype="int32")
    h = HandsOn(drops, name="on")(L.Embedding(7, 3, mask_zero=True)(i))
    model = keras.Model(i, L.Dense(3, name="out")(h))
    tokens, labels = np.array([[1, 2, 0, 3], [3, 0, 0, 0], [4, 5, 6, 1]]), rng.integers(0, 3, (3, 4))
    report = tfbp.agree(model, tokens, labels, loss=LOGITS, dtypes=["float32"], modes=["eager", "graph"])
    assert [(f.layer, f.mode) for f in report.findings if f.part == "mask"] == (
        [("out", "graph"), ("the loss of out", "graph")] if drops else []
    )
    assert report.agrees is not drops


def test_a_noise_is_judged_with_its_numbers(rng, monkeypatch):
    model = keras.Sequential([keras.Input((4,)), L.GaussianNoise(0.5, name="noise"), L.Dense(3)])
    report = tfbp.agree(model, rng.normal(size=(6, 4)), **QUICK)
    assert report.agrees
    assert [line.by for line in report.lines] == ["reference", "reference"]
    call, doubled = L.GaussianNoise.call, changed_gradient(lambda dy: 2.0 * dy)
    monkeypatch.setattr(L.GaussianNoise, "call", lambda self, x, training=False: doubled(call(self, x, training)))
    assert places(tfbp.agree(model, rng.normal(size=(6, 4)), **QUICK)) == [("noise", "dx", "layer")]


def test_nothing_of_the_model_changes_also_after_an_exception(rng):
    model = small_cnn()
    model.compile("adam", LOGITS)
    x, y = rng.normal(size=(5, 6, 6, 2)), rng.integers(0, 3, 5)
    model.train_on_batch(x, y)

    def state():
        layers = model._flatten_layers()
        held = [v.numpy().tolist() for layer in layers for v in layer.variables]
        held += [v.numpy().tolist() for v in model.optimizer.variables]
        return held, random.getstate(), np.random.get_state()[1].tolist(), keras.config.dtype_policy().name  # noqa: NPY002

    before = state()
    tfbp.agree(model, x, y, **QUICK)
    assert state() == before
    with pytest.raises(InputError):
        tfbp.agree(model, x, y[:3], **QUICK)
    assert state() == before
    assert np.isfinite(model.train_on_batch(x, y))
    drawn = tf.random.uniform([]).numpy(), keras.random.uniform([]).numpy()
    keras.utils.set_random_seed(3)
    first = random.random(), tf.random.uniform([]).numpy(), keras.random.uniform([]).numpy()
    keras.utils.set_random_seed(3)
    tfbp.agree(model, x, y, **QUICK)
    assert (random.random(), tf.random.uniform([]).numpy(), keras.random.uniform([]).numpy()) == first
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": 3}, "model: got int; accepted: a built keras.Model."),
        ({"model": keras.Sequential([L.Dense(2)], name="bare")}, "model: got 'bare', which is not built; accepted:"),
        ({"x": np.ones((6, 5))}, "x: got shape (6, 5) for"),
        ({"x": [np.ones((6, 4))] * 2}, "x: got 2 arrays; accepted: 1"),
        ({"x": np.full((6, 4), np.nan)}, "x: got a NaN or an infinity; accepted: finite numbers."),
        ({"x": [[1.0, 2.0], [3.0]]}, "x: got shape (1,); accepted: 2 rows, as the first has."),
        ({"x": None}, "x: got NoneType None; accepted: an array of numbers."),
        ({"x": {"rows": np.ones((6, 4))}}, "x: got ['rows']; accepted: one for each of"),
        ({"y": np.ones(5, "int32")}, "y: got shape (5,) for 'last'; accepted: 6 rows"),
        ({"y": [[1.0], [2.0, 3.0]]}, "y: got 2; accepted: one for each of last."),
        ({"y": np.array(["a"] * 6)}, "y: got dtype <U1; accepted: arrays of numbers."),
        ({"y": np.full(6, 7)}, "loss: got InvalidArgumentError: "),
        ({"y": np.ones((6, 5)), "loss": "mse"}, "loss: got InvalidArgumentError: "),
        (
            {"loss": lambda y, outputs: np.nan * outputs[:, 0]},
            "loss: got nan for y and outputs of shapes (6,) and (6, 3)",
        ),
        ({"loss": lambda y, outputs: None}, "loss: got "),
        ({"loss": {"other": "mse"}}, "loss: got ['other']; accepted: one for each of last."),
        ({"loss": "mean_error"}, "loss: got 'mean_error'; accepted: a Keras loss"),
        ({"loss": None}, "loss: got none, and a model that is not compiled; accepted:"),
        ({"dtypes": ["float8"]}, "dtypes: got 'float8'"),
        ({"dtypes": None}, "dtypes: got None; accepted: float64, float32"),
        ({"modes": ["jit"]}, "modes: got 'jit'; accepted: eager, graph, xla."),
        ({"progress": 3}, "progress: got 3; accepted: a function of a share and a name."),
        ({"apart": "yes"}, "apart: got 'yes'; accepted: True or False."),
        ({"seed": -1}, "seed: got -1; accepted: an integer of 0 or more."),
        ({"modes": []}, "modes: got none; accepted: some of eager, graph, xla."),
        ({"device": "tpu"}, "device: got 'tpu'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_one_sentence(rng, options, said):
    model, x, y = mlp(rng)
    given = {"model": model, "x": x, "y": y, "loss": LOGITS, **QUICK, **options}
    with pytest.raises(InputError) as error:
        tfbp.agree(given.pop("model"), given.pop("x"), given.pop("y"), **given)
    assert str(error.value).startswith(said)
    assert len(str(error.value)) <= 240


class _Draws(L.Layer):
    """Draws by TensorFlow, and not by Keras."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x), dtype=x.dtype)


class _DrawsInALoop(L.Layer):
    def call(self, x):
        more = tf.function(lambda a: a + keras.random.normal((4,), dtype=a.dtype), autograph=False)
        return more(x)


class _FailsInTraining(L.Layer):
    def call(self, x, training=None):
        if training:
            raise ValueError("no training")
        return x


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (_Draws, "model: got 'odd', which returns other numbers at every call; accepted: random"),
        (_DrawsInALoop, "model: got a layer that draws inside a loop; accepted: draws that can be recorded."),
        (_FailsInTraining, "x: got what 'odd' does not take, ValueError: no training; accepted: the model's inputs."),
    ],
)
def test_a_layer_that_cannot_be_repeated_is_one_sentence_and_nothing_changes(rng, layer, said):
    model = keras.Sequential([keras.Input((4,)), L.BatchNormalization(), layer(name="odd"), L.Dropout(0.5)])
    before = [v.numpy().tolist() for v in model.variables], random.getstate()
    with pytest.raises(InputError) as error:
        tfbp.agree(model, rng.normal(size=(6, 4)), **QUICK)
    assert str(error.value).startswith(said)
    assert ([v.numpy().tolist() for v in model.variables], random.getstate()) == before


def test_the_fixture_fails_with_the_report(rng, agree, monkeypatch):
    assert agree(*mlp(rng), loss=LOGITS, **QUICK).agrees
    plant(monkeypatch, L.Dense, lambda dy: -dy, "last")
    with pytest.raises(pytest.fail.Exception, match=r"last dkernel \[layer; float32, eager\]: the sign is flipped"):
        agree(*mlp(rng), loss=LOGITS, **QUICK)


def test_a_float32_constant_of_keras_s_is_a_note_and_a_larger_error_is_not(rng, monkeypatch):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Dense(3, "gelu", name="smooth")(inputs))
    x, options = rng.normal(size=(5, 4)), {"dtypes": ["float64"], "modes": ["eager"]}
    report = tfbp.agree(model, x, **options)
    assert report.agrees
    assert any(note.startswith("smooth [float64]: off by ") for note in report.notes)
    plant(monkeypatch, L.Dense, lambda gradient: gradient * (1 + 1e-5))
    assert ("smooth", "dx", "layer") in places(tfbp.agree(model, x, **options))


def test_layers_that_compute_otherwise_in_training_are_judged_by_the_reference():
    x = keras.Input((5, 4))
    h = keras.layers.Dropout(0.25)(keras.layers.BatchNormalization()(x))
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(h)))
    rng = np.random.default_rng(0)
    report = tfbp.agree(model, rng.normal(size=(6, 5, 4)), rng.normal(size=(6, 3)), loss="mse", modes=["eager"])
    assert [line.by for line in report.lines] == ["reference"] * 4
