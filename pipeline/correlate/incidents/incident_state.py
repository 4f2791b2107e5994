"""State of an incident: its drifts and people's actions. All published content is computed from this state."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any, get_args

from pipeline.correlate.incidents.membership import Membership, ScopeKind, SharedScope
from pipeline.correlate.incidents.running_log import newest_lines, shorten
from pipeline.correlate.incidents.tracked import TrackedDrift
from pipeline.correlate.playbook import Family, failure_modes
from pipeline.correlate.severity import SeverityDecision, is_worse
from schemas.command import Action
from schemas.drift import Drift
from schemas.incident import Audience, Incident, IncidentStatus, LogEntry, Resolution, Role, Severity
from schemas.record import SUBJECT_LENGTH_MAX

HELD_SEVERITIES: tuple[Severity, ...] = ("P4",)
"""Severities of an incident whose first revision waits for more evidence."""

CONTAINED_PERIODS_MAX = 20
"""Maximum number of past containment periods per incident. Older periods are dropped."""


@dataclass(frozen=True, slots=True)
class Classification:
    """Severity that a person assigned."""

    severity: Severity
    at: int
    author: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Reminder:
    """Log line about an overdue target: the target's due time, and the time and text of the line."""

    name: str
    due_at: int
    at: int
    text: str


@dataclass(slots=True)
class IncidentState:
    """State of one incident. Times are event time, Unix ms.

    Attributes
    ----------
    opened_by
        Id of the drift that opened the incident.
    decision, decided_at
        Decision of the severity rules, and time at which the severity last rose to at least this level.
    clock
        Time of the newest report about any drift of the subject.
    first_started_at, family
        Start and failure family of the first page-tier drift.
    partitions
        Partitions of the records topic that the drifts came from.
    tracked
        Drifts of the incident, keyed by id.
    pending_downgrade
        Time at which the rules began to give a lower severity than the decision, and the worst severity since that
        time.
    log
        Running log, without deployments and reminders.
    communicated, first_communicated_at
        Time of the newest communication to each audience, and time of the first communication to leadership.
    mitigated_at, reopened_at
        Time at which a person last mitigated or reopened the incident.
    contained_periods
        Past periods in which the harm was contained.
    closed_by, resolved_as
        Person who closed it, and what the incident was. No drift joins a closed incident.
    children
        Ids of the members of a parent. They are set only in a merged view.
    command_ids
        Ids of the last commands that were applied.
    commander_named_at, assigned_at
        Time at which the first commander was assigned, and times of the newest assignments by role.
    first_logged_at, last_logged_at
        Times of the earliest and the latest log line of each event, including lines that were dropped from the log.
    announce_at
        Time from which the first revision of an incident with a low severity may be published. None after the first
        revision.
    is_stale
        Whether the newest revision may be outdated, because a deployment, a shift or an incident that it depends on was
        dropped. It is published again with the next report of its subject.
    next_reminder_at
        Earliest time of the next reminder. It is not stored in a checkpoint, but recomputed after a restart.
    last_published
        Newest published revision.
    """

    incident_id: str
    subject: str
    opened_by: str
    decision: SeverityDecision
    decided_at: int
    clock: int
    first_started_at: int | None = None
    family: Family = "other"
    partitions: set[int] = field(default_factory=set)
    tracked: dict[str, TrackedDrift] = field(default_factory=dict)
    pending_downgrade: tuple[int, SeverityDecision] | None = None
    log: list[LogEntry] = field(default_factory=list)
    acknowledged_by: str | None = None
    roles: dict[Role, str] = field(default_factory=dict)
    assigned_at: dict[Role, int] = field(default_factory=dict)
    communicated: dict[Audience, int] = field(default_factory=dict)
    classification: Classification | None = None
    mitigated_at: int | None = None
    reopened_at: int | None = None
    contained_periods: list[tuple[int, int]] = field(default_factory=list)
    resolved_at: int | None = None
    closed_by: str | None = None
    resolved_as: Resolution | None = None
    membership: Membership = field(default_factory=Membership)
    children: list[str] = field(default_factory=list)
    command_ids: list[str] = field(default_factory=list)
    commander_named_at: int | None = None
    first_communicated_at: int | None = None
    first_logged_at: dict[str, int] = field(default_factory=dict)
    last_logged_at: dict[str, int] = field(default_factory=dict)
    reminders: list[Reminder] = field(default_factory=list)
    announce_at: int | None = None
    is_stale: bool = False
    next_reminder_at: int = 0
    last_published: Incident | None = None

    @classmethod
    def open_parent(cls, incident_id: str, scope: SharedScope, first_child: "IncidentState") -> "IncidentState":
        """Build a parent for incidents that share a scope. Its subject is the scope, such as ``provider:openai``."""
        name = "".join(character if character.isprintable() else "?" for character in scope.name)
        return cls(
            incident_id=incident_id,
            subject=f"{scope.kind}:{name}"[:SUBJECT_LENGTH_MAX],
            opened_by=first_child.opened_by,
            decision=first_child.decision,
            decided_at=first_child.decided_at,
            clock=first_child.clock,
            membership=Membership(scope=scope),
        )

    def dump(self) -> dict[str, Any]:
        """Return the state for a checkpoint. The drifts and the published revision are separate parts."""
        downgrade = self.pending_downgrade
        return {
            "incident_id": self.incident_id,
            "subject": self.subject,
            "opened_by": self.opened_by,
            "decision": self.decision.dump(),
            "decided_at": self.decided_at,
            "clock": self.clock,
            "first_started_at": self.first_started_at,
            "family": self.family,
            "partitions": sorted(self.partitions),
            "pending_downgrade": None if downgrade is None else [downgrade[0], downgrade[1].dump()],
            "log": [[entry.at, entry.event, entry.text] for entry in self.log],
            "acknowledged_by": self.acknowledged_by,
            "roles": dict(sorted(self.roles.items())),
            "assigned_at": dict(sorted(self.assigned_at.items())),
            "communicated": dict(sorted(self.communicated.items())),
            "classification": None if self.classification is None else astuple(self.classification),
            "mitigated_at": self.mitigated_at,
            "reopened_at": self.reopened_at,
            "contained_periods": [list(period) for period in self.contained_periods],
            "resolved_at": self.resolved_at,
            "closed_by": self.closed_by,
            "resolved_as": self.resolved_as,
            "membership": self.membership.dump(),
            "command_ids": list(self.command_ids),
            "commander_named_at": self.commander_named_at,
            "first_communicated_at": self.first_communicated_at,
            "first_logged_at": dict(self.first_logged_at),
            "last_logged_at": dict(self.last_logged_at),
            "reminders": [astuple(reminder) for reminder in self.reminders],
            "announce_at": self.announce_at,
            "is_stale": self.is_stale,
        }

    @classmethod
    def load(
        cls, state: dict[str, Any], drifts: Iterable[dict[str, Any]], published: dict[str, Any] | None
    ) -> "IncidentState":
        """Restore an incident from its state (see :meth:`dump`), the states of its drifts and the published revision.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the state is invalid.
        """
        tracked = sorted((TrackedDrift.load(drift) for drift in drifts), key=lambda drift: drift.join_order)
        membership = Membership.load(state["membership"])
        if not tracked and membership.scope is None:
            raise ValueError("none of its drifts is in the checkpoint")
        announce_at = state.get("announce_at")  # A checkpoint of an earlier version does not have it.
        if published is None and announce_at is None:
            raise ValueError("the revision that was last published is not in the checkpoint")
        classification, downgrade = state["classification"], state["pending_downgrade"]
        return cls(
            incident_id=state["incident_id"],
            subject=state["subject"],
            opened_by=state["opened_by"],
            decision=SeverityDecision.load(state["decision"]),
            decided_at=state["decided_at"],
            clock=state["clock"],
            first_started_at=state["first_started_at"],
            family=state["family"],
            partitions=set(state["partitions"]),
            tracked={drift.published.drift_id: drift for drift in tracked},
            pending_downgrade=None if downgrade is None else (int(downgrade[0]), SeverityDecision.load(downgrade[1])),
            log=[LogEntry(at=at, event=event, text=text) for at, event, text in state["log"]],
            acknowledged_by=state["acknowledged_by"],
            roles=dict(state["roles"]),
            assigned_at=dict(state.get("assigned_at", {})),  # A checkpoint of an earlier version does not have it.
            communicated=dict(state["communicated"]),
            classification=None if classification is None else Classification(*classification),
            mitigated_at=state["mitigated_at"],
            reopened_at=state["reopened_at"],
            contained_periods=[(first, last) for first, last in state["contained_periods"]],
            resolved_at=state["resolved_at"],
            closed_by=state["closed_by"],
            resolved_as=state.get("resolved_as"),  # A checkpoint of an earlier version does not have it.
            membership=membership,
            command_ids=list(state["command_ids"]),
            commander_named_at=state["commander_named_at"],
            first_communicated_at=state["first_communicated_at"],
            first_logged_at=dict(state["first_logged_at"]),
            last_logged_at=dict(state["last_logged_at"]),
            reminders=[Reminder(*reminder) for reminder in state["reminders"]],
            announce_at=announce_at,
            is_stale=bool(state.get("is_stale", True)),  # A checkpoint of an earlier version does not have it.
            last_published=None if published is None else Incident.model_validate(published),
        )

    @property
    def drifts(self) -> list[Drift]:
        """The drifts of the incident, as last reported."""
        return [tracked.newest for tracked in self.tracked.values()]

    @property
    def firing(self) -> list[Drift]:
        """The drifts of the incident that have not recovered."""
        return [drift for drift in self.drifts if drift.state != "recovered"]

    @property
    def lead(self) -> Drift:
        """The drift that the incident is named after, with the numbers as last published.

        If it has recovered, it is replaced by another drift of the same signal that still fires. If there is none,
        ``now`` is its worst value.
        """
        decided = self.decision.drift
        tracked = self.tracked.get(decided.drift_id)
        if tracked is None or tracked.published.state != "recovered":
            return decided if tracked is None else tracked.published
        return next((one.published for one in self.tracked.values() if one.still_shows(decided)), tracked.at_worst)

    @property
    def subjects(self) -> list[str]:
        """The subjects of the drifts, sorted. A parent has many subjects; any other incident has one."""
        return sorted({drift.subject for drift in self.drifts})

    @property
    def families(self) -> set[Family]:
        """The failure families of the drifts."""
        return {failure_modes.failure_mode_of(drift).family for drift in self.drifts}

    @property
    def started_at(self) -> int:
        """Earliest estimated start of the page-tier drifts, whose estimates are more precise.

        Without page-tier drifts, it is the earliest start of all drifts.
        """
        drifts = self.drifts
        paging = [drift for drift in drifts if drift.tier == "page"]
        return min(drift.started_at for drift in paging or drifts)

    @property
    def detected_at(self) -> int:
        """Time at which the first drift fired."""
        return min(drift.detected_at for drift in self.drifts)

    @property
    def start_seen_at(self) -> int:
        """Time at which the first drift fired after the start. Drifts before the start had another cause."""
        started_at = self.started_at
        times = (drift.detected_at for drift in self.drifts if drift.detected_at >= started_at)
        return min(times, default=self.detected_at)

    @property
    def last_change_at(self) -> int:
        """Time at which a drift last fired or recovered."""
        return max(drift.updated_at if drift.state == "recovered" else drift.detected_at for drift in self.drifts)

    @property
    def recovered_at(self) -> int | None:
        """Time at which the last drift recovered. None while a drift is firing. A first use never counts as firing."""
        is_firing = any(drift.detector != "first_seen" for drift in self.firing)
        return None if is_firing else max((drift.updated_at for drift in self.drifts), default=None)

    @property
    def severity(self) -> Severity:
        """The severity that a person assigned, or the severity of the rules if it is worse and newer."""
        given = self.classification
        if given is None:
            return self.decision.severity
        is_overruled = is_worse(self.decision.severity, given.severity) and self.decided_at > given.at
        return self.decision.severity if is_overruled else given.severity

    @property
    def status(self) -> IncidentStatus:
        """The first status that applies: merged, resolved, mitigated (the harm is contained), acknowledged, open."""
        if self.membership.merged_into is not None:
            return "merged"
        if self.resolved_at is not None:
            return "resolved"
        if self.contained_since is not None:
            return "mitigated"
        return "open" if self.acknowledged_by is None else "acknowledged"

    @property
    def last_action_at(self) -> int:
        """Time of the last command about the incident, or 0."""
        return max((self.last_logged_at.get(action, 0) for action in get_args(Action)), default=0)

    @property
    def contained_since(self) -> int | None:
        """Time of the recovery or mitigation that contained the harm, or None if the harm is not contained."""
        recovered_at = self.recovered_at
        if recovered_at is not None and self.reopened_at is not None and self.reopened_at >= recovered_at:
            recovered_at = None
        return min((at for at in (recovered_at, self.mitigated_at) if at is not None), default=None)

    def is_held(self, now: int) -> bool:
        """Return whether the first revision must wait at a time (Unix ms), because evidence may raise the severity."""
        if self.announce_at is None or now >= self.announce_at or self.membership.scope is not None:
            return False
        return self.severity in HELD_SEVERITIES and self.status == "open"

    def classify(self, severity: Severity, at: int, author: str, note: str | None) -> None:
        """Set the severity that a person assigns."""
        self.classification = Classification(severity, at, author, note)

    def was_contained(self, at: int) -> bool:
        """Return whether the harm was contained at a time in Unix ms."""
        since = self.contained_since
        if self.membership.scope is not None and all(
            drift.detected_at > at or (drift.state == "recovered" and drift.updated_at <= at) for drift in self.drifts
        ):
            return True
        return (since is not None and at >= since) or any(first <= at <= last for first, last in self.contained_periods)

    def mark_active(self, at: int) -> None:
        """End the containment at a time (Unix ms), and store the completed containment period."""
        since = self.resolved_at if self.contained_since is None else self.contained_since
        if self.membership.scope is not None:
            # Reports about a parent's subjects arrive in any order. was_contained uses the recovery times of its
            # drifts.
            since = self.mitigated_at
        if since is not None and since <= at:
            self.contained_periods = [*self.contained_periods, (since, at)][-CONTAINED_PERIODS_MAX:]
        self.mitigated_at = None

    def common_label(self, kind: ScopeKind) -> str | None:
        """Return the environment or provider of the first published drift with this label.

        For a parent, return the label that all its subjects share, or None.
        """
        scope = self.membership.scope
        if scope is not None and scope.kind == kind:
            return scope.name
        drifts = (tracked.published for tracked in self.tracked.values())
        labels = [drift.provider if kind == "provider" else drift.environment for drift in drifts]
        if scope is not None:
            return labels[0] if len(set(labels)) == 1 else None
        return next((label for label in labels if label is not None), None)

    def add_log_entry(self, at: int, event: str, text: str, *, entries_max: int) -> None:
        """Add a line to the running log, which stores the opening and the newest lines."""
        self.first_logged_at[event] = min(at, self.first_logged_at.get(event, at))
        self.last_logged_at[event] = max(at, self.last_logged_at.get(event, at))
        self.log.append(LogEntry(at=at, event=event, text=shorten(text)))
        self.log = newest_lines(self.log, entries_max)

    def track(self, drift: Drift) -> None:
        """Add a firing drift."""
        join_order = 1 + max((tracked.join_order for tracked in self.tracked.values()), default=0)
        self.tracked[drift.drift_id] = TrackedDrift(join_order, drift, drift, drift.now)
        self.partitions.add(drift.partition)
        if self.first_started_at is None and drift.tier == "page":
            self.first_started_at, self.family = drift.started_at, failure_modes.failure_mode_of(drift).family

    def publish_newest(self) -> None:
        """Publish the newest numbers of all drifts with the next revision."""
        for tracked in self.tracked.values():
            tracked.published = tracked.newest
