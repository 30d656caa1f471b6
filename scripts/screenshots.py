#!/usr/bin/env python3
"""Train digits as `make train` does, open TensorBoard in headless Chromium and take a picture of each of its pages.

It needs Chromium (Debian: apt-get install chromium) and playwright, which `make` installs. The exit status is 0, or 2
if something is missing.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfbp import InputError
from tfbp.commands import train as train_command
from tfbp.console.options import Parser, check_directory, run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# a page's address, and a text that is there when it is drawn
PAGES = {
    "timeseries": "epoch_loss",
    "custom_scalars": "learning rate",
    "histograms": "layer_0/dkernel",
    "graphs": "Main Graph",
    "hparams": "Trial ID",
}
RUN = "output of `train.py --statistics`"


def main() -> int:
    parser = Parser(__doc__, names={"browser": ""})
    parser.add_argument("--log-dir", help="an existing log directory to show (default: train a new one)")
    parser.add_argument("--output", default="docs/screenshots", help="where the PNG files go (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=20, help="to train (default: 20)")
    return run(parser, take)


def take(arguments: argparse.Namespace) -> int:
    browser_path()
    if arguments.log_dir is not None and not any(Path(arguments.log_dir).rglob("events.*")):
        raise InputError(f"log-dir: got {arguments.log_dir!r}, where there are no curves; accepted: {RUN}.")
    check_directory("output", arguments.output)
    from playwright.sync_api import TimeoutError

    with tempfile.TemporaryDirectory() as directory:
        log_dir = arguments.log_dir or f"{directory}/digits"
        if arguments.log_dir is None:
            train(log_dir, arguments.epochs)
        output = Path(arguments.output)
        with tensorboard(log_dir) as url, open_page() as page:
            for name in PAGES:
                try:
                    show(page, url, name)
                except TimeoutError:
                    missing = f"without {PAGES[name]!r} on the page {name}"
                    raise InputError(f"log-dir: got {log_dir!r}, {missing}; accepted: {RUN}.") from None
                if name == "graphs":
                    open_parts(page)
                page.screenshot(path=output / f"{name}.png")
                print(output / f"{name}.png")
    return 0


def train(log_dir: str, epochs: int) -> None:
    """Train as `make train` does."""
    options = ["--dtype", "float64", "--statistics", "--epochs", str(epochs), "--log-dir", log_dir]
    if status := train_command.main(options):
        sys.exit(status)


@contextmanager
def tensorboard(log_dir: str) -> Iterator[str]:
    """Runs TensorBoard on a free port; its address."""
    place = Path(log_dir).resolve()
    # the page shows the directory's path: the name is enough
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", place.name, "--port", "0", "--load_fast", "false"]
    process = subprocess.Popen(command, cwd=place.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"at (http://localhost:\d+/)", line):
                break
        else:
            raise InputError(
                f"log-dir: got {log_dir!r}; TensorBoard did not start: {lines[-1].strip() if lines else ''}"
            )
        yield found[1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def open_page():
    """Opens a page of a headless browser without state and without requests to other hosts."""
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=quiet)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(120_000)  # a busy machine takes its time
            yield page
        finally:
            browser.close()


def show(page, url: str, name: str) -> str:
    """Opens a page of TensorBoard, waits until it is drawn, and returns its text."""
    page.goto("about:blank")
    page.goto(f"{url}?tagFilter=epoch_&smoothing=0#{name}" if name == "timeseries" else f"{url}#{name}")
    page.get_by_text(PAGES[name]).first.wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1_000)  # lines glide to their places
    return page.evaluate(ALL_TEXT)


def open_parts(page) -> None:
    """Opens forward, loss and backward on the Graphs page."""
    for part in ("forward", "backward"):
        page.locator(f'g.node[data-name="{part}"] .nodeshape').first.dblclick(force=True)
        page.wait_for_timeout(1_500)
    page.get_by_text("Fit to screen").first.click()
    page.wait_for_timeout(1_500)


# TensorBoard's older pages keep their text in shadow trees, which innerText does not enter
ALL_TEXT = """() => {
    const texts = [];
    const visit = node => {
        if (node.nodeType === Node.TEXT_NODE && node.data.trim()) texts.push(node.data.trim());
        if (node.shadowRoot) visit(node.shadowRoot);
        if (!["STYLE", "SCRIPT", "TEMPLATE"].includes(node.nodeName)) node.childNodes.forEach(visit);
    };
    visit(document.body);
    return texts.join("\\n");
}"""


def browser_path() -> str:
    """Returns the path of Chromium.

    Raises:
        InputError: no browser, or no playwright.
    """
    try:
        import playwright  # noqa: F401
    except ImportError:
        raise InputError("browser: got no playwright; accepted: with the extra dev installed.") from None
    path_found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path_found is None:
        raise InputError(f"browser: got none; accepted: one of {', '.join(BROWSERS)} on the PATH.")
    return path_found


if __name__ == "__main__":
    sys.exit(main())
