"""`pytest --device gpu` runs the matrix on a GPU and on nothing else; without one that is one sentence and status 2."""

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


def pytest_configure(config):
    device = config.getoption("--device")
    if device != "cpu":
        from tfbp.agreement.placement import check_device
        from tfbp.checks import InputError

        try:
            check_device(device)
        except InputError as error:
            pytest.exit(f"--{error}", returncode=2)


@pytest.fixture(scope="session")
def device(request):
    return request.config.getoption("--device")
