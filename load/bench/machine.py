"""Description of the machine, the commit and the command of a benchmark. They are needed to interpret the figures."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("driftwire", "faust-streaming", "aiokafka", "river", "numpy", "orjson")
"""Packages whose versions affect the speed."""

ROOT = Path(__file__).parents[2]


def describe_machine() -> dict[str, Any]:
    """Return the processors, load and platform of the machine, and the versions of the packages."""
    return {
        "cpu_count": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "platform": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def describe_run(bench: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Return the name, command, commit and machine of a benchmark.

    Parameters
    ----------
    bench
        Name of the subcommand of ``driftwire-load bench``.
    options
        Options of the command, by name without dashes. Options that are None are left out.
    """
    words = [f"--{name} {value}" for name, value in options.items() if value is not None]
    return {
        "bench": bench,
        "command": " ".join(("driftwire-load bench", bench, *words)),
        "commit": describe_commit(),
        "machine": describe_machine(),
    }


def describe_commit(root: Path = ROOT) -> str:
    """Return the commit of a folder with sources, with ``+`` if they have changes, or ``unknown`` outside a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
