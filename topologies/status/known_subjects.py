"""Subjects whose records detect has read, to find misspelt subjects of deployments."""

import asyncio
from collections.abc import Collection

from pipeline.detect.partition_summary import find_subjects, is_needed
from pipeline.wording import similar_name
from topologies.errors import DriftwireError
from topologies.kafka import Cluster
from topologies.step_state import read_step_state

READ_MAX_S = 5.0
"""Maximum seconds for which the state of detect is read. A fleet of thousands of subjects may take longer."""


async def find_unseen_subjects(cluster: Cluster, subjects: Collection[str]) -> list[str]:
    """Return one sentence per subject of which detect has read no records, with the most similar known subject.

    The list is empty if the state of detect cannot be read in time, or if there is none yet.
    """
    try:
        async with asyncio.timeout(READ_MAX_S):
            states = await read_step_state(cluster, "detect", is_needed=is_needed)
    except (DriftwireError, TimeoutError):
        return []
    known = set().union(*(find_subjects(state.parts) for state in states.values()))
    if not known:
        return []
    return [_describe(subject, known) for subject in subjects if subject not in known]


def _describe(subject: str, known: Collection[str]) -> str:
    similar = similar_name(subject, sorted(known))
    hint = "check the name with driftwire status" if similar is None else f'did you mean "{similar}"?'
    return f'detect has read no records of "{subject}" yet; {hint}'
