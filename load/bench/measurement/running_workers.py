"""Workers of a run: real ``driftwire worker`` processes against a Kafka that runs already."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from topologies.configuration import Configuration
from topologies.processes import Topology

SEARCH_PATH = "PYTHONPATH"

READY_TIMEOUT_S = 600.0
"""Maximum seconds until the workers are ready. A new worker checks the baseline of each subject of a fleet first."""


@asynccontextmanager
async def running_workers(
    configuration: Configuration,
    folder: Path,
    *,
    steps: Sequence[str] = ("detect",),
    checkout: Path | None = None,
    replay: bool = False,
) -> AsyncIterator[Topology]:
    """Run workers until the block ends, which stops them after a last checkpoint.

    Parameters
    ----------
    configuration
        Configuration with the address of Kafka.
    folder
        Folder for the configuration file.
    steps
        Steps to run, one worker per item.
    checkout
        Folder with the sources of another version, whose workers run instead. Its configuration must accept the
        settings that differ from their defaults.
    replay
        Whether the event time of the records is the only clock.

    Raises
    ------
    DriftwireError
        If a worker cannot be started.
    """
    topology = Topology(
        configuration,
        data_folder=folder,
        cluster=configuration.kafka.cluster,
        steps=steps,
        replay=replay,
        ready_timeout_s=READY_TIMEOUT_S,
    )
    with _search_path(checkout):
        await topology.start()
    try:
        yield topology
    finally:
        await topology.stop()


@contextlib.contextmanager
def _search_path(checkout: Path | None) -> Iterator[None]:
    """Let child processes that start inside the block import from another checkout."""
    if checkout is None:
        yield
        return
    before = os.environ.get(SEARCH_PATH)
    os.environ[SEARCH_PATH] = f"{checkout}{os.pathsep}{checkout / 'client'}"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SEARCH_PATH]
        else:
            os.environ[SEARCH_PATH] = before
