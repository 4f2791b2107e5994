"""The detect benchmark: its comparison, and its failures."""

import ast

import numpy as np
import pytest

from load.bench import detect_benchmark
from load.bench.detect_benchmark import YARDSTICK_SIGNALS, BenchmarkRound, DetectBenchmark
from load.bench.machine import describe_machine
from load.bench.obvious_run import SCRIPT
from load.bench.timed_run import TimedRun
from load.world.world import World
from pipeline.detect.signals.catalogue import SIGNALS
from schemas.timestamp import parse_timestamp

MIDNIGHT_MS = parse_timestamp("2026-11-24T00:00:00Z")


def build_round(
    obvious: float, idle: float, records_per_s: float, *, dead_letters: int = 0, found: bool = True
) -> BenchmarkRound:
    return BenchmarkRound(obvious, idle, TimedRun(records_per_s, 1000, 1.0, (), dead_letters), found)


ROUNDS = (build_round(5000.0, 8000.0, 39_000), build_round(4000.0, 7000.0, 30_000), build_round(6000.0, 9000.0, 50_000))


def build_benchmark(*rounds: BenchmarkRound, monitored_share: float = 1.0) -> DetectBenchmark:
    return DetectBenchmark(100_000, 757.0, rounds or ROUNDS, monitored_share)


def test_the_ratio_is_that_of_the_medians() -> None:
    assert build_benchmark().ratio_to_obvious == 39_000 / 5000
    assert build_benchmark().problems == []


@pytest.mark.parametrize(
    ("benchmark", "reason"),
    [
        (
            build_benchmark(ROUNDS[0], build_round(4000.0, 7000.0, 30_000, found=False), ROUNDS[2]),
            "reported by 2 of 3 timed runs",
        ),
        (build_benchmark(monitored_share=0.98), "only 0.9800 of the signal values were monitored"),
        (build_benchmark(build_round(5000.0, 8000.0, 29_000)), "5.80 times the reference pipeline"),
        (build_benchmark(build_round(5000.0, 8000.0, 40_000, dead_letters=1)), "dead letters"),
    ],
)
def test_a_benchmark_that_proves_nothing_fails(benchmark: DetectBenchmark, reason: str) -> None:
    (problem,) = benchmark.problems
    assert reason in problem


def test_the_report_has_the_documented_keys() -> None:
    report = build_benchmark().to_json()
    assert report["ratio_to_obvious"] == 7.8
    assert report["records_per_s"] == 39_000
    assert report["obvious_do_nothing_records_per_s"] == 8000
    assert len(report["runs"]) == 3


def test_records_carry_exactly_the_signals_of_the_yardstick() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    (signals,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "SIGNALS"
    )
    assert {(section, name) for section, names in signals.items() for name in names} == {
        (signal.section, signal.field) for signal in SIGNALS if signal.name in YARDSTICK_SIGNALS
    }
    assert len(YARDSTICK_SIGNALS) == 22


def test_the_machine_is_described_with_versions() -> None:
    machine = describe_machine()
    assert machine["cpu_count"] >= 1
    assert set(machine["versions"]) >= {"python", "faust-streaming", "river"}


@pytest.mark.parametrize("hour", [3, 15])
def test_the_failure_begins_after_its_share_of_the_records_at_any_hour(hour: int) -> None:
    def create_world() -> World:
        return World(1, MIDNIGHT_MS + hour * 3_600_000, 2000.0)

    at_ms = detect_benchmark._record_time_ms(8500, create_world())
    sent = np.concatenate([columns.times_ms for columns in create_world().generate(records=10_000)])
    assert np.count_nonzero(sent < at_ms) == pytest.approx(8500, abs=10)
