import asyncio
import json
from uuid import uuid4

import pytest
from click.testing import CliRunner

from pipeline.route import Delivery, RouteSettings, RouteStep
from pipeline.step import RawMessage
from schemas.command import Command
from schemas.topics import ALERTS, COMMANDS
from tests.pipeline.route.samples import STARTED, alert, incident, silence
from topologies.commands.silence import LENGTH_MAX_S, collect_silences, command, expire_silence
from topologies.kafka import read_topic, write_message

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
NO_BROKER = "127.0.0.1:1"


def run(*arguments, bootstrap=NO_BROKER):
    return CliRunner().invoke(command, [*arguments, "--bootstrap", bootstrap])


def as_command(message):
    return Command.from_json(message.value)


def as_message(command):
    return RawMessage(COMMANDS, 0, 1, STARTED, command.command_id.encode(), command.to_json())


def collect(*messages):
    async def stream():
        for message in messages:
            yield message

    return asyncio.run(collect_silences(stream()))


def sent_at(wall_ms, *commands):
    """Whether the step sends the first revision, after it has read the commands."""
    step = RouteStep(RouteSettings(), wall_ms)
    assert step.step(commands) == []
    step.step([alert(incident())])
    return bool(step.take_pending())


@pytest.mark.parametrize(("start", "length"), [(STARTED, HOUR_MS), (STARTED + 30 * MINUTE_MS, HOUR_MS)])
def test_an_expired_silence_replaces_the_active_or_pending_one(start, length):
    added = silence(at=start, until=start + length)
    middle = start + length // 2
    expired = as_message(expire_silence(as_command(added), "ben", STARTED + MINUTE_MS))
    assert not sent_at(middle, added)
    assert sent_at(middle, added, expired)


def test_what_an_expired_silence_held_back_is_sent():
    added = silence()
    step = RouteStep(RouteSettings(), STARTED)
    step.step([added, alert(incident())])
    assert not step.take_pending()
    step.step([as_message(expire_silence(as_command(added), "ben", STARTED + MINUTE_MS))])
    step.tick(STARTED + MINUTE_MS)
    (dispatch,) = step.take_pending()
    step.record_delivery(dispatch, Delivery("sent", "", 1, STARTED + MINUTE_MS))
    assert dispatch.reason.code == "silence_ended"


def test_the_newest_command_of_a_silence_applies_and_the_first_names_its_author():
    added = silence(note="planned reindex")
    expired = as_message(expire_silence(as_command(added), "ben", STARTED + MINUTE_MS))
    (listed,) = collect(added).values()
    assert [listed.state(STARTED + minutes * MINUTE_MS) for minutes in (-1, 0, 59, 60)] == [
        "pending",
        "active",
        "active",
        "expired",
    ]
    (listed,) = collect(added, expired).values()
    assert listed.state(STARTED + MINUTE_MS) == "expired"
    assert listed.describe(STARTED + HOUR_MS) == [
        "silence-1: expired since 2026-11-24 03:13:00Z, by ana, changed by ben",
        '  matchers: subject="support-bot"',
        "  comment: planned reindex",
    ]


def test_the_comment_is_in_no_notification_and_not_in_the_state():
    step = RouteStep(RouteSettings(), STARTED)
    outputs = step.step([silence(note="words of a person"), alert(incident())])
    values = [output.value for output in outputs] + [value for _, value in step.changed()]
    assert any(b"silenced by ana" in value for value in values)
    assert not any(b"words" in value for value in values)


def test_commands_that_route_does_not_accept_are_not_listed():
    other = Command(command_id="cmd-1", at=STARTED, author="ana", action="acknowledge", incident_id="inc-1")
    refused = silence(until=STARTED)
    broken = RawMessage(COMMANDS, 0, 0, STARTED, None, b"{")
    assert collect(as_message(other), refused, silence(matchers=["?"]), silence(matchers=[]), broken) == {}
    assert list(collect(silence(), refused)) == ["silence-1"]
    assert collect(silence(), refused)["silence-1"].silence.until == STARTED + HOUR_MS


def test_a_silence_of_one_incident_covers_no_other_incident():
    text = ['incident_id="inc-3f9a21c0b7"']
    assert not sent_at(STARTED, silence(matchers=text))
    assert sent_at(STARTED, silence(matchers=['incident_id="inc-other"']))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--for", "2h"), "give the id of an incident or at least one --matcher"),
        (("inc-1", "--matcher", "subject=x", "--for", "2h"), "give the id of an incident or at least one --matcher"),
        (("--matcher", "subject", "--for", "2h"), "invalid matcher 'subject'"),
        (("--matcher", "subjct=x", "--for", "2h"), "unknown label 'subjct'; did you mean \"subject\"?"),
        (("--matcher", "team=x", "--for", "2h"), "labels of your own are read from the file given with --config"),
        (("--matcher", "subject=x", "--for", "0"), "a silence must be longer than 0 s and at most 90 d long"),
        (("--matcher", "subject=x", "--for", f"{LENGTH_MAX_S + 1}"), "at most 90 d long"),
        (("--matcher", "subject=x", "--for", "2h", "--author", "x" * 300), "author: String should have at most"),
    ],
)
def test_a_wrong_silence_is_a_usage_error_before_kafka_is_contacted(arguments, problem):
    result = run("add", *arguments, "--comment", "because")
    assert result.exit_code == 2, result.exception
    assert problem in " ".join(result.stderr.split())


def test_a_silence_needs_a_comment():
    result = run("add", "--matcher", "subject=x", "--for", "2h")
    assert result.exit_code == 2
    assert "Missing option '--comment'" in result.stderr


@pytest.mark.kafka
def test_a_silence_is_added_listed_and_expired(broker, tmp_path):
    subject = f"subject-{uuid4().hex}"
    published = incident(subject=subject, incident_id=f"inc-{uuid4().hex}")
    asyncio.run(write_message(broker.cluster, ALERTS, published.incident_id.encode(), published.to_json()))
    config = tmp_path / "driftwire.toml"
    config.write_text('[[route.labels]]\nlabels = { team = "search" }\n')

    def listed(*options):
        result = run("list", "--json", *options, bootstrap=broker.bootstrap)
        assert result.exit_code == 0, result.output
        rows = map(json.loads, result.stdout.splitlines())
        return [
            row for row in rows if any(subject in text or published.incident_id in text for text in row["matchers"])
        ]

    def add(*arguments):
        given = ("--for", "2h", "--comment", "two\nlines\x1b[2J", "--author", "ana", *arguments)
        result = run("add", *given, bootstrap=broker.bootstrap)
        assert result.exit_code == 0, result.output
        return result.stdout.partition(":")[0]

    by_incident = add(published.incident_id[:-2])
    by_matcher = add("--matcher", f'subject="{subject}"', "--matcher", "team=search", "--config", str(config))
    rows = listed()
    assert [row["silence_id"] for row in rows] == [by_incident, by_matcher]
    assert [row["state"] for row in rows] == ["active", "active"]
    assert rows[0]["matchers"] == [f'incident_id="{published.incident_id}"']
    assert (rows[1]["author"], rows[1]["comment"]) == ("ana", "two\nlines\x1b[2J")
    text = run("list", bootstrap=broker.bootstrap).stdout
    assert f'  matchers: subject="{subject}", team=search\n  comment: two lines\ufffd[2J\n' in text

    expired = run("expire", by_matcher[:-1], "--author", "ben", bootstrap=broker.bootstrap)
    assert expired.exit_code == 0, expired.output
    assert [row["silence_id"] for row in listed()] == [by_incident]
    (row,) = [row for row in listed("--all") if row["silence_id"] == by_matcher]
    assert (row["state"], row["author"], row["changed_by"]) == ("expired", "ana", "ben")
    again = run("expire", by_matcher, bootstrap=broker.bootstrap)
    assert again.exit_code == 2
    assert "nothing is left to end" in again.stderr

    async def commands():
        return [as_command(message) async for message in read_topic(broker.cluster, COMMANDS) if message.key]

    first, second = [written for written in asyncio.run(commands()) if written.command_id == by_matcher]
    assert (first.author, second.author) == ("ana", "ben")
    assert first.at == second.at
    assert second.until < first.until
