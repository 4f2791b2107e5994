"""Workers as child processes that faults kill, suspend and restart. A worker that ends by itself is restarted."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from topologies.broker import exit_with_parent

FULL_DEVICE = Path("/dev/full")
"""Device on which every write fails because the disk is full. Linux and FreeBSD have it."""

JUMPING_CLOCK = "load.chaos.jumping_clock"

LOG_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ", re.MULTILINE)
"""Time at the beginning of a log line."""

RESTART_DELAY_S = 1.0
STOP_TIMEOUT_S = 15.0
"""Seconds after SIGTERM at which a worker counts as stuck. The worker's own limit is shorter."""


class ChaosWorker:
    """One worker process. Its name is its client id in Kafka, so the observers know who owns a partition.

    Parameters
    ----------
    name
        Name of the worker.
    step
        detect, correlate or route.
    arguments
        Command line after ``driftwire worker STEP``.
    folder
        Folder of the log and the clock file.

    Attributes
    ----------
    is_busy
        True while a fault disturbs the worker.
    is_permanent
        True if the worker runs for the whole run.
    """

    def __init__(self, name: str, step: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.step = step
        self.is_busy = False
        self.is_permanent = True
        self.log_path = folder / f"{name}.log"
        self._arguments = arguments
        self._clock_path = folder / f"{name}.clock"
        self._process: subprocess.Popen[bytes] | None = None
        self.set_clock(0)

    @property
    def is_running(self) -> bool:
        """True while the process exists, even if it is suspended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the last process, or None."""
        return None if self._process is None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status of the last process, or None."""
        return None if self._process is None else self._process.poll()

    def start(self, log_path: Path | None = None) -> None:
        """Start the process. Its output goes to the log or to another file."""
        with (log_path or self.log_path).open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    JUMPING_CLOCK,
                    str(self._clock_path),
                    "worker",
                    self.step,
                    *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=exit_with_parent(),  # noqa: PLW1509  it makes one system call and takes no lock
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process. Do nothing if it has ended."""
        if self._process is not None and self.is_running:
            self._process.send_signal(number)

    async def kill(self) -> bool:
        """Kill the process with SIGKILL. Return False if it had already ended on its own."""
        self.signal(signal.SIGKILL)
        await self._wait()
        return self.exit_status == -signal.SIGKILL

    async def stop(self) -> bool:
        """Stop the process with SIGTERM. Return False if it was killed because it did not end in time."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._wait()
            return True
        await self.kill()
        return False

    def set_clock(self, offset_s: int) -> None:
        """Set the difference between the process's wall clock and the real clock, in seconds."""
        self._clock_path.write_text(f"{offset_s:+d}\n")

    def read_log(self) -> str:
        """Return the output of all processes of this worker."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def last_line(self) -> str:
        """Return the last line of the log."""
        return next((line for line in reversed(self.read_log().splitlines()) if line.strip()), "")

    def log_clock_offset_s(self) -> float:
        """Return the seconds between the modification time of the log and the time in its last line."""
        times = LOG_TIME.findall(self.read_log())
        if not times:
            return 0.0
        return datetime.fromisoformat(times[-1]).timestamp() - self.log_path.stat().st_mtime

    async def _wait(self) -> None:
        while self.is_running:  # noqa: ASYNC110  subprocess.Popen can only be polled
            await asyncio.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        # The environment may name a live cluster.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTWIRE_")}
        return environment | {"PYTHONUNBUFFERED": "1", "BROKER_CLIENT_ID": self.name}


class Fleet:
    """The workers of a run.

    Attributes
    ----------
    workers
        Workers by name.
    deaths
        One line per worker that ended by itself.
    """

    def __init__(self, configuration: Path, folder: Path) -> None:
        self.workers: dict[str, ChaosWorker] = {}
        self.deaths: list[str] = []
        self._configuration = configuration
        self._folder = folder
        self._joined = 0

    def add(self, step: str, number: int | None = None) -> ChaosWorker:
        """Start another worker of a step. A worker without a number is busy, because a fault will stop it."""
        self._joined += 1
        name = f"chaos-{step}-{number if number is not None else f'joined{self._joined}'}"
        # The route step has no clock, and in a replay it would send nothing to webhooks.
        arguments = ["--config", str(self._configuration), *([] if step == "route" else ["--replay"])]
        worker = ChaosWorker(name, step, arguments, self._folder)
        worker.is_busy = number is None
        worker.is_permanent = number is not None
        self.workers[name] = worker
        worker.start()
        return worker

    def of_step(self, step: str) -> list[ChaosWorker]:
        """Return the workers of a step."""
        return [worker for worker in self.workers.values() if worker.step == step]

    async def supervise(self) -> None:
        """Restart workers that end by themselves, until cancelled."""
        while True:
            await asyncio.sleep(RESTART_DELAY_S)
            for worker in list(self.workers.values()):
                if not worker.is_busy and not worker.is_running:
                    self.deaths.append(f"{worker.name} ended with status {worker.exit_status}: {worker.last_line()}")
                    worker.start()

    async def stop(self) -> list[str]:
        """Stop all workers. Return the names of the workers that did not stop in time."""
        workers = list(self.workers.values())
        stopped = await asyncio.gather(*(worker.stop() for worker in workers))
        return [worker.name for worker, is_stopped in zip(workers, stopped, strict=True) if not is_stopped]

    async def kill(self) -> None:
        """Kill all workers."""
        await asyncio.gather(*(worker.kill() for worker in self.workers.values()))

    def find_tracebacks(self) -> list[str]:
        """Return the last line of each traceback in the logs, with the name of the worker."""
        return [
            f"{worker.name}: {match[1]}"
            for worker in self.workers.values()
            for match in re.finditer(
                r"^Traceback.*?^(\w[\w.]*(?:Error|Exception|Exit)\b.*?)$", worker.read_log(), re.MULTILINE | re.DOTALL
            )
        ]
