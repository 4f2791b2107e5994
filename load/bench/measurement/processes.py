"""Resources of the workers: processor time and resident memory from ``/proc``, and bytes written to a topic."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1_000_000


def processor_s(pids: Iterable[int | None]) -> float:
    """Return the seconds of processor time of processes since they started. A process that has ended counts as 0."""
    return sum(map(_processor_s, pids))


def resident_mb(pids: Iterable[int | None]) -> float:
    """Return the resident memory of processes in MB. A process that has ended counts as 0."""
    return sum(_status_kib(pid, "VmRSS") for pid in pids) * 1024 / MEGABYTE


class WrittenBytes:
    """Bytes that were appended to a topic of an embedded broker, from the sizes of its files.

    Compaction makes files smaller. Only growth counts, so the sum is that of the appended bytes.

    Parameters
    ----------
    folder
        Data folder of the broker.
    topic
        Name of the topic.
    """

    def __init__(self, folder: Path, topic: str) -> None:
        self._folder = folder
        self._topic = topic
        self._sizes: dict[Path, int] = {}
        self._total = self._start = 0
        self._start = self.read()

    def read(self) -> int:
        """Return the bytes that were appended since this object was created."""
        for path in self._folder.rglob(f"{self._topic}-[0-9]*/*.log"):
            try:
                size = path.stat().st_size
            except OSError:  # Kafka has deleted the file in the meantime
                continue
            self._total += max(0, size - self._sizes.get(path, 0))
            self._sizes[path] = size
        return self._total - self._start


def _processor_s(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    user, system = fields[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def _status_kib(pid: int | None, name: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")), 0)
