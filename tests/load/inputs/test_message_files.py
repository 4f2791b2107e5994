"""Files of records: their content, its order, and errors about unreadable files."""

import gzip
from pathlib import Path

import orjson
import pytest

from load.errors import LoadError
from load.inputs.message_files import merge_by_event_time, read_deployments, read_records
from schemas.timestamp import parse_timestamp

FIRST = '{"subject":"a","timestamp":"2026-11-24T03:12:00Z","output":{"length":3}}'
SECOND = '{"subject":"b","timestamp":1795489921000}'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["records.ndjson", "records.ndjson.gz"])
def test_lines_are_sent_byte_for_byte_with_their_subject_as_key(tmp_path: Path, name: str) -> None:
    messages = list(read_records(write(tmp_path, name, f"{FIRST}\n\n{SECOND}\r\n")))
    assert [message.value.decode() for message in messages] == [FIRST, SECOND]
    assert [message.key for message in messages] == [b"a", b"b"]
    assert messages[1].time_ms == 1795489921000


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        "7",
        '{"subject":"a"}',
        '{"subject":7,"timestamp":1795489921000}',
        '{"timestamp":1795489921000}',
        '"x"',
        "null",
    ],
)
def test_a_line_that_is_not_a_record_is_unchanged_and_marked(tmp_path: Path, bad: str) -> None:
    messages = list(read_records(write(tmp_path, "records.ndjson", f"{FIRST}\n{bad}\n")))
    assert messages[1].value.decode() == bad
    assert not messages[1].readable
    assert messages[1].time_ms == messages[0].time_ms


def test_an_array_of_records_is_one_message_at_the_time_of_its_first_record(tmp_path: Path) -> None:
    (message,) = read_records(write(tmp_path, "records.ndjson", f"[{FIRST},{SECOND}]"))
    assert (message.key, message.readable, message.time_ms) == (b"a", True, parse_timestamp("2026-11-24T03:12:00Z"))


def test_files_are_merged_by_event_time_and_keep_their_order(tmp_path: Path) -> None:
    def record(subject: str, second: int) -> str:
        return f'{{"subject":"{subject}","timestamp":{1795489920000 + second * 1000}}}'

    first = write(tmp_path, "one.ndjson", "\n".join(record("a", second) for second in (0, 4, 2, 5)))
    second = write(tmp_path, "two.ndjson", "\n".join(record("b", second) for second in (1, 3, 9)))
    merged = merge_by_event_time([read_records(first), read_records(second)])
    order = [(message.key, message.time_ms % 60_000) for message in merged]
    seconds = [(key.decode() if key else "", time_ms // 1000) for key, time_ms in order]
    assert seconds == [("a", 0), ("b", 1), ("b", 3), ("a", 4), ("a", 2), ("a", 5), ("b", 9)]


@pytest.mark.parametrize("broken", ["missing", "cut"])
def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "records.ndjson.gz"
    if broken == "cut":
        path.write_bytes(gzip.compress(FIRST.encode() * 100)[:-20])
    with pytest.raises(LoadError, match=r"records\.ndjson\.gz"):
        list(read_records(path))


def test_text_that_is_not_gzip_is_an_error_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "records.ndjson.gz"
    path.write_text(FIRST)
    with pytest.raises(LoadError, match=r"records.ndjson.gz after line 0"):
        list(read_records(path))


def test_a_shift_changes_every_time_and_nothing_else(tmp_path: Path) -> None:
    (message,) = read_records(write(tmp_path, "records.ndjson", f"[{FIRST},{SECOND}]"))
    shifted = orjson.loads(message.shift(60_000).value)
    assert [record["timestamp"] for record in shifted] == ["2026-11-24T03:13:00.000Z", "2026-11-24T03:13:01.000Z"]
    assert shifted[0]["output"] == {"length": 3}


def test_a_line_with_values_that_are_not_json_is_a_record_and_stays_as_bad(tmp_path: Path) -> None:
    bad = FIRST.replace('"length":3', '"length":NaN,"similarity":Infinity,"finish_reason":"\\ud800"')
    assert bad != FIRST
    (message,) = read_records(write(tmp_path, "records.ndjson", f"[{bad},{SECOND}]"))
    assert (message.readable, message.value) == (True, f"[{bad},{SECOND}]".encode())
    shifted = message.shift(60_000).value
    assert shifted.count(b"NaN") == 3
    assert b"2026-11-24T03:13:00.000Z" in shifted


@pytest.mark.parametrize("written", ['"2026-11-24 03:12:00"', "1795489920", '"1795489920123"', "1795489920123456"])
def test_a_file_may_have_any_format_of_times(tmp_path: Path, written: str) -> None:
    line = FIRST.replace('"2026-11-24T03:12:00Z"', written)
    assert line != FIRST
    path = write(tmp_path, "records.ndjson", line)
    (message,) = read_records(path, time_zone="UTC")
    assert (message.readable, message.time_ms // 1000) == (True, 1_795_489_920)
    assert b"2026-11-24T03:13:00" in message.shift(60_000).value
    (message,) = read_records(path)
    assert message.readable == (" " not in written)


def test_a_shift_leaves_a_line_that_is_not_a_record_unchanged(tmp_path: Path) -> None:
    (message,) = read_records(write(tmp_path, "records.ndjson", "{"))
    assert message.shift(60_000) == message


def test_deployments_are_read_and_an_invalid_one_is_an_error_with_line_and_field(tmp_path: Path) -> None:
    good = '{"deployment_id":"d","timestamp":"2026-11-24T03:12:00Z","kind":"prompt","subject":"a"}'
    assert read_deployments(write(tmp_path, "good.ndjson", good))[0].kind == "prompt"
    assert [
        one.subject for one in read_deployments(write(tmp_path, "two.ndjson", good.replace('"a"', '["a", "b"]')))
    ] == [
        "a",
        "b",
    ]
    wrong = write(tmp_path, "wrong.ndjson", f"{good}\n{good.replace('prompt', 'promt').replace('kind', 'kin')}")
    with pytest.raises(LoadError, match=r"wrong.ndjson line 2: not a valid deployment: kind: Field required"):
        read_deployments(wrong)
