"""train.py --model: networks of images by all three writings, on one chart, with their filters."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Network


@pytest.fixture
def train(run):
    """train(*options) -> the rows of the table that it ends in, by writing."""

    def train(*options):
        status, out, err = run("train.py", *options)
        assert status == 0, err
        return {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("ref", "man", "tape"))}

    return train


def test_a_file_s_network_is_trained_by_three_writings_that_agree(train, tmp_path):
    layers = [Conv2D(3, 3, 2, use_bias=False), BatchNormalization(momentum=0.9), Flatten(), Dropout(0.3), Dense(10)]
    network = Network((8, 8, 1), layers, "categorical_crossentropy")
    (tmp_path / "net.json").write_text(network.to_json())
    # two full batches an epoch: one that is not full would be a program more to compile
    options = ["--dtype", "float64", "--epochs", 3, "--batch-size", 719, "--learning-rate", 0.05]
    rows = train("--model", tmp_path / "net.json", *options, "--log-dir", tmp_path / "run")
    assert list(rows) == ["reference", "manual", "tape"]
    assert rows["manual"][1:3] == rows["tape"][1:3] == rows["reference"][1:3]
    assert float(rows["reference"][2]) > 0.2
    for writing in ("manual", "tape"):
        # 0 where not a bit is another
        assert float(rows[writing][5]) < 1e-11
    images = {}
    for writing in rows:
        with np.load(tmp_path / "run" / writing / "parameters.npz") as saved:
            assert Network.from_json(str(saved["network"])) == network
            assert np.abs(saved["1/moving_variance"] - 1).max() > 1e-3
        events = EventAccumulator(str(tmp_path / "run" / writing / "train"), size_guidance={"tensors": 0}).Reload()
        assert {"epoch_loss", "epoch_accuracy"} <= set(events.Tags()["tensors"])
        images[writing] = [(each.step, each.tensor_proto.string_val[2]) for each in events.Tensors("filters/layer_0")]
    assert [step for step, _ in images["reference"]] == [0, 1, 2]
    assert images["manual"] == images["tape"] == images["reference"]


def test_a_model_by_its_name(train, tmp_path):
    # without the writing that XLA compiles, which takes seconds
    rows = train(
        "--model", "cnn", "--gradients", "tape", "--epochs", 1, "--batch-size", 64, "--log-dir", tmp_path / "run"
    )
    assert float(rows["tape"][2]) > 0.3
    with np.load(tmp_path / "run" / "tape" / "parameters.npz") as saved:
        made = Network.from_json(str(saved["network"]))
    assert [layer.keras_name for layer in made.layers][:2] == ["Conv2D", "MaxPooling2D"]
    assert made.input_shape == (8, 8, 1)
