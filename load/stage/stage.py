"""The stage: a topology of a run's own, in a temporary folder, that is gone when the run is over."""

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

TROUBLE = (" WARNING driftwire", " ERROR driftwire", " CRITICAL ", "Error: ", " died ", "did not stop")
"""What marks a worker's line as worth showing during a run; cards and progress are the run's own business."""

NOISE = " aiokafka."
"""The Kafka client's own log: it tries again by itself, and what it gives up on the worker tells."""

Result = TypeVar("Result")


@asynccontextmanager
async def stage(
    configuration: Configuration,
    *,
    baselines: Sequence[Baseline] = (),
    workers: Sequence[str] = STEPS,
    replay: bool = True,
    folder: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> AsyncIterator[Topology]:
    """A running topology with baselines published before its workers start.

    Parameters
    ----------
    configuration
        Of broker and steps; the broker takes a free port.
    baselines
        What the workers know from their first record on.
    workers
        The steps to run.
    replay
        Whether the only clock is that of the records.
    folder
        Where to keep the data; None takes a temporary folder that is removed at the end.
    say
        Is given what the broker announces, and the workers' lines that tell of trouble.

    Raises
    ------
    DriftwireError
        In one line, if it cannot be started.
    """
    tell = say or (lambda _: None)

    def only_trouble(line: str) -> None:
        if NOISE not in line and any(mark in line for mark in TROUBLE):
            tell(line)

    with tempfile.TemporaryDirectory(prefix="driftwire-") as temporary:
        data = folder or Path(temporary)
        async with Topology(configuration, data_folder=data, port=0, replay=replay, steps=(), on_line=tell) as broker:
            for baseline in baselines:
                await publish_baseline(broker.bootstrap, baseline)
            steps = Topology(
                broker.configuration,
                data_folder=data,
                bootstrap=broker.bootstrap,
                replay=replay,
                steps=workers,
                on_line=only_trouble,
            )
            async with steps:
                yield steps


def plainly(console: Console) -> Callable[[str], None]:
    """Print lines of others as they are: nothing in them is a colour."""
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


async def unless_it_fails(topology: Topology, work: Awaitable[Result]) -> Result:
    """Do the work; if the topology dies before it is done, raise what it died of."""
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
