"""Resources of the workers during a soak: memory, open files and checkpoints, sampled every few seconds."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from load.chaos.environment import Environment
from load.chaos.workers import ChaosWorker
from topologies.processes import STEPS

SAMPLE_S = 5.0
QUARTERS = 4

GROWTH_MAX = 1.05
"""Largest ratio of a resource's maximum in the last quarter to its maximum in the second quarter."""

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Resource:
    """A sampled quantity, with its unit in plots and the divisor that converts to this unit."""

    name: str
    title: str
    divisor: float = 1.0


RESOURCES = (
    Resource("memory_bytes", "Memory of the workers (MiB)", MEBIBYTE),
    Resource("open_files", "Open files of the workers"),
    Resource("checkpoint_bytes", "State in the checkpoints (kB)", 1000),
)
"""The resources that must not grow. Each is a sum over the two workers of a step, or over its partitions."""


@dataclass(slots=True)
class ResourceSamples:
    """Samples of a soak.

    Attributes
    ----------
    at_s
        Seconds from the start of the schedule to each sample.
    by_step
        Samples of each resource by step. A worker that is not running counts as zero.
    disk_bytes
        Bytes of the checkpoint topics in the broker's folder, including data that Kafka has not compacted yet.
    """

    at_s: list[float] = field(default_factory=list)
    by_step: dict[str, dict[str, list[int]]] = field(
        default_factory=lambda: {resource.name: {step: [] for step in STEPS} for resource in RESOURCES}
    )
    disk_bytes: list[int] = field(default_factory=list)

    async def watch(self, environment: Environment) -> None:
        """Take samples until cancelled."""
        started_s = time.monotonic()
        while True:
            self.at_s.append(time.monotonic() - started_s)
            for step in STEPS:
                workers = [worker for worker in environment.fleet.of_step(step) if worker.is_permanent]
                self.by_step["memory_bytes"][step].append(sum(map(_resident_bytes, workers)))
                self.by_step["open_files"][step].append(sum(map(_count_open_files, workers)))
                self.by_step["checkpoint_bytes"][step].append(environment.ledger.state_bytes(step))
            self.disk_bytes.append(_folder_bytes(environment.broker.data_folder, "*-checkpoints-*"))
            await asyncio.sleep(SAMPLE_S)

    def totals(self, name: str) -> list[int]:
        """Return the samples of a resource, summed over the steps."""
        return [sum(values) for values in zip(*self.by_step[name].values(), strict=True)]

    def largest_by_quarter(self, values: Sequence[int], duration_s: float) -> list[int]:
        """Return the largest sample in each quarter of the soak."""
        largest = [0] * QUARTERS
        for at_s, value in zip(self.at_s, values, strict=True):
            quarter = min(int(QUARTERS * at_s / duration_s), QUARTERS - 1)
            largest[quarter] = max(largest[quarter], value)
        return largest


def growth(largest_by_quarter: Sequence[int]) -> float:
    """Return the ratio of the last quarter to the second quarter.

    >>> growth([90, 100, 120, 104])
    1.04
    """
    return round(largest_by_quarter[-1] / max(largest_by_quarter[1], 1), 3)


def _resident_bytes(worker: ChaosWorker) -> int:
    """Return the resident memory of a worker, or 0 if it has ended."""
    try:
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def _count_open_files(worker: ChaosWorker) -> int:
    """Return the number of open files and connections of a worker, or 0 if it has ended."""
    try:
        return sum(1 for _ in Path(f"/proc/{worker.pid}/fd").iterdir())
    except OSError:
        return 0


def _folder_bytes(folder: Path, pattern: str) -> int:
    """Return the total size, in bytes, of the files below ``folder`` whose folders match a pattern."""
    total = 0
    for path in folder.rglob(f"{pattern}/*"):
        try:
            total += path.stat().st_blocks * 512
        except OSError:  # Kafka has deleted the file in the meantime
            continue
    return total
