"""The facts of an incident: what its drifts and people said. Everything that a reader sees is computed from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, get_args

from pipeline.correlate.modes import Family, mode_of
from pipeline.correlate.severity import Decision, worse
from schemas.command import Action
from schemas.drift import Drift
from schemas.incident import Incident, IncidentStatus, LogEntry, Severity

COMMANDS_SEEN_MAX = 200
"""Ids of commands that an incident remembers, so that one sent twice counts once."""

TEXT_LENGTH_MAX = 500
"""Characters of a line of the log and of a line of evidence's sentence; the rest of a longer one is cut."""


@dataclass(slots=True)
class Tracked:
    """One drift: as readers know it, and as it was last reported.

    The two differ while only the numbers changed. Evidence that no one needs to act on waits here, and is told with the
    next thing that matters; so what readers see does not depend on when a late deployment made the incident be told again.
    ``place`` counts the drifts of an incident in the order in which they joined.
    """

    place: int
    shown: Drift
    newest: Drift

    def dump(self) -> dict[str, Any]:
        """The state, for JSON."""
        newest = None if self.newest is self.shown else self.newest.model_dump(exclude_none=True)
        return {"place": self.place, "shown": self.shown.model_dump(exclude_none=True), "newest": newest}

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Tracked":
        """Take up a state that :meth:`dump` gave out."""
        shown = Drift.model_validate(state["shown"])
        newest = shown if state["newest"] is None else Drift.model_validate(state["newest"])
        return cls(int(state["place"]), shown, newest)


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
class Facts:
    """One incident's state. Times are Unix ms of event time.

    ``decided_at`` is when the decision last rose to its severity, or past it; ``calmer`` is what the rules have said at worst
    since they began to say less than the decision, and since when that is; ``clock`` is the newest report of any drift of the
    subject; ``partitions`` are those of records that its drifts came from; ``closed_by`` is set when a person ended the
    incident, after which no drift joins it; ``told`` is the last revision that readers have. ``first_at`` and ``last_at``
    are the earliest and latest line of the log by its event, also of lines that the log has no room for any more;
    ``communicated`` is the newest communication by audience, and ``first_told_at`` the first to leadership. No reminder
    comes before ``quiet_until``, which is worked out anew after a restart.
    """

    incident_id: str
    subject: str
    opened_by: str
    decision: Decision
    decided_at: int
    clock: int
    partitions: set[int] = field(default_factory=set)
    tracked: dict[str, Tracked] = field(default_factory=dict)
    calmer: tuple[int, Decision] | None = None
    log: list[LogEntry] = field(default_factory=list)
    acknowledged_by: str | None = None
    assigned_to: str | None = None
    classification: Classification | None = None
    resolved_at: int | None = None
    closed_by: str | None = None
    commands: list[str] = field(default_factory=list)
    communicated: dict[str, int] = field(default_factory=dict)
    first_told_at: int | None = None
    first_at: dict[str, int] = field(default_factory=dict)
    last_at: dict[str, int] = field(default_factory=dict)
    reminders: list[Reminder] = field(default_factory=list)
    quiet_until: int = 0
    told: Incident | None = None

    @property
    def drifts(self) -> list[Drift]:
        """The newest state of every drift."""
        return [each.newest for each in self.tracked.values()]

    @property
    def firing(self) -> list[Drift]:
        """The drifts that have not recovered."""
        return [drift for drift in self.drifts if drift.state != "recovered"]

    @property
    def families(self) -> set[Family]:
        """The families of failure modes that the incident has met."""
        return {mode_of(drift).family for drift in self.drifts}

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
        return min(drift.detected_at for drift in self.drifts if drift.detected_at >= started_at)

    @property
    def last_change_at(self) -> int:
        """When a drift last fired or recovered."""
        return max(drift.updated_at if drift.state == "recovered" else drift.detected_at for drift in self.drifts)

    @property
    def recovered_at(self) -> int | None:
        """When the last of its drifts recovered; None while one is firing. A first use is told once and lasts for no time."""
        lasting = any(drift.detector != "first_seen" for drift in self.firing)
        return None if lasting else max(drift.updated_at for drift in self.drifts)

    @property
    def severity(self) -> Severity:
        """A person's word where there is one, until the rules find something worse after it; else the rules'."""
        said = self.classification
        overruled = said is not None and worse(self.decision.severity, said.severity) and self.decided_at > said.at
        return self.decision.severity if said is None or overruled else said.severity

    @property
    def status(self) -> IncidentStatus:
        """Resolved; or mitigated, while all signals are back but not for long yet; or acknowledged; or open."""
        if self.resolved_at is not None:
            return "resolved"
        if self.recovered_at is not None:
            return "mitigated"
        return "open" if self.acknowledged_by is None else "acknowledged"

    @property
    def acted_at(self) -> int:
        """When a person last did or said something about it; 0 if nobody has."""
        return max((self.last_at.get(action, 0) for action in get_args(Action)), default=0)

    def named(self, field_name: str) -> str | None:
        """The environment or provider, from the first drift that names one, as readers know it."""
        shown = (getattr(each.shown, field_name) for each in self.tracked.values())
        return next((value for value in shown if value is not None), None)

    def note(self, at: int, event: str, text: str, *, entries_max: int) -> None:
        """Add a line to the running log: the opening and the newest are kept."""
        self.first_at[event] = min(at, self.first_at.get(event, at))
        self.last_at[event] = max(at, self.last_at.get(event, at))
        self.log.append(LogEntry(at=at, event=event, text=shortened(text)))
        self.log = newest_lines(self.log, entries_max)

    def track(self, drift: Drift) -> None:
        """Add a drift that fires."""
        place = 1 + max((each.place for each in self.tracked.values()), default=0)
        self.tracked[drift.drift_id] = Tracked(place, drift, drift)
        self.partitions.add(drift.partition)

    def tell_newest(self) -> None:
        """Let readers know the newest numbers of all drifts."""
        for each in self.tracked.values():
            each.shown = each.newest

    def dump(self) -> dict[str, Any]:
        """The state, for JSON."""
        return {
            "incident_id": self.incident_id,
            "subject": self.subject,
            "opened_by": self.opened_by,
            "decision": _dumped(self.decision),
            "calmer": None if self.calmer is None else [self.calmer[0], _dumped(self.calmer[1])],
            "decided_at": self.decided_at,
            "clock": self.clock,
            "partitions": sorted(self.partitions),
            "log": [[entry.at, entry.event, entry.text] for entry in self.log],
            "acknowledged_by": self.acknowledged_by,
            "assigned_to": self.assigned_to,
            "classification": _row(self.classification),
            "resolved_at": self.resolved_at,
            "closed_by": self.closed_by,
            "commands": list(self.commands),
            "communicated": dict(self.communicated),
            "first_told_at": self.first_told_at,
            "first_at": dict(self.first_at),
            "last_at": dict(self.last_at),
            "reminders": [[each.name, each.due_at, each.at, each.text] for each in self.reminders],
        }

    @classmethod
    def load(cls, state: dict[str, Any], drifts: Iterable[dict[str, Any]], told: dict[str, Any] | None) -> "Facts":
        """Take up a state: what :meth:`dump` gave out, with the drifts and the revision told, which are kept apart.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it does not fit.
        """
        tracked = sorted((Tracked.load(each) for each in drifts), key=lambda each: each.place)
        if not tracked:
            raise ValueError("none of its drifts is in the checkpoint")
        if told is None:
            raise ValueError("the revision that readers know is not in the checkpoint")
        classification, calmer = state["classification"], state.get("calmer")
        return cls(
            incident_id=state["incident_id"],
            subject=state["subject"],
            opened_by=state["opened_by"],
            decision=_loaded(state["decision"]),
            calmer=None if calmer is None else (int(calmer[0]), _loaded(calmer[1])),
            decided_at=state["decided_at"],
            clock=state["clock"],
            partitions=set(state["partitions"]),
            tracked={each.shown.drift_id: each for each in tracked},
            log=[LogEntry(at=at, event=event, text=text) for at, event, text in state["log"]],
            acknowledged_by=state["acknowledged_by"],
            assigned_to=state["assigned_to"],
            classification=None if classification is None else Classification(*classification),
            resolved_at=state["resolved_at"],
            closed_by=state["closed_by"],
            commands=list(state["commands"]),
            communicated=dict(state["communicated"]),
            first_told_at=state["first_told_at"],
            first_at=dict(state["first_at"]),
            last_at=dict(state["last_at"]),
            reminders=[Reminder(*each) for each in state["reminders"]],
            told=Incident.model_validate(told),
        )


def shortened(text: str) -> str:
    """A text cut to the length of a line of the log."""
    return text if len(text) <= TEXT_LENGTH_MAX else text[: TEXT_LENGTH_MAX - 1] + "…"


def newest_lines(log: list[LogEntry], entries_max: int) -> list[LogEntry]:
    """A log in order of time, cut to its first line (the opening) and its newest."""
    ordered = sorted(log, key=lambda entry: entry.at)
    return ordered if len(ordered) <= entries_max else [ordered[0], *ordered[len(ordered) - entries_max + 1 :]]


def _dumped(decision: Decision) -> list[Any]:
    drift = decision.drift.model_dump(exclude_none=True)
    return [decision.severity, decision.rule, decision.reason, drift, decision.moved_by, decision.moved]


def _loaded(state: list[Any]) -> Decision:
    severity, rule, reason, drift, *moved = state
    return Decision(severity, rule, reason, Drift.model_validate(drift), *moved)


def _row(classification: Classification | None) -> list[Any] | None:
    if classification is None:
        return None
    return [classification.severity, classification.at, classification.author, classification.note]
