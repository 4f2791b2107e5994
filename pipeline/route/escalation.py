"""Escalation: further receivers of an incident that nobody acknowledges in time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.route import reasons
from pipeline.route.decision import LastSent, is_unknown
from pipeline.route.matchers import Labels, matches_all, parse_matchers
from pipeline.route.reasons import Reason
from pipeline.route.settings import EscalationSettings
from schemas.incident import Incident


@dataclass(slots=True)
class Escalation:
    """One escalation of one incident.

    Attributes
    ----------
    since
        Time since which the incident has been open, has matched, and has been sent or is pending for a receiver (Unix
        ms).
    is_due
        Whether the receivers of the escalation are receivers of the incident.
    """

    since: int
    is_due: bool = False


class Escalations:
    """The escalations of the settings. The state of an incident has an :class:`Escalation` by name.

    Parameters
    ----------
    settings
        The settings of the escalations.
    """

    def __init__(self, settings: Sequence[EscalationSettings]) -> None:
        self._settings = {escalation.name: escalation for escalation in settings}
        self._matchers = {escalation.name: parse_matchers(*escalation.matchers) for escalation in settings}

    def begin(self, state: dict[str, Escalation], labels: Labels, now: int) -> bool:
        """Start the escalations that match the labels of an incident, at a time (Unix ms). Return whether there are new ones."""
        new = [name for name in self._settings if name not in state and self._matches(name, labels)]
        state.update((name, Escalation(now)) for name in new)
        return bool(new)

    def end(self, state: dict[str, Escalation], labels: Labels) -> None:
        """End the escalations of an incident that no longer match, or for which somebody has acted."""
        for name in list(state):
            if not self._matches(name, labels):
                del state[name]

    def become_due(self, state: Mapping[str, Escalation], now: int) -> bool:
        """Mark the escalations whose time has come (Unix ms). Return whether there are new ones."""
        new = [
            escalation
            for name, escalation in state.items()
            if name in self._settings
            and not escalation.is_due
            and now - escalation.since >= self._settings[name].after_s * 1000
        ]
        for escalation in new:
            escalation.is_due = True
        return bool(new)

    def have_ended(self, state: Mapping[str, Escalation], routes: Sequence[str], last_sent: LastSent | None) -> bool:
        """Return whether only escalations that have ended lead to a receiver that does not know the incident yet."""
        return is_unknown(last_sent) and all(name in self._settings and name not in state for name in routes)

    def next_due(self, state: Mapping[str, Escalation]) -> float:
        """Return the earliest time at which an escalation becomes due (Unix ms), or infinity."""
        return min(
            (
                escalation.since + self._settings[name].after_s * 1000
                for name, escalation in state.items()
                if name in self._settings and not escalation.is_due
            ),
            default=math.inf,
        )

    def due(self, state: Mapping[str, Escalation]) -> Iterator[EscalationSettings]:
        """Yield the escalations that are due."""
        return (self._settings[name] for name in state if name in self._settings and state[name].is_due)

    def explain(
        self, incident: Incident, route: str, last_sent: LastSent | None, news: Reason, obstacle_before: Reason | None
    ) -> Reason:
        """Return the reason for sending through a route or an escalation, if an obstacle has ended or there was none."""
        escalation = self._settings.get(route) if incident.status == "open" else None
        if escalation is not None and is_unknown(last_sent):
            news = reasons.escalated(escalation.after_s, incident)
            if obstacle_before is not None and obstacle_before.code in ("muted", "outside_active_time"):
                return news  # the times of the receiver's own routes may go on
        return news if obstacle_before is None else reasons.end_of_obstacle(obstacle_before, news)

    def _matches(self, name: str, labels: Labels) -> bool:
        return (
            name in self._matchers and labels.get("status") == ("open",) and matches_all(self._matchers[name], labels)
        )
