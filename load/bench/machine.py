"""Description of the machine that runs a benchmark. It is needed to interpret the figures."""

import os
import platform
from importlib.metadata import version
from typing import Any

PACKAGES = ("driftwire", "faust-streaming", "aiokafka", "river", "numpy", "orjson")
"""Packages whose versions affect the speed."""


def describe_machine() -> dict[str, Any]:
    """Return the processors, load and platform of the machine, and the versions of the packages."""
    return {
        "cpu_count": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
