"""The fleet: its records, its baselines, and its planted failures."""

import ast
from dataclasses import replace
from statistics import median

import orjson
import pytest

from load.bench.measurement import fleet
from load.bench.measurement.fleet import YARDSTICK_SIGNALS, SimulatedFleet
from load.bench.measurement.peers import PEERS, SCRIPTS
from pipeline.detect.signals.catalogue import SIGNALS
from schemas.baseline import Baseline
from schemas.timestamp import parse_timestamp
from tests.pipeline.correlate.builders import drift

NOON_MS = parse_timestamp("2026-11-24T12:00:00Z")
FLEET = SimulatedFleet(1, 20, 200.0, 8000, NOON_MS, failing=4)


def read(services):
    return [(message, orjson.loads(message.value)) for message in services.messages(4)]


@pytest.mark.parametrize(
    "script", [peer.script for name, peer in PEERS.items() if name in ("obvious", "quix", "bytewax")]
)
def test_records_carry_exactly_the_signals_of_the_yardsticks(script):
    tree = ast.parse((SCRIPTS / script).read_text(encoding="utf-8"))
    (signals,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SIGNALS"
    )
    assert {(section, name) for section, names in signals.items() for name in names} == {
        (signal.section, signal.field) for signal in SIGNALS if signal.name in YARDSTICK_SIGNALS
    }
    assert len(YARDSTICK_SIGNALS) == 22


def test_the_records_are_those_of_the_services_in_order_of_time():
    records = read(FLEET)
    assert len(records) == 8000
    assert {record["subject"] for _, record in records} == set(FLEET.names)
    assert [message.time_ms for message, _ in records] == sorted(message.time_ms for message, _ in records)
    assert all(message.key == record["subject"].encode() for message, record in records)
    assert len({record["request_id"] for _, record in records}) == 8000


def test_a_single_service_is_spread_over_the_partitions():
    records = read(replace(FLEET, subjects=1, failing=1, records=400))
    assert len({message.key for message, _ in records}) == 4


def test_only_the_failing_services_fail_and_only_after_their_time():
    failing = replace(FLEET, failure_shares=(0.3, 0.6))
    empty = {True: [0, 0], False: [0, 0]}
    for message, record in read(failing):
        has_failed = message.time_ms >= failing.failure_at_ms[failing.names.index(record["subject"])]
        empty[has_failed][0] += record["output"]["empty"]
        empty[has_failed][1] += 1
    assert empty[True][0] / empty[True][1] == pytest.approx(0.6, abs=0.05)
    assert empty[False][0] <= 0.002 * empty[False][1]


def test_services_fail_one_after_another():
    at_ms = replace(FLEET, failure_shares=(0.25, 0.75)).failure_at_ms
    span_ms = FLEET.records / FLEET.records_per_second * 1000
    assert at_ms[0] - NOON_MS == pytest.approx(0.25 * span_ms, rel=0.3)
    assert at_ms[3] - at_ms[0] == pytest.approx(0.5 * span_ms, rel=0.3)
    assert list(at_ms[:4]) == sorted(at_ms[:4])


def test_each_service_has_typical_values_that_its_baseline_knows(monkeypatch):
    monkeypatch.setattr(fleet, "SHORT_SAMPLE_RECORDS", 32)
    typical = FLEET.learn()
    baselines = {
        baseline.subject: baseline
        for baseline in (Baseline.from_json(message.value) for message in FLEET.baselines(typical))
    }
    assert len({baseline.baseline_version for baseline in baselines.values()}) == 20
    latencies = {name: [] for name in FLEET.names}
    for _, record in read(FLEET):
        latencies[record["subject"]].append(record["infrastructure"]["latency_ms"])
    knots = {name: baselines[name].signals["latency_ms"].knots for name in FLEET.names}
    assert max(knot[256] for knot in knots.values()) > 1.8 * min(knot[256] for knot in knots.values())
    # All services share the load of the world, which moves all medians by the same factor.
    factors = [median(latencies[name]) / knots[name][256] for name in FLEET.names]
    assert max(factors) < 1.35 * min(factors)


def test_the_next_part_has_the_same_services_and_other_records():
    part = replace(FLEET.next_part(), records=400)
    first, later = read(replace(FLEET, records=400)), read(part)
    assert {record["subject"] for _, record in later} <= set(FLEET.names)
    assert not {record["request_id"] for _, record in first} & {record["request_id"] for _, record in later}
    assert part.start_ms == NOON_MS + 40_000
    assert sum(record["output"]["empty"] for _, record in later) < 5


def page(subject, after_ms):
    return drift("empty", start=int(FLEET.failure_at_ms[0]) + after_ms, subject=subject)


def test_a_failure_that_is_not_reported_is_a_problem():
    pages = [page(name, 0) for name in FLEET.names[:4]]
    assert FLEET.problems(pages, 4) == []
    assert FLEET.problems(pages[1:], 4) == ["the planted empty_output was reported 3 times of 4"]


def test_a_page_before_the_failure_is_a_problem():
    pages = [page(name, 0) for name in FLEET.names[:4]]
    assert FLEET.problems([*pages, page(FLEET.names[0], -60_000)], 4) == [
        "1 pages for empty_output precede the planted failure"
    ]
    assert FLEET.problems([*pages, page(FLEET.names[9], 0)], 4) == [
        "1 pages for empty_output precede the planted failure"
    ]


def test_every_record_has_the_fields_that_its_baseline_expects():
    expected = FLEET.learn().expected_fields
    assert len(expected) > 15
    for _, record in read(FLEET):
        fields = {f"{name}.{field}" for name, part in record.items() if isinstance(part, dict) for field in part}
        assert set(expected) <= fields | set(record)
