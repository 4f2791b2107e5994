"""Files of records: their content, its order, their mapping, and errors about files that cannot be read."""

import gzip
import json
from pathlib import Path

import orjson
import pytest

from pipeline.intake import MappingSettings
from schemas.record import Record
from schemas.timestamp import parse_timestamp
from topologies.errors import DriftwireError
from topologies.record_files import ReadOptions, RecordLine, merge_by_event_time, open_records, read_deployments

FIRST = '{"subject":"a","timestamp":"2026-11-24T03:12:00Z","output":{"length":3}}'
SECOND = '{"subject":"b","timestamp":1795489921000}'
BOT = MappingSettings(subject="bot")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read(path: Path, settings: MappingSettings | None = None, **options: object) -> list[RecordLine]:
    (file,) = open_records([path], settings, **options)
    return list(file)


def records(lines: list[RecordLine]) -> list[dict]:
    assert all(not line.problem for line in lines)
    return [orjson.loads(line.value) for line in lines]


class TestOwnForm:
    @pytest.mark.parametrize("name", ["records.ndjson", "records.ndjson.gz", "records.json", "records.log"])
    def test_lines_are_messages_byte_for_byte(self, tmp_path: Path, name: str) -> None:
        lines = read(write(tmp_path, name, f"{FIRST}\n\n{SECOND}\r\n"))
        assert [line.value.decode() for line in lines] == [FIRST, SECOND]
        assert [line.subject for line in lines] == ["a", "b"]
        assert [line.line for line in lines] == [1, 3]
        assert lines[1].time_ms == 1795489921000

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
    def test_a_line_that_is_not_a_record_is_unchanged_and_has_a_problem(self, tmp_path: Path, bad: str) -> None:
        lines = read(write(tmp_path, "records.ndjson", f"{FIRST}\n{bad}\n"))
        assert lines[1].value.decode() == bad
        assert lines[1].problem
        assert lines[1].time_ms == lines[0].time_ms

    def test_an_array_on_a_line_is_one_message_at_the_time_of_its_first_record(self, tmp_path: Path) -> None:
        (line,) = read(write(tmp_path, "records.ndjson", f"[{FIRST},{SECOND}]"))
        assert (line.subject, line.problem) == ("a", "")
        assert line.time_ms == parse_timestamp("2026-11-24T03:12:00Z")

    @pytest.mark.parametrize("indent", [None, 2])
    def test_a_json_array_of_several_lines_is_one_message_per_record(self, tmp_path: Path, indent: int | None) -> None:
        objects = [json.loads(FIRST) | {"x": "é]" * 10} for _ in range(50)]
        text = "[\n" + ",\n".join(json.dumps(record, indent=indent, ensure_ascii=False) for record in objects) + "\n]\n"
        lines = read(write(tmp_path, "records.json", text))
        assert records(lines) == objects
        assert lines[-1].line == text.count("\n") - 1

    def test_an_array_on_one_line_of_a_json_file_is_one_message_per_record(self, tmp_path: Path) -> None:
        lines = read(write(tmp_path, "records.json", f"[{FIRST},{SECOND}]\n"))
        assert [line.value.decode() for line in lines] == [FIRST, SECOND]

    def test_text_after_an_array_is_not_lost_in_silence(self, tmp_path: Path) -> None:
        lines = read(write(tmp_path, "records.json", f"[\n{FIRST}\n]\n{SECOND}\n"))
        assert [line.problem for line in lines] == ["", "text after the end of the array"]
        lines = read(write(tmp_path, "records.json", f"[{FIRST}]\n[{SECOND}]\n"))
        assert [line.subject for line in lines] == ["a", "b"]

    def test_what_follows_a_broken_element_of_an_array_is_one_unusable_row(self, tmp_path: Path) -> None:
        lines = read(write(tmp_path, "records.json", f"[\n{FIRST},\n{SECOND},\n{{]\n]"))
        assert [line.value is None for line in lines] == [False, False, True]
        assert lines[2].problem == "not JSON: the rest of the array cannot be read"

    def test_values_that_are_not_json_stay_as_they_are(self, tmp_path: Path) -> None:
        bad = FIRST.replace('"length":3', '"length":NaN,"finish_reason":"\\ud800"')
        (line,) = read(write(tmp_path, "records.ndjson", f"[{bad},{SECOND}]"))
        assert (line.problem, line.value) == ("", f"[{bad},{SECOND}]".encode())

    def test_local_times_are_records_if_the_configuration_names_a_time_zone(self, tmp_path: Path) -> None:
        path = write(tmp_path, "records.ndjson", FIRST.replace("T03:12:00Z", " 03:12:00"))
        assert read(path)[0].problem
        (line,) = read(path, time_zone="UTC")
        assert (line.problem, line.time_ms) == ("", 1_795_489_920_000)


class TestMapping:
    def test_a_csv_becomes_records_of_the_contract(self, tmp_path: Path) -> None:
        text = "t_s,input_tokens,took,ok,build,note\n0.5,77,812.5,true,7,hello\n1.0,75,,0,8,\n"
        entries = ("t_s=timestamp", "took=infrastructure.latency_ms", "ok=schema_valid", "build=versions.model")
        options = ReadOptions(start_ms=parse_timestamp("2024-01-01T00:00:00Z"))
        lines = read(write(tmp_path, "a.csv", text), MappingSettings(map=entries, subject="api"), options=options)
        first, second = records(lines)
        assert first == {
            "subject": "api",
            "timestamp": "2024-01-01T00:00:00.500Z",
            "infrastructure": {"input_tokens": 77, "latency_ms": 812.5},
            "data": {"schema_valid": True},
            "versions": {"model": "7"},
        }
        assert second["infrastructure"] == {"input_tokens": 75}
        assert second["data"] == {"schema_valid": False}
        for line in lines:
            Record.from_json(line.value)

    def test_subjects_of_the_rows_stay_and_a_plain_subject_fills_none(self, tmp_path: Path) -> None:
        text = "when,app,toxicity\n2026-11-24T03:12:00Z,one,0.2\n2026-11-24T03:12:01Z,two,0.3\n"
        entries = ("when=timestamp", "app=subject", "toxicity=custom.toxicity")
        lines = read(write(tmp_path, "a.csv", text), MappingSettings(map=entries))
        assert [line.subject for line in lines] == ["one", "two"]
        assert records(lines)[1]["custom"] == {"toxicity": 0.3}
        path = write(tmp_path, "b.csv", text.replace("app", "subject").replace("when", "timestamp"))
        assert [line.subject for line in read(path, BOT)] == ["one", "two"]

    def test_columns_with_the_paths_of_fields_and_a_rule_for_the_subject(self, tmp_path: Path) -> None:
        text = "timestamp;infrastructure.latency_ms;versions.prompt;app;region\n2026-11-24T03:12:00Z;8;v4;shop;eu\n"
        (record,) = records(read(write(tmp_path, "a.csv", text), MappingSettings(subject="{app}-{region}")))
        assert record == {
            "subject": "shop-eu",
            "timestamp": "2026-11-24T03:12:00Z",
            "infrastructure": {"latency_ms": 8},
            "versions": {"prompt": "v4"},
        }

    def test_flat_json_is_mapped_and_only_mapped_values_are_copied(self, tmp_path: Path) -> None:
        text = '{"timestamp": 1795489921000, "latency_ms": "8", "prompt": "secret", "usage": {"in": 3}}'
        settings = MappingSettings(subject="bot", map=("usage.in=input_tokens",))
        (record,) = records(read(write(tmp_path, "a.jsonl", text), settings))
        assert record["infrastructure"] == {"latency_ms": "8", "input_tokens": 3}
        assert "secret" not in json.dumps(record)

    def test_the_values_of_texts_are_not_shown(self, tmp_path: Path) -> None:
        text = "timestamp,latency_ms,finish_reason\n2026-11-24T03:12:00Z,secret-1,secret-2\n"
        (file,) = open_records([write(tmp_path, "a.csv", text)], BOT)
        assert "secret" not in str(file.guess)
        assert {column.source: column.unusable for column in file.guess.columns} == {
            "timestamp": 0,
            "latency_ms": 1,
            "finish_reason": 0,
            "bot": 0,
        }

    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            (["1,204", "812,5"], [1.204, 812.5]),
            (["1,204,300", "812"], [1204300, 812]),
            (["1,204.5", "0.5"], [1204.5, 0.5]),
            (["1.204,5", "12"], [1204.5, 12]),
            (["1 204", "1'204,5"], [1204, 1204.5]),
            (['"812"', "6e2"], [812, 600]),
        ],
    )
    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_a_column_proves_its_decimal_mark(
        self, tmp_path: Path, cells: list[str], expected: list[float], delimiter: str
    ) -> None:
        rows = "".join(f"2026-11-24T03:12:00Z{delimiter}{cell}\n" for cell in cells)
        path = write(tmp_path, "a.csv", f"timestamp{delimiter}latency_ms\n{rows}")
        assert [record["infrastructure"]["latency_ms"] for record in records(read(path, BOT))] == expected

    @pytest.mark.parametrize(
        "text",
        [
            "timestamp;latency_ms\n2026-11-24T03:12:00Z;1,204\n",
            "timestamp;latency_ms;queue_depth\n2026-11-24T03:12:00Z;1.204;1,5\n",
            'timestamp,latency_ms\n2026-11-24T03:12:00Z,"1,204,300"\n2026-11-24T03:12:00Z,"812,5"\n',
        ],
    )
    def test_numbers_with_two_meanings_are_refused_until_the_decimal_mark_is_given(
        self, tmp_path: Path, text: str
    ) -> None:
        path = write(tmp_path, "a.csv", text)
        with pytest.raises(DriftwireError, match=r'column latency_ms: .*state the decimal mark .*--decimal ","'):
            read(path, BOT)
        (first, *_) = records(read(path, BOT, options=ReadOptions(decimal=",")))
        assert first["infrastructure"]["latency_ms"] in (1.204, 1204, "")


class TestErrors:
    @pytest.mark.parametrize(
        ("entries", "text", "problem"),
        [
            (("gone=latency_ms",), "timestamp,x\n1,2\n", "has no column 'gone': its columns are timestamp, x"),
            ((), "t,x\n1795489921,2\n", "name the source of the time with --map SOURCE=timestamp; sources: t, x"),
            (("t=timestamp",), "t,x\nsoon,2\n", "a timestamp must be a Unix time, or RFC 3339"),
            ((), "", "is empty"),
            ((), '{"subject": "bot"}\n', "contains JSON: give the file a name that ends in .ndjson"),
            ((), "1,2\n3,4\n", "the first line contains numbers"),
        ],
    )
    def test_a_csv_that_does_not_fit_is_refused(
        self, tmp_path: Path, entries: tuple[str, ...], text: str, problem: str
    ) -> None:
        with pytest.raises(DriftwireError) as caught:
            read(write(tmp_path, "requests.csv", text), MappingSettings(map=entries, subject="api"))
        assert problem in str(caught.value)
        assert "requests.csv" in str(caught.value)

    def test_a_csv_without_a_subject_is_refused_with_the_option_to_add(self, tmp_path: Path) -> None:
        with pytest.raises(DriftwireError, match="give --subject NAME"):
            read(write(tmp_path, "a.csv", "timestamp\n2026-11-24T03:12:00Z\n"))

    def test_a_csv_that_is_not_utf_8_is_refused_and_a_later_row_is_unusable(self, tmp_path: Path) -> None:
        path = tmp_path / "requests.csv"
        path.write_bytes(b"timestamp,x\n1795489921,\xff\xfe\n")
        with pytest.raises(DriftwireError, match=r"requests.csv is not UTF-8 .* export it as UTF-8"):
            read(path, BOT)
        good = b"1795489921,2\n" * 50_000
        path.write_bytes(b"timestamp,finish_reason\n" + good + b"1795489921,caf\xe9\n" + good)
        lines = read(path, BOT)
        assert [line.line for line in lines if line.problem == "not UTF-8"] == [50_002]
        assert sum(not line.problem for line in lines) == 100_000

    @pytest.mark.parametrize("broken", ["missing", "cut", "not gzip"])
    def test_a_file_that_cannot_be_read_is_an_error_with_its_name(self, tmp_path: Path, broken: str) -> None:
        path = tmp_path / "records.ndjson.gz"
        if broken == "cut":
            path.write_bytes(gzip.compress(FIRST.encode() * 100)[:-20])
        elif broken == "not gzip":
            path.write_text(FIRST)
        with pytest.raises(DriftwireError, match=r"records\.ndjson\.gz cannot be read"):
            read(path)


def test_files_are_merged_by_event_time_and_keep_their_order(tmp_path: Path) -> None:
    def record(subject: str, second: int) -> str:
        return f'{{"subject":"{subject}","timestamp":{1795489920000 + second * 1000}}}'

    first = write(tmp_path, "one.ndjson", "\n".join(record("a", second) for second in (0, 4, 2, 5)))
    second = write(tmp_path, "two.ndjson", "\n".join(record("b", second) for second in (1, 3, 9)))
    merged = merge_by_event_time(open_records([first, second]))
    seconds = [(line.subject, line.time_ms % 60_000 // 1000) for line in merged]
    assert seconds == [("a", 0), ("b", 1), ("b", 3), ("a", 4), ("a", 2), ("a", 5), ("b", 9)]


def test_deployments_are_read_and_an_invalid_one_is_an_error_with_line_and_field(tmp_path: Path) -> None:
    good = '{"deployment_id":"d","timestamp":"2026-11-24T03:12:00Z","kind":"prompt","subject":"a"}'
    assert read_deployments(write(tmp_path, "good.ndjson", good))[0].kind == "prompt"
    two = read_deployments(write(tmp_path, "two.ndjson", good.replace('"a"', '["a", "b"]')))
    assert [deployment.subject for deployment in two] == ["a", "b"]
    wrong = write(tmp_path, "wrong.ndjson", f"{good}\n{good.replace('kind', 'kin')}")
    with pytest.raises(DriftwireError, match=r"wrong.ndjson line 2: not a valid deployment: kind: Field required"):
        read_deployments(wrong)
