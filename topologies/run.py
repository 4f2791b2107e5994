"""Runs one worker in this process until it is told to stop: Faust's own worker, without its banner, web or spinner."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time

import faust

STOP_LIMIT_S = 10.0
"""Seconds after SIGTERM or Ctrl-C within which a worker is gone, whatever still hangs; its state is safe in Kafka."""

EXIT_HUNG = 3

QUIET = ("faust", "mode", "aiokafka")
"""Loggers of which only warnings are shown."""

logger = logging.getLogger(__name__)


class _Worker(faust.Worker):
    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        # A thread, because the event loop may be what hangs.
        limit = threading.Timer(STOP_LIMIT_S, _give_up)
        limit.daemon = True
        limit.start()
        super()._schedule_shutdown(signal)


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
    try:
        worker.execute_from_commandline()
    except SystemExit as leaving:
        # Faust leaves with words of its own after a crash: the log has told it already.
        sys.exit(0 if leaving.code in (0, None) else 1)


def set_up_logging() -> None:
    """Log to standard error, one line an event, times in UTC."""
    stream = logging.StreamHandler(sys.stderr)
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = _utc
    stream.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[stream], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _utc(seconds: float | None) -> time.struct_time:
    return time.gmtime(seconds)


def _give_up() -> None:
    logger.error("the worker did not stop within %.0f s and is ended: its last checkpoint stands", STOP_LIMIT_S)
    os._exit(EXIT_HUNG)
