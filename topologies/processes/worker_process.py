"""One worker as a child: started, listened to, started again when it dies, stopped with a time limit."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from topologies.broker import dies_with_parent
from topologies.errors import Failure

RESTARTS_MAX = 5
"""Restarts of one worker within :data:`RESTARTS_WINDOW_S` before it is given up."""

RESTARTS_WINDOW_S = 300.0
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 8.0

STOP_LIMIT_S = 12.0
"""Seconds from SIGTERM to SIGKILL; a worker's own limit is shorter."""

LAST_LINES = 5
LINE_BYTES_MAX = 256 * 1024

READY_WORDS = ("ready", "standby")
"""What a worker prints after its name when its partitions, or its place among the standbys, are assigned."""


class WorkerError(Failure):
    """A worker died too often."""


class WorkerChild:
    """A ``driftwire worker`` of its own process.

    Parameters
    ----------
    name
        What its lines are prefixed with: the step, or ``detect-2`` for a second one.
    step
        detect, correlate or route.
    arguments
        What follows on its command line.
    say
        Is given every line that it prints, with the prefix, and what happens to it.
    """

    def __init__(self, name: str, step: str, arguments: list[str], say: Callable[[str], None]) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.restarts = 0
        self._step = step
        self._arguments = arguments
        self._say = say
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def run(self) -> None:
        """Keep it running until :meth:`stop`.

        Raises
        ------
        WorkerError
            If it died more often than :data:`RESTARTS_MAX`, with its last lines.
        """
        deaths: deque[float] = deque(maxlen=RESTARTS_MAX + 1)
        clock = asyncio.get_running_loop().time
        while True:
            status = await self._live()
            self.ready.clear()
            if self._stopping:
                return
            deaths.append(clock())
            recent = [moment for moment in deaths if clock() - moment <= RESTARTS_WINDOW_S]
            words = f"worker {self.name} died ({_status_words(status)}); its last words: {self._last_words()}"
            if len(recent) > RESTARTS_MAX:
                raise WorkerError(f"{words} -- it died {len(recent)} times and is given up")
            pause_s = min(BACK_OFF_FIRST_S * 2 ** (len(recent) - 1), BACK_OFF_MAX_S)
            self._say(f"{words} -- starting it again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            self.restarts += 1

    async def stop(self, within_s: float = STOP_LIMIT_S) -> None:
        """Let it finish its checkpoint and end; by force after ``within_s``."""
        self._stopping = True
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
            # One that somebody paused hears SIGTERM only when it goes on.
            child.send_signal(signal.SIGCONT)
            try:
                async with asyncio.timeout(within_s):
                    await child.wait()
            except TimeoutError:
                self._say(f"worker {self.name} did not stop within {within_s:g} s and is ended")
                child.kill()
                await child.wait()

    async def _live(self) -> int:
        self._last.clear()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "topologies.cli", "worker", self._step, *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            limit=LINE_BYTES_MAX,
            # Ctrl-C is for the command, which stops the workers in order.
            start_new_session=True,
            preexec_fn=dies_with_parent(),
        )  # fmt: skip
        self._child = child
        try:
            await self._listen(child)
            return await child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            raise

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101  it was asked for above
        while True:
            try:
                raw = await child.stdout.readline()
            except ValueError:
                continue  # a line beyond the limit: asyncio has dropped it
            if not raw:
                return
            line = raw.decode(errors="replace").rstrip()
            if line in {f"{self._step}: {word}" for word in READY_WORDS}:
                self.ready.set()
            elif line:
                self._last.append(line)
                self._say(f"{self.name:<9} | {line}")

    def _last_words(self) -> str:
        return " / ".join(self._last) or "none"


def _status_words(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def worker_arguments(configuration_file: Path, *, replay: bool) -> list[str]:
    """The command line after ``driftwire worker STEP``."""
    return ["--config", str(configuration_file), *(["--replay"] if replay else [])]
