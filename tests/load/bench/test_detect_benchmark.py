"""The benchmarks of the workers: what makes them fail, and short runs of them on a real Kafka."""

import io
import math
import re
import time

import pytest
from rich.console import Console

from load.bench import ALL_PEERS, busy_service, live_fleet, quiet_fleet
from load.bench.detect_benchmark import detect_problems, run_detect_benchmark
from load.bench.latency_benchmark import _quantiles, run_latency_benchmark
from load.bench.machine import describe_machine, describe_run
from load.bench.measurement import PeerComparison, SimulatedFleet
from load.bench.measurement.peers import PEERS
from load.bench.measurement.timed_run import TimedRun
from load.bench.memory_benchmark import VISIT_RECORDS, VISITORS, Visitors
from load.bench.recovery_benchmark import run_recovery_benchmark


@pytest.fixture
def console():
    return Console(file=io.StringIO())


def now_ms():
    return time.time_ns() // 1_000_000


def last_night_ms():
    """Return the latest 03:12 UTC.

    The records of a service depend on the time of day, and by chance about one start in twenty is estimated too early.
    At this time none is.
    """
    day_ms, hour_ms, minute_ms = 86_400_000, 3_600_000, 60_000
    since_midnight_ms = 3 * hour_ms + 12 * minute_ms
    return (now_ms() - since_midnight_ms) // day_ms * day_ms + since_midnight_ms


def test_the_ratio_to_the_obvious_pipeline_has_a_minimum():
    comparison = PeerComparison(runs=[TimedRun(29_000, 1.0, 1.0, 200.0, 0, (), 0)])
    assert detect_problems(comparison) == []
    comparison.peers["obvious"] = [5000.0]
    assert detect_problems(comparison) == ["5.80 times the obvious pipeline, below the minimum of 6"]


def test_all_peers_are_those_of_the_table():
    assert sorted(ALL_PEERS) == sorted(PEERS)


def test_a_failure_that_was_not_found_makes_the_percentile_infinite():
    delays = [1.0] * 199
    assert _quantiles("", [*delays, 2.0]) == {"p50_s": 1.0, "p99_s": 1.0, "largest_s": 2.0}
    assert _quantiles("", [*delays[:-2], *[math.inf] * 3])["p99_s"] == math.inf


def test_visitors_send_a_few_records_and_never_return():
    records = 3 * VISITORS * VISIT_RECORDS
    fleet = SimulatedFleet(1, 1, 10.0, records, now_ms(), failing=0)
    sent = [message.key for message in Visitors(fleet).messages(4)]
    assert len(set(sent)) == 3 * VISITORS
    last = {key: number for number, key in enumerate(sent)}
    first = {key: number for number, key in reversed(list(enumerate(sent)))}
    assert all(last[key] - first[key] < VISITORS * VISIT_RECORDS for key in last)
    assert {sent.count(key) for key in set(sent)} == {VISIT_RECORDS}


def test_a_report_names_the_command_the_commit_and_the_machine():
    report = describe_run("detect", {"seed": 1, "before": None})
    assert report["command"] == "driftwire-load bench detect --seed 1"
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", report["commit"])
    assert set(describe_machine()["versions"]) >= {"python", "faust-streaming", "river"}


@pytest.mark.kafka
async def test_a_short_run_times_detect_and_a_peer(console):
    report = await run_detect_benchmark(busy_service(1, 20_000, last_night_ms()), console, peers=["reading"], rounds=1)
    assert report["problems"] == []
    assert report["planted_found"]
    assert report["judged_share"] > 0.99
    assert 0 < report["ratio_to_reading"] < 1
    assert report["runs"][0]["processor_us"] > 0


@pytest.mark.kafka
async def test_a_short_run_finds_the_delay_of_every_alert(console):
    report = await run_latency_benchmark(live_fleet(1, 12, 240.0, 13.0, 4), console)
    assert report["problems"] == []
    assert report["found"] == 4
    assert 0 < report["drift_p50_s"] <= report["p50_s"] <= report["largest_s"] < 60
    assert report["since_start_p50_s"] > report["p50_s"]


@pytest.mark.kafka
async def test_a_restarted_worker_judges_the_new_records(console):
    report = await run_recovery_benchmark(quiet_fleet(1, 30, now_ms()), console)
    assert report["problems"] == []
    assert 0 < report["seconds_to_first_judged"] <= report["seconds_to_all_judged"] < 60
