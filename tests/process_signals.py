"""Suspend a process for as long as a test needs."""

import os
import signal
import time
from pathlib import Path


def suspend(pid: int | None) -> None:
    """Suspend a process, and wait until all of its threads have stopped.

    The kernel stops them one after another. On a busy machine a server can still answer after ``kill`` has returned.
    """
    assert pid is not None, "the process is not running"
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 30
    while not all(is_stopped(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        assert time.monotonic() < deadline, f"process {pid} did not stop"
        time.sleep(0.001)


def is_stopped(thread: Path) -> bool:
    try:
        state = (thread / "stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended
        return True
    return state in "TZX"
