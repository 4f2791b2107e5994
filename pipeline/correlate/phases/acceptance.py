"""Accepted incidents: the requests to take what moved as normal and to learn it again."""

import hashlib

from pipeline.correlate.incidents import IncidentState
from pipeline.step import OutputMessage
from schemas.command import Command
from schemas.drift import Drift
from schemas.relearn import AcceptedLevel, Relearn
from schemas.topics import BASELINES

NOT_LEARNED = ("first_seen", "limit", "silence")
"""Detectors whose drifts have no level that could be learned."""


def accept_outputs(command: Command, incident: IncidentState) -> list[OutputMessage]:
    """Return the requests that an accepted incident causes: one per subject with a signal that still fires.

    Parameters
    ----------
    command
        The command ``accept``, which has been applied.
    incident
        The combined state of the incident and its members. The levels are those that were last published, because a
        person has seen them.
    """
    firing: dict[str, list[Drift]] = {}
    for tracked in incident.tracked.values():
        if tracked.newest.state != "recovered" and tracked.newest.detector not in NOT_LEARNED:
            firing.setdefault(tracked.newest.subject, []).append(tracked.published)
    requests = [_build_request(command, subject, drifts) for subject, drifts in sorted(firing.items())]
    return [
        OutputMessage(BASELINES, f"{request.subject}/{request.relearn_id}".encode(), request.to_json())
        for request in requests
    ]


def _build_request(command: Command, subject: str, drifts: list[Drift]) -> Relearn:
    # An id of a command may be as long as a label. Its hash leaves room for the prefix.
    digest = hashlib.blake2b(f"{command.command_id}\n{subject}".encode(), digest_size=8).hexdigest()
    return Relearn(
        relearn_id=f"accept-{digest}",
        subject=subject,
        # No action is earlier than what it is about.
        at=max(command.at, *(drift.detected_at for drift in drifts)),
        signals=sorted({drift.signal for drift in drifts}),
        accepted=[
            AcceptedLevel(
                signal=drift.signal,
                segment=drift.segment,
                channel=drift.channel,
                side=drift.side,
                normal=drift.normal,
                now=drift.now,
                records=max(0, drift.records),
                started_at=drift.started_at,
            )
            for drift in drifts
        ],
        reason="accepted",
        requested_by=command.author,
    )
