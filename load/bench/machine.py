"""What a measurement was made on: a figure without it says little."""

import os
import platform
from importlib.metadata import version
from typing import Any

MEASURED_WITH = ("driftwire", "faust-streaming", "aiokafka", "river", "numpy", "orjson")


def machine() -> dict[str, Any]:
    """Processors, load, and the versions of what matters for speed."""
    return {
        "cpu_count": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in MEASURED_WITH},
    }
