"""The change freeze: during an incident nothing is to be deployed to what it is about but its rollback."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pipeline.correlate.causes import Diagnosis
from pipeline.correlate.deployments import describe_change
from pipeline.correlate.incidents import IncidentState
from schemas.deployment import Deployment
from schemas.incident import LogEntry, Severity
from schemas.timestamp import clock_time

BREAKS_MAX = 20
"""Deployments that an incident names as breaking its freeze, the newest."""


@dataclass(frozen=True, slots=True)
class ChangeFreeze:
    """Whether changes are to wait, and which did not."""

    state: Literal["on", "broken", "off"]
    broken_by: list[Deployment]

    @property
    def sentence(self) -> str:
        """The newest break, for a summary; empty if there is none, or if nothing is frozen any more."""
        if self.state != "broken":
            return ""
        newest = self.broken_by[-1]
        rest = len(self.broken_by) - 1
        more = f", and {rest} more before it" if rest else ""
        return f"Change freeze broken: {_named(newest)} was deployed at {clock_time(newest.timestamp)}{more}."


def decide_freeze(facts: IncidentState, severity: Severity, found: Diagnosis, frozen: Sequence[str]) -> ChangeFreeze:
    """The freeze of an incident.

    Parameters
    ----------
    facts, severity, found
        Of the incident.
    frozen
        The severities at which changes are to wait.
    """
    if severity not in frozen:
        return ChangeFreeze("off", [])
    newest = islice((each for each in reversed(found.later) if breaks_freeze(each, facts, found)), BREAKS_MAX)
    broken_by = list(newest)[::-1]
    if facts.status not in ("open", "acknowledged"):
        return ChangeFreeze("off", broken_by)
    return ChangeFreeze("broken" if broken_by else "on", broken_by)


def breaks_freeze(deployment: Deployment, facts: IncidentState, found: Diagnosis) -> bool:
    """Whether a deployment since the detection should have waited.

    A rollback need not wait, nor the kill switch, nor what is deployed once the harm is contained; and a provider's status
    is nothing that anybody here deployed.
    """
    if deployment.kind == "provider_status" or deployment in (found.rollback, found.switched_off):
        return False
    return not facts.was_contained(deployment.timestamp) and deployment.deployment_id not in found.taken_back


def deployment_log_line(deployment: Deployment, found: Diagnosis, frozen: ChangeFreeze) -> LogEntry:
    """The line of the running log that tells of a deployment since the detection."""
    at, back, named = deployment.timestamp, found.taken_back.get(deployment.deployment_id), _named(deployment)
    if back is not None:
        return LogEntry(at=at, event="rollback", text=f"rolled back: {named} takes back {back}")
    if deployment == found.rollback:
        return LogEntry(at=at, event="rollback", text=f"rolled back: {named}")
    if deployment == found.switched_off:
        return LogEntry(at=at, event="kill_switch", text=f"switched off: {named}")
    if deployment in frozen.broken_by:
        text = "was deployed into the open incident and is not its rollback: hold other changes until it is resolved"
        return LogEntry(at=at, event="deployment", text=f"{named} {text}")
    text = "was told" if deployment.kind == "provider_status" else "was deployed"
    return LogEntry(at=at, event="deployed", text=f"{named} {text}")


def _named(deployment: Deployment) -> str:
    changed, name = describe_change(deployment), deployment.deployment_id
    return changed if f"({name})" in changed else f"{changed} ({name})"
