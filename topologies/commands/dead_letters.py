"""``driftwire dead-letters``: show messages that could not be used, and send them again after the cause is fixed."""

import asyncio
import sys
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import get_args

import click

from pipeline.dead_letters import START_BYTES
from pipeline.decoding import Unreadable, decode_contract
from pipeline.lenient_json import parse_json
from pipeline.step import RawMessage
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.timestamp import format_timestamp
from schemas.topics import COMMANDS, DEAD_LETTERS, DEPLOYMENTS, RECORDS, topic
from topologies.commands.options import now_ms
from topologies.commands.parameter_types import Duration
from topologies.commands.running_options import cluster_options
from topologies.interrupt import run_until_interrupted
from topologies.kafka import Cluster, follow_topic, read_topic, write_message
from topologies.terminal import echo, echo_json

ORIGINAL_CHARACTERS = 200
"""Number of characters of an original that are shown."""

SENT_AGAIN = frozenset({COMMANDS, DEPLOYMENTS, RECORDS})
"""Topics of the originals that can be sent again. Only steps write to the other topics of the contract."""

STEPS = get_args(DeadLetter.model_fields["step"].annotation)
"""Steps that write dead letters."""

TimedLetter = tuple[int, DeadLetter]
"""Time at which a dead letter was written (Unix ms), and the dead letter."""


@click.command("dead-letters", short_help="Show dead letters, and send them again.")
@click.option("--follow", "is_following", is_flag=True, help="Keep running, and print each new dead letter.")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(get_args(DeadLetterReason)),
    metavar="REASON",
    help="Show only dead letters with this reason. Repeatable.",
)
@click.option("--step", type=click.Choice(STEPS), help="Show only dead letters of this step.")
@click.option(
    "--since", type=Duration(), help="Show only dead letters from the most recent period of this length, such as 2h."
)
@click.option(
    "--show-original",
    is_flag=True,
    help=f"Also print the first {ORIGINAL_CHARACTERS} characters of each original, which can contain personal data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, with the original in base64.")
@click.option("--replay", "is_replaying", is_flag=True, help="Send the originals again to the topics they came from.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@cluster_options
def command(
    *,
    is_following: bool,
    reasons: tuple[str, ...],
    step: str | None,
    since: float | None,
    show_original: bool,
    as_json: bool,
    is_replaying: bool,
    yes: bool,
    cluster: Cluster,
) -> None:
    """Show the messages that a step could not use, oldest first.

    Each line shows the time, the step, the reason, the subject if the original has one, and the topic, partition and
    offset of the original, with its index in an array. Originals can contain personal data, so they are shown only with
    --show-original or --json.

    Use --replay to send the originals again after you fix the cause, for example by a setting. Each keeps its key. The
    command shows their number and asks for confirmation; without a terminal, it needs --yes. Originals that are still
    unusable become dead letters again. So do records that are older than detect.late_max_s by then. Truncated originals
    are not sent, and neither are those of intake: they can contain prompts, so they stay in the topics of their
    services. If you run the command twice, detect drops repeated records as duplicates. It recognises only distinctive
    records among the latest detect.duplicate_window records of their subject.
    """
    if is_replaying and is_following:
        raise click.UsageError("give either --replay or --follow, not both")
    since_ms = 0 if since is None else now_ms() - round(since * 1000)

    def matches(letter: TimedLetter) -> bool:
        at_ms, content = letter
        return (not reasons or content.reason in reasons) and step in (None, content.step) and at_ms >= since_ms

    def show(letter: TimedLetter) -> None:
        if as_json:
            echo_json(letter[1].to_json())
        else:
            echo(describe_dead_letter(*letter, shows_original=show_original))

    if is_replaying:
        _replay(cluster, asyncio.run(_read(cluster, matches)), is_confirmed=yes)
    elif is_following:
        run_until_interrupted(_follow(cluster, matches, show))  # Ctrl-C is the normal way to stop following
    else:
        letters = asyncio.run(_read(cluster, matches))
        for letter in sorted(letters, key=lambda letter: letter[0]):
            show(letter)
        if not letters:
            echo("no dead letters", err=True)


def describe_dead_letter(at_ms: int, letter: DeadLetter, *, shows_original: bool = False) -> str:
    """Describe a dead letter in one line, without text of its original except the subject.

    Parameters
    ----------
    at_ms
        Time at which the dead letter was written, in Unix milliseconds.
    letter
        The dead letter.
    shows_original
        Whether to add the beginning of the original, with escapes for characters that are not printable.
    """
    index = "" if letter.index is None else f"[{letter.index}]"
    subject = _find_subject(letter)
    line = (
        f"{format_timestamp(at_ms)} {letter.step} {letter.reason}: {letter.detail}; "
        f"{'' if subject is None else f'subject {subject}; '}{letter.topic}/{letter.partition}/{letter.offset}{index}"
    )
    if not shows_original or letter.value_base64 is None:
        return line
    original = b64decode(letter.value_base64)[: 4 * ORIGINAL_CHARACTERS].decode(errors="backslashreplace")
    rest = "..." if len(original) > ORIGINAL_CHARACTERS else ""
    escaped = original[:ORIGINAL_CHARACTERS].encode("unicode_escape").decode()
    return f"{line}; original: {escaped}{rest}"


def find_originals(letters: Sequence[TimedLetter]) -> dict[str, list[tuple[bytes | None, bytes]]]:
    """Return the keys and values of the originals that can be sent again, by topic, in the order of their arrival."""
    originals: dict[str, list[tuple[bytes | None, bytes]]] = defaultdict(list)
    ordered = sorted(
        (letter for _, letter in letters), key=lambda letter: (letter.partition, letter.offset, letter.index or 0)
    )
    for letter in ordered:
        key = None if letter.key_base64 is None else b64decode(letter.key_base64)
        is_complete = letter.value_base64 is not None and letter.value_bytes is None and len(key or b"") < START_BYTES
        if is_complete and letter.topic in SENT_AGAIN and letter.offset >= 0:
            originals[letter.topic].append((key, b64decode(letter.value_base64 or "")))
    return originals


def _replay(cluster: Cluster, letters: Sequence[TimedLetter], *, is_confirmed: bool) -> None:
    originals = find_originals(letters)
    count = sum(map(len, originals.values()))
    if not count:
        from_intake = any(letter.step == "intake" for _, letter in letters)
        echo(
            f"nothing to send: none of {len(letters)} dead letters has a complete original that a step can use"
            + ("; the originals of intake stay in the topics of their services" if from_intake else ""),
            err=True,
        )
        return
    names = ", ".join(f"{len(messages)} to {name}" for name, messages in sorted(originals.items()))
    reasons = ", ".join(
        f"{reason} {number}" for reason, number in Counter(letter.reason for _, letter in letters).most_common()
    )
    question = f"send {names} again ({len(letters)} dead letters: {reasons})"
    if not is_confirmed:
        if not (sys.stdin and sys.stdin.isatty()):  # a closed standard input is None
            raise click.UsageError(f"without a terminal, add --yes to {question}")
        click.confirm(question[0].upper() + question[1:] + "?", abort=True)
    for name, messages in sorted(originals.items()):
        asyncio.run(_write_all(cluster, name, messages))
        echo(f"sent {len(messages)} of {len(letters)} dead letters to {name}")


async def _write_all(cluster: Cluster, name: str, messages: Sequence[tuple[bytes | None, bytes]]) -> None:
    for key, value in messages:
        await write_message(cluster, name, key, value)


async def _read(cluster: Cluster, matches: Callable[[TimedLetter], bool]) -> list[TimedLetter]:
    return [letter async for letter in _decode(read_topic(cluster, DEAD_LETTERS)) if matches(letter)]


async def _follow(
    cluster: Cluster, matches: Callable[[TimedLetter], bool], show: Callable[[TimedLetter], None]
) -> None:
    async with aclosing(follow_topic(cluster, DEAD_LETTERS, from_start=True)) as messages:
        async for letter in _decode(messages):
            if matches(letter):
                show(letter)


async def _decode(messages: AsyncIterable[RawMessage]) -> AsyncIterator[TimedLetter]:
    bytes_max = topic(DEAD_LETTERS).message_bytes_max
    async for message in messages:
        letter = decode_contract(message.value, DeadLetter.model_validate, "dead letter", bytes_max=bytes_max)
        if not isinstance(letter, Unreadable):
            yield message.timestamp, letter


def _find_subject(letter: DeadLetter) -> str | None:
    try:
        content = parse_json(b64decode(letter.value_base64 or ""))
    except ValueError:
        return None
    subject = content.get("subject") if isinstance(content, dict) else None
    return subject if isinstance(subject, str) else None
