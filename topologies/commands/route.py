"""``driftwire route``: show the route tree, and test which receivers it selects for an incident."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import orjson
from pydantic import ValidationError

from pipeline.wording import duration, one_line
from schemas.drift import Layer
from schemas.incident import Incident, IncidentStatus, Severity
from topologies.commands.incidents import find_incident_id, read_newest_revisions
from topologies.commands.options import now_ms
from topologies.commands.parameter_types import PointInTime
from topologies.commands.running_options import config_option, configuration_options
from topologies.errors import DriftwireError
from topologies.sample_incident import sample_incident
from topologies.terminal import echo, echo_json

if TYPE_CHECKING:
    from pipeline.route import RouteSettings
    from pipeline.route.explanation import RouteOutcome, RoutingExplanation
    from pipeline.route.settings import DigestSettings, EscalationSettings, Route
    from pipeline.route.time_intervals import TimeIntervalSettings
    from topologies.configuration import Configuration

NOT_CONSIDERED = "Silences, other open incidents and earlier notifications are not considered."

_OUTCOMES = {
    "handles": "handles the incident",
    "nested": "matches, and its nested routes handle the incident",
    "not_tried": "not tried",
}


@click.group("route", short_help="Show and test the routes of incidents.")
def command() -> None:
    """Show and test the routes of incidents."""


@command.command("show")
@config_option
def show(config: Path | None) -> None:
    """Show the route tree, the receivers and the time intervals of the configuration."""
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import, not needed for --help

    for line in describe_routes(load_configuration(config).route):
        echo(line)


@command.command("test")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--incident", "incident_id", metavar="ID", help="Id of an incident in Kafka, or a unique prefix.")
@click.option("--severity", type=click.Choice(get_args(Severity)), help="Severity. Required if labels are given.")
@click.option("--subject", metavar="NAME", help="Subject.")
@click.option(
    "--status",
    type=click.Choice(get_args(IncidentStatus)),
    default="open",
    show_default=True,
    help="Status, if labels are given.",
)
@click.option("--failure-mode", metavar="NAME", help="Failure mode.")
@click.option("--environment", metavar="NAME", help="Environment.")
@click.option("--provider", metavar="NAME", help="Provider.")
@click.option("--layer", multiple=True, type=click.Choice(get_args(Layer)), help="Layer of the evidence. Repeatable.")
@click.option("--segment", multiple=True, metavar="NAME=VALUE", help="Segment, such as region=eu. Repeatable.")
@click.option("--at", type=PointInTime(), help="Time of the test, for time intervals.  [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@configuration_options
def test(
    *,
    file: Path | None,
    incident_id: str | None,
    at: int | None,
    as_json: bool,
    configuration: "Configuration",
    **labels: Any,
) -> None:
    """Test which routes and receivers an incident gets, and explain why.

    The incident is read from FILE, as driftwire incident show --json prints it, or from Kafka with --incident, or it is
    described by its labels. A label that is not given is empty. Silences, other open incidents and earlier
    notifications are not considered.
    """
    from pipeline.route.explanation import explain_routing  # noqa: PLC0415  slow to import and not needed for --help
    from pipeline.route.labels import incident_labels  # noqa: PLC0415

    status = labels.pop("status")
    given = {name: value for name, value in labels.items() if value}
    if [file is not None, incident_id is not None, bool(given)].count(True) != 1:
        raise click.UsageError("give a FILE, an --incident, or the labels of an incident, such as --severity P1")
    if given:
        if "severity" not in given:
            raise click.UsageError("the severity is missing: add --severity, because receivers can depend on it")
        incident = sample_incident("test of the routes", now_ms(), severity=given["severity"], status=status)
        values = given | {"status": status}
        incident_values = {name: _as_values(values.get(name, ())) for name in incident_labels(incident)}
    else:
        incident = _read_file(file) if file is not None else _read_incident(configuration, incident_id or "")
        incident_values = incident_labels(incident)
    explanation = explain_routing(configuration.route, incident, incident_values, now_ms() if at is None else at)
    if as_json:
        echo_json(orjson.dumps(_as_json(explanation)))
    else:
        for line in describe_explanation(explanation):
            echo(line)


def _as_values(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _read_file(path: Path) -> Incident:
    try:
        return Incident.from_json(path.read_bytes())
    except OSError as error:
        raise DriftwireError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DriftwireError(f"{path} is not an incident: {one_line(error)}") from error


def _read_incident(configuration: "Configuration", incident_id: str) -> Incident:
    newest = asyncio.run(read_newest_revisions(configuration.kafka.cluster))
    return newest[find_incident_id(newest, incident_id)]


def describe_routes(settings: "RouteSettings") -> Iterator[str]:
    """Yield the route tree, the receivers and the time intervals as lines for people."""
    from pipeline.route.settings import DEFAULT_ROUTE  # noqa: PLC0415  slow to import and not needed for --help

    groups = _describe_grouping(settings)
    yield f"{DEFAULT_ROUTE}: {', '.join(settings.default_receivers)}{f'; {groups}' if groups else ''}"
    yield from _describe_level(settings.routes, "  ")
    yield "receivers:"
    for receiver in settings.receivers:
        end = "" if receiver.send_resolved else ", not notified of the end"
        yield f"  {receiver.name}: {receiver.kind}, {', '.join(receiver.severities)}{end}"
    if settings.escalations:
        yield "escalations:"
        for escalation in settings.escalations:
            yield f"  {escalation.name}: {_describe_escalation(escalation)}"
    if settings.digests:
        yield "digests:"
        for digest in settings.digests:
            yield f"  {digest.name}: {_describe_digest(digest)}"
    if settings.time_intervals:
        yield "time intervals:"
        for name, interval in settings.time_intervals.items():
            yield f"  {name}: {_describe_interval(interval)}"


def _describe_level(routes: Iterable["Route"], indent: str) -> Iterator[str]:
    for route in routes:
        parts = [f"{', '.join(route.matchers) or 'every incident'} -> {', '.join(route.receivers)}"]
        if route.continues:
            parts.append("continue")
        if route.active_times:
            parts.append(f"active times {', '.join(route.active_times)}")
        if route.mute_times:
            parts.append(f"mute times {', '.join(route.mute_times)}")
        parts += filter(None, [_describe_grouping(route)])
        yield f"{indent}{route.name}: {'; '.join(parts)}"
        yield from _describe_level(route.routes, f"{indent}  ")


def _describe_grouping(route: "Route | RouteSettings") -> str:
    """Return the labels of the groups, or nothing if the route does not set or undo them."""
    from pipeline.route.settings import UNGROUPED, RouteSettings  # noqa: PLC0415

    if route.group_by is None or (isinstance(route, RouteSettings) and route.group_by == UNGROUPED):
        return ""
    if route.group_by == UNGROUPED:
        return "each incident by itself"
    return f"grouped by {', '.join(route.group_by)}" if route.group_by else "one group"


def _describe_escalation(escalation: "EscalationSettings") -> str:
    matchers, receivers = ", ".join(escalation.matchers), ", ".join(escalation.receivers)
    return f"{matchers or 'every incident'}, if not acknowledged within {duration(escalation.after_s)} -> {receivers}"


def _describe_digest(digest: "DigestSettings") -> str:
    days = ", ".join(digest.weekdays) or "every day"
    parts = [f"{', '.join(digest.matchers) or 'every incident'} -> {', '.join(digest.receivers)}"]
    return "; ".join([*parts, f"{days} at {digest.time} ({digest.location})"])


def _describe_interval(interval: "TimeIntervalSettings") -> str:
    parts = [f"{part.start_time}-{part.end_time}" for part in interval.times]
    for ranges in (interval.weekdays, interval.days_of_month, interval.months, interval.years):
        parts += ranges
    return f"{', '.join(parts) or 'always'} ({interval.location})"


def describe_explanation(explanation: "RoutingExplanation") -> Iterator[str]:
    """Yield an explanation as lines for people."""
    yield f"labels: {_describe_labels(explanation.labels)}"
    yield "routes:"
    for route in explanation.routes:
        yield f"{'  ' * (route.depth + 1)}{route.name}: {_describe_outcome(route)}"
    yield "receivers:"
    for receiver in explanation.receivers:
        verb = "notified" if receiver.decision.send else "not notified"
        if receiver.decision.send and receiver.group is not None:
            verb += f" with the group {receiver.group}"
        yield f"  {receiver.receiver}: {verb}, route {receiver.route}: {receiver.decision.reason.text}"
    for escalation in explanation.escalations:
        receivers = ", ".join(escalation.receivers)
        yield f"not acknowledged within {duration(escalation.after_s)}: {receivers}, escalation {escalation.name}"
    for rule in explanation.inhibit:
        same = f" and the same {', '.join(rule.equal)}" if rule.equal else ""
        yield f"inhibited while another open incident matches {', '.join(rule.source)}{same}"
    yield NOT_CONSIDERED


def _describe_outcome(route: "RouteOutcome") -> str:
    if route.outcome == "does_not_match":
        return f"does not match {route.failed}"
    return _OUTCOMES[route.outcome]


def _describe_labels(labels: Mapping[str, tuple[str, ...]]) -> str:
    from pipeline.route.matchers import Matcher  # noqa: PLC0415  slow to import and not needed for --help

    return ", ".join(str(Matcher(name, "=", value)) for name, values in labels.items() for value in values if value)


def _as_json(explanation: "RoutingExplanation") -> dict[str, object]:
    return {
        "labels": {name: [value for value in values if value] for name, values in explanation.labels.items()},
        "routes": [
            {
                "route": route.name,
                "depth": route.depth,
                "outcome": route.outcome,
                "failed_matcher": None if route.failed is None else str(route.failed),
            }
            for route in explanation.routes
        ],
        "receivers": [
            {
                "receiver": receiver.receiver,
                "route": receiver.route,
                "notified": receiver.decision.send,
                "reason_code": receiver.decision.reason.code,
                "reason": receiver.decision.reason.text,
                "group": None if receiver.group is None else dict(receiver.group.labels),
            }
            for receiver in explanation.receivers
        ],
        "escalations": [escalation.model_dump(mode="json") for escalation in explanation.escalations],
        "inhibit": [rule.model_dump(mode="json") for rule in explanation.inhibit],
        "not_considered": NOT_CONSIDERED,
    }
