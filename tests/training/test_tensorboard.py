"""The event files hold what the page is to show, with the values that the reference gives."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata

from tfbp import Dense, InputError, Model, Network, reference
from tfbp.training import TensorBoard, reductions, statistics

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(scale=4, size=(70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
WEIGHT = RNG.uniform(0.5, 2, 70).astype(np.float32)
# inputs far from 0 and a bias below it: some relu units are dead, some tanh units saturated
NETWORK = Network(
    6,
    [Dense(40, "relu", bias_initializer=keras.initializers.Constant(-2.5)), Dense(8, "tanh"), Dense(3)],
    "sparse_categorical_crossentropy",
)


def fit(directory, optimizer="sgd", gradients="manual", network=NETWORK, dtype=None, epochs=2, block=2, **options):
    """5 steps an epoch, the last of 6 rows; the first step's batch is the first 16 rows."""
    data = {"sample_weight": WEIGHT} if options.pop("weighted", False) else {}
    model = Model(network, gradients, seed=1, dtype=dtype)
    model.compile(optimizer, metrics=["accuracy"], steps_per_execution=block)
    callback = TensorBoard(directory, **{"every": 2, **options})
    validation = (X[:20], LABELS[:20])
    data |= {"validation_data": validation, "shuffle": False}
    model.fit(X, LABELS, batch_size=16, epochs=epochs, verbose=0, callbacks=[callback], **data)
    return model, callback


def events_of(directory, run="train"):
    events = EventAccumulator(str(directory / run), size_guidance={"tensors": 0})
    events.Reload()
    return events


def scalar(events, tag, point=0):
    return tf.make_ndarray(events.Tensors(tag)[point].tensor_proto).item()


def reference_pass(weight=None, network=NETWORK):
    parameters = [{name: np.float32(w) for name, w in layer.items()} for layer in network.init(seed=1)]
    rest = (None,) if weight is None else (weight[:16],)
    _, gradients, tensors = reference.loss_gradients_and_tensors(network, parameters, X[:16], LABELS[:16], *rest)
    found = {}
    for index, layer in enumerate(parameters):
        found |= {f"layer_{index}/{name}": w for name, w in layer.items()}
        found |= {f"layer_{index}/d{name}": gradients[index][name] for name in layer}
        found |= {f"layer_{index}/{name}": tensors[index][name] for name in ("y", "dz")}
    return found


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.sampled(3)
def test_norms_and_histograms_are_the_reference_s(tmp_path, gradients, weighted):
    fit(tmp_path, gradients=gradients, weighted=weighted)
    events = events_of(tmp_path)
    expected = reference_pass(WEIGHT if weighted else None)
    assert len(expected) == 18
    for tag, tensor in expected.items():
        assert scalar(events, f"rms/{tag}") == pytest.approx(np.sqrt(np.mean(tensor**2)), rel=1e-5), tag
        left, right, counts = tf.make_ndarray(events.Tensors(tag)[0].tensor_proto).T
        assert counts.sum() == tensor.size
        assert left[0] == pytest.approx(tensor.min(), rel=1e-5, abs=1e-7)
        assert right[-1] == pytest.approx(tensor.max(), rel=1e-5, abs=1e-7)


def test_histogram_counts_are_numpy_s(rng):
    values = rng.normal(size=(60, 30)).astype(np.float32)
    limits, counts = (each.numpy() for each in reductions.histogram(tf.constant(values)))
    expected, _ = np.histogram(values, reductions.BUCKETS, limits.astype(np.float64))
    # an element on an edge may fall to either side
    assert np.abs(counts - expected).max() <= 1
    assert counts.sum() == values.size


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("bad", [[np.nan], [np.inf, -np.inf], [np.nan, np.inf]], ids=["nan", "infinite", "both"])
def test_a_histogram_counts_finite_elements_alone(bad, jit_compile):
    values = np.array([1.0, *bad, 2.05, 4.0], np.float32)
    made = tf.function(reductions.histogram, jit_compile=jit_compile)
    limits, counts = (each.numpy() for each in made(tf.constant(values)))
    assert limits.tolist() == [1.0, 4.0]
    assert (counts.sum(), counts[0], counts[10], counts[29]) == (3, 1, 1, 1)


def test_of_elements_that_are_all_nan_nothing_is_counted():
    limits, counts = reductions.histogram(tf.constant([np.nan, np.nan]))
    assert counts.numpy().sum() == 0
    assert np.isfinite(limits.numpy()).all()


def test_norms_and_histograms_of_many_shapes_are_few_programs(rng):
    values = [rng.normal(size=(rows, 7)).astype(np.float32) for rows in range(1, 9)]
    shared = reductions._counted, reductions._norm_of_rows
    before = [function.experimental_get_tracing_count() for function in shared]
    made = tf.function(lambda tensors: [(reductions.norm(t), *reductions.histogram(t)) for t in tensors])
    for (size, limits, counts), array in zip(made([tf.constant(value) for value in values]), values, strict=True):
        np.testing.assert_allclose(size, np.linalg.norm(array), rtol=1e-6)
        np.testing.assert_allclose(limits, [array.min(), array.max()])
        assert counts.shape == (30,)
        assert counts.numpy().sum() == array.size
    after = [function.experimental_get_tracing_count() for function in shared]
    assert sum(after) - sum(before) <= 4


@pytest.mark.parametrize("shape", [(784, 128), (100, 64), (4096, 16), (5000,), (64, 64), (3, 5)])
def test_a_histogram_s_sample_is_small_and_takes_from_every_column(shape):
    columns = np.broadcast_to(np.arange(shape[-1], dtype=np.float32), shape)
    stride = reductions._stride(tf.TensorShape(shape))
    taken = columns.reshape(-1)[::stride]
    assert len(taken) <= reductions.SAMPLE
    if len(shape) == 2:
        assert len(set(taken)) == shape[-1]
    assert stride == 1 or len(taken) > reductions.SAMPLE / 4


def test_shares_of_dead_and_saturated_units_are_the_reference_s(tmp_path):
    fit(tmp_path)
    events, expected = events_of(tmp_path), reference_pass()
    dead = (expected["layer_0/y"] == 0).all(axis=0).mean()
    saturated = (np.abs(expected["layer_1/y"]) >= 0.98).mean()
    assert 0 < dead < 1
    assert scalar(events, "units_dead/layer_0") == pytest.approx(dead)
    assert scalar(events, "units_saturated/layer_1") == pytest.approx(saturated)
    assert {tag for tag in events.Tags()["tensors"] if tag.startswith(("units_dead", "units_saturated"))} == {
        "units_dead/layer_0",
        "units_saturated/layer_1",
    }


def test_saturation_counts_both_ends():
    y = tf.constant([[0.001, 0.5], [0.995, 0.98]])
    assert float(reductions.saturated_share(y, 0, 1)) == 0.5


OPTIMIZERS = {
    "adamw-clipnorm-schedule": lambda: keras.optimizers.AdamW(
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5), weight_decay=0.1, clipnorm=0.05
    ),
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1), initial_scale=128.0),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.sampled(2)
def test_the_update_is_what_the_optimizer_does_next_and_it_is_not_done(name):
    model = Model(NETWORK, seed=1)
    model.compile(OPTIMIZERS[name]())
    model.fit(X, LABELS, batch_size=16, verbose=0)
    found = statistics.Statistics(model, compare=False)
    before = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    scalars, _, _ = found((tf.constant(X), tf.constant(LABELS)))
    after = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    weights = model.get_parameters()
    model.fit(X, LABELS, batch_size=70, shuffle=False, verbose=0)
    for index, layer in enumerate(model.get_parameters()):
        for tensor, w in layer.items():
            ratio = np.linalg.norm(w - weights[index][tensor]) / np.linalg.norm(weights[index][tensor])
            got = scalars[found.scalar_tags.index(f"update_to_weight/layer_{index}/{tensor}")]
            # a difference of float32 weights has an absolute error of their rounding
            assert got == pytest.approx(ratio, rel=1e-3), (index, tensor)


def test_loss_scaling_does_not_show_in_the_norms(tmp_path):
    for name in ("sgd", "scaled"):
        fit(tmp_path / name, OPTIMIZERS[name](), epochs=1)
    plain, scaled = (events_of(tmp_path / name) for name in ("sgd", "scaled"))
    for tag in ("rms/layer_0/dkernel", "rms/layer_1/dz"):
        assert scalar(scaled, tag) == pytest.approx(scalar(plain, tag), rel=1e-5)


def test_disagreement_is_rounding_and_shows_a_wrong_gradient(tmp_path, monkeypatch):
    fit(tmp_path / "right", compare=True)
    right = events_of(tmp_path / "right")
    tags = [tag for tag in right.Tags()["tensors"] if tag.startswith("gradients_apart/")]
    assert len(tags) == 6
    # float32, reductions of at most 40: some roundings of 6e-8
    assert all(scalar(right, tag, point) < 2e-6 for tag in tags for point in range(3))

    from tfbp.manual import dense

    dense_backward = dense.dense_backward

    def wrong(dz, *rest, **options):
        dx, dkernel, dbias = dense_backward(dz, *rest, **options)
        return dx, 1.25 * dkernel if dz.shape[1] == 8 else dkernel, dbias

    monkeypatch.setattr(dense, "dense_backward", wrong)
    fit(tmp_path / "wrong", compare=True)
    events = events_of(tmp_path / "wrong")
    found = {tag for tag in tags if scalar(events, tag) > 1e-3}
    assert found == {"gradients_apart/layer_1/dkernel"}
    assert scalar(events, "gradients_apart/layer_1/dkernel") == pytest.approx(0.25, rel=1e-5)


def test_keras_s_own_tags_and_runs_are_there(tmp_path):
    fit(tmp_path, histogram_freq=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]
    train, validation = events_of(tmp_path), events_of(tmp_path, "validation")
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"} <= set(train.Tags()["tensors"])
    assert {"epoch_loss", "epoch_accuracy"} <= set(validation.Tags()["tensors"])


@pytest.mark.parametrize(
    ("every", "steps"),
    # steps 4, 9 and 14 have the short batches: the step after it is measured in place of one of them
    [(1, [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]), (2, [0, 2, 5, 6, 8, 10, 12]), (3, [0, 3, 6, 10, 12]), (100, [0])],
)
@pytest.mark.parametrize("block", [1, 2, 100, None])
@pytest.mark.sampled(7)
def test_every_so_many_steps_are_measured_however_long_blocks_are(tmp_path, every, block, steps):
    fit(tmp_path, every=every, block=block, epochs=3)
    assert [point.step for point in events_of(tmp_path).Tensors("rms/layer_0/y")] == steps


def test_two_callbacks_both_write(tmp_path):
    model = Model(NETWORK, seed=1)
    model.compile("sgd")
    curves = [TensorBoard(tmp_path / name, every=2) for name in ("one", "two")]
    model.fit(X, LABELS, batch_size=16, verbose=0, shuffle=False, callbacks=curves)
    # the second measures the first batch again and again, which is the first step's
    one, two = (events_of(tmp_path / name) for name in ("one", "two"))
    assert scalar(one, "rms/layer_0/dkernel") == pytest.approx(scalar(two, "rms/layer_0/dkernel"), rel=1e-5)
    assert [point.step for point in one.Tensors("rms/layer_0/y")] == [0, 2]
    assert [point.step for point in two.Tensors("rms/layer_0/y")] == [0, 2, 4]


def test_a_short_batch_is_measured_where_there_are_no_others(tmp_path):
    model = Model(NETWORK, seed=1)
    model.compile("sgd")
    model.fit(X, LABELS, batch_size=100, epochs=3, verbose=0, callbacks=[TensorBoard(tmp_path, every=2)])
    assert [point.step for point in events_of(tmp_path).Tensors("rms/layer_0/y")] == [0, 2]


@pytest.mark.parametrize(
    ("every", "block", "steps"),
    [(1, 1, list(range(11))), (2, 2, [0, 2, 4, 7, 9, 10]), (4, 1, [0, 4, 8]), (3, 100, [0, 5, 10]), (100, 1, [0])],
)
@pytest.mark.sampled(3)
def test_of_a_batch_of_one_s_own_at_the_ends_of_blocks(tmp_path, every, block, steps):
    fit(tmp_path, every=every, block=block, batch=(X[:16], LABELS[:16]))
    assert [point.step for point in events_of(tmp_path).Tensors("rms/layer_0/y")] == steps


def test_blocks_end_where_statistics_of_a_batch_of_one_s_own_are_due(tmp_path):
    fit(tmp_path, every=3, block=None, epochs=3, batch=(X[:16], LABELS[:16]))
    assert [point.step for point in events_of(tmp_path).Tensors("rms/layer_0/y")] == [0, 3, 6, 9, 12, 15]


def test_no_statistics_when_none_are_asked_for(tmp_path):
    _, callback = fit(tmp_path, every=None)
    assert callback.statistics is None
    assert not any(tag.startswith(("rms", "layer")) for tag in events_of(tmp_path).Tags()["tensors"])


def test_traced_once_over_epochs_and_fits(tmp_path):
    model, callback = fit(tmp_path, epochs=3)
    model.fit(X, LABELS, batch_size=16, epochs=2, verbose=0, callbacks=[callback])
    assert callback.statistics._step_program.experimental_get_tracing_count() == 1
    assert callback.statistics.programs is model.replica_programs


@pytest.mark.xla
def test_training_goes_on_as_without_the_callback(tmp_path):
    watched, _ = fit(tmp_path, OPTIMIZERS["momentum"](), every=1)
    alone = Model(NETWORK, seed=1)
    alone.compile(OPTIMIZERS["momentum"](), steps_per_execution=2)
    alone.fit(X, LABELS, batch_size=16, epochs=2, verbose=0, shuffle=False)
    for got, expected in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_layout_names_charts_that_every_run_shares(tmp_path):
    fit(tmp_path, compare=True)
    events = events_of(tmp_path)
    layout = layout_pb2.Layout()
    layout.ParseFromString(tf.make_ndarray(events.Tensors("custom_scalars__config__")[0].tensor_proto).item())
    assert [category.title for category in layout.category] == ["training", "layer_0", "layer_1", "layer_2"]
    tags = [tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag]
    assert "^epoch_loss$" in tags
    written = events.Tags()["tensors"]
    missing = [tag for tag in tags if tag.replace("\\", "")[1:-1] not in written]
    assert missing == []
    scalars = [
        tag for tag in written if tag.startswith(("rms", "update", "units_dead", "units_saturated", "gradients_apart"))
    ]
    assert len(tags) == len(scalars) + 3


def test_hparams_say_what_was_run(tmp_path):
    fit(tmp_path, OPTIMIZERS["momentum"](), hparams={"trial": "first"})
    content = events_of(tmp_path).SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(content).hparams
    values = {name: value.string_value or value.number_value for name, value in found.items()}
    assert values == {
        "optimizer": "SGD",
        "learning_rate": pytest.approx(0.1),
        "layers": "40,8,3",
        "activation": "relu,tanh,linear",
        "loss": "sparse_categorical_crossentropy",
        "gradients": "manual",
        "seed": 1,
        "dtype": "float32",
        "batch_size": 16,
        "trial": "first",
    }
    content = events_of(tmp_path).SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    trial = metadata.parse_session_start_info_plugin_data(content).group_name
    assert trial == "/".join(tmp_path.parts[-2:])
    content = events_of(tmp_path).SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert {info.name for info in experiment.hparam_infos} == set(values)
    assert ("../validation", "epoch_loss") in {(info.name.group, info.name.tag) for info in experiment.metric_infos}


@pytest.mark.parametrize("gradients", ["manual", "tape"])
def test_the_graph_parses_and_has_every_product(tmp_path, gradients):
    fit(tmp_path, gradients=gradients)
    graph = events_of(tmp_path).Graph()
    operations = [node.op for node in graph.node]
    # three layers: z of each, dkernel of each, dx of all but the first; by hand of the first too, which TensorFlow cuts
    assert operations.count("MatMul") == {"manual": 9, "tape": 8}[gradients]
    assert {"x", "y", "layer_0_kernel", "layer_2_bias"} <= {node.name for node in graph.node}
    places = {
        node.name.rpartition("/")[0]: node.op
        for node in graph.node
        if node.op in ("MatMul", "Mean", "ReluGrad", "SelectV2")
    }
    for place in ("forward/layer_0/dense", "loss", "backward/layer_2/dense", "backward/layer_0/dense"):
        assert any(each.startswith(place) for each in places), places
    assert any(each.startswith("backward/layer_0/relu") or each == "backward/layer_0" for each in places), places
    with tf.Graph().as_default() as again:
        tf.import_graph_def(tf.compat.v1.GraphDef.FromString(graph.SerializeToString()), name="")
    assert len(again.get_operations()) == len(graph.node)
    fit(tmp_path / "none", every=None, write_graph=False)
    with pytest.raises(ValueError, match="no graph"):
        events_of(tmp_path / "none").Graph()


def test_data_that_keras_reads_need_a_batch(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(16)
    model = Model(NETWORK, seed=1)
    model.compile("sgd")
    with pytest.raises(InputError, match=r"batch: got None .* accepted: \(x, y\), or every=None"):
        model.fit(data, verbose=0, shuffle=False, callbacks=[TensorBoard(tmp_path)])
    model.fit(
        data,
        verbose=0,
        epochs=2,
        shuffle=False,
        callbacks=[TensorBoard(tmp_path, every=4, batch=(X[:16], LABELS[:16]))],
    )
    points = events_of(tmp_path).Tensors("rms/layer_0/dkernel")
    assert [point.step for point in points] == [0, 4, 8]
    expected = np.sqrt(np.mean(reference_pass()["layer_0/dkernel"] ** 2))
    assert tf.make_ndarray(points[0].tensor_proto) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.sampled(2)
def test_every_dtype_is_summed_up_in_at_least_float32(tmp_path, dtype):
    fit(tmp_path, dtype=dtype, compare=True)
    events, rtol = events_of(tmp_path), {"float64": 1e-6, "mixed_bfloat16": 0.03, "mixed_float16": 0.01}[dtype]
    for tag, tensor in reference_pass().items():
        assert scalar(events, f"rms/{tag}") == pytest.approx(np.sqrt(np.mean(tensor**2)), rel=rtol), tag


def test_a_nan_is_seen_in_the_norm_and_spoils_no_histogram(tmp_path):
    model, callback = fit(tmp_path, epochs=1)
    model.set_parameters([{name: w * np.nan for name, w in layer.items()} for layer in model.get_parameters()])
    model.fit(X, LABELS, batch_size=16, verbose=0, callbacks=[callback])
    files = events_of(tmp_path)
    assert math.isnan(scalar(files, "rms/layer_0/kernel", -1))
    assert np.isfinite(tf.make_ndarray(files.Tensors("layer_0/kernel")[-1].tensor_proto)).all()


def test_what_is_written_is_on_disk_at_the_end_of_every_epoch(tmp_path):
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            events = events_of(tmp_path)
            assert len(events.Tensors("epoch_loss")) == epoch + 1
            # the last full batch of the epoch
            assert events.Tensors("rms/layer_0/y")[-1].step == 5 * epoch + 3

    model = Model(NETWORK, seed=1)
    model.compile("sgd", steps_per_execution=2)
    model.fit(X, LABELS, batch_size=16, epochs=2, verbose=0, callbacks=[TensorBoard(tmp_path, every=1), Look()])


def test_bad_input_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    model = Model(NETWORK)
    model.compile("sgd")
    plain = NETWORK.to_keras(NETWORK.init())
    plain.compile("sgd", "mse")

    def run(which=model, **options):
        which.fit(X, LABELS, verbose=0, callbacks=[TensorBoard(**{"log_dir": tmp_path / "logs", **options})])

    directory = str(tmp_path / "file" / "logs")
    for act, sentence in [
        (
            lambda: run(log_dir=directory),
            f"log_dir: got {directory!r} (Not a directory); accepted: a directory that can be written.",
        ),
        (lambda: run(every=0), "every: got 0; accepted: an integer of at least 1, or None."),
        (lambda: run(plain), "model: got a Sequential; accepted: a tfbp.Model."),
        (lambda: run(batch=X), "batch: got a ndarray; accepted: (x, y) or (x, y, sample_weight)."),
        (lambda: run(batch=(X, LABELS[:3])), "y: got shape (3,); accepted: (70,) integer labels, one for each row"),
    ]:
        with pytest.raises(InputError) as caught:
            act()
        assert str(caught.value).startswith(sentence)
