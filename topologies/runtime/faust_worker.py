"""Faust worker that stops within a time limit and has no banner, web server or spinner."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

import faust

from topologies.logs import configure_logging
from topologies.runtime.garbage_collection import freeze_modules

STOP_TIMEOUT_S = 10.0
"""Seconds from SIGTERM or Ctrl-C until a hung worker is killed. Its state is in Kafka."""

EXIT_HUNG = 3

logger = logging.getLogger(__name__)

_has_failed = threading.Event()


class _FaustWorker(faust.Worker):
    def _install_signal_handlers_unix(self) -> None:
        # These are not handlers of the event loop, because the loop may hang.
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, _: FrameType | None) -> None:
        timer = threading.Timer(STOP_TIMEOUT_S, _exit_hung)
        timer.daemon = True
        timer.start()
        self.loop.call_soon_threadsafe(self._schedule_shutdown, signal.Signals(number))


def run_worker(app: faust.App, start: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run an application until SIGTERM or Ctrl-C, then exit this process with status 0, or 1 if it failed.

    Parameters
    ----------
    app
        The application.
    start
        Coroutine function that is called first, in the event loop of the application.

    Raises
    ------
    SystemExit
        Always. The code is the exit status.
    """
    configure_logging()
    freeze_modules()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if start is not None:
        loop.run_until_complete(start())
    worker = _FaustWorker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as error:
        # After a crash the code is an error message of Faust, which is already in the log.
        sys.exit(1 if _has_failed.is_set() or error.code not in (0, None) else 0)


def stop_failed_worker() -> None:
    """Stop the running application as SIGTERM does, but with exit status 1."""
    if not _has_failed.is_set():
        _has_failed.set()
        signal.raise_signal(signal.SIGTERM)


def _exit_hung() -> None:
    logger.error(
        "the worker did not stop within %.0f s and exits now; the next owner continues from the last checkpoint",
        STOP_TIMEOUT_S,
    )
    os._exit(EXIT_HUNG)
