import asyncio
import json

import pytest
from click.testing import CliRunner

from pipeline.dead_letters import dead_letter, refused_output
from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.step import OutputMessage
from schemas.dead_letter import DeadLetter
from schemas.topics import DAY_MS, DEAD_LETTERS, DRIFTS, RECORDS
from tests.pipeline.detect.streams import START_MS, as_json, message
from topologies.commands.dead_letters import command, describe_dead_letter, find_originals
from topologies.kafka import read_topic, write_message

UNUSABLE = [
    as_json({"subject": "bot\x1b[31m", "timestamp": START_MS}),
    as_json({"subject": "bot", "timestamp": "2026-11-24T03:12:00", "note": "call Ann on 555-0100"}),
    as_json([{"subject": "bot", "timestamp": START_MS}, {"note": "x" * 300}]),
    b"nope\x1b[31m",
]


def letters_of(values):
    messages = [message(offset, value, key=b"bot") for offset, value in enumerate(values)]
    outputs = DetectStep(3, DetectSettings(), replay=False).step(messages)
    return [output for output in outputs if output.topic == DEAD_LETTERS]


def contents_of(outputs):
    return [DeadLetter.from_json(output.value) for output in outputs]


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_line_has_reason_subject_and_place_and_no_text_of_the_original():
    lines = [describe_dead_letter(START_MS, letter) for letter in contents_of(letters_of(UNUSABLE))]
    assert lines[1].startswith("2026-11-24T03:12:00.000Z detect timestamp_invalid: ")
    assert lines[1].endswith(f"; subject bot; {RECORDS}/0/1")
    assert lines[2].startswith("2026-11-24T03:12:00.000Z detect subject_missing: the record has no subject; ")
    assert lines[2].endswith(f"{RECORDS}/0/2[1]")
    assert not any("555-0100" in line or "xxx" in line for line in lines)


def test_the_original_is_shown_on_request_escaped_and_cut():
    lines = [
        describe_dead_letter(START_MS, letter, shows_original=True) for letter in contents_of(letters_of(UNUSABLE))
    ]
    assert "call Ann on 555-0100" in lines[1]
    assert lines[2].endswith("x...")
    assert lines[3].endswith(r"; original: nope\x1b[31m")


def test_only_complete_originals_of_input_topics_are_sent_again():
    letters = letters_of(UNUSABLE)
    letters += letters_of([b"[" + b"1" * (9 * 1024 * 1024), None])
    letters.append(refused_output("detect", OutputMessage(DRIFTS, b"k", b"{}"), "too large"))
    originals = find_originals([(START_MS, letter) for letter in contents_of(letters)])
    assert list(originals) == [RECORDS]
    assert [key for key, _ in originals[RECORDS]] == [b"bot"] * 4
    assert [value for _, value in originals[RECORDS]] == [
        UNUSABLE[0],
        UNUSABLE[1],
        as_json({"note": "x" * 300}),
        UNUSABLE[3],
    ]


def test_originals_of_intake_are_not_sent_again():
    original = message(0, b'{"prompt": "Hello"}', key=b"bot")
    (letter,) = contents_of([dead_letter("intake", original, "internal_error", "the step failed on this message")])
    assert (letter.key_base64, letter.value_base64) == (None, None)
    assert not find_originals([(START_MS, letter)])


@pytest.mark.kafka
async def test_dead_letters_are_shown_selected_and_sent_again(empty_broker):
    for output in letters_of(UNUSABLE):
        await write_message(empty_broker.cluster, DEAD_LETTERS, output.key, output.value)
    options = ("--bootstrap", empty_broker.bootstrap)

    async def printed(*arguments, status=0):
        result = await asyncio.to_thread(run, *arguments, *options)
        assert result.exit_code == status, result.output
        return result.output

    assert len((await printed()).splitlines()) == 4
    assert "\x1b" not in await printed("--show-original")
    assert len((await printed("--reason", "subject_missing", "--step", "detect")).splitlines()) == 1
    assert "no dead letters" in await printed("--step", "route")
    assert len((await printed("--since", "1h")).splitlines()) == 4
    (line,) = (await printed("--json", "--reason", "not_json")).splitlines()
    assert json.loads(line)["offset"] == 3

    intake = dead_letter("intake", message(0, b"Hello", key=b"bot"), "not_json", "the message is not JSON")
    await write_message(empty_broker.cluster, DEAD_LETTERS, intake.key, intake.value)
    assert "stay in the topics of their services" in await printed("--replay", "--step", "intake")

    assert "add --yes" in await printed("--replay", status=2)
    assert [value async for value in read_topic(empty_broker.cluster, RECORDS)] == []
    sent = await printed("--replay", "--yes", "--reason", "timestamp_invalid")
    assert sent == f"sent 1 of 1 dead letters to {RECORDS}\n"
    again = [(one.key, one.value) async for one in read_topic(empty_broker.cluster, RECORDS)]
    assert again == [(b"bot", UNUSABLE[1])]


def test_originals_that_are_sent_twice_are_dropped_as_duplicates_if_they_can_be_told_apart():
    """The cause is mended by a setting, and the command is run twice."""
    value = as_json({"subject": "bot", "request_id": "r-1", "timestamp": "2026-11-24T03:12:00"})
    (letter,) = contents_of(letters_of([value]))
    ((key, original),) = find_originals([(START_MS, letter)])[RECORDS]
    mended = DetectStep(0, DetectSettings(time_zone="UTC"), replay=False)
    mended.step([message(offset, original, START_MS + DAY_MS // 24, key) for offset in range(2)])
    counts = mended.counts()
    assert (counts["used"], counts["duplicates"], counts["dead_letters"]) == (1, 1, 0)
