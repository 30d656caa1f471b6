"""tfbp.Model on networks of images: what is compiled how, and what TensorBoard gets of layers that draw."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Model, Network, Residual
from tfbp.training import TensorBoard

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(12, 6, 6, 1)).astype(np.float32), RNG.integers(0, 2, 12)


def network_of(*layers):
    return Network((6, 6, 1), [*layers, Flatten(), Dense(2)], "sparse_categorical_crossentropy")


@pytest.mark.xla
@pytest.mark.parametrize(
    ("layers", "gradients", "given", "compiled"),
    [
        ([Conv2D(2, 3)], "tape", {}, False),
        ([MaxPooling2D()], "tape", {}, False),
        ([Residual([Conv2D(1, 3, padding="same")])], "tape", {}, False),
        ([Dense(2)], "tape", {}, True),
        ([Conv2D(2, 3)], "manual", {}, True),
        ([Conv2D(2, 3)], "tape", {"jit_compile": True}, True),
        ([Conv2D(2, 3)], "manual", {"jit_compile": False}, False),
    ],
    ids=["tape", "tape-pooling", "tape-part", "tape-dense", "manual", "tape-told", "manual-told"],
)
def test_a_tape_through_a_convolution_is_not_compiled_by_xla_unless_it_is_told_to(layers, gradients, given, compiled):
    model = Model(network_of(*layers), gradients)
    model.compile("sgd", **given)
    assert model.jit_compile is compiled
    assert model.get_compile_config()["jit_compile"] is compiled


@pytest.mark.parametrize("gradients", ["manual", "tape"])
@pytest.mark.sampled(3)
def test_tensorboard_has_the_graph_and_the_statistics_of_layers_that_draw_and_renew(tmp_path, gradients):
    network = network_of(Conv2D(2, 3, use_bias=False), BatchNormalization(), Dropout(0.5))
    model = Model(network, gradients)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    board = TensorBoard(tmp_path, every=1, compare=True)
    model.fit(X, LABELS, batch_size=12, epochs=1, verbose=0, callbacks=[board])
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0}).Reload()
    names = {node.name for node in events.Graph().node}
    assert any(name.startswith("forward/layer_2/dropout") for name in names)
    tags = set(events.Tags()["tensors"])
    assert {"rms/layer_0/dkernel", "rms/layer_1/dgamma", "rms/layer_2/dz", "filters/layer_0"} <= tags
    # both draw the same masks
    apart = [tag for tag in tags if tag.startswith("gradients_apart/")]
    assert len(apart) == 5
    values = [events.Tensors(tag)[0].tensor_proto.float_val[0] for tag in apart]
    assert max(values) < 1e-4, dict(zip(apart, values, strict=True))
