"""The route tree: the receivers of an incident, before silences and the receivers' own settings apply.

Source: Alertmanager's routing. The first matching route of a level handles the incident, and with ``continue`` the next
routes are tried too. The outer route handles incidents that no nested route matches.
"""

from dataclasses import dataclass

from pipeline.route.matchers import Labels, Matcher, matches_all, parse_matchers
from pipeline.route.settings import DEFAULT_ROUTE, Route, RouteSettings


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    matchers: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    continues: bool
    children: tuple["_Node", ...]


class RouteTree:
    """The configured routes, with parsed matchers.

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
