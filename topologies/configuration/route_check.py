"""Check of the routes for parts that have no effect. Such a part is valid, but probably a mistake."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

from pipeline.correlate.playbook import failure_modes
from pipeline.route import RouteSettings
from pipeline.route.matchers import parse_matchers
from pipeline.route.settings import Route
from pipeline.wording import did_you_mean
from schemas.drift import Layer
from schemas.incident import IncidentStatus, Severity
from topologies.configuration.problems import format_key_path

CLOSED_SETS: Mapping[str, Sequence[str]] = {
    "severity": get_args(Severity),
    "status": get_args(IncidentStatus),
    "layer": ("", *get_args(Layer)),
    "failure_mode": tuple(failure_modes.MODES),
}
"""Labels with a closed set of values, and the values. An incident without evidence has no layer."""

_Path = tuple[int | str, ...]


def parts_without_effect(settings: RouteSettings) -> list[str]:
    """Return one line per part of the routes that has no effect: the path of the key, the problem and the solution.

    The unused parts are receivers that no route uses, routes that no incident reaches, matchers that no incident matches,
    and inhibition rules whose source and target are the same.

    >>> parts_without_effect(RouteSettings.model_validate({"labels": [{"matchers": ["layer=safty"], "labels": {"a": "b"}}]}))
    ['route.labels[0].matchers: no incident has layer="safty"; did you mean "safety"?']
    """
    return [
        *_unused_receivers(settings),
        *_unreachable_routes(settings.routes, ("route", "routes")),
        *_impossible_matchers(settings),
        *_rules_that_inhibit_nothing(settings),
    ]


def _unused_receivers(settings: RouteSettings) -> Iterator[str]:
    used = {*settings.default_receivers, *(name for route in settings.all_routes() for name in route.receivers)}
    used |= {name for escalation in settings.escalations for name in escalation.receivers}
    used |= {name for digest in settings.digests for name in digest.receivers}
    used |= {receiver.fallback for receiver in settings.receivers if receiver.fallback is not None}
    for index, receiver in enumerate(settings.receivers):
        if receiver.name not in used:
            yield (
                f'route.receivers[{index}]: no route uses the receiver "{receiver.name}"; add it to a route or to '
                "route.default_receivers, or remove it"
            )


def _unreachable_routes(routes: Sequence[Route], path: _Path) -> Iterator[str]:
    """Yield a line per route that an earlier route makes unreachable. Nested routes of such a route are skipped."""
    for index, route in enumerate(routes):
        matchers = set(parse_matchers(*route.matchers))
        earlier = (
            other
            for other in routes[:index]
            if not other.continues and matchers.issuperset(parse_matchers(*other.matchers))
        )
        handling = next(earlier, None)
        if handling is None:
            yield from _unreachable_routes(route.routes, (*path, index, "routes"))
        else:
            yield (
                f'{format_key_path((*path, index))}: no incident reaches the route "{route.name}", because the earlier '
                f'route "{handling.name}" matches all its incidents; move it up, or add continue = true to the earlier '
                "route"
            )


def _impossible_matchers(settings: RouteSettings) -> Iterator[str]:
    for path, texts in _matcher_texts(settings):
        for matcher in parse_matchers(*texts):
            known = CLOSED_SETS.get(matcher.label)
            if known is not None and matcher.operator == "=" and matcher.value not in known:
                yield f"{format_key_path(path)}: no incident has {matcher}; {did_you_mean(matcher.value, filter(None, known))}"


def _matcher_texts(settings: RouteSettings) -> Iterator[tuple[_Path, tuple[str, ...]]]:
    yield from _route_matcher_texts(settings.routes, ("route", "routes"))
    for index, rule in enumerate(settings.labels):
        yield ("route", "labels", index, "matchers"), rule.matchers
    for index, inhibit in enumerate(settings.inhibit):
        yield ("route", "inhibit", index, "source"), inhibit.source
        yield ("route", "inhibit", index, "target"), inhibit.target
    for index, escalation in enumerate(settings.escalations):
        yield ("route", "escalations", index, "matchers"), escalation.matchers
    for index, digest in enumerate(settings.digests):
        yield ("route", "digests", index, "matchers"), digest.matchers


def _route_matcher_texts(routes: Iterable[Route], path: _Path) -> Iterator[tuple[_Path, tuple[str, ...]]]:
    for index, route in enumerate(routes):
        yield (*path, index, "matchers"), route.matchers
        yield from _route_matcher_texts(route.routes, (*path, index, "routes"))


def _rules_that_inhibit_nothing(settings: RouteSettings) -> Iterator[str]:
    for index, rule in enumerate(settings.inhibit):
        if set(parse_matchers(*rule.source)) == set(parse_matchers(*rule.target)):
            yield (
                f"route.inhibit[{index}]: source and target are the same, so the rule inhibits no incident; change one "
                "of them"
            )
