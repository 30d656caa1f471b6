"""The options of pytest in this project.

`--device gpu` runs the matrix on a GPU and on nothing else; without one that is one sentence and status 2.
A test that is marked `sampled(n)` runs each n-th of its cases, the first among them: the same ones every time;
`sampled(n, mode="eager")` runs all cases of that mode, and each n-th of the others. `--all` runs every case, and what
is marked `rare`, with XLA as users have it; `--quick` runs the first case, or each third of that mode, and no other,
also of `sampled(1)`. A test that is named alone runs.
`--chance N` takes another order and other random numbers: a test's numbers follow from its id and N alone.
"""

import gc
import os
import random
import sys
import zlib
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

# XLA's compiler without its optimizations: the same operations in a third of the time
FAST_XLA = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false"
)

# where graphs as TensorFlow optimizes them are judged; elsewhere its optimizer takes a sixth of the time
OPTIMIZED = ("agreement", "checking", "fitting", "judging")

# programs that tests run in processes of their own
collect_ignore = [
    "agreement/on_two_devices.py",
    "training/deterministic.py",
    "training/on_two_devices.py",
    "training/worker.py",
]


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the agreement matrix runs: cpu (default) or gpu")
    parser.addoption("--all", action="store_true", help="every case of what is marked sampled(n), and what is rare")
    parser.addoption("--quick", action="store_true", help="one case of what is marked sampled(n)")
    parser.addoption("--chance", type=int, default=0, metavar="N", help="another order and other random numbers")


def pytest_configure(config):
    config.addinivalue_line("markers", "xla: what a Model compiles by default, it compiles by XLA here, too")
    config.addinivalue_line("markers", "optimized: TensorFlow's optimizer of graphs runs, as it does for users")
    config.addinivalue_line("markers", "rare(reason): runs with --all, or named alone")
    config.addinivalue_line("markers", "sampled(n, **always): without --all each n-th case runs; n no divisor of a row")
    device = config.getoption("--device")
    if device == "cpu" and not config.getoption("--all"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST_XLA}".strip()
    if device != "cpu":
        from tfbp.errors import InputError
        from tfbp.judging.placement import check_device

        try:
            check_device(device)
        except InputError as error:
            pytest.exit(f"--{error}", returncode=2)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        leave_out(config, items)
    if config.getoption("--chance"):
        shuffle(items, random.Random(config.getoption("--chance")))


def leave_out(config, items):
    """Of what is sampled a few cases stay, of what is rare none, unless it is named."""
    named, quick = any("::" in argument for argument in config.args), config.getoption("--quick")
    cases = {argument.rpartition("::")[2] for argument in config.args}
    seen, kept, left = Counter(), [], []
    for item in items:
        marker, stays = item.get_closest_marker("sampled"), named or not item.get_closest_marker("rare")
        always = bool(marker and marker.kwargs and marker.kwargs.items() <= item.callspec.params.items())
        if marker and item.nodeid.rpartition("::")[2] not in cases:
            test = item.nodeid.partition("[")[0], always
            every = (3 if quick else 1) if always else marker.args[0]
            stays &= not (seen[test] or marker.kwargs) if quick and not always else seen[test] % every == 0
            seen[test] += 1
        (kept if stays else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def pytest_collection_finish():
    """What was imported stays: to look through all of TensorFlow for garbage takes a third of a second each time."""
    gc.collect()
    gc.freeze()


def shuffle(items, chance):
    """Modules in another order, and the tests in each; a module's stay together because they share its fixtures."""
    modules = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    chance.shuffle(modules)
    for module in modules:
        chance.shuffle(module)
    items[:] = [item for module in modules for item in module]


@pytest.fixture
def only_new_garbage():
    """`gc.collect` does not go through what was there before."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def device(request):
    return request.config.getoption("--device")


@pytest.fixture(autouse=True)
def rng(request):
    """The test's own generator; Python, NumPy, TensorFlow and Keras are seeded too, whatever ran before."""
    name = f"{request.node.path.stem}::{request.node.name}"
    seed = (zlib.crc32(name.encode()) + request.config.getoption("--chance")) % 2**31
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  what the code under test may draw from
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)
    return np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def graphs_as_they_are_traced(request):
    """Without --all, TensorFlow's optimizer of graphs runs in the folders `OPTIMIZED` and tests marked so."""
    room = request.node.path.parts[len(Path(__file__).parent.parts)]
    if "tensorflow" in sys.modules:
        judged = room in OPTIMIZED or request.node.get_closest_marker("optimized")
        plain = not judged and not request.config.getoption("--all")
        options = sys.modules["tensorflow"].config.optimizer
        if options.get_experimental_options().get("disable_meta_optimizer", False) != plain:
            options.set_experimental_options({"disable_meta_optimizer": plain})


@pytest.fixture(autouse=True)
def default_is_no_xla(request):
    """XLA takes most of a test's time: without --all a Model has it where it is asked for, or a test marked `xla`."""
    model = sys.modules.get("tfbp.training.model")
    with pytest.MonkeyPatch.context() as patch:
        if model and not request.config.getoption("--all") and not request.node.get_closest_marker("xla"):
            patch.setattr(model.Model, "_is_slow_under_xla", lambda model: True)
        yield
