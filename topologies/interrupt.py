"""Ctrl-C and SIGTERM for commands that run until they are stopped."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Run ``work`` to its end. Cancel it at the first SIGINT or SIGTERM, and ignore later ones during its clean-up.

    Returns
    -------
    bool
        Whether it was interrupted.
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
