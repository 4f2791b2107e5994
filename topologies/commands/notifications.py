"""``driftwire notifications``: show who was notified of an incident, when and why."""

import asyncio
from collections.abc import AsyncIterable, Collection
from typing import Any

import click

from pipeline.decoding import Unreadable, decode_contract
from pipeline.step import RawMessage
from schemas.notice import Notice
from schemas.notification import Notification
from schemas.timestamp import date_time
from schemas.topics import MEBIBYTE, NOTIFICATIONS
from topologies.commands.incidents import find_incident_id, read_newest_revisions
from topologies.commands.running_options import cluster_options
from topologies.kafka import Cluster, read_topic
from topologies.terminal import echo, echo_json


@click.command("notifications", short_help="Show who was notified of an incident.")
@click.option(
    "--incident",
    "incident_id",
    metavar="ID",
    required=True,
    help="Id of the incident, or a prefix that matches no other incident.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@cluster_options
def command(*, incident_id: str, as_json: bool, cluster: Cluster) -> None:
    """Show who was notified of an incident, when and why, and who was not.

    Prints the decisions of route for each receiver with their reasons, and the digests that list the incident, oldest
    first. The time is that of the decision.
    """

    async def run() -> list[Notification | Notice]:
        found = find_incident_id(await read_newest_revisions(cluster), incident_id)
        return await collect_notifications(read_topic(cluster, NOTIFICATIONS), found)

    notifications = asyncio.run(run())
    for notification in notifications:
        if as_json:
            echo_json(notification.to_json())
        else:
            echo(describe_notification(notification))
    if not notifications:
        echo("no notifications: route has not decided about the incident", err=True)


async def collect_notifications(messages: AsyncIterable[RawMessage], incident_id: str) -> list[Notification | Notice]:
    """Return the notifications of one incident and the digests that list it, oldest decision first."""
    notifications = []
    async for message in messages:
        read = decode_contract(message.value, _read, "notification", bytes_max=MEBIBYTE)
        if not isinstance(read, Unreadable) and incident_id in _incident_ids(read):
            notifications.append(read)
    return sorted(notifications, key=lambda notification: notification.decided_at)


def _read(content: dict[str, Any]) -> Notification | Notice:
    return (Notice if content.get("type") == "notice" else Notification).model_validate(content)


def _incident_ids(read: Notification | Notice) -> Collection[str]:
    if isinstance(read, Notification):
        return (read.incident_id,)
    return () if read.digest is None else read.digest.incident_ids


def describe_notification(notification: Notification | Notice) -> str:
    """Return the notification or digest as one readable line."""
    outcome: str = notification.outcome
    if isinstance(notification, Notification) and notification.group is not None and notification.outcome == "sent":
        outcome += f" with the group {notification.group}"
    if notification.attempts > 1:
        outcome += f" after {notification.attempts} attempts"
    start = f"{date_time(notification.decided_at)} {notification.receiver}: {outcome}"
    if isinstance(notification, Notice):
        return f"{start}, digest {notification.name}: {notification.reason}"
    return (
        f"{start}, revision {notification.revision} ({notification.severity} {notification.status}), "
        f"route {notification.route}: {notification.reason}"
    )
