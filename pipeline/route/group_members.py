"""The members of the groups at each receiver, and the time at which the next message of a group is due."""

from collections import defaultdict
from collections.abc import Mapping

from pipeline.route.decision import is_unknown
from pipeline.route.group import Group
from pipeline.route.matchers import Labels
from pipeline.route.notification_log import NotificationLog, NotifiedIncident
from pipeline.route.receiver_settings import ReceiverSettings
from pipeline.route.route_tree import RouteTree


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
        self._members: defaultdict[tuple[str, Group], set[str]] = defaultdict(set)

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

    def update(self, incident_id: str, notified: NotifiedIncident) -> None:
        """Note the groups of an incident in which a receiver knows it."""
        for receiver, last_sent in notified.last_sent.items():
            if last_sent.group is not None:
                self._members[receiver, last_sent.group].add(incident_id)

    def known(self, receiver: str, group: Group) -> dict[str, NotifiedIncident]:
        """Return the incidents of a group that a receiver knows to be open, by id."""
        key = receiver, group
        known = {
            incident_id: notified
            for incident_id in self._members.get(key, ())
            if (notified := self._log.get(incident_id)) is not None
            and not is_unknown(last_sent := notified.last_sent.get(receiver))
            and last_sent is not None
            and last_sent.group == group
        }
        if known:
            self._members[key] = set(known)
        else:
            self._members.pop(key, None)
        return known

    def due_at(self, receiver: str, group: Group, since: int) -> int:
        """Return the time at which the message of a group is due (Unix ms), from the time since which it is owed.

        It is ``group_wait_s`` after that time, and ``group_interval_s`` after the last message while an incident of the
        group is open.
        """
        grouping = self._tree.grouping(group.route)
        told = [notified.last_sent[receiver].at for notified in self.known(receiver, group).values()]
        return max([since + round(grouping.wait_s * 1000), *(at + round(grouping.interval_s * 1000) for at in told)])

    def reference(self, receiver: str, group: Group) -> str:
        """Return what identifies the message of a group at the receiver, or an empty string."""
        known = [notified.last_sent[receiver] for notified in self.known(receiver, group).values()]
        return max((sent.at, sent.reference) for sent in known)[1] if known else ""
