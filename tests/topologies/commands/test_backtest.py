"""``driftwire backtest``: what it prints, its report, its JSON, its exit status, and three real streams."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.timestamp import format_timestamp
from tests.past_records import CHANGE, deployment, past_records, time_of
from topologies.commands.backtest import command
from topologies.errors import DriftwireError

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "llmdrift"
READY = ("--ready-records", "1000")


def backtest(*arguments, status=0):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    path = tmp_path_factory.mktemp("backtest") / "failing.ndjson"
    path.write_bytes(b"\n".join(past_records(refused=0.5)))
    return path


def test_it_says_what_would_have_happened_and_writes_the_page_and_the_json(tmp_path, failing):
    changes = tmp_path / "deployments.ndjson"
    changes.write_bytes(deployment().to_json())
    report, found = tmp_path / "report.html", tmp_path / "found.json"
    output = backtest(failing, *READY, "--deployments", changes, "--report", report, "--json", found)
    assert "\ndriftwire would have paged once and raised no ticket.\n" in output
    assert "the first half of the time" in output
    assert "Refusal spike in bot; suspect: prompt v1 -> v2" in output
    assert f"{report}: the report" in output
    assert "Refusal spike in bot" in report.read_text()
    content = json.loads(found.read_text())
    (incident,) = content["incidents"]
    assert incident["subject"] == "bot"
    assert incident["severity"] in ("P2", "P3")
    assert incident["failure_mode"] == "refusal_spike"
    assert incident["first_suspect"] == "prompt v1 -> v2"
    assert incident["title"] == "Refusal spike in bot"
    assert format_timestamp(time_of(CHANGE - 50)) < incident["started_at"] < incident["detected_at"]
    assert content["judged_share"] > 0.95
    assert content["records_used"] == 6000
    assert content["records_unusable"] == 0


def test_the_exit_status_tells_an_incident_from_a_failure(failing):
    assert "are P3 or worse" in backtest(failing, *READY, "--fail-on", "P3", status=3)
    backtest(failing, *READY, "--fail-on", "P1")


def test_nothing_judged_is_said_loudly_with_what_to_type(tmp_path):
    path = tmp_path / "few.ndjson"
    path.write_bytes(b"\n".join(past_records(count=900)))
    output = backtest(path)
    assert "\nNothing was judged, so" in output
    assert "WARNING: nothing was judged" in output
    assert "--ready-records 500" in output
    assert "Nothing was judged" not in backtest(path, "--ready-records", "500")
    with pytest.raises(DriftwireError, match="nothing was judged, so --fail-on P2 cannot pass"):
        backtest(path, "--fail-on", "P2")


def test_the_end_of_the_baseline_can_be_given(failing):
    output = backtest(failing, *READY, "--baseline-until", format_timestamp(time_of(2500)))
    assert "as given" in output
    assert "paged once" in output
    assert "give only one of" in backtest(failing, "--baseline-until", time_of(2500), "--ready-after", "2m", status=2)


def test_a_table_of_another_service_is_mapped(tmp_path):
    rows = ["when,app,took"]
    for number, line in enumerate(past_records(count=4000)):
        took_s = json.loads(line)["infrastructure"]["latency_ms"] / 1000 * (4 if number >= 3000 else 1)
        rows.append(f"{format_timestamp(time_of(number))},shop,{took_s:.3f}")
    rows[50] = "no time,shop,1"
    path, report = tmp_path / "table.csv", tmp_path / "report.html"
    path.write_text("\n".join(rows) + "\n")
    mapping = ("--map", "when=timestamp", "--map", "app=subject", "--map", "took=latency_ms:s")
    output = backtest(path, *mapping, *READY, "--report", report)
    assert "Latency degradation in shop" in output
    assert "3,999 records used, 1 unusable" in output
    assert "rows" in report.read_text()


def test_files_without_a_usable_record_are_an_error(tmp_path):
    path = tmp_path / "other.ndjson"
    path.write_text("{}\n")
    with pytest.raises(DriftwireError, match="no usable records: subject_missing 1"):
        backtest(path)


@pytest.mark.skipif(
    not DATA.exists(), reason=f"{DATA} does not exist: the recorded streams are not part of the project"
)
@pytest.mark.parametrize("options", [(), ("--ready-after", "30m", "--ready-records", "5000")], ids=["default", "30m"])
@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("prime", {"latency_ms", "length"}),
        ("happy", {"latency_ms", "length"}),
        ("opinionqa", {"latency_ms"}),
    ],
)
def test_a_recorded_change_of_a_model_gives_the_expected_incident(tmp_path, name, signals, options):
    path = DATA / f"llmdrift-{name}-gpt-35"
    found = tmp_path / "found.json"
    files = (f"{path}.records.ndjson.gz", "--deployments", f"{path}.deployments.ndjson")
    backtest(*files, *options, "--json", found, "--report", tmp_path / "report.html")
    content = json.loads(found.read_text())
    (incident,) = content["incidents"]
    assert incident["failure_mode"] == "latency_degradation"
    assert incident["first_suspect"] == "model gpt-3.5-turbo-0301 -> gpt-3.5-turbo-0613"
    assert "2023-06-12T00:33:1" < incident["started_at"] < "2023-06-12T00:33:3"
    assert {one["signal"] for one in incident["signals"]} == signals
    paging = {one["signal"] for one in incident["signals"] if one["tier"] == "page"}
    assert paging == ({"latency_ms", "length"} if name == "happy" else {"latency_ms"})
    assert content["judged_share"] > 0.95
    assert content["records_used"] == 25_000


def _write_records(path, change, count=3000, first=0):
    lines = []
    for number, line in enumerate(past_records(count=count)):
        record = json.loads(line)
        lines.append(json.dumps(change(record) if number >= first else record))
    path.write_text("\n".join(lines))
    return path


def test_records_without_a_signal_are_not_judged(tmp_path):
    def drop_signals(record):
        return {name: record[name] for name in ("subject", "timestamp", "request_id")}

    path = _write_records(tmp_path / "bare.ndjson", drop_signals)
    output = backtest(path, "--report", tmp_path / "report.html")
    assert "Nothing was judged" in output
    assert "name the sources of signals with --map" in output


def test_a_rate_that_is_always_one_is_drawn(tmp_path):
    path = _write_records(tmp_path / "errors.ndjson", lambda record: record | {"infrastructure": {"error": True}})
    report = tmp_path / "report.html"
    backtest(path, *READY, "--report", report)
    assert "<title>error over time</title>" in report.read_text()


def test_records_with_the_newest_first_are_refused(tmp_path):
    path = tmp_path / "newest-first.ndjson"
    path.write_bytes(b"\n".join(list(past_records(count=3000))[::-1]))
    with pytest.raises(DriftwireError, match=r"not in order of time.*: sort each file by time, oldest first"):
        backtest(path, *READY)


@pytest.mark.parametrize(
    "option", [("--baseline-until", "2001-01-01T00:00:00Z"), ("--baseline-until", "2090-01-01T00:00:00Z")]
)
def test_a_learning_period_must_end_within_the_records(failing, option):
    with pytest.raises(DriftwireError, match=r"learning period would end at .* choose an end between these times"):
        backtest(failing, *READY, *option)


def test_signals_and_subjects_that_were_not_judged_are_listed(tmp_path):
    path = tmp_path / "two.ndjson"
    lines = []
    for number, line in enumerate(past_records(count=4000)):
        lines.append(line)
        if number % 40 == 0:
            lines.append(json.dumps(json.loads(line) | {"subject": "rare", "request_id": f"rare-{number}"}).encode())
    path.write_bytes(b"\n".join(lines))
    output = backtest(path, "--ready-records", "1500")
    assert "not judged: rare: only 5" in output
    output = backtest(path)
    assert "latency_ms" in output
    assert "fewer than 5,000 records contained it" in output


def test_an_incident_of_unusable_data_counts_for_fail_on(tmp_path):
    def spoil(record):
        return record | {"infrastructure": {"latency_ms": "fast", "error": "perhaps"}, "output": {}}

    path = _write_records(tmp_path / "text.ndjson", spoil)
    output = backtest(path, "--fail-on", "P4", status=3)
    assert "No signal was judged, but driftwire would have paged nobody and raised one ticket." in output


def test_a_single_record_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "one.ndjson"
    path.write_bytes(next(iter(past_records(count=1))))
    with pytest.raises(DriftwireError, match=r"timestamp_out_of_range 1 .too few consecutive records"):
        backtest(path)
