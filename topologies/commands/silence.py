"""``driftwire silence``: silence incidents for a time, list the silences, and end a silence early.

Route reads silences from the commands topic. A silence ends early when another one with the same id replaces it.
"""

import asyncio
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import click
import orjson
from pydantic import ValidationError

from pipeline.decoding import Unreadable, decode_contract
from pipeline.step import RawMessage
from pipeline.wording import duration
from schemas.command import Command
from schemas.timestamp import date_time
from schemas.topics import COMMANDS, MEBIBYTE
from topologies.commands.incidents import find_incident_id, read_newest_revisions
from topologies.commands.options import author_option, find_id, now_ms, usage_error
from topologies.commands.parameter_types import Duration
from topologies.commands.running_options import cluster_options, configuration_options
from topologies.kafka import Cluster, read_topic, write_message
from topologies.terminal import echo, echo_json

if TYPE_CHECKING:
    from pipeline.route.obstacles import Silence
    from topologies.configuration import Configuration

LENGTH_MAX_S = 90 * 86_400
"""Maximum length of a silence in seconds. The commands topic stores a silence for this time, and only a stored silence
can be listed and ended."""


def _check_length(_: click.Context, __: click.Parameter, length_s: float) -> float:
    if not 0 < length_s <= LENGTH_MAX_S:
        raise click.BadParameter(f"a silence must be longer than 0 s and at most {duration(LENGTH_MAX_S)} long")
    return length_s


@click.group("silence", short_help="Silence incidents for a time.")
def command() -> None:
    """Silence incidents for a time.

    Receivers are not notified of a silenced incident. When a silence ends, the notifications that it held back are sent
    if they still apply.
    """


@command.command("add")
@click.argument("incident_id", metavar="[INCIDENT_ID]", required=False)
@click.option(
    "--matcher",
    "matchers",
    multiple=True,
    metavar="MATCHER",
    help="Condition on the labels of incidents, such as 'subject=\"support-bot\"'. Repeatable. All must match.",
)
@click.option(
    "--for",
    "length_s",
    type=Duration(),
    required=True,
    callback=_check_length,
    help="Length of the silence, such as 30m or 2h, and at most 90d.",
)
@click.option("--comment", metavar="TEXT", required=True, help="Reason for the silence. Receivers never see it.")
@author_option
@configuration_options
def add(
    *,
    incident_id: str | None,
    matchers: tuple[str, ...],
    length_s: float,
    comment: str,
    author: str,
    configuration: "Configuration",
) -> None:
    """Silence one incident, or all incidents that match, from now.

    Give an INCIDENT_ID, which may be a prefix, or at least one --matcher. Matchers on labels of your own need --config.
    """
    if (incident_id is None) is not bool(matchers):
        raise click.UsageError('give the id of an incident or at least one --matcher, such as subject="support-bot"')
    from pipeline.route.matchers import Matcher  # noqa: PLC0415  slow to import and not needed for --help

    cluster = configuration.kafka.cluster
    if incident_id is not None:
        newest = asyncio.run(read_newest_revisions(cluster))
        matchers = (str(Matcher("incident_id", "=", find_incident_id(newest, incident_id))),)
    now = now_ms()
    try:
        added = Command(
            command_id=f"silence-{uuid4().hex}",
            at=now,
            author=author,
            action="silence",
            matchers=list(matchers),
            until=now + round(1000 * length_s),
            note=comment,
        )
    except ValidationError as error:
        raise usage_error(error) from error
    _check(added, configuration)
    asyncio.run(_write(cluster, added))
    until = date_time(added.until or 0)
    echo(f"{added.command_id}: {', '.join(matchers)} silenced until {until} by {author}")


@command.command("list")
@click.option("--all", "show_all", is_flag=True, help="Include expired silences.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@cluster_options
def list_silences(*, show_all: bool, as_json: bool, cluster: Cluster) -> None:
    """List the silences, earliest end first.

    A silence is pending before it begins, then active, then expired.
    """
    now = now_ms()
    silences = asyncio.run(_read_silences(cluster)).values()
    shown = [listed for listed in silences if show_all or listed.state(now) != "expired"]
    for listed in sorted(shown, key=lambda listed: (listed.silence.until, listed.silence.silence_id)):
        if as_json:
            echo_json(orjson.dumps(listed.as_json(now)))
        else:
            for line in listed.describe(now):
                echo(line)
    if not shown:
        echo("no silences" if show_all else "no active or pending silences", err=True)


@command.command("expire")
@click.argument("silence_id", metavar="ID")
@author_option
@cluster_options
def expire(*, silence_id: str, author: str, cluster: Cluster) -> None:
    """End a silence now. ID is the id of the silence, or a prefix that matches no other silence."""
    now = now_ms()
    silences = asyncio.run(_read_silences(cluster))
    listed = silences[find_id(silences, silence_id, noun="silence", list_command="driftwire silence list --all")]
    if listed.state(now) == "expired":
        raise click.UsageError(
            f"{listed.silence.silence_id} expired at {date_time(listed.silence.until)}: nothing is left to end"
        )
    asyncio.run(_write(cluster, expire_silence(listed.newest, author, now)))
    echo(f"{listed.silence.silence_id}: expired at {date_time(now)} by {author}")


def expire_silence(silence: Command, author: str, at: int) -> Command:
    """Return the command that replaces a silence with one that ended at a given time (Unix ms).

    The start stays the same. A silence that has not begun gets a start just before its end, because a silence must end
    after it begins.
    """
    return silence.model_copy(update={"author": author, "at": min(silence.at, at - 1), "until": at})


@dataclass(frozen=True, slots=True)
class ListedSilence:
    """A silence with its first command, which created it, and its newest command, which applies."""

    created: Command
    newest: Command
    silence: "Silence"

    def state(self, at: int) -> Literal["pending", "active", "expired"]:
        """Return the state at a time (Unix ms)."""
        if at < self.silence.start:
            return "pending"
        return "active" if at < self.silence.until else "expired"

    def describe(self, at: int) -> list[str]:
        """Return the silence as lines for people."""
        state, silence = self.state(at), self.silence
        if state == "pending":
            when = f"from {date_time(silence.start)} until {date_time(silence.until)}"
        elif state == "active":
            when = f"until {date_time(silence.until)}, {duration((silence.until - at) / 1000)} left"
        else:
            when = f"since {date_time(silence.until)}"
        changed = "" if self.newest.author == self.created.author else f", changed by {self.newest.author}"
        return [
            f"{silence.silence_id}: {state} {when}, by {self.created.author}{changed}",
            f"  matchers: {', '.join(silence.matcher_texts)}",
            f"  comment: {self.newest.note or 'none'}",
        ]

    def as_json(self, at: int) -> dict[str, object]:
        """Return the silence as a JSON object."""
        newest = self.newest.model_dump(mode="json")
        return {
            "silence_id": self.silence.silence_id,
            "state": self.state(at),
            "author": self.created.author,
            "changed_by": None if self.newest == self.created else self.newest.author,
            "start": newest["at"],
            "until": newest["until"],
            "matchers": newest["matchers"],
            "comment": newest["note"],
        }


async def collect_silences(messages: AsyncIterable[RawMessage]) -> Mapping[str, ListedSilence]:
    """Return the silences of the commands topic by id. Commands that route does not accept are skipped.

    Labels are not checked, because the configuration of route is not known.
    """
    from pipeline.route.obstacles import Silence  # noqa: PLC0415  slow to import and not needed for --help

    silences: dict[str, ListedSilence] = {}
    async for message in messages:
        newest = decode_contract(message.value, Command.model_validate, "command", bytes_max=MEBIBYTE)
        if isinstance(newest, Unreadable) or newest.action != "silence":
            continue
        try:
            silence = Silence.from_command(newest, None)
        except ValueError:
            continue
        before = silences.get(silence.silence_id)
        created = newest if before is None else before.created
        silences[silence.silence_id] = ListedSilence(created, newest, silence)
    return silences


async def _read_silences(cluster: Cluster) -> Mapping[str, ListedSilence]:
    return await collect_silences(read_topic(cluster, COMMANDS))


def _check(added: Command, configuration: "Configuration") -> None:
    """Raise a usage error for a silence that route would not accept."""
    from pipeline.route.matchers import check_label_names  # noqa: PLC0415  slow to import and not needed for --help
    from pipeline.route.obstacles import Silence  # noqa: PLC0415

    try:
        silence = Silence.from_command(added, None)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        check_label_names((matcher.label for matcher in silence.matchers), configuration.route.label_names)
    except ValueError as error:
        raise click.UsageError(f"{error} (labels of your own are read from the file given with --config)") from None


async def _write(cluster: Cluster, silence: Command) -> None:
    await write_message(cluster, COMMANDS, silence.command_id.encode(), silence.to_json())
