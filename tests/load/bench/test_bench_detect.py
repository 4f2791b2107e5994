"""The benchmark's own rules: what it compares, and what it refuses to call a success."""

import ast

import numpy as np
import pytest

from load.bench import bench_detect
from load.bench.bench_detect import YARDSTICK_SIGNALS, Measured
from load.bench.machine import machine
from load.bench.timed import Timed
from load.bench.yardstick_run import SCRIPT
from load.world.world import World, generate
from pipeline.detect.signals.catalogue import SIGNALS
from schemas.timestamp import parse_timestamp

MIDNIGHT_MS = parse_timestamp("2026-11-24T00:00:00Z")


def timed(records_per_s: float, dead_letters: int = 0) -> Timed:
    return Timed(records_per_s, 1000, 1.0, (), dead_letters)


def measured(**changes: object) -> Measured:
    rounds = [(5000.0, 8000.0, timed(39_000)), (4000.0, 7000.0, timed(30_000)), (6000.0, 9000.0, timed(50_000))]
    fields: dict[str, object] = {"rounds": rounds, "found": [True, True, True], "judged_share": 1.0}
    return Measured(records=100_000, record_bytes=757.0, **(fields | changes))  # type: ignore[arg-type]


def test_the_ratio_is_that_of_the_medians() -> None:
    assert measured().ratio_to_obvious == 39_000 / 5000
    assert measured().problems == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"found": [True, False, True]}, "reported by 2 of 3 timed runs"),
        ({"judged_share": 0.98}, "only 0.9800 of the signal values were judged"),
        ({"rounds": [(5000.0, 8000.0, timed(29_000))], "found": [True]}, "5.80 times the obvious pipeline"),
        ({"rounds": [(5000.0, 8000.0, timed(40_000, dead_letters=1))], "found": [True]}, "dead letters"),
    ],
)
def test_a_benchmark_that_proves_nothing_fails(changes: dict[str, object], said: str) -> None:
    (problem,) = measured(**changes).problems
    assert said in problem


def test_the_report_has_what_others_read_from_it() -> None:
    report = measured().to_json()
    assert report["ratio_to_obvious"] == 7.8
    assert report["records_per_s"] == 39_000
    assert report["obvious_do_nothing_records_per_s"] == 8000
    assert len(report["runs"]) == 3


def test_records_carry_exactly_what_the_yardstick_watches() -> None:
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


def test_a_figure_says_what_it_was_measured_on() -> None:
    found = machine()
    assert found["cpu_count"] >= 1
    assert set(found["versions"]) >= {"python", "faust-streaming", "river"}


@pytest.mark.parametrize("hour", [3, 15])
def test_the_failure_begins_after_its_share_of_the_records_at_any_hour(hour: int) -> None:
    def world() -> World:
        return World(1, MIDNIGHT_MS + hour * 3_600_000, 2000.0)

    at_ms = bench_detect._time_of(8500, world())
    sent = np.concatenate([columns.times_ms for columns in generate(world(), records=10_000)])
    assert np.count_nonzero(sent < at_ms) == pytest.approx(8500, abs=10)
