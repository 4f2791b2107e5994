"""Escalation: further receivers of an incident that nobody acknowledges in time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.route.matchers import Labels, matches_all, parse_matchers
from pipeline.route.settings import EscalationSettings


@dataclass(slots=True)
class Escalation:
    """One escalation of one incident.

    Attributes
    ----------
    since
        Time since which the incident is open, matches, and is known to a receiver or owed to one (Unix ms).
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

    def begin(self, state: dict[str, Escalation], labels: Labels, now: int) -> None:
        """Begin the escalations of an incident with these labels that have not begun, at a time (Unix ms)."""
        for name in self._settings:
            if self._matches(name, labels):
                state.setdefault(name, Escalation(now))

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

    def due(self, state: Mapping[str, Escalation]) -> Iterator[EscalationSettings]:
        """Yield the escalations that are due."""
        return (self._settings[name] for name in state if name in self._settings and state[name].is_due)

    def find(self, name: str) -> EscalationSettings | None:
        """Return the escalation of a name, or None if there is none."""
        return self._settings.get(name)

    def _matches(self, name: str, labels: Labels) -> bool:
        return (
            name in self._matchers and labels.get("status") == ("open",) and matches_all(self._matchers[name], labels)
        )
