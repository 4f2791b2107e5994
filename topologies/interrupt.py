"""Handling of Ctrl-C and SIGTERM in commands that run until they are stopped."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Run a coroutine to completion. Cancel it at the first SIGINT or SIGTERM, and ignore later signals.

    Returns
    -------
    bool
        True if a signal interrupted the coroutine.
    """
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> bool:
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
    return interrupted
