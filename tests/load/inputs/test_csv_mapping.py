"""Conversion of CSV files to records: the mapping, the cells, and errors about invalid cells."""

from pathlib import Path

import orjson
import pytest

from load.errors import LoadError
from load.inputs.csv_mapping import CSV_START_MS, CsvMapping, parse_mapping, read_time
from load.inputs.message_files import OutgoingMessage, read_records
from schemas.record import Record
from schemas.timestamp import parse_timestamp


def read_text(folder: Path, text: str, mapping: CsvMapping | None) -> list[OutgoingMessage]:
    path = folder / "requests.csv"
    path.write_text(text)
    return list(read_records(path, mapping))


def test_a_csv_becomes_records_of_the_contract(tmp_path: Path) -> None:
    text = "t_s,input_tokens,took,ok,build,note\n0.5,77,812.5,true,7,hello\n1.0,75,,0,8,\n"
    fields = {"t_s": "timestamp", "took": "infrastructure.latency_ms", "ok": "schema_valid", "build": "versions.model"}
    first, second = (orjson.loads(message.value) for message in read_text(tmp_path, text, CsvMapping("api", fields)))
    assert first == {
        "subject": "api",
        "timestamp": "2024-01-01T00:00:00.500Z",
        "infrastructure": {"input_tokens": 77.0, "latency_ms": 812.5},
        "data": {"schema_valid": True},
        "versions": {"model": "7"},
    }
    assert second["infrastructure"] == {"input_tokens": 75.0}
    assert second["data"] == {"schema_valid": False}
    for record in (first, second):
        Record.from_json(orjson.dumps(record))


def test_a_subject_may_be_a_column(tmp_path: Path) -> None:
    text = "when,app,toxicity\n2026-11-24T03:12:00Z,one,0.2\n2026-11-24T03:12:01Z,two,0.3\n"
    mapping = CsvMapping(None, {"when": "timestamp", "app": "subject", "toxicity": "custom.toxicity"})
    messages = read_text(tmp_path, text, mapping)
    assert [message.key for message in messages] == [b"one", b"two"]
    assert orjson.loads(messages[1].value)["custom"] == {"toxicity": 0.3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T03:12:00.5Z", parse_timestamp("2026-11-24T03:12:00.500Z")),
        ("2026-11-24 03:12:00", parse_timestamp("2026-11-24T03:12:00Z")),
        ("2026-11-24T14:12:00+11:00", parse_timestamp("2026-11-24T03:12:00Z")),
        ("1795489920", 1_795_489_920_000),
        ("1795489920123", 1_795_489_920_123),
        ("0", CSV_START_MS),
        ("1209600.25", CSV_START_MS + 1_209_600_250),
    ],
)
def test_all_usual_formats_of_times_are_read(text: str, expected: int) -> None:
    assert read_time(text) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "-1", "nan", "inf", "2026-13-01 00:00:00"])
def test_a_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|month|year"):
        read_time(text)


@pytest.mark.parametrize(
    ("fields", "text", "problem"),
    [
        ({"t": "timestamp", "gone": "latency_ms"}, "t,x\n1,2\n", "has no column 'gone': its columns are t, x"),
        ({}, "t,x\n1,2\n", "no column is mapped to timestamp: add --map COLUMN=timestamp"),
        ({"t": "timestamp"}, "t,latency_ms\n1,fast\n", "line 2: column latency_ms: 'fast' is not a number"),
        ({"t": "timestamp"}, "t,refused\n1,maybe\n", "line 2: column refused: 'maybe' is neither true nor false"),
        ({"t": "timestamp"}, "t,x\n1,2\nsoon,2\n", "line 3: column t: 'soon' is not a time"),
        ({"t": "timestamp"}, "t,x\n1,2\n,2\n", "line 3: has no timestamp"),
        ({"t": "timestamp"}, "t,x\n1,2\n1\n", "line 3: 1 cells, but the first line has 2"),
        ({"t": "timestamp", "x": "timestamp"}, "t,x\n1,2\n", "more than one column is mapped to timestamp"),
        ({"t": "timestamp"}, "", "is empty"),
    ],
)
def test_a_csv_that_does_not_fit_is_an_error_with_line_and_column(
    tmp_path: Path, fields: dict[str, str], text: str, problem: str
) -> None:
    with pytest.raises(LoadError) as caught:
        read_text(tmp_path, text, CsvMapping("api", fields))
    assert problem in str(caught.value)
    assert "requests.csv" in str(caught.value)


def test_a_csv_without_a_subject_or_a_mapping_is_an_error_with_the_option_to_add(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="--subject NAME"):
        read_text(tmp_path, "t\n1\n", CsvMapping(None, {"t": "timestamp"}))
    with pytest.raises(LoadError, match="--map COLUMN=timestamp"):
        read_text(tmp_path, "t\n1\n", None)


def test_a_csv_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_bytes(b"t,x\n1,\xff\xfe\n")
    with pytest.raises(LoadError, match=r"requests.csv after line \d+: is not UTF-8"):
        list(read_records(path, CsvMapping("api", {"t": "timestamp"})))


@pytest.mark.parametrize("text", ["t_s", "=timestamp", "t_s=", "x=latency", "x=output.latency_ms", "x=versions."])
def test_an_invalid_mapping_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match=r"COLUMN=FIELD|no field"):
        parse_mapping([text])


def test_a_column_mapped_twice_is_refused() -> None:
    with pytest.raises(LoadError, match="mapped twice"):
        parse_mapping(["a=timestamp", "a=subject"])
