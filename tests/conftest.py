"""`pytest --device gpu` runs the matrix on a GPU; without one that is an error, never a silent CPU run."""

import pytest

# programs that tests run in processes of their own
collect_ignore = ["training/on_two_devices.py", "training/worker.py"]


def pytest_addoption(parser):
    parser.addoption("--device", default="cpu", choices=("cpu", "gpu"), help="where the agreement matrix runs")


@pytest.fixture(scope="session")
def device(request):
    from tfbp.agreement.matrix import check_device

    chosen = request.config.getoption("--device")
    check_device(chosen)
    return chosen
