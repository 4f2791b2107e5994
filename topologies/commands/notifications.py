"""``driftwire notifications``: show who was notified of an incident, when and why."""

import asyncio
from collections.abc import AsyncIterable

import click

from pipeline.decoding import Unreadable, decode_contract
from pipeline.step import RawMessage
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

    Prints the decisions of route for each receiver with their reasons, oldest first. The time is that of the decision.
    """

    async def run() -> list[Notification]:
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


async def collect_notifications(messages: AsyncIterable[RawMessage], incident_id: str) -> list[Notification]:
    """Return the notifications of one incident, oldest decision first."""
    notifications = []
    async for message in messages:
        read = decode_contract(message.value, Notification.model_validate, "notification", bytes_max=MEBIBYTE)
        if not isinstance(read, Unreadable) and read.incident_id == incident_id:
            notifications.append(read)
    return sorted(notifications, key=lambda notification: notification.decided_at)


def describe_notification(notification: Notification) -> str:
    """Return the notification as one line for people."""
    outcome: str = notification.outcome
    if notification.group is not None and notification.outcome == "sent":
        outcome += f" with the group {notification.group}"
    if notification.attempts > 1:
        outcome += f" after {notification.attempts} attempts"
    return (
        f"{date_time(notification.decided_at)} {notification.receiver}: {outcome}, revision {notification.revision} "
        f"({notification.severity} {notification.status}), route {notification.route}: {notification.reason}"
    )
