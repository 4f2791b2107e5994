"""Temporary topology for one run, in a folder that is removed when the run ends."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from schemas.baseline import Baseline
from topologies.baselines import publish_baseline
from topologies.configuration import Configuration
from topologies.processes import STEPS, Topology

TROUBLE_MARKS = (" WARNING driftwire", " ERROR driftwire", " CRITICAL ", "Error: ", " died ", "did not stop")
"""Strings that identify a worker's output line as a problem. Other lines, such as incident cards, are not printed."""

CLIENT_LOG_MARK = " aiokafka."
"""String that identifies a log line of the Kafka client. The client retries, and the worker logs final errors."""

Result = TypeVar("Result")


@asynccontextmanager
async def temporary_topology(
    configuration: Configuration,
    *,
    baselines: Sequence[Baseline] = (),
    workers: Sequence[str] = STEPS,
    replay: bool = True,
    folder: Path | None = None,
    console: Console | None = None,
) -> AsyncIterator[Topology]:
    """Run a topology whose baselines are published before its workers start.

    Parameters
    ----------
    configuration
        Configuration of broker and steps. The broker uses a free port.
    baselines
        Baselines that the workers use from the first record on.
    workers
        Steps to run.
    replay
        Whether the event time of the records is the only clock.
    folder
        Folder for the data. If None, a temporary folder is used and removed at the end.
    console
        Console for messages of the broker and problems of the workers. If None, nothing is printed.

    Raises
    ------
    DriftwireError
        If the topology cannot be started.
    """
    # Lines of other processes may contain brackets that are not markup.
    say: Callable[[str], None] = (
        (lambda _: None) if console is None else partial(console.print, markup=False, highlight=False, soft_wrap=True)
    )

    def print_problem(line: str) -> None:
        if CLIENT_LOG_MARK not in line and any(mark in line for mark in TROUBLE_MARKS):
            say(line)

    with tempfile.TemporaryDirectory(prefix="driftwire-") as temporary:
        data = folder or Path(temporary)
        async with Topology(configuration, data_folder=data, port=0, replay=replay, steps=(), on_line=say) as broker:
            for baseline in baselines:
                await publish_baseline(broker.cluster, baseline)
            steps = Topology(
                broker.configuration,
                data_folder=data,
                cluster=broker.cluster,
                replay=replay,
                steps=workers,
                on_line=print_problem,
            )
            async with steps:
                yield steps


async def run_against(topology: Topology, work: Awaitable[Result]) -> Result:
    """Run a coroutine against a topology. If the topology fails first, cancel the coroutine and raise the error."""
    working = asyncio.ensure_future(work)
    failing = asyncio.ensure_future(topology.wait_for_failure())
    try:
        await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await failing
        return await working
    finally:
        for task in (working, failing):
            task.cancel()
        await asyncio.gather(working, failing, return_exceptions=True)
