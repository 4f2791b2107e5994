"""The facts of an incident: what its drifts and people said. Everything that a reader sees is computed from them."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any, get_args

from pipeline.correlate.incidents.membership import Membership, ScopeKind
from pipeline.correlate.incidents.tracked import TrackedDrift
from pipeline.correlate.playbook import Family, failure_modes
from pipeline.correlate.severity import SeverityDecision, is_worse
from schemas.command import Action
from schemas.drift import Drift
from schemas.incident import Audience, Incident, IncidentStatus, LogEntry, Role, Severity

COMMANDS_SEEN_MAX = 200
"""Ids of commands that an incident remembers, so that one sent twice counts once."""

CONTAINED_PERIODS_MAX = 20
"""Spans of time that an incident remembers in which its harm was contained, the newest."""

TEXT_LENGTH_MAX = 500
"""Characters of a line of the log and of a line of evidence's sentence; the rest of a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Classification:
    """A person's severity."""

    severity: Severity
    at: int
    author: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Reminder:
    """That something is overdue: what, since when, and the moment and words of saying so."""

    name: str
    due_at: int
    at: int
    text: str


@dataclass(slots=True)
class IncidentState:
    """One incident's state. Times are Unix ms of event time.

    ``decided_at`` is when the decision last rose to its severity, or past it; ``calmer`` is what the rules have said at worst
    since they began to say less than the decision, and since when that is; ``clock`` is the newest report of any drift of the
    subject; ``partitions`` are those of records that its drifts came from; ``closed_by`` is set when a person ended the
    incident, after which no drift joins it; ``told`` is the last revision that readers have. ``first_at`` and ``last_at``
    are the earliest and latest line of the log by its event, also of lines that the log has no room for any more;
    ``communicated`` is the newest communication by audience, and ``first_told_at`` the first to leadership; ``commander_at`` is when the first commander
    was named. No reminder
    comes before ``quiet_until``, which is worked out anew after a restart. ``began`` and ``family`` are
    of its first page-tier drift. ``mitigated_at`` and ``reopened_at`` are a person's words; ``calm`` are the spans of time
    that have passed in which the harm was contained. ``children`` is filled where many incidents are told as one.
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
    communicated: dict[Audience, int] = field(default_factory=dict)
    classification: Classification | None = None
    mitigated_at: int | None = None
    reopened_at: int | None = None
    contained_periods: list[tuple[int, int]] = field(default_factory=list)
    resolved_at: int | None = None
    closed_by: str | None = None
    membership: Membership = field(default_factory=Membership)
    children: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    commander_at: int | None = None
    first_told_at: int | None = None
    first_at: dict[str, int] = field(default_factory=dict)
    last_at: dict[str, int] = field(default_factory=dict)
    reminders: list[Reminder] = field(default_factory=list)
    quiet_until: int = 0
    last_published: Incident | None = None

    def dump(self) -> dict[str, Any]:
        """Return the state for a checkpoint, without the drifts and the published revision, which are parts of their own."""
        downgrade = self.pending_downgrade
        return {
            "incident_id": self.incident_id,
            "subject": self.subject,
            "opened_by": self.opened_by,
            "decision": _dump_decision(self.decision),
            "decided_at": self.decided_at,
            "clock": self.clock,
            "first_started_at": self.first_started_at,
            "family": self.family,
            "partitions": sorted(self.partitions),
            "pending_downgrade": None if downgrade is None else [downgrade[0], _dump_decision(downgrade[1])],
            "log": [[entry.at, entry.event, entry.text] for entry in self.log],
            "acknowledged_by": self.acknowledged_by,
            "roles": dict(sorted(self.roles.items())),
            "communicated": dict(sorted(self.communicated.items())),
            "classification": None if self.classification is None else astuple(self.classification),
            "mitigated_at": self.mitigated_at,
            "reopened_at": self.reopened_at,
            "contained_periods": [list(period) for period in self.contained_periods],
            "resolved_at": self.resolved_at,
            "closed_by": self.closed_by,
            "membership": self.membership.dump(),
            "commands": list(self.commands),
            "commander_at": self.commander_at,
            "first_told_at": self.first_told_at,
            "first_at": dict(self.first_at),
            "last_at": dict(self.last_at),
            "reminders": [astuple(reminder) for reminder in self.reminders],
        }

    @classmethod
    def load(
        cls, state: dict[str, Any], drifts: Iterable[dict[str, Any]], published: dict[str, Any] | None
    ) -> "IncidentState":
        """Restore what :meth:`dump` returned, with the states of its drifts and the published revision.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the state does not fit.
        """
        tracked = sorted((TrackedDrift.load(drift) for drift in drifts), key=lambda drift: drift.place)
        membership = Membership.load(state["membership"])
        if not tracked and membership.scope is None:
            raise ValueError("none of its drifts is in the checkpoint")
        if published is None:
            raise ValueError("the revision that was last published is not in the checkpoint")
        classification, downgrade = state["classification"], state["pending_downgrade"]
        return cls(
            incident_id=state["incident_id"],
            subject=state["subject"],
            opened_by=state["opened_by"],
            decision=_load_decision(state["decision"]),
            decided_at=state["decided_at"],
            clock=state["clock"],
            first_started_at=state["first_started_at"],
            family=state["family"],
            partitions=set(state["partitions"]),
            tracked={drift.published.drift_id: drift for drift in tracked},
            pending_downgrade=None if downgrade is None else (int(downgrade[0]), _load_decision(downgrade[1])),
            log=[LogEntry(at=at, event=event, text=text) for at, event, text in state["log"]],
            acknowledged_by=state["acknowledged_by"],
            roles=dict(state["roles"]),
            communicated=dict(state["communicated"]),
            classification=None if classification is None else Classification(*classification),
            mitigated_at=state["mitigated_at"],
            reopened_at=state["reopened_at"],
            contained_periods=[(first, last) for first, last in state["contained_periods"]],
            resolved_at=state["resolved_at"],
            closed_by=state["closed_by"],
            membership=membership,
            commands=list(state["commands"]),
            commander_at=state["commander_at"],
            first_told_at=state["first_told_at"],
            first_at=dict(state["first_at"]),
            last_at=dict(state["last_at"]),
            reminders=[Reminder(*reminder) for reminder in state["reminders"]],
            last_published=Incident.model_validate(published),
        )

    @property
    def drifts(self) -> list[Drift]:
        """The newest state of every drift."""
        return [each.newest for each in self.tracked.values()]

    @property
    def firing(self) -> list[Drift]:
        """The drifts that have not recovered."""
        return [drift for drift in self.drifts if drift.state != "recovered"]

    @property
    def subjects(self) -> list[str]:
        """The subjects of its drifts, by name: one, or many of a parent."""
        return sorted({drift.subject for drift in self.drifts})

    @property
    def families(self) -> set[Family]:
        """The families of failure modes that the incident has met."""
        return {failure_modes.failure_mode_of(drift).family for drift in self.drifts}

    @property
    def started_at(self) -> int:
        """The earliest estimated start; of page-tier drifts where there are any, for theirs are the sharper ones."""
        drifts = self.drifts
        paging = [drift for drift in drifts if drift.tier == "page"]
        return min(drift.started_at for drift in paging or drifts)

    @property
    def detected_at(self) -> int:
        """When the first drift fired."""
        return min(drift.detected_at for drift in self.drifts)

    @property
    def start_seen_at(self) -> int:
        """When the first drift fired since the start: one that fired before it was seen for another reason."""
        started_at = self.started_at
        times = (drift.detected_at for drift in self.drifts if drift.detected_at >= started_at)
        return min(times, default=self.detected_at)

    @property
    def last_change_at(self) -> int:
        """When a drift last fired or recovered."""
        return max(drift.updated_at if drift.state == "recovered" else drift.detected_at for drift in self.drifts)

    @property
    def recovered_at(self) -> int | None:
        """When the last of its drifts recovered; None while one is firing. A first use is told once and lasts for no time."""
        lasting = any(drift.detector != "first_seen" for drift in self.firing)
        return None if lasting else max((drift.updated_at for drift in self.drifts), default=None)

    @property
    def severity(self) -> Severity:
        """A person's word where there is one, until the rules find something worse after it; else the rules'."""
        said = self.classification
        overruled = said is not None and is_worse(self.decision.severity, said.severity) and self.decided_at > said.at
        return self.decision.severity if said is None or overruled else said.severity

    @property
    def status(self) -> IncidentStatus:
        """Merged; or resolved; or mitigated, while all signals are back but not for long yet; or acknowledged; or open."""
        if self.membership.into is not None:
            return "merged"
        if self.resolved_at is not None:
            return "resolved"
        if self.contained_since is not None:
            return "mitigated"
        return "open" if self.acknowledged_by is None else "acknowledged"

    @property
    def acted_at(self) -> int:
        """When a person last did or said something about it; 0 if nobody has."""
        return max((self.last_at.get(action, 0) for action in get_args(Action)), default=0)

    @property
    def contained_since(self) -> int | None:
        """Since when the harm is contained: all signals are back, or a person said so, and nobody reopened it since."""
        back = self.recovered_at
        if back is not None and self.reopened_at is not None and self.reopened_at >= back:
            back = None
        return min((at for at in (back, self.mitigated_at) if at is not None), default=None)

    def was_contained(self, at: int) -> bool:
        """Whether its harm was contained at some time, Unix ms."""
        since = self.contained_since
        if self.membership.scope is not None and all(
            each.detected_at > at or (each.state == "recovered" and each.updated_at <= at) for each in self.drifts
        ):
            return True
        return (since is not None and at >= since) or any(first <= at <= last for first, last in self.contained_periods)

    def mark_active(self, at: int) -> None:
        """It is not contained any more, Unix ms: what was true until now is remembered."""
        since = self.resolved_at if self.contained_since is None else self.contained_since
        if self.membership.scope is not None:
            # Of its subjects, which come in any order, the signals themselves tell when they were back.
            since = self.mitigated_at
        if since is not None and since <= at:
            self.contained_periods = [*self.contained_periods, (since, at)][-CONTAINED_PERIODS_MAX:]
        self.mitigated_at = None

    def common_label(self, kind: ScopeKind) -> str | None:
        """Return the environment or provider, from the first drift that names one, as published.

        A parent has the label that its subjects share, if they do.
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
        """Add a line to the running log: the opening and the newest are kept."""
        self.first_at[event] = min(at, self.first_at.get(event, at))
        self.last_at[event] = max(at, self.last_at.get(event, at))
        self.log.append(LogEntry(at=at, event=event, text=shorten(text)))
        self.log = newest_lines(self.log, entries_max)

    def track(self, drift: Drift) -> None:
        """Add a drift that fires."""
        place = 1 + max((each.place for each in self.tracked.values()), default=0)
        self.tracked[drift.drift_id] = TrackedDrift(place, drift, drift)
        self.partitions.add(drift.partition)
        if self.first_started_at is None and drift.tier == "page":
            self.first_started_at, self.family = drift.started_at, failure_modes.failure_mode_of(drift).family

    def publish_newest(self) -> None:
        """Let readers know the newest numbers of all drifts."""
        for each in self.tracked.values():
            each.published = each.newest


def _dump_decision(decision: SeverityDecision) -> list[Any]:
    drift = decision.drift.model_dump(exclude_none=True)
    return [decision.severity, decision.rule, decision.reason, drift, decision.moved_by, decision.moved]


def _load_decision(state: list[Any]) -> SeverityDecision:
    severity, rule, reason, drift, *moved = state
    return SeverityDecision(severity, rule, reason, Drift.model_validate(drift), *moved)


def shorten(text: str) -> str:
    """A text cut to the length of a line of the log."""
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - 1] + "…"


def newest_lines(log: list[LogEntry], entries_max: int) -> list[LogEntry]:
    """A log in order of time, cut to its first line (the opening) and its newest."""
    ordered = sorted(log, key=lambda entry: entry.at)
    return ordered if len(ordered) <= entries_max else [ordered[0], *ordered[len(ordered) - entries_max + 1 :]]
