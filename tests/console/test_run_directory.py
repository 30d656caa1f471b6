"""A run's directory: curves and parameters on disk after every epoch, and no run ever written over another."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfbp import Dense, InputError, Network
from tfbp.console.run_directory import RunDirectory

NETWORK = Network(3, [Dense(2)], "huber")


def test_curves_and_parameters_are_on_disk_before_the_run_ends(tmp_path):
    directory = RunDirectory(tmp_path / "run", {"settings": {"seed": 7}})
    for epoch in range(3):
        directory.log("manual", "train", epoch, 1.0 / (1 + epoch), 0.5)
        directory.save("manual", NETWORK, NETWORK.init(seed=epoch))
    # nothing is closed: this is what a kill would leave
    events = EventAccumulator(str(tmp_path / "run" / "manual" / "train"), size_guidance={"tensors": 0})
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"epoch_loss", "epoch_accuracy"}
    losses = [np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0] if e.tensor_proto.tensor_content
              else e.tensor_proto.float_val[0] for e in events.Tensors("epoch_loss")]  # fmt: skip
    np.testing.assert_allclose(losses, [1, 1 / 2, 1 / 3], rtol=1e-6)
    with np.load(tmp_path / "run" / "manual" / "parameters.npz") as saved:
        assert Network.from_json(str(saved["network"])) == NETWORK
        np.testing.assert_array_equal(saved["0/kernel"], NETWORK.init(seed=2)[0]["kernel"])
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == {"settings": {"seed": 7}, "finished": False}
    directory.finish({"manual": {"loss": 0.25}})
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described == {"settings": {"seed": 7}, "finished": True, "results": {"manual": {"loss": 0.25}}}


def finished(path):
    RunDirectory(path, {}).finish({})


def stopped(path):
    RunDirectory(path, {})


def damaged(path):
    stopped(path)
    (path / "run.json").write_text('{"finished": tr')


def other_files(path):
    path.mkdir()
    (path / "thesis.tex").write_text("")


@pytest.mark.parametrize(
    ("prepare", "found"),
    [
        (finished, "holds a finished run"),
        (stopped, "holds a run that was stopped or still goes on"),
        (damaged, "holds a run with a damaged run.json"),
        (other_files, "is not empty and holds no run"),
        (lambda path: path.write_text(""), "is a file"),
    ],
    ids=["finished", "stopped", "damaged", "other-files", "file"],
)
def test_a_directory_in_use_is_refused(tmp_path, prepare, found):
    path = tmp_path / "run"
    prepare(path)
    with pytest.raises(InputError) as caught:
        RunDirectory(path, {})
    accepted = "accepted: a new or empty directory that can be written"
    assert str(caught.value) == f"log-dir: got {str(path)!r}, which {found}; {accepted}."


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^log-dir: got '.*file/run' \(Not a directory\); accepted: a new or empty"):
        RunDirectory(tmp_path / "file" / "run", {})
