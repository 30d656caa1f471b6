"""Compares a report with an earlier one: after an upgrade, on another machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfbp.errors import InputError

# factor by which a ratio has to grow, and no longer be small, to be reported
MOVED, SMALL = 2.0, 0.25


def read(path: str | Path) -> dict[str, Any]:
    """Reads a report's JSON.

    Raises:
        InputError: a missing file, or one that `--json` did not write.
    """
    try:
        report = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"compare: got {str(path)!r} ({error}); accepted: a file that --json wrote.") from None
    if not isinstance(report, dict) or not {"lines", "findings", "versions"} <= set(report):
        raise InputError(f"compare: got {str(path)!r}, which is no report; accepted: a file that --json wrote.")
    return report


def changes(before: Mapping[str, Any], report: Any) -> list[str]:
    """Returns one sentence for each finding that came or went, each ratio that changed, and each version.

    Example:
        >>> from tfbp.agreement.of_models.report import ModelReport
        >>> before = ModelReport("m", versions={"keras": "3.15"}).to_dict()
        >>> changes(before, ModelReport("m", versions={"keras": "3.16"}))
        ['keras: 3.15 before, 3.16 now']
    """
    now = report.to_dict()
    said = [
        f"{name}: {before['versions'].get(name, 'none')} before, {version} now"
        for name, version in now["versions"].items()
        if before["versions"].get(name) != version
    ]
    earlier, later = (
        {(finding["layer"], finding["tensor"], finding["part"]): finding for finding in one_report["findings"]}
        for one_report in (before, now)
    )
    said += [f"new: {report.findings[list(later).index(key)]}" for key in later if key not in earlier]
    said += [
        f"gone: {layer} {tensor} [{part}]" for layer, tensor, part in earlier if (layer, tensor, part) not in later
    ]
    old, new = ({line["layer"]: line for line in one_report["lines"]} for one_report in (before, now))
    for layer, line in new.items():
        if layer not in old:
            said.append(f"{layer}: not in the report of before")
            continue
        if old[layer]["by"] != line["by"]:
            said.append(f"{layer}: judged by {old[layer]['by']} before, by {line['by']} now")
        for place, ratio in line["worst"].items():
            was = old[layer]["worst"].get(place)
            if ratio is not None and was is not None and ratio > SMALL and ratio > MOVED * was:
                said.append(f"{layer} [{place}]: error / tolerance {was:.2g} before, {ratio:.2g} now")
    return said + [f"{layer}: in the report of before, and not in this one" for layer in old if layer not in new]
