"""Arbitrary files: no row raises an error, and every row is a message or has a problem."""

import csv
import io
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.intake import MappingSettings
from topologies.errors import DriftwireError
from topologies.record_files import open_records
from topologies.record_files.exports import EXPORTS

CELLS = st.one_of(
    st.sampled_from(
        ["", "-", "NULL", "812", "812,5", "1,204", "1.204,5", "1'204", "t", "f", "0", "-1", "inf", "1e400", "fast"]
    ),
    st.sampled_from(["2026-11-24T03:00:00Z", "2026-11-24 03:00:00", "1795489920", "1795489920123456"]),
    st.text(max_size=12),
)
COLUMNS = ("timestamp", "latency_ms", "refused", "custom.score", "versions.model")
MAPPING = MappingSettings(subject="bot", time_zone="UTC")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_all(path: Path, mapping: MappingSettings) -> int | None:
    """Read a file, and return its number of rows; None if the file is refused."""
    try:
        (file,) = open_records([path], mapping)
        lines = list(file)
    except DriftwireError:
        return None
    assert file.rows == len(lines)
    assert file.unusable.total() == sum(bool(line.problem) for line in lines)
    for line in lines:
        assert (line.value is not None) or line.problem
        if not line.problem:
            assert orjson.loads(line.value)
    return len(lines)


@QUICK
@given(
    rows=st.lists(st.lists(CELLS, min_size=4, max_size=6), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_every_row_of_a_csv_file_is_accounted_for(tmp_path: Path, rows, delimiter, encoding) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(COLUMNS)
    # One good row keeps the file from being refused as a whole.
    writer.writerow(["2026-11-24T03:00:00Z", "812", "t", "0.5", "m1"])
    writer.writerows(rows)
    path = tmp_path / "records.csv"
    path.write_bytes(text.getvalue().encode(encoding, "replace"))
    count = read_all(path, MAPPING)
    blank = sum(not any(cell.strip() for cell in row) for row in rows)
    assert count in (None, 1 + len(rows) - blank)


@QUICK
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.ndjson", "a.json", "a.csv.gz", "a.parquet"]))
def test_any_bytes_are_rows_or_one_line_of_error(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"timestamp,latency_ms\n" + content if name == "a.csv" else content)
    for mapping in (MAPPING, MappingSettings()):
        read_all(path, mapping)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
OBJECTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("timestamp", "subject", "latency_ms", "output", "versions", "custom", "x"), VALUES)
)


@QUICK
@given(objects=st.lists(st.one_of(OBJECTS, VALUES), max_size=8), as_array=st.booleans(), is_mapped=st.booleans())
def test_every_value_of_a_json_file_is_accounted_for(tmp_path: Path, objects, as_array, is_mapped) -> None:
    good = {"subject": "a", "timestamp": 1795489920123, "latency_ms": 1}
    values = [good, *objects]
    path = tmp_path / "records.json"
    path.write_text(
        "[\n" + ",\n".join(map(json.dumps, values)) + "\n]" if as_array else "\n".join(map(json.dumps, values))
    )
    count = read_all(path, MAPPING if is_mapped else MappingSettings())
    nested = sum(max(len(value), 1) - 1 for value in objects if isinstance(value, list))
    assert count is not None
    assert 1 + len(objects) <= count <= 1 + len(objects) + nested + sum(isinstance(value, list) for value in objects)


@QUICK
@given(values=st.data(), export=st.sampled_from(EXPORTS))
def test_any_values_under_the_keys_of_an_export_are_accounted_for(tmp_path: Path, values, export) -> None:
    keys = {source.partition(".")[0] for rule in export.rules for source in rule.sources}
    keys |= {key for group in export.keys for key in group}
    rows = values.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(sorted(keys), VALUES)), min_size=1, max_size=3))
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_all(path, MAPPING) in (None, len(rows))


@pytest.mark.parametrize("cells", [["2026-11-24T03:00:01Z"], ["2026-11-24T03:00:01Z", "1", "2"]])
def test_a_row_with_a_wrong_number_of_cells_is_named_with_its_line_and_the_rest_is_used(
    tmp_path: Path, cells: list[str]
) -> None:
    path = tmp_path / "records.csv"
    path.write_text(f"timestamp,latency_ms\n2026-11-24T03:00:00Z,1\n{','.join(cells)}\n2026-11-24T03:00:02Z,3\n")
    (file,) = open_records([path], MAPPING)
    lines = list(file)
    assert [line.value is not None for line in lines] == [True, False, True]
    problem = f"{len(cells)} cells, but the first line has 2"
    assert file.unusable == {problem: 1}
    assert file.first_lines == {problem: 3}
    assert file.guess.unusable == {problem: 1}
