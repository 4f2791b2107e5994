"""Parquet files: types, projection, and a clear error if pyarrow is missing."""

import math
import sys
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.intake import MappingSettings
from topologies.errors import DriftwireError
from topologies.record_files import open_records
from topologies.record_files.file_format import find_format

NANOSECONDS = 1_795_489_920_123_456_789
TIME_MS = 1_795_489_920_123


def write(folder: Path, **columns: object) -> Path:
    path = folder / "records.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


def read(path: Path, **settings: object) -> list[dict]:
    (file,) = open_records([path], MappingSettings(subject="bot", **settings))
    lines = list(file)
    assert all(not line.problem for line in lines)
    assert {line.time_ms for line in lines} == {TIME_MS}
    return [orjson.loads(line.value) for line in lines]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_any_unit_are_read(tmp_path: Path, unit: str) -> None:
    value = NANOSECONDS // {"ms": 10**6, "us": 10**3, "ns": 1}[unit]
    path = write(tmp_path, timestamp=pa.array([value], pa.timestamp(unit, tz="UTC")), latency_ms=[812])
    assert read(path)[0]["infrastructure"] == {"latency_ms": 812}
    path = write(tmp_path, timestamp=pa.array([value], pa.timestamp(unit)), latency_ms=[812])
    with pytest.raises(DriftwireError, match="--time-zone UTC"):
        read(path)
    assert read(path, time_zone="UTC")[0]["infrastructure"] == {"latency_ms": 812}


def test_values_of_any_type_become_values_of_json(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        timestamp=[TIME_MS, TIME_MS],
        latency_ms=pa.array([Decimal("812.5"), None], pa.decimal128(9, 3)),
        confidence=[math.nan, math.inf],
        refused=[True, None],
        finish_reason=pa.array([b"stop", "length"], pa.binary()),
        usage=[{"in": 3}, {"in": 4}],
        region=pa.array(["eu", None]).dictionary_encode(),
        prompt=["secret", "secret"],
    )
    first, second = read(path, map=("usage.in=input_tokens", "region=segment.region"))
    assert first == {
        "subject": "bot",
        "timestamp": TIME_MS,
        "infrastructure": {"input_tokens": 3, "latency_ms": 812.5},
        "output": {"refused": True, "finish_reason": "stop"},
        "segment": {"region": "eu"},
    }
    assert second["infrastructure"] == {"input_tokens": 4}
    assert second["output"] == {"finish_reason": "length", "confidence": ""}


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, timestamp=[TIME_MS], prompt=["x" * 1000], **{"attributes.took": [3]})
    form = find_format(path)
    (row,) = form.read_rows(["timestamp", "attributes.took"])
    assert row.fields == {"timestamp": TIME_MS, "attributes.took": 3}
    assert read(path, map=("attributes.took=latency_ms",))[0]["infrastructure"] == {"latency_ms": 3}


def test_a_missing_column_a_broken_file_and_a_missing_library_are_errors_that_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, timestamp=[TIME_MS])
    with pytest.raises(DriftwireError, match="has no column 'took': its columns are timestamp"):
        read(path, map=("took=latency_ms",))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DriftwireError, match=r"broken.parquet cannot be read as Parquet"):
        read(broken)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DriftwireError, match=r"pip install 'driftwire\[parquet\]'"):
        read(path)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"at": NANOSECONDS}], pa.struct([("at", pa.timestamp("ns", "Europe/Berlin"))])),
        pa.array([[NANOSECONDS]], pa.list_(pa.timestamp("ns"))),
        pa.array([1_000_000_001], pa.duration("ns")),
        pa.array([1_000_000_001], pa.time64("ns")),
        pa.array([9 * 10**18], pa.timestamp("us")),
        pa.array([{"at": 9 * 10**18}], pa.struct([("at", pa.timestamp("us"))])),
        pa.array([2**30], pa.date32()),
        pa.array([b"\xff"]).view(pa.string()),
    ],
    ids=lambda column: str(column.type),
)
def test_values_that_python_cannot_represent_are_no_error(tmp_path: Path, column: pa.Array) -> None:
    path = write(tmp_path, timestamp=[TIME_MS], latency_ms=[812], other=column)
    (record,) = read(path, map=("other=custom.other",))
    assert record["infrastructure"] == {"latency_ms": 812}
