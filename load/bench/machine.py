"""Describes the machine that a benchmark ran on. Its figures mean little without this description."""

import os
import platform
from importlib.metadata import version
from typing import Any

PACKAGES = ("driftwire", "faust-streaming", "aiokafka", "river", "numpy", "orjson")
"""Packages whose versions matter for speed."""


def describe_machine() -> dict[str, Any]:
    """Return processors, load, platform and versions."""
    return {
        "cpu_count": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
