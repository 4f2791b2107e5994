"""The change freeze: during an incident, only its rollback may be deployed to the affected systems."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

from pipeline.correlate.causes import Diagnosis
from pipeline.correlate.deployments import DeploymentHistory, describe_change
from pipeline.correlate.incidents import IncidentState
from schemas.deployment import Deployment
from schemas.incident import LogEntry, Severity
from schemas.timestamp import clock_time


@dataclass(frozen=True, slots=True)
class ChangeFreeze:
    """State of the change freeze, and the deployments that broke it."""

    BREAKS_MAX: ClassVar[int] = 20
    """Maximum number of listed deployments that broke an incident's freeze, newest first."""

    state: Literal["on", "broken", "off"]
    broken_by: list[Deployment]

    @classmethod
    def decide(
        cls, incident: IncidentState, severity: Severity, diagnosis: Diagnosis, frozen: Sequence[str]
    ) -> "ChangeFreeze":
        """Return the freeze of an incident. ``frozen`` are the severities that freeze changes."""
        if severity not in frozen:
            return cls("off", [])
        newest_first = reversed(diagnosis.later_deployments)
        breaks = (deployment for deployment in newest_first if breaks_freeze(deployment, incident, diagnosis))
        broken_by = list(islice(breaks, cls.BREAKS_MAX))[::-1]
        if incident.status not in ("open", "acknowledged"):
            return cls("off", broken_by)
        return cls("broken" if broken_by else "on", broken_by)

    @property
    def sentence(self) -> str:
        """Sentence about the newest break, for a summary. It is empty if there is no break or no freeze."""
        if self.state != "broken":
            return ""
        newest = self.broken_by[-1]
        rest = len(self.broken_by) - 1
        more = f", and {rest} more before it" if rest else ""
        return f"Change freeze broken: {_describe(newest)} was deployed at {clock_time(newest.timestamp)}{more}."

    def log_line(self, deployment: Deployment, diagnosis: Diagnosis) -> LogEntry:
        """Return the running-log line for a deployment after the detection."""
        at, change = deployment.timestamp, _describe(deployment)
        reverted_id = diagnosis.reverted_ids.get(DeploymentHistory.key(deployment))
        if reverted_id is not None:
            return LogEntry(at=at, event="rollback", text=f"rolled back: {change} reverts {reverted_id}")
        if deployment == diagnosis.rollback:
            return LogEntry(at=at, event="rollback", text=f"rolled back: {change}")
        if deployment == diagnosis.kill_switch_use:
            return LogEntry(at=at, event="kill_switch", text=f"switched off: {change}")
        if deployment in self.broken_by:
            text = (
                f"{change} was deployed during the open incident and is not its rollback: hold other changes until the "
            )
            return LogEntry(at=at, event="deployment", text=f"{text}incident is resolved")
        verb = "was reported" if deployment.kind == "provider_status" else "was deployed"
        return LogEntry(at=at, event="deployed", text=f"{change} {verb}")


def breaks_freeze(deployment: Deployment, incident: IncidentState, diagnosis: Diagnosis) -> bool:
    """Return whether a deployment after the detection should have waited.

    Rollbacks, uses of the kill switch, and deployments after containment do not have to wait. Status changes of a
    provider are not your own deployments.
    """
    if deployment.kind == "provider_status" or deployment in (diagnosis.rollback, diagnosis.kill_switch_use):
        return False
    is_rollback = DeploymentHistory.key(deployment) in diagnosis.reverted_ids
    return not is_rollback and not incident.was_contained(deployment.timestamp)


def _describe(deployment: Deployment) -> str:
    change, deployment_id = describe_change(deployment), deployment.deployment_id
    return change if f"({deployment_id})" in change else f"{change} ({deployment_id})"
