"""The route tree: the receivers of an incident, before silences and the receivers' own settings apply.

Source: Alertmanager's routing. The first matching route of a level handles the incident, and with ``continue`` the next
routes are tried too. The outer route handles incidents that no nested route matches.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pipeline.route.matchers import Labels, Matcher, matches_all, parse_matchers
from pipeline.route.settings import DEFAULT_ROUTE, UNGROUPED, Route, RouteSettings


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a route groups its incidents. Without ``group_by``, each incident has a message of its own.

    Attributes
    ----------
    group_by
        Names of the labels, or None.
    wait_s
        Seconds from the first news of a group to its message.
    interval_s
        Minimum seconds between two messages of a group.
    """

    group_by: Collection[str] | None = None
    wait_s: float = 0.0
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    matchers: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    continues: bool
    children: tuple["_Node", ...]


class RouteTree:
    """The configured routes, with parsed matchers.

    Attributes
    ----------
    shortest_repeat_interval_s
        The shortest repeat interval of all routes, in seconds.

    >>> settings = RouteSettings.model_validate(
    ...     {
    ...         "receivers": [{"name": "console", "console": True}, {"name": "log", "console": True}],
    ...         "routes": [{"name": "urgent", "matchers": ['severity=~"P1|P2"'], "receivers": ["log"]}],
    ...     }
    ... )
    >>> tree = RouteTree(settings)
    >>> tree.recipients({"severity": ("P1",)}), tree.recipients({"severity": ("P4",)})
    ({'log': ('urgent',)}, {'console': ('default',)})
    """

    def __init__(self, settings: RouteSettings) -> None:
        children = tuple(_build_node(route) for route in settings.routes)
        self._root = _Node(DEFAULT_ROUTE, (), settings.default_receivers, continues=False, children=children)
        grouping = Grouping(_group_labels(settings.group_by), settings.group_wait_s, settings.group_interval_s)
        outer = settings.repeat_interval_s, grouping
        inherited = {DEFAULT_ROUTE: outer, **dict(_inherit(settings.routes, outer))}
        self._repeat_intervals_s = {name: interval_s for name, (interval_s, _) in inherited.items()}
        self._groupings = {name: grouping for name, (_, grouping) in inherited.items()}
        self.shortest_repeat_interval_s = min(self._repeat_intervals_s.values())

    def recipients(self, labels: Labels) -> dict[str, tuple[str, ...]]:
        """Return the receivers for an incident with these labels, in the order of the tree.

        Returns
        -------
        dict
            Map from receiver to the names of the matching routes with this receiver. Each receiver is sent the incident
            once.
        """
        recipients: dict[str, tuple[str, ...]] = {}
        for node in _matching_nodes(self._root, labels):
            for receiver in dict.fromkeys(node.receivers):
                recipients[receiver] = (*recipients.get(receiver, ()), node.name)
        return recipients

    def repeat_interval_s(self, routes: Iterable[str]) -> float:
        """Return the seconds after which an open incident that the routes handle is sent again: the shortest of them.

        For an escalation and for a route that was removed from the settings, the interval of the default route applies.
        """
        default_s = self._repeat_intervals_s[DEFAULT_ROUTE]
        return min(self._repeat_intervals_s.get(route, default_s) for route in routes)

    def grouping(self, route: str) -> Grouping:
        """Return how a route groups its incidents.

        An escalation and a route that was removed from the settings group them like the default route.
        """
        return self._groupings.get(route, self._groupings[DEFAULT_ROUTE])


def _inherit(routes: Iterable[Route], outer: tuple[float, Grouping]) -> Iterator[tuple[str, tuple[float, Grouping]]]:
    """Yield the name of each route with its repeat interval in seconds and its grouping.

    Nested routes inherit each part that they do not set.
    """
    outer_s, outer_grouping = outer
    for route in routes:
        grouping = Grouping(
            outer_grouping.group_by if route.group_by is None else _group_labels(route.group_by),
            outer_grouping.wait_s if route.group_wait_s is None else route.group_wait_s,
            outer_grouping.interval_s if route.group_interval_s is None else route.group_interval_s,
        )
        own = (outer_s if route.repeat_interval_s is None else route.repeat_interval_s), grouping
        yield route.name, own
        yield from _inherit(route.routes, own)


def _group_labels(group_by: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if group_by == UNGROUPED else group_by


def _build_node(route: Route) -> _Node:
    children = tuple(_build_node(child) for child in route.routes)
    return _Node(route.name, parse_matchers(*route.matchers), route.receivers, route.continues, children)


def _matching_nodes(node: _Node, labels: Labels) -> list[_Node]:
    if not matches_all(node.matchers, labels):
        return []
    nodes: list[_Node] = []
    for child in node.children:
        matching = _matching_nodes(child, labels)
        nodes.extend(matching)
        if matching and not child.continues:
            break
    return nodes or [node]
