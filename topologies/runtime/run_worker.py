"""Runs one worker in this process until it is told to stop: Faust's own worker, without its banner, web or spinner."""

import asyncio
import logging
import os
import signal
import sys
import threading
from types import FrameType

import faust

from topologies.runtime.logs import set_up_logging

STOP_LIMIT_S = 10.0
"""Seconds after SIGTERM or Ctrl-C within which a worker is gone, whatever still hangs; its state is safe in Kafka."""

EXIT_HUNG = 3

logger = logging.getLogger(__name__)


class _Worker(faust.Worker):
    def _install_signal_handlers_unix(self) -> None:
        # Not the event loop's handlers: the loop may be what hangs.
        signal.signal(signal.SIGINT, self._stop_soon)
        signal.signal(signal.SIGTERM, self._stop_soon)

    def _stop_soon(self, number: int, _: FrameType | None) -> None:
        limit = threading.Timer(STOP_LIMIT_S, _give_up)
        limit.daemon = True
        limit.start()
        self.loop.call_soon_threadsafe(self._schedule_shutdown, signal.Signals(number))


def run_worker(app: faust.App) -> None:
    """Run an application until SIGTERM or Ctrl-C, then leave this process: status 0, or 1 if it failed.

    Raises
    ------
    SystemExit
        Always, with the status.
    """
    set_up_logging()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(app, loop=loop, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as leaving:
        # Faust leaves with words of its own after a crash: the log has told it already.
        sys.exit(0 if leaving.code in (0, None) else 1)


def _give_up() -> None:
    logger.error("the worker did not stop within %.0f s and is ended: its last checkpoint stands", STOP_LIMIT_S)
    os._exit(EXIT_HUNG)
