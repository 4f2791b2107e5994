from dataclasses import replace

import numpy as np
import pytest

from pipeline.detect.findings.series import KINDS_MAX, MINUTE_MS, MINUTES_STORED, VERSIONS_MAX
from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.segments.test_segments import ROWS, fired, mix, observe_world, refusing
from tests.pipeline.detect.worlds import START_MS, blocks, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)
BAD_FROM = 10_000


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


def first(findings, signal, segment=""):
    return next(finding for finding in fired(findings) if finding.signal.name == signal and finding.segment == segment)


def by_version(finding):
    return {series.version: series for series in finding.series}


def test_a_drift_has_its_signal_per_minute_from_ten_minutes_before_its_start(baseline):
    world = normal_world(2, 40_000)
    refusing(world, np.arange(40_000) >= 36_000, 0.3)
    drift = first(observe_world(Monitor(baseline, REPLAY), world), "refused")
    (overall,) = drift.series
    assert overall.version == ""
    assert overall.begins_at <= drift.started_at - 10 * MINUTE_MS < overall.begins_at + MINUTE_MS
    begins = (overall.begins_at - START_MS) // 20
    for minute, (count, mean) in enumerate(zip(overall.records[:-1], overall.means[:-1], strict=True)):
        rows = world["refused"][max(0, begins + 3000 * minute) : begins + 3000 * (minute + 1)]
        assert count == rows.size
        assert mean == pytest.approx(rows.mean(), rel=1e-5)
    assert overall.values == []


def test_the_series_of_a_value_has_ranks_and_values_in_its_unit(baseline):
    world = normal_world(3, ROWS)
    world["latency_ms"][BAD_FROM:] *= 3.0
    drift = first(observe_world(Monitor(baseline, REPLAY), world), "latency_ms")
    overall = drift.series[0]
    assert overall.means[0] == pytest.approx(0.5, abs=0.05)
    assert overall.means[-1] > overall.means[0] + 0.05
    assert overall.values[0] == pytest.approx(float(np.median(world["latency_ms"][:BAD_FROM])), rel=0.1)
    assert len(overall.values) == len(overall.means) == len(overall.records)


def test_a_new_version_has_a_series_beside_that_of_the_old_version(baseline):
    world = normal_world(4, ROWS)
    prompts = ["v1"] * BAD_FROM + mix(4, ROWS - BAD_FROM, v1=0.8, v2=0.2)
    refusing(world, np.array(prompts) == "v2", 0.3)
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused", "prompt=v2")
    series = by_version(drift)
    old, new, overall = series["prompt=v1"], series["prompt=v2"], series[""]
    assert [
        old_count + new_count for old_count, new_count in zip(old.records, new.records, strict=True)
    ] == overall.records
    assert (new.records[0], old.records[0]) == (0, overall.records[0])
    assert max(new.means) == pytest.approx(0.3, abs=0.1)
    assert max(old.means) < 0.05
    assert drift.traffic_share == pytest.approx(0.2, abs=0.06)


def test_the_traffic_share_of_a_young_version_is_its_current_share(baseline):
    rows = 60_000
    world = normal_world(13, rows)
    prompts = ["v1"] * 50_000 + mix(13, 10_000, v1=0.7, v2=0.3)
    refusing(world, np.array(prompts) == "v2", 0.2)
    findings = observe_world(Monitor(baseline, REPLAY), world, prompt=prompts)
    shares = [finding.traffic_share for finding in findings if finding.segment == "prompt=v2"]
    assert shares[-1] == pytest.approx(0.3, abs=0.03)
    assert min(shares) > 0.1


def test_a_version_that_serves_all_records_is_named_without_numbers(baseline):
    world = normal_world(5, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=["v1"] * ROWS, model=["m1"] * ROWS), "refused")
    assert [(series.version, series.records) for series in drift.series[1:]] == [("model=m1", []), ("prompt=v1", [])]
    assert drift.traffic_share == 1.0


@pytest.mark.slow
def test_half_an_hour_after_the_last_record_of_the_old_version_only_the_new_one_is_left(baseline):
    minute_rows = 3000
    rows = (MINUTES_STORED + 8) * minute_rows
    world, bad_from = normal_world(6, rows), (MINUTES_STORED + 4) * minute_rows
    refusing(world, np.arange(rows) >= bad_from, 0.3)
    prompts = ["v1"] * minute_rows + ["v2"] * (rows - minute_rows)
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused")
    assert [series.version for series in drift.series] == ["", "prompt=v2"]


def test_a_kind_with_too_many_versions_at_once_has_no_series(baseline):
    world = normal_world(7, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    prompts = [f"v{row % (VERSIONS_MAX + 1)}" for row in range(ROWS)]
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused")
    assert [series.version for series in drift.series] == [""]


def test_a_kind_with_too_many_versions_in_long_runs_has_no_series(baseline):
    world = normal_world(8, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    prompts = [f"v{row // 50 % (VERSIONS_MAX + 1)}" for row in range(ROWS)]
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused")
    assert [series.version for series in drift.series] == [""]


@pytest.mark.slow
def test_a_version_that_no_record_names_any_more_is_dropped(baseline):
    minute_rows = 3000
    rows = (MINUTES_STORED + 8) * minute_rows
    world = normal_world(9, rows)
    refusing(world, np.arange(rows) >= rows - 3 * minute_rows, 0.3)
    for before in (["old"] * minute_rows, mix(9, minute_rows, old=0.5, new=0.5)):
        prompts = before + [None] * (rows - minute_rows)
        drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused")
        assert [series.version for series in drift.series] == [""]


def test_records_without_a_version_belong_to_no_version(baseline):
    world = normal_world(10, ROWS)
    refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
    prompts = ["v1" if row % 2 else None for row in range(ROWS)]
    drift = first(observe_world(Monitor(baseline, REPLAY), world, prompt=prompts), "refused")
    series = by_version(drift)
    assert set(series) == {"", "prompt=v1"}
    halves = [2 * count for count in series["prompt=v1"].records]
    assert halves == pytest.approx(series[""].records, abs=2)


def test_the_number_of_kinds_is_limited():
    monitor = Monitor(learned(normal_world(1, 40_000), REPLAY), REPLAY)
    for number, part in enumerate(blocks(normal_world(11, ROWS), size=128)):
        labels = ["on"] * len(part.panes)
        monitor.observe(replace(part, versions={f"flag:{number}-{kind}": labels for kind in range(KINDS_MAX)}))
    assert len(monitor.minute_series._kinds) == KINDS_MAX


def test_the_order_in_which_a_sender_names_kinds_does_not_matter():
    known = learned(normal_world(1, 40_000), REPLAY)
    kinds = [f"flag:{number}" for number in range(KINDS_MAX + 3)]
    series_by_order = []
    for order in (kinds, kinds[::-1]):
        monitor, world = Monitor(known, REPLAY), normal_world(12, ROWS)
        refusing(world, np.arange(ROWS) >= BAD_FROM, 0.3)
        findings = [
            finding
            for part in blocks(world, size=128)
            for finding in monitor.observe(replace(part, versions={name: ["on"] * len(part.panes) for name in order}))
        ]
        series_by_order.append(first(findings, "refused").series)
    assert series_by_order[0] == series_by_order[1]
    assert len(series_by_order[0]) == 1 + KINDS_MAX
