"""Faults that a worker can be started with: it kills itself with SIGKILL between two writes of a checkpoint."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from topologies.runtime.checkpoint import Checkpoints

VARIABLE = "DRIFTWIRE_TEST_FAULT"
"""The environment variable that names the fault: ``after_outputs:3`` dies in the third checkpoint with outputs."""

STAGES = {
    "after_outputs": "_send_outputs",
    "after_state": "_send_state",
    "after_offsets": "_send_offsets",
}


def install_from_environment() -> None:
    """Install the fault that the environment names, if any."""
    fault = os.environ.get(VARIABLE)
    if fault:
        stage, count = fault.split(":")
        _install(STAGES[stage], int(count))


def _install(method: str, count: int) -> None:
    write_outputs: Callable[..., Awaitable[None]] = Checkpoints._send_outputs
    original: Callable[..., Awaitable[None]] = getattr(Checkpoints, method)
    left = count
    with_outputs = False

    async def noting(self: Checkpoints, outputs: Any) -> None:
        nonlocal with_outputs
        with_outputs = bool(outputs)
        await write_outputs(self, outputs)

    async def dying(self: Checkpoints, *arguments: Any) -> None:
        nonlocal left
        if method == "_send_outputs":
            await noting(self, *arguments)
        else:
            await original(self, *arguments)
        if with_outputs:
            left -= 1
        if left <= 0:
            await self._producer.flush()  # what was written so far must have reached the broker
            os.kill(os.getpid(), signal.SIGKILL)

    Checkpoints._send_outputs = noting  # type: ignore[method-assign]
    setattr(Checkpoints, method, dying)
