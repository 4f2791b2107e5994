"""Incidents and messages to test route with."""

from collections.abc import Sequence
from typing import Any

from pipeline.route.delivery import Dispatch
from pipeline.route.group import Group
from pipeline.route.reasons import Reason
from pipeline.step import RawMessage
from schemas.command import Command
from schemas.incident import (
    Containment,
    Incident,
    IncidentStatus,
    LogEntry,
    ResponseTarget,
    Severity,
    SignalEvidence,
    Suspect,
)
from schemas.topics import ALERTS, COMMANDS

STARTED = 1_795_489_920_000  # 2026-11-24T03:12:00Z


def incident(**changes: Any) -> Incident:
    """A refusal spike after a prompt deployment, with changes."""
    fields: dict[str, Any] = {
        "incident_id": "inc-3f9a21c0b7",
        "revision": 1,
        "status": "open",
        "severity": "P3",
        "severity_rule": "quality_loss",
        "severity_reason": "users see the loss of quality, and the feature works",
        "failure_mode": "refusal_spike",
        "subject": "support-bot",
        "environment": "production",
        "title": "support-bot refuses 9.1 % of requests",
        "summary": (
            "support-bot refuses 9.1 % of requests, normally 1.0 %, since 03:12:00Z. Most likely cause: prompt "
            "v41 -> v42, deployed 03:11:40Z, 20 s before the start. First: roll back prompt to v41."
        ),
        "started_at": STARTED,
        "detected_at": STARTED + 41_000,
        "detection_gap_s": 41.0,
        "updated_at": STARTED + 41_000,
        "evidence": [evidence("refused")],
        "suspects": [suspect()],
        "containment": [
            Containment(
                rank=1, action="rollback", target="prompt v42 -> v41", reason="the newest change before the start"
            ),
            Containment(
                rank=2, action="kill_switch", target="support-bot", reason="off in five minutes, without a deployment"
            ),
        ],
        "response_targets": [
            ResponseTarget(name="classify", due_at=STARTED + 941_000, source="playbook: 15 minutes"),
            ResponseTarget(name="fix", due_at=STARTED + 86_441_000, source="playbook: one business day"),
        ],
        "runbook": "docs/runbooks/refusal_spike.md",
        "change": "opened",
        "log": [LogEntry(at=STARTED + 41_000, event="opened", text="refused left its baseline")],
    }
    return Incident(**(fields | changes))


def evidence(signal: str, **changes: Any) -> SignalEvidence:
    """A rate that rose from 1.0 % to 9.1 %, with changes."""
    fields: dict[str, Any] = {
        "drift_id": f"drift-{signal}",
        "signal": signal,
        "layer": "output",
        "channel": "rate",
        "side": "up",
        "tier": "page",
        "detector": "page_hinkley",
        "state": "firing",
        "normal": 0.01,
        "now": 0.091,
        "effect": 9.91,
        "effect_kind": "odds_ratio",
        "records": 2050,
        "started_at": STARTED,
        "detected_at": STARTED + 41_000,
        "measured_at": STARTED + 41_000,
        "sentence": f"{signal} rose",
    }
    return SignalEvidence(**(fields | changes))


def suspect(**changes: Any) -> Suspect:
    """The prompt deployment, with changes."""
    fields: dict[str, Any] = {
        "rank": 1,
        "kind": "prompt",
        "name": "prompt",
        "score": 0.93,
        "reason": "deployed 20 s before the start",
        "deployment_id": "deploy-77",
        "from_version": "v41",
        "to_version": "v42",
        "at": STARTED - 20_000,
    }
    return Suspect(**(fields | changes))


def alert(revision: Incident, offset: int = 0) -> RawMessage:
    """The message that carries an incident revision."""
    return RawMessage(ALERTS, 0, offset, STARTED, revision.incident_id.encode(), revision.to_json())


def group_message(
    *news: Incident,
    unchanged: Sequence[Incident] = (),
    others: Sequence[tuple[Severity, IncidentStatus]] = (),
    reference: str = "",
) -> Dispatch:
    """The message of the group of support-bot, about new incidents, with the other open ones."""
    reason, group = Reason("first_notification", "new to the receiver"), Group("all", (("subject", "support-bot"),))
    dispatches = [Dispatch(one, "chat", "all", reason, alert(one), STARTED, group=group) for one in news]
    return Dispatch.join(dispatches, unchanged, others, reference, STARTED)


def silence(offset: int = 0, **changes: Any) -> RawMessage:
    """A command that silences support-bot for an hour, with changes."""
    fields: dict[str, Any] = {
        "command_id": "silence-1",
        "at": STARTED,
        "author": "ana",
        "action": "silence",
        "matchers": ['subject="support-bot"'],
        "until": STARTED + 3_600_000,
    }
    command = Command(**(fields | changes))
    return RawMessage(COMMANDS, 0, offset, STARTED, command.command_id.encode(), command.to_json())
