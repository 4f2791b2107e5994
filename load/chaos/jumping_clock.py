"""A worker process whose wall clock can jump: ``python -m load.chaos.jumping_clock FILE worker STEP ...``.

The file contains the difference from the real clock in seconds. Only the wall clock of Python code jumps.
``docs/adr/0005-wall-clock-jumps-in-python.md`` explains why libfaketime is not used.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

READ_INTERVAL_S = 0.5
"""Minimum seconds between two reads of the file."""


class JumpingClock:
    """Difference between the wall clock and the real clock, read from a file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "clock"
    ...     _ = path.write_text("-3600")
    ...     JumpingClock(path, monotonic=lambda: 0.0).offset_s()
    -3600
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._offset_s = 0
        self._next_read_s = 0.0

    def offset_s(self) -> int:
        """Return the current difference in seconds."""
        now_s = self._monotonic()
        if now_s >= self._next_read_s:
            self._next_read_s = now_s + READ_INTERVAL_S
            self._offset_s = int(self._path.read_text() or self._offset_s)  # empty while it is written
        return self._offset_s


def install(clock: JumpingClock) -> None:
    """Replace the wall clock of this process."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + clock.offset_s()
    time.time_ns = lambda: nanoseconds() + clock.offset_s() * 1_000_000_000


if __name__ == "__main__":
    install(JumpingClock(Path(sys.argv.pop(1))))
    from topologies.cli import main  # its modules keep the clock that they find when they are imported

    main()
