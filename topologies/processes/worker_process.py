"""A worker in a child process that is restarted when it dies and stopped within a time limit."""

import asyncio
import contextlib
import signal
import sys
from collections import deque
from collections.abc import Callable

from topologies.broker import exit_with_parent
from topologies.errors import DriftwireError
from topologies.private_files import UMASK
from topologies.processes.child_environment import child_environment

RESTARTS_MAX = 5
"""Maximum restarts of a worker within :data:`RESTARTS_WINDOW_S`."""

RESTARTS_WINDOW_S = 300.0
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 8.0

STOP_TIMEOUT_S = 12.0
"""Seconds from SIGTERM to SIGKILL. The worker's own time limit is shorter."""

LAST_LINES_MAX = 5
LINE_BYTES_MAX = 256 * 1024

READY_STATES = ("ready", "standby")
"""States that a worker prints after the name of its step. A standby is a worker without partitions."""


class WorkerError(DriftwireError):
    """A worker died too often."""


class WorkerProcess:
    """``driftwire worker`` in a child process that is restarted when it dies.

    Parameters
    ----------
    name
        Prefix of the worker's lines: the step, or a name such as ``detect-2`` for a second worker.
    step
        intake, http, detect, correlate or route.
    arguments
        Command line after ``driftwire worker STEP``.
    on_line
        Callback that receives every line of the worker with the prefix, and a line when the worker is restarted or
        killed.

    Attributes
    ----------
    ready
        Set while the worker has its partitions or is a standby.
    restarts
        Number of restarts.
    """

    def __init__(self, name: str, step: str, arguments: list[str], on_line: Callable[[str], None]) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.restarts = 0
        self._step = step
        self._arguments = arguments
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES_MAX)
        self._child: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """Process id of the worker, or None while it is not running."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    @property
    def last_lines(self) -> str:
        """The last lines that the worker has written, on one line."""
        return " / ".join(self._last_lines) or "none"

    async def run(self) -> None:
        """Run the worker until :meth:`stop`, and restart it when it dies.

        Raises
        ------
        WorkerError
            If the worker died more than :data:`RESTARTS_MAX` times within :data:`RESTARTS_WINDOW_S`. The message contains
            its last lines.
        """
        deaths: deque[float] = deque(maxlen=RESTARTS_MAX + 1)
        clock = asyncio.get_running_loop().time
        while True:
            status = await self._run_once()
            self.ready.clear()
            if self._is_stopping:
                return
            deaths.append(clock())
            recent = [died_at for died_at in deaths if clock() - died_at <= RESTARTS_WINDOW_S]
            report = f"worker {self.name} died ({_status_text(status)}); last lines: {self.last_lines}"
            if len(recent) > RESTARTS_MAX:
                raise WorkerError(f"{report}; it died {len(recent)} times and will not be restarted")
            pause_s = min(BACK_OFF_FIRST_S * 2 ** (len(recent) - 1), BACK_OFF_MAX_S)
            self._on_line(f"{report}; restarting it in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            self.restarts += 1

    async def stop(self, within_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the worker after a final checkpoint, or kill it after ``within_s`` seconds."""
        self._is_stopping = True
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
            # A suspended process receives SIGTERM only when it resumes.
            child.send_signal(signal.SIGCONT)
            try:
                async with asyncio.timeout(within_s):
                    await child.wait()
            except TimeoutError:
                self._on_line(f"worker {self.name} did not stop within {within_s:g} s; killing it")
                child.kill()
                await child.wait()

    async def _run_once(self) -> int:
        self._last_lines.clear()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "topologies.cli", "worker", self._step, *self._arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=child_environment() | {"PYTHONUNBUFFERED": "1"},
            umask=UMASK,
            limit=LINE_BYTES_MAX,
            # Ctrl-C must reach only the command, which stops the workers in order.
            start_new_session=True,
            preexec_fn=exit_with_parent(),
        )
        self._child = child
        try:
            await self._read_lines(child)
            return await child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            raise

    async def _read_lines(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101  stdout is a pipe, see above
        while True:
            try:
                raw = await child.stdout.readline()
            except ValueError:
                continue  # asyncio has dropped a line beyond the limit
            if not raw:
                return
            line = raw.decode(errors="replace").rstrip()
            if line in {f"{self._step}: {state}" for state in READY_STATES}:
                self.ready.set()
                continue
            if line.startswith(f"{self._step}: ready on "):
                self.ready.set()
            if line:
                self._last_lines.append(line)
                self._on_line(f"{self.name:<9} | {line}")


def _status_text(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
