"""Worker processes that tests start, kill, suspend and continue."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.topologies.faults import VARIABLE

SESSION_TIMEOUT_S = 6.0
"""Seconds after which the partitions of a suspended worker move to another worker."""

_TROUBLE = re.compile(r"WARNING|ERROR|CRITICAL|Traceback")
_SLOW_KAFKA = re.compile(r"Kafka at \S+ (does not answer; waiting for it|answers again)| WARNING (aiokafka|faust|mode)")


def find_trouble(output: str) -> list[str]:
    """Return the lines with warnings and errors, without those about a slow Kafka, which a busy machine can cause."""
    return [line for line in output.splitlines() if _TROUBLE.search(line) and not _SLOW_KAFKA.search(line)]


class WorkerUnderTest:
    """One worker process whose output goes to a file. It can be started again after it died."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments = arguments
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str | None = None) -> None:
        """Start the process, optionally with a fault."""
        environment = os.environ | ({VARIABLE: fault} if fault else {})
        if not fault:
            environment.pop(VARIABLE, None)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._arguments], stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_for_output(self, text: str, timeout_s: float = 180.0) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.is_running, f"the worker ended: {self.output[-3000:]}"
            assert time.monotonic() < deadline, f"the worker never printed {text!r}: {self.output[-3000:]}"
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait_for_exit(self, timeout_s: float) -> int:
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not exit within {timeout_s:g} s: {self.output[-3000:]}") from None

    def kill(self) -> None:
        if self.is_running:
            self.signal(signal.SIGKILL)
            self.wait_for_exit(10)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait_for_exit(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
