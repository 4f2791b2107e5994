"""Worker processes that tests start, kill, pause and continue."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.topologies.faults import VARIABLE

SESSION_TIMEOUT_S = 6.0
"""Seconds after which the broker takes a paused worker's partitions away."""


class Worker:
    """One worker process, whose words go to a file. A dead one can be started again."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str | None = None) -> None:
        """Start it, with a fault that it will run into."""
        environment = os.environ | ({VARIABLE: fault} if fault else {})
        if not fault:
            environment.pop(VARIABLE, None)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments], stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_until_it_says(self, words: str, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while words not in self.said:
            assert self.running, f"the worker ended: {self.said[-3000:]}"
            assert time.monotonic() < deadline, f"the worker never said {words!r}: {self.said[-3000:]}"
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_until_it_ends(self, timeout_s: float) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        if self.running:
            self.signal(signal.SIGKILL)
            self.wait_until_it_ends(10)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait_until_it_ends(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
