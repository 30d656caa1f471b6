"""What tests of training share."""

import pytest

from tfbp import Model


@pytest.fixture(autouse=True)
def default_is_no_xla(request, monkeypatch):
    """Compilation by XLA is most of a test's time: without --all only what is marked `xla` has it by default."""
    if not (request.config.getoption("--all") or request.node.get_closest_marker("xla")):
        monkeypatch.setattr(Model, "_is_slow_under_xla", lambda model: True)
