"""The recipients of an incident: receivers of its routes and escalations, and those that are owed it or know it."""

from pipeline.route.decision import LastSent
from pipeline.route.escalation import Escalations
from pipeline.route.labels import add_labels
from pipeline.route.notification_log import NotifiedIncident
from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import RouteSettings
from schemas.incident import CLOSED

Recipients = dict[str, tuple[tuple[str, ...], LastSent | None]]
"""The routes, and the newest revision that was sent or is in flight, by receiver."""


class RecipientFinder:
    """The recipients of incidents by their newest revision.

    Parameters
    ----------
    settings
        Receivers with their fallbacks, and labels.
    tree
        The routes.
    escalations
        The escalations.
    """

    def __init__(self, settings: RouteSettings, tree: RouteTree, escalations: Escalations) -> None:
        self._fallbacks = {receiver.name: settings.fallbacks(receiver.name) for receiver in settings.receivers}
        self._label_rules = settings.label_rules
        self._tree = tree
        self._escalations = escalations

    def find(self, notified: NotifiedIncident) -> Recipients:
        """Return the recipients, with those of the routes first."""
        newest_sent = notified.newest_sent()
        routes = self._tree.recipients(add_labels(notified.labels, self._label_rules))
        for escalation in self._escalations.due(notified.escalations):
            for receiver in escalation.receivers:
                routes[receiver] = (*routes.get(receiver, ()), escalation.name)
        for receiver, owed in sorted(notified.owed.items()):
            if receiver not in routes or owed.reason.code == "fallback":
                routes[receiver] = (owed.route, *routes.get(receiver, ()))
        for receiver, last in sorted(newest_sent.items()):
            if last.status not in CLOSED:
                routes.setdefault(receiver, (last.route,))
        for receiver in [name for name in routes if name in self._fallbacks]:
            for fallback in self._fallbacks[receiver]:
                if fallback in notified.held_back:
                    routes.setdefault(fallback, routes[receiver])
        return {name: (routes[name], newest_sent.get(name)) for name in routes if name in self._fallbacks}
