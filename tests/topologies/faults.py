"""Faults with which a worker can be started: it kills itself with SIGKILL between two writes of a checkpoint."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from topologies.runtime.checkpoint import Checkpoints

VARIABLE = "DRIFTWIRE_TEST_FAULT"
"""Environment variable of the fault. ``after_outputs:3`` means: die in the third checkpoint that has outputs."""

STAGES = {
    "after_outputs": "_send_outputs",
    "after_state": "_send_state",
    "after_offsets": "_send_offsets",
}


def install_from_environment() -> None:
    """Install the fault from the environment, if there is one."""
    fault = os.environ.get(VARIABLE)
    if fault:
        stage, count = fault.split(":")
        _install(STAGES[stage], int(count))


def _install(method: str, count: int) -> None:
    send_outputs: Callable[..., Awaitable[None]] = Checkpoints._send_outputs
    original: Callable[..., Awaitable[None]] = getattr(Checkpoints, method)
    checkpoints_left = count
    has_outputs = False

    async def send_and_note_outputs(self: Checkpoints, outputs: Any) -> None:
        nonlocal has_outputs
        has_outputs = bool(outputs)
        await send_outputs(self, outputs)

    async def send_and_die(self: Checkpoints, *arguments: Any) -> None:
        nonlocal checkpoints_left
        if method == "_send_outputs":
            await send_and_note_outputs(self, *arguments)
        else:
            await original(self, *arguments)
        if has_outputs:
            checkpoints_left -= 1
        if checkpoints_left <= 0:
            await self._producer.flush()  # so that everything written so far reaches the broker
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoints._send_outputs = send_and_note_outputs  # type: ignore[method-assign]
    setattr(Checkpoints, method, send_and_die)
