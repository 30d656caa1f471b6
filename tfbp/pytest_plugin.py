"""Fixtures for pytest: `gradients` and `agree` fail a test with a report instead of a traceback.

pytest loads this at every start, of any project: heavy imports wait until a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def gradients() -> Callable[..., Any]:
    """`gradients(function, inputs, **options)` is `tfbp.assert_gradients_agree`, with a readable failure."""

    def agree(function: Any, inputs: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        from tfbp.checking.api import check_gradients

        report = check_gradients(function, inputs, **options)
        if not report.agrees:
            pytest.fail(str(report), pytrace=False)
        return report

    return agree


@pytest.fixture
def agree() -> Callable[..., Any]:
    """`agree(model, x, y, **options)` is `tfbp.agree`; a model with a finding fails the test with the report."""

    def all_agree(model: Any, x: Any, y: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        import tfbp

        report = tfbp.agree(model, x, y, **options)
        if not report.agrees:
            pytest.fail(str(report), pytrace=False)
        return report

    return all_agree
