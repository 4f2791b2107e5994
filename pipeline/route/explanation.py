"""Explanation of how an incident is routed, for people who check a configuration: the routes, the receivers, the reasons.

It uses the settings alone. Silences, open incidents and earlier notifications are part of the state of the step, so an
explanation does not consider them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.route.decision import RouteDecision, decide_notification
from pipeline.route.group import Group
from pipeline.route.labels import add_labels
from pipeline.route.matchers import Labels, Matcher, parse_matchers
from pipeline.route.obstacles import ClosedTimes
from pipeline.route.route_tree import RouteTree
from pipeline.route.settings import DEFAULT_ROUTE, EscalationSettings, InhibitSettings, Route, RouteSettings
from schemas.incident import Incident


@dataclass(frozen=True, slots=True)
class RouteOutcome:
    """What a route does with an incident.

    ``depth`` is 0 for the default route. ``nested`` means that its nested routes handle the incident. ``failed`` is the
    first matcher that does not match, if any.
    """

    name: str
    depth: int
    outcome: Literal["handles", "nested", "does_not_match", "not_tried"]
    failed: Matcher | None = None


@dataclass(frozen=True, slots=True)
class ReceiverOutcome:
    """Whether a receiver that was never notified of an incident would be notified by a route, and the reason.

    ``group`` is the group in whose message it would be notified, or None if the incident has a message of its own.
    """

    receiver: str
    route: str
    decision: RouteDecision
    group: Group | None


@dataclass(frozen=True, slots=True)
class RoutingExplanation:
    """How an incident is routed.

    ``labels`` include those of the configuration. ``routes`` are in the order of the tree. ``inhibit`` are the rules
    whose target the incident matches, so that an open incident could suppress its notifications. ``escalations`` are
    those whose conditions the incident matches.
    """

    labels: Labels
    routes: tuple[RouteOutcome, ...]
    receivers: tuple[ReceiverOutcome, ...]
    inhibit: tuple[InhibitSettings, ...]
    escalations: tuple[EscalationSettings, ...]


def explain_routing(settings: RouteSettings, incident: Incident, labels: Labels, at: int) -> RoutingExplanation:
    """Explain how an incident of which no receiver was notified is routed.

    Parameters
    ----------
    settings
        Routes and receivers.
    incident
        The incident.
    labels
        Its labels, without those of the configuration.
    at
        Time of the decision (Unix ms), for time intervals.
    """
    complete = add_labels(labels, settings.label_rules)
    tree = RouteTree(settings)
    recipients = tree.recipients(complete)
    handling = {route for routes in recipients.values() for route in routes}
    root = RouteOutcome(DEFAULT_ROUTE, 0, "handles" if DEFAULT_ROUTE in handling else "nested")
    return RoutingExplanation(
        complete,
        (root, *_explain_level(settings.routes, 1, complete, handling, is_tried=True)),
        tuple(_explain_receivers(settings, tree, incident, complete, at)),
        tuple(rule for rule in settings.inhibit if _failed_matcher(rule.target, complete) is None),
        tuple(rule for rule in settings.escalations if _failed_matcher(rule.matchers, complete) is None),
    )


def _failed_matcher(texts: Iterable[str], labels: Labels) -> Matcher | None:
    return next((matcher for matcher in parse_matchers(*texts) if not matcher.matches(labels)), None)


def _explain_level(
    routes: Iterable[Route], depth: int, labels: Labels, handling: set[str], *, is_tried: bool
) -> Iterator[RouteOutcome]:
    for route in routes:
        failed = _failed_matcher(route.matchers, labels) if is_tried else None
        matches = is_tried and failed is None
        if matches:
            yield RouteOutcome(route.name, depth, "handles" if route.name in handling else "nested")
        else:
            yield RouteOutcome(route.name, depth, "does_not_match" if is_tried else "not_tried", failed)
        yield from _explain_level(route.routes, depth + 1, labels, handling, is_tried=matches)
        is_tried = is_tried and (not matches or route.continues)


def _explain_receivers(
    settings: RouteSettings, tree: RouteTree, incident: Incident, labels: Labels, at: int
) -> Iterator[ReceiverOutcome]:
    receivers = {receiver.name: receiver for receiver in settings.receivers}
    closed_times = ClosedTimes(settings)
    for name, routes in tree.recipients(labels).items():
        decision = decide_notification(incident, receivers[name], None, settings.repeat_interval_s, at)
        closed = [closed_times.find(route, at) for route in routes]
        sending = closed.index(None) if decision.send and None in closed else 0
        obstacle = closed[sending]
        if decision.send and obstacle is not None:
            decision = RouteDecision(False, obstacle)
        group_by = tree.grouping(routes[sending]).group_by if receivers[name].is_groupable else None
        group = None if group_by is None else Group.from_labels(routes[sending], group_by, labels)
        yield ReceiverOutcome(name, routes[sending], decision, group)
