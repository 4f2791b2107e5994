"""Subjects of deployments of which detect has read no records: a misspelt subject is named in the log."""

import asyncio
import logging
from collections.abc import Iterable

import orjson

from pipeline.step import OutputMessage
from schemas.topics import DEPLOYMENTS
from topologies.kafka import Cluster
from topologies.status import find_unseen_subjects

PAUSE_S = 60.0
"""Seconds between two reads of detect's state, which can be large."""

WAITING_MAX = 1_000
"""Maximum number of subjects that wait for the next read. Further subjects are not checked."""

logger = logging.getLogger("driftwire")


class UnseenSubjects:
    """A check of the subjects of deployments that were written. It runs in the background and delays no request.

    Parameters
    ----------
    cluster
        The cluster with the state of detect.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def check(self, outputs: Iterable[OutputMessage]) -> None:
        """Check the subjects of deployments among the messages of a request, soon."""
        for output in outputs:
            if output.topic == DEPLOYMENTS and len(self._waiting) < WAITING_MAX:
                subject = orjson.loads(output.value or b"{}").get("subject")
                if subject is not None:
                    self._waiting.add(subject)
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the check."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            subjects, self._waiting = self._waiting, set()
            for warning in await find_unseen_subjects(self._cluster, sorted(subjects)):
                logger.warning("http: a deployment was written, but %s", warning)
            await asyncio.sleep(PAUSE_S)
        self._task = None
