"""CSV files as spreadsheets, databases and trace stores write them: each has one right reading, or is refused."""

from pathlib import Path

import orjson
import pytest
from rich.console import Console

from pipeline.detect.settings import DetectSettings
from pipeline.detect.step import DetectStep
from pipeline.intake import MappingSettings
from schemas.record import Record
from tests.pipeline.detect.streams import message
from topologies.errors import DriftwireError
from topologies.record_files import ReadOptions, RecordFile, open_records, render_guesses

FIELD = Path(__file__).parent / "field"


def open_field(name: str, *, options: ReadOptions | None = None, **settings: object) -> RecordFile:
    (file,) = open_records([FIELD / f"{name}.csv"], MappingSettings(subject="bot", **settings), options=options)
    return file


def read_records(file: RecordFile) -> list[dict]:
    lines = list(file)
    assert all(not line.problem for line in lines)
    records = [orjson.loads(line.value) for line in lines]
    for line, record in zip(lines, records, strict=True):
        assert Record.from_json(line.value).timestamp == line.time_ms
        del record["subject"], record["timestamp"]
    return records


def read_times(file: RecordFile) -> list[int]:
    return [line.time_ms for line in file]


def show(file: RecordFile) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_guesses([file.guess]))
    return capture.get()


def latencies(*values: object) -> list[dict]:
    return [{"infrastructure": {"latency_ms": value}} for value in values]


@pytest.mark.parametrize(
    ("name", "time_ms", "description"),
    [
        ("bigquery", 1795489200123, "time with offset"),
        ("byte-order-mark", 1795489200000, "UTF-8 with byte order mark"),
        ("microseconds", 1795489920123, "Unix microseconds"),
        ("nanoseconds", 1795489920123, "Unix nanoseconds"),
    ],
)
def test_times_and_encodings_are_read(name: str, time_ms: int, description: str) -> None:
    file = open_field(name)
    assert read_times(file) == [time_ms]
    assert read_records(file) == latencies(812)
    assert description in show(file)


def test_missing_words_are_absent_fields() -> None:
    file = open_field("missing-words")
    assert read_records(file) == [
        {},
        {},
        {"infrastructure": {"latency_ms": 812}, "output": {"confidence": 0.9, "length": 300}},
    ]
    assert [column.absent for column in file.guess.columns if column.field != "timestamp"][:3] == [2 / 3] * 3


def test_a_database_export_is_read_by_a_mapping_that_its_refusal_suggests() -> None:
    with pytest.raises(DriftwireError, match=r"--map start_time=timestamp; .*--map status_error=error"):
        open_field("postgres")
    file = open_field("postgres", map=("start_time=timestamp", "status_error=error"))
    assert read_times(file) == [1795489200123, 1795489201500]
    assert read_records(file) == [
        {"infrastructure": {"latency_ms": 812, "error": True}},
        {"infrastructure": {"latency_ms": 640, "error": False}},
    ]
    assert "boolean t/f" in show(file)


def test_seconds_for_milliseconds_are_suspicious_and_can_be_converted() -> None:
    file = open_field("seconds-for-latency")
    assert read_records(file) == [{}, {}]
    assert "latency may be latency_ms: --map latency=latency_ms" in show(file)
    file = open_field("seconds-for-latency", map=("latency=latency_ms",))
    assert read_records(file) == latencies(0.486, 1.912)
    assert "median of 1.2: if the column is in seconds, use --map latency=latency_ms:s" in show(file)
    file = open_field("seconds-for-latency", map=("latency=latency_ms:s",))
    assert read_records(file) == latencies(486.0, 1912.0)
    assert "median" not in show(file)


def test_a_decimal_comma_is_read_and_its_local_time_needs_a_time_zone() -> None:
    with pytest.raises(DriftwireError, match="no offset from UTC: give their time zone, such as --time-zone UTC"):
        open_field("semicolon-decimal-comma")
    file = open_field("semicolon-decimal-comma", time_zone="UTC")
    assert read_times(file) == [1795489200000, 1795489201000]
    assert read_records(file) == [
        {"infrastructure": {"latency_ms": 812.5}, "output": {"refused": False}},
        {"infrastructure": {"latency_ms": 640}, "output": {"refused": True}},
    ]
    shown = show(file)
    assert "CSV, semicolon, UTF-8 with byte order mark" in shown
    assert "number with decimal comma" in shown
    assert "812,5 → 812.5" in shown


def test_thousands_separators_of_a_file_with_commas_are_removed_and_announced() -> None:
    file = open_field("thousands")
    assert read_records(file) == latencies(1204, 812)
    assert "number, thousands separator removed" in show(file)
    assert "1,204 → 1204" in show(file)


def test_minus_one_is_a_bad_field_that_is_named_unless_it_is_declared_absent() -> None:
    file = open_field("minus-one")
    step = DetectStep(0, DetectSettings(), replay=False)
    step.step([message(offset, line.value, line.time_ms) for offset, line in enumerate(file)])
    assert step.counts()["used"] == 2
    assert step.streams["bot"].columns.bad_fields == {
        ("infrastructure.latency_ms", "out_of_bounds"): 1,
        ("data.retrieved_documents", "out_of_bounds"): 1,
    }
    assert {column.source: column.unusable for column in file.guess.columns if column.unusable} == {
        "latency_ms": 0.5,
        "retrieved_documents": 0.5,
    }
    assert "use --absent latency_ms=-1" in show(file)
    file = open_field("minus-one", absent=("latency_ms=-1", "retrieved_documents=-1"))
    assert read_records(file) == [{"data": {"retrieved_documents": 3}}, {"infrastructure": {"latency_ms": 812}}]
    assert "--absent" not in show(file)
