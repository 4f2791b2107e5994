"""Inhibition: an open incident suppresses the notifications of other incidents, by rules.

Source: Alertmanager's inhibition rules. An incident never inhibits itself. An incident that matches both sides of a
rule is not inhibited by incidents that also match both sides.
"""

from collections.abc import Iterable

from pipeline.route.matchers import Labels, label_values, matches_all, parse_matchers
from pipeline.route.settings import InhibitSettings

_Key = tuple[frozenset[str], ...]


class Inhibition:
    """The open incidents that are sources of inhibition rules.

    The caller limits the number of incidents.

    >>> rule = InhibitSettings(source=("severity=P1",), target=("severity!=P1",), equal=("subject",))
    >>> inhibition = Inhibition([rule])
    >>> inhibition.update("inc-1", {"severity": ("P1",), "subject": ("bot",)})
    True
    >>> inhibition.find("inc-2", {"severity": ("P3",), "subject": ("bot",)})
    'inc-1'
    """

    def __init__(self, rules: Iterable[InhibitSettings]) -> None:
        self._rules = [_InhibitRule(rule) for rule in rules]

    def update(self, incident_id: str, labels: Labels) -> bool:
        """Set the labels of an open incident. Return whether it may inhibit other incidents than before."""
        changes = [rule.update(incident_id, labels) for rule in self._rules]
        return any(changes)

    def remove(self, incident_id: str) -> bool:
        """Remove an incident that is over or no longer stored. Return whether it may have inhibited others."""
        changes = [rule.remove(incident_id) for rule in self._rules]
        return any(changes)

    def find(self, incident_id: str, labels: Labels) -> str | None:
        """Return the id of an incident that inhibits this one, or None."""
        return next((source for rule in self._rules if (source := rule.find(incident_id, labels)) is not None), None)


class _InhibitRule:
    def __init__(self, settings: InhibitSettings) -> None:
        self._source = parse_matchers(*settings.source)
        self._target = parse_matchers(*settings.target)
        self._equal = settings.equal
        self._keys: dict[str, _Key] = {}
        """Values of the equal labels, by source incident."""
        self._sources: dict[_Key, dict[str, bool]] = {}
        """Sources by the values of the equal labels, and whether the source also matches the target side."""

    def update(self, incident_id: str, labels: Labels) -> bool:
        if not matches_all(self._source, labels):
            return self.remove(incident_id)
        key, is_target = self._key(labels), matches_all(self._target, labels)
        if self._keys.get(incident_id) == key and self._sources[key][incident_id] == is_target:
            return False
        self.remove(incident_id)
        self._keys[incident_id] = key
        self._sources.setdefault(key, {})[incident_id] = is_target
        return True

    def remove(self, incident_id: str) -> bool:
        key = self._keys.pop(incident_id, None)
        if key is None:
            return False
        sources = self._sources[key]
        del sources[incident_id]
        if not sources:
            del self._sources[key]
        return True

    def find(self, incident_id: str, labels: Labels) -> str | None:
        if not matches_all(self._target, labels):
            return None
        sources = self._sources.get(self._key(labels), {})
        matches_both = bool(sources) and matches_all(self._source, labels)
        inhibiting = (
            source
            for source, is_target in sources.items()
            if source != incident_id and not (matches_both and is_target)
        )
        return min(inhibiting, default=None)

    def _key(self, labels: Labels) -> _Key:
        return tuple(frozenset(label_values(labels, name)) for name in self._equal)
