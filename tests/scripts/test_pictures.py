"""train.py --picture: a GIF with a frame an epoch, TensorBoard images, and a word where it cannot be."""

import sys

import pytest


def test_a_gif_and_an_image_an_epoch(run, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image, ImageChops
    from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

    log_dir = tmp_path / "run"
    options = ["--dataset", "circles", "--layers", "8", "--activation", "tanh", "--learning-rate", 0.02]
    status, out, _ = run(
        "train.py", *options, "--epochs", 4, "--gradients", "manual", "--picture", "--log-dir", log_dir
    )
    assert status == 0
    assert f"Picture: {log_dir / 'manual.gif'}" in out
    with Image.open(log_dir / "manual.gif") as gif:
        assert gif.n_frames == 4
        first = gif.convert("RGB")
        gif.seek(3)
        assert ImageChops.difference(first, gif.convert("RGB")).getbbox()
    events = EventAccumulator(str(log_dir / "manual" / "train"), {TENSORS: 0}).Reload()
    images = events.Tensors("decision")
    assert [image.step for image in images] == [0, 1, 2, 3]
    assert images[0].tensor_proto.string_val[2].startswith(b"\x89PNG")


def test_a_frame_holds_the_sizes_of_deltas_and_gradients():
    import numpy as np

    from tfbp import Dense, Network, datasets, reference
    from tfbp.commands import pictures

    data = datasets.load("xor", "float64")
    network = Network(2, [Dense(3, "tanh"), Dense(2)], "sparse_categorical_crossentropy")
    parameters = network.init(seed=0)
    frame = pictures.Frame(network, data.x_train, data.labels_train, parameters, epoch=1)
    _, gradients, tensors = reference.loss_gradients_and_tensors(network, parameters, data.x_train, data.labels_train)
    expected = [np.linalg.norm(tensor["dz"]) for tensor in tensors[:-1]]
    np.testing.assert_allclose(frame.deltas, expected, rtol=1e-12)
    np.testing.assert_allclose(frame.gradients, [np.linalg.norm(g["kernel"]) for g in gradients], rtol=1e-12)
    # the middle of the grid is the point (0, 0)
    outputs = reference.forward(network, parameters, np.zeros((1, 2)))[0]
    middle = pictures.GRID // 2
    assert frame.share[middle, middle] == pytest.approx(1 / (1 + np.exp(outputs[0] - outputs[1])), rel=1e-12)


def test_a_set_of_images_has_no_picture(run, tmp_path):
    status, _, err = run("train.py", "--picture", "--log-dir", tmp_path / "run")
    assert (status, err.strip()) == (2, "--picture: got the dataset 'digits'; accepted: xor, circles, spirals.")


def test_a_missing_matplotlib_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = run("train.py", "--dataset", "xor", "--picture", "--log-dir", tmp_path / "run")
    assert (status, err.strip()) == (2, "packages: got no matplotlib; accepted: an installation of 'tfbp[scripts]'.")
