"""Describes the machine and the versions of the measurements."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tfbp import __version__
from tfbp.gpu_report.processes import threads

PACKAGES = ("tensorflow", "keras", "numpy")


def measure(point: dict[str, Any], device: str) -> dict[str, Any]:
    """Returns the device, its driver, versions and threads.

    Raises:
        InputError: a device that TensorFlow does not find here.
    """
    if device == "gpu":  # a CPU needs no import of TensorFlow, which takes seconds
        import tfbp.console.quiet_tensorflow  # noqa: F401  before anything else that imports it
        from tfbp.judging.placement import check_device

        check_device(device)
    return {
        "kind": device,
        "device": gpu() if device == "gpu" else processor(),
        "driver": _driver() if device == "gpu" else "",
        "processor": processor(),
        "threads": threads(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "tfbp": __version__,
        **{name: version(name) for name in PACKAGES},
        **(_built_for() if device == "gpu" else {}),
    }


def processor() -> str:
    """Returns the processor's name if the system reports it."""
    try:
        match = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1].strip() if match else platform.machine()


def gpu() -> str:
    """Returns the first GPU's name from TensorFlow."""
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    capability = ".".join(map(str, details.get("compute_capability", ())))
    return details.get("device_name", "GPU") + (f", compute capability {capability}" if capability else "")


def _driver() -> str:
    """Returns the version of the driver from its own tool; empty without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    asked = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        words = subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return words[0] if words else ""


def _built_for() -> dict[str, str]:
    import tensorflow as tf

    found = tf.sysconfig.get_build_info()
    return {name: str(found[f"{name}_version"]) for name in ("cuda", "cudnn") if f"{name}_version" in found}
