"""Temporary topology for one run, in a folder that is removed when the run ends."""

import asyncio
import secrets
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
from topologies.kafka import Cluster
from topologies.processes import STEPS, Topology

TROUBLE_MARKS = (" WARNING driftwire", " ERROR driftwire", " CRITICAL ", "Error: ", " died ", "did not stop")
"""Strings that identify a worker's output line as a problem. Other lines, such as incident cards, are not printed."""

WORKER_LINE_MARK = " | "
"""String between the name of a worker and its output line."""

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

    The topology is private. It has its own broker, consumer groups and transactions, and ignores driftwire's
    environment variables. It does not start if another Kafka answers at the address of its broker.

    Parameters
    ----------
    configuration
        Configuration of the steps. The broker uses a free port, and the names of groups and transactions are new.
    baselines
        Baselines that the workers use from the first record.
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

    def print_line(line: str) -> None:
        if WORKER_LINE_MARK not in line or any(mark in line for mark in TROUBLE_MARKS):
            say(line)

    async def publish_baselines(cluster: Cluster) -> None:
        for baseline in baselines:
            await publish_baseline(cluster, baseline)

    kafka = configuration.kafka.model_copy(update={"app_id": f"private-{secrets.token_hex(4)}"})
    configuration = configuration.model_copy(update={"kafka": kafka})
    with tempfile.TemporaryDirectory(prefix="driftwire-") as temporary:
        topology = Topology(
            configuration,
            data_folder=folder or Path(temporary),
            port=0,
            replay=replay,
            steps=workers,
            on_line=print_line,
            before_workers=publish_baselines,
        )
        async with topology:
            yield topology


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
