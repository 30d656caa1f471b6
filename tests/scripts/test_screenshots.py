"""TensorBoard in a real browser: its charts hold the runs and tags of all three writings."""

import os
import re
from pathlib import Path

import pytest

from tfbp import InputError

SCRIPTS = Path(__file__).parents[2] / "scripts"
RUNS = [f"{writing}/{split}" for writing in ("reference", "manual", "tape") for split in ("train", "validation")]

# one process runs what all of these need
pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.rare("it takes a browser")]


@pytest.fixture(scope="module")
def screenshots():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        import screenshots

        yield screenshots


@pytest.fixture(scope="module")
def browser(screenshots):
    try:
        screenshots.browser_path()
    except InputError as error:
        if "TFBP_COMPLETE" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def pages(screenshots, browser, tmp_path_factory):
    """The text of every page, as a person sees it."""
    log_dir = tmp_path_factory.mktemp("logs") / "digits"
    screenshots.train(str(log_dir), epochs=2)
    with screenshots.tensorboard(str(log_dir)) as url, screenshots.open_page() as page:
        return {name: screenshots.show(page, url, name) for name in screenshots.PAGES}


@pytest.mark.parametrize("name", ["timeseries", "custom_scalars", "histograms"])
def test_every_run_is_offered(pages, name):
    assert [run for run in RUNS if run not in pages[name]] == []


def test_the_charts_hold_the_curves_of_all_writings(pages):
    lines = pages["custom_scalars"].splitlines()
    for category in ("training", "layer_0", "layer_1", "layer_2"):
        assert category in lines
    # loss and accuracy: three writings, train and validation; the learning rate: what Keras's callback writes
    matches = [int(found[1]) for found in re.finditer(r"Matches \((\d+)\)", pages["custom_scalars"])]
    assert matches[:3] == [6, 6, 2]
    for chart in (
        "loss",
        "accuracy",
        "update_to_weight/kernel",
        "units_dead",
        "rms/dkernel",
        "gradients_apart/dkernel",
    ):
        assert chart in lines


def test_the_histograms_are_of_every_tensor(pages):
    for tensor in ("y", "dz", "kernel", "dkernel", "bias", "dbias"):
        assert f"layer_0/{tensor}" in pages["histograms"]


def test_the_graph_is_drawn_and_not_malformed(pages):
    assert "malformed" not in pages["graphs"].lower()
    for operation in ("forward", "loss", "backward", "layer_0_b"):
        assert operation in pages["graphs"]


def test_the_hyperparameters_are_columns(pages):
    for name in (
        "activation",
        "gradients",
        "manual",
        "tape",
        "relu,relu,linear",
        "64,32,10",
        "digits/manual",
        "digits/reference",
    ):
        assert name in pages["hparams"]


def test_a_missing_browser_is_one_sentence(screenshots, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"browser: got none; accepted: one of chromium, .* on the PATH\."):
        screenshots.browser_path()


@pytest.mark.parametrize(
    ("option", "path", "said"),
    [
        (
            "--log-dir",
            "not-there",
            "--log-dir: got '{}', where there are no curves; accepted: output of `train.py --stat",
        ),
        ("--log-dir", "", "--log-dir: got '{}', where there are no curves"),
        ("--output", "file", "--output: got '{}' (File exists); accepted: a directory that can be written."),
    ],
    ids=["no-logs", "empty", "output-is-a-file"],
)
def test_bad_input_is_one_sentence(screenshots, browser, option, path, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["screenshots.py", option, str(tmp_path / path)])
    assert screenshots.main() == 2
    err = capsys.readouterr().err
    assert err.startswith(said.format(tmp_path / path))
    assert err.count("\n") == 1
