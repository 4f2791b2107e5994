"""Regardless of how late records arrive, a burst is one event, and a failure pages."""

import numpy as np
import pytest

from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.block import PANE_MS, Block
from tests.pipeline.detect.worlds import BY_NAME, START_MS, learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)
ROWS = 6000
BURST = 50
AT_MS = START_MS + 60_300


@pytest.fixture(scope="module")
def baseline():
    return learned(normal_world(1, 40_000), REPLAY)


def late_blocks(world: dict[str, np.ndarray], times_ms: np.ndarray, seed: int, *, late_s: float, size: int = 100):
    """Blocks of records in the order of arrival, each up to ``late_s`` late; panes follow the watermark."""
    order = np.argsort(times_ms + np.random.default_rng(seed).uniform(0, late_s * 1000, times_ms.size), kind="stable")
    times_ms = times_ms[order]
    panes = np.maximum.accumulate(times_ms) // PANE_MS
    values = np.column_stack([column[order] for column in world.values()])
    for begin in range(0, times_ms.size, size):
        rows = slice(begin, begin + size)
        count = panes[rows].size
        yield Block(
            [BY_NAME[name] for name in world],
            values[rows],
            panes[rows],
            times_ms[rows],
            [None] * count,
            {},
            np.ones(count, dtype=bool),
        )


def with_burst(seed: int, count: int = BURST) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A normal world with further failed records within one second."""
    world = normal_world(seed, ROWS)
    times_ms = START_MS + np.arange(ROWS) * 20
    failed = {"latency_ms": 30_000.0, "error": 1.0}
    world = {name: np.append(column, np.full(count, failed.get(name, np.nan))) for name, column in world.items()}
    return world, np.append(times_ms, AT_MS + np.arange(count) * PANE_MS // count)


def pages(monitor: Monitor, parts) -> list:
    findings = [finding for part in parts for finding in monitor.observe(part)]
    return [finding for finding in findings if finding.tier == "page" and finding.state == "firing"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [50, 200])
@pytest.mark.parametrize("late_s", [0.0, 1.0, 2.0])
def test_a_burst_within_a_second_does_not_page_however_late_it_arrives(baseline, late_s, count):
    pages_by_seed = [
        pages(Monitor(baseline, REPLAY), late_blocks(*with_burst(seed, count), seed, late_s=late_s))
        for seed in range(15)
    ]
    assert not any(pages_by_seed)


def test_without_the_check_such_a_burst_would_page(baseline, monkeypatch):
    monkeypatch.setattr("pipeline.detect.detectors.late_bursts.LateBursts.is_late_burst", lambda *_: False)
    pages_by_seed = [
        pages(Monitor(baseline, REPLAY), late_blocks(*with_burst(seed), seed, late_s=2.0)) for seed in range(15)
    ]
    assert sum(map(bool, pages_by_seed)) > 3


@pytest.mark.parametrize("seed", range(6))
def test_a_failure_pages_as_soon_when_its_records_arrive_late(baseline, seed):
    world = normal_world(seed, ROWS)
    world["error"][3000:] = np.random.default_rng(seed).random(ROWS - 3000) < 0.3
    times_ms = START_MS + np.arange(ROWS) * 20
    in_order, late = (
        pages(Monitor(baseline, REPLAY), late_blocks(world, times_ms, seed, late_s=late)) for late in (0.0, 2.0)
    )
    assert in_order[0].signal.name == late[0].signal.name == "error"
    assert late[0].detected_at - in_order[0].detected_at < 3000


def test_the_excess_of_a_burst_is_subtracted_and_does_not_page_later(baseline):
    """Bets on small changes decay slowly: otherwise a few more errors would be enough."""
    world, times_ms = with_burst(3, 200)
    monitor = Monitor(baseline, REPLAY)
    threshold = monitor.tests[0].threshold
    assert pages(monitor, late_blocks(world, times_ms, 3, late_s=2.0)) == []
    errors = [row for row, test in enumerate(monitor.tests) if test.signal.name == "error" and test.tier == "page"]
    assert monitor.bank.test_statistics[errors].max() < 0.7 * threshold


@pytest.mark.parametrize("cut", [2990, 3050, 3120, 3200])
def test_state_restored_within_a_burst_changes_nothing(baseline, cut):
    parts = list(late_blocks(*with_burst(4, 200), 4, late_s=2.0, size=10))
    uninterrupted, first, second = (Monitor(baseline, REPLAY) for _ in range(3))
    for part in parts:
        uninterrupted.observe(part)
    for part in parts[: cut // 10]:
        first.observe(part)
    second.load(first.dump())
    for part in parts[cut // 10 :]:
        second.observe(part)
    np.testing.assert_array_equal(second.bank.test_statistics, uninterrupted.bank.test_statistics)


def test_state_of_other_tests_is_rejected(baseline):
    monitor = Monitor(baseline, REPLAY)
    state = monitor.dump()["evidence"]["late_bursts"]
    state["sums"] = state["sums"][:, :, 1:]
    with pytest.raises(ValueError, match="the one-sided tests have changed"):
        monitor.late_bursts.load(state)
