"""What pytest's options mean here.

`--device gpu` runs the matrix on a GPU and on nothing else; without one that is one sentence and status 2.
`--all` runs every case of every test; without it a test that is marked `sampled(n)` runs each n-th of its cases, the
first among them: the same ones every time. A test that is named alone, by file and case, runs.
"""

from collections import Counter

import pytest

# programs that tests run in processes of their own
collect_ignore = [
    "agreement/on_two_devices.py",
    "training/deterministic.py",
    "training/on_two_devices.py",
    "training/worker.py",
]


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", help="where the agreement matrix runs: cpu (default) or gpu")
    parser.addoption("--all", action="store_true", help="every case of the tests that are marked sampled(n), too")


def pytest_configure(config):
    config.addinivalue_line("markers", "sampled(n): without --all only each n-th case runs; n a prime to the modes")
    device = config.getoption("--device")
    if device != "cpu":
        from tfbp.errors import InputError
        from tfbp.judging.placement import check_device

        try:
            check_device(device)
        except InputError as error:
            pytest.exit(f"--{error}", returncode=2)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--all"):
        return
    seen, kept, left = Counter(), [], []
    for item in items:
        marker = item.get_closest_marker("sampled")
        test = item.nodeid.partition("[")[0]
        (left if marker and seen[test] % marker.args[0] else kept).append(item)
        seen[test] += 1
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.fixture(scope="session")
def device(request):
    return request.config.getoption("--device")
