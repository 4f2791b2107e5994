"""The tree of routes: which receivers an incident goes to, before any of them is asked whether it wants it.

Source: Alertmanager's routing. The first matching route of a level takes the incident; ``continue`` lets the next ones
see it too; a node whose own routes do not take it keeps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.route.matchers import Matcher, match_all
from pipeline.route.settings import DEFAULT_ROUTE, Route, RouteSettings


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    matchers: tuple[Matcher, ...]
    receivers: tuple[str, ...]
    continues: bool
    children: tuple["_Node", ...]


class RouteTree:
    """The routes of some settings, their matchers read once.

    >>> settings = RouteSettings.model_validate(
    ...     {
    ...         "receivers": [{"name": "console", "kind": "console"}, {"name": "log", "kind": "console"}],
    ...         "routes": [{"name": "urgent", "matchers": ['severity=~"P1|P2"'], "receivers": ["log"]}],
    ...     }
    ... )
    >>> RouteTree(settings).recipients({"severity": "P1"}), RouteTree(settings).recipients({"severity": "P4"})
    ({'log': 'urgent'}, {'console': 'default'})
    """

    def __init__(self, settings: RouteSettings) -> None:
        children = tuple(_node(route) for route in settings.routes)
        self._root = _Node(DEFAULT_ROUTE, (), settings.default_receivers, continues=False, children=children)

    def recipients(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The receivers for an incident with these labels, in the order of the tree.

        Returns
        -------
        dict
            Receiver to the route that named it first: one incident is sent to one receiver once.
        """
        found: dict[str, str] = {}
        for node in _matching(self._root, labels):
            for receiver in node.receivers:
                found.setdefault(receiver, node.name)
        return found


def _node(route: Route) -> _Node:
    children = tuple(_node(child) for child in route.routes)
    return _Node(route.name, route.parsed(), route.receivers, route.continues, children)


def _matching(node: _Node, labels: Mapping[str, str]) -> list[_Node]:
    if not match_all(node.matchers, labels):
        return []
    found: list[_Node] = []
    for child in node.children:
        taken = _matching(child, labels)
        found.extend(taken)
        if taken and not child.continues:
            break
    return found or [node]
