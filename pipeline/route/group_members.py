"""The members of the groups at each receiver, and the time at which the next message of a group is due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.route.decision import LastSent, is_unknown
from pipeline.route.delivery import Dispatch
from pipeline.route.group import Group
from pipeline.route.matchers import Labels
from pipeline.route.notification_log import NotificationLog, NotifiedIncident
from pipeline.route.receiver_settings import ReceiverSettings
from pipeline.route.route_tree import RouteTree
from schemas.incident import Incident, IncidentStatus, Severity

UNCHANGED_MAX = 10
"""Maximum incidents without news that the message of a group lists. It counts the others."""


@dataclass(slots=True)
class _Members:
    """The incidents of a group that a receiver knows to be open, and the time of the last message (Unix ms)."""

    incident_ids: set[str] = field(default_factory=set)
    told_at: int = 0


class GroupMembers:
    """The members of all groups. They follow from the notification log, so they are not part of the state.

    Parameters
    ----------
    receivers
        Settings of the receivers by name.
    tree
        Routes, for their grouping.
    log
        Store of the incidents.
    """

    def __init__(self, receivers: Mapping[str, ReceiverSettings], tree: RouteTree, log: NotificationLog) -> None:
        self._receivers = receivers
        self._tree = tree
        self._log = log
        self._groups: dict[tuple[str, Group], _Members] = {}

    def __len__(self) -> int:
        """Return the number of groups with members, of all receivers."""
        return len(self._groups)

    def find(self, notified: NotifiedIncident, receiver: str, route: str, labels: Labels) -> Group | None:
        """Return the group of an incident that a route sends to a receiver, or None if it has a message of its own.

        An incident stays in its group while the receiver knows that it is open.
        """
        if not self._receivers[receiver].is_groupable:
            return None
        last_sent = notified.newest_sent().get(receiver)
        if last_sent is not None and not is_unknown(last_sent):
            return last_sent.group
        group_by = self._tree.grouping(route).group_by
        return None if group_by is None else Group.from_labels(route, group_by, labels)

    def add_message(self, incident_id: str, receiver: str, last_sent: LastSent) -> None:
        """Note that a receiver was told of an incident. Once it is told the end, the incident leaves its group."""
        if last_sent.group is None:
            return
        members = self._groups.setdefault((receiver, last_sent.group), _Members())
        members.told_at = max(members.told_at, last_sent.at)
        if is_unknown(last_sent):
            self.remove(incident_id, receiver, last_sent)
        else:
            members.incident_ids.add(incident_id)

    def remove(self, incident_id: str, receiver: str, last_sent: LastSent) -> None:
        """Remove an incident from its group. A group ends with its last member."""
        key = None if last_sent.group is None else (receiver, last_sent.group)
        members = None if key is None else self._groups.get(key)
        if key is not None and members is not None:
            members.incident_ids.discard(incident_id)
            if not members.incident_ids:
                del self._groups[key]

    def known(self, receiver: str, group: Group) -> dict[str, NotifiedIncident]:
        """Return the incidents of a group that a receiver knows to be open, by id."""
        members = self._groups.get((receiver, group))
        incident_ids = () if members is None else members.incident_ids
        known = {incident_id: self._log.get(incident_id) for incident_id in sorted(incident_ids)}
        return {incident_id: notified for incident_id, notified in known.items() if notified is not None}

    def join(self, dispatches: Sequence[Dispatch], receiver: str, group: Group, now: int) -> Dispatch:
        """Return the dispatches of a group as one message, with the other open incidents that the receiver knows."""
        known = self.known(receiver, group)
        news = {dispatch.incident.incident_id for dispatch in dispatches}
        others = _others(receiver, (notified for name, notified in known.items() if name not in news))
        return Dispatch.join(dispatches, *others, _newest_reference(receiver, known.values()), now)

    def due_at(self, receiver: str, group: Group, since: int) -> int:
        """Return the time at which the message of a group is due (Unix ms), from the time since which it is owed.

        It is ``group_wait_s`` after that time, and ``group_interval_s`` after the last message while an incident of the
        group is open.
        """
        grouping = self._tree.grouping(group.route)
        due_at = since + round(grouping.wait_s * 1000)
        members = self._groups.get((receiver, group))
        return due_at if members is None else max(due_at, members.told_at + round(grouping.interval_s * 1000))

    def reset_times(self, now: int) -> None:
        """Let no message lie in the future, because the clock has gone back to a time (Unix ms)."""
        for members in self._groups.values():
            members.told_at = min(members.told_at, now)


def _others(
    receiver: str, known: Iterable[NotifiedIncident]
) -> tuple[list[Incident], list[tuple[Severity, IncidentStatus]]]:
    """Return the open incidents without news that a message lists, and the states of the others that are open."""
    unchanged: list[Incident] = []
    others: list[tuple[Severity, IncidentStatus]] = []
    still_open = (notified for notified in known if not notified.is_closed)
    for notified in sorted(still_open, key=lambda notified: notified.last_sent[receiver].severity):
        is_listed = len(unchanged) < UNCHANGED_MAX and receiver not in notified.held_back
        incident = notified.stored_incident() if is_listed else None
        if incident is None:
            last_sent = notified.last_sent[receiver]
            others.append((last_sent.severity, last_sent.status))
        else:
            unchanged.append(incident)
    return unchanged, others


def _newest_reference(receiver: str, known: Iterable[NotifiedIncident]) -> str:
    """Return what identifies the last message about incidents at a receiver that knows them, or an empty string."""
    told = (notified.last_sent[receiver] for notified in known)
    return max(((sent.at, sent.reference) for sent in told), default=(0, ""))[1]
