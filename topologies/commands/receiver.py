"""``driftwire receiver``: test a receiver of the configuration with an incident that is marked as a test."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from pipeline.step import RawMessage
from pipeline.wording import did_you_mean, duration
from schemas.incident import Incident
from schemas.topics import ALERTS
from topologies.commands.options import now_ms
from topologies.commands.parameter_types import Duration
from topologies.commands.running_options import config_option
from topologies.sample_incident import sample_incident
from topologies.terminal import echo

if TYPE_CHECKING:
    from pipeline.route import Delivery, Dispatch, ReceiverSettings, RouteSettings
    from topologies.receivers import Receiver

TITLE = "Test: this is not an incident"
TEXT = "This tests whether the receiver works. Nothing is wrong, and there is nothing to do."


@click.group("receiver", short_help="Test the receivers of notifications.")
def command() -> None:
    """Test the receivers of notifications."""


@command.command("test")
@click.argument("name", metavar="NAME")
@click.option(
    "--open-for",
    "open_for_s",
    type=Duration(),
    default="10s",
    show_default=True,
    help="Time after which the test incident ends. A longer time lets a pager ring.",
)
@config_option
def test(*, name: str, open_for_s: float, config: Path | None) -> None:
    """Send a test incident to the receiver NAME and print whether the receiver accepts it.

    The title of the incident begins with "Test:". Its severity is the mildest that the receiver accepts. The command
    then sends the end of the incident, even after Ctrl-C, unless the receiver has send_resolved = false. Routes,
    silences and limits have no effect, and nothing is written to Kafka. Exits with status 1 if the receiver does not
    accept the incident or its end.
    """
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import, not needed for --help
    from topologies.receivers import build_receivers  # noqa: PLC0415

    route = load_configuration(config).route
    known = {settings.name: settings for settings in route.receivers}
    if name not in known:
        raise click.UsageError(f'there is no receiver "{name}": {did_you_mean(name, known)}')
    receiver = build_receivers(route, replay=False)[name]
    if not asyncio.run(send_test(receiver, known[name], route, open_for_s)):
        raise SystemExit(1)


async def send_test(
    receiver: "Receiver", settings: "ReceiverSettings", route: "RouteSettings", open_for_s: float
) -> bool:
    """Send a test incident and its end to a receiver, print each outcome, and return whether it accepted both.

    The end is sent even if the test is cancelled while the incident is open, because otherwise a pager would keep the
    incident open.
    """
    now = now_ms()
    opened = sample_incident(
        TEXT,
        now,
        incident_id=f"test-{uuid4().hex[:12]}",
        severity=max(settings.severities),
        subject="test",
        failure_mode="test",
        severity_rule="test",
        title=TITLE,
    )
    delivery = await _send(receiver, settings, _dispatch(settings, route, opened, ""))
    if delivery.outcome == "failed" or not settings.send_resolved:
        return delivery.outcome == "sent"
    try:
        await asyncio.sleep(open_for_s if delivery.outcome == "sent" else 0)
    finally:
        ended_at = now_ms()
        changes = {"revision": 2, "status": "resolved", "resolved_at": ended_at, "updated_at": ended_at}
        ended = opened.model_copy(update=changes)
        end = await _send(receiver, settings, _dispatch(settings, route, ended, delivery.reference))
    return delivery.outcome == end.outcome == "sent"


def _dispatch(settings: "ReceiverSettings", route: "RouteSettings", revision: Incident, reference: str) -> "Dispatch":
    from pipeline.route import Dispatch  # noqa: PLC0415  slow to import and not needed for --help
    from pipeline.route.labels import add_labels, incident_labels  # noqa: PLC0415
    from pipeline.route.reasons import Reason  # noqa: PLC0415

    at = revision.updated_at
    return Dispatch(
        revision,
        settings.name,
        "test",
        Reason("first_notification", "driftwire receiver test"),
        RawMessage(ALERTS, 0, 0, at, revision.incident_id.encode(), revision.to_json()),
        at,
        reference=reference,
        labels=add_labels(incident_labels(revision), route.label_rules),
        time_zone=settings.time_zone,
        links=route.links,
    )


async def _send(receiver: "Receiver", settings: "ReceiverSettings", dispatch: "Dispatch") -> "Delivery":
    """Make one attempt, print its outcome, and return it."""
    started = time.monotonic()
    delivery = await receiver.deliver(dispatch)
    outcome = f"accepted after {duration(time.monotonic() - started)}"
    if delivery.outcome != "sent":
        outcome = f"not accepted: {delivery.reason}"
    revision = dispatch.incident
    title = f"{revision.incident_id} {revision.severity} {revision.status}"
    echo(f"{settings.name} ({settings.kind}): {title}: {outcome}")
    return delivery
